"""What pamqp cannot decode is left out of a message instead of ending the connection that delivers it.

RabbitMQ passes on properties that pamqp refuses: a time after the year 9999, text that is not UTF-8, a table
with such a key or nested a thousand deep. aiormq then ends the connection, the message is delivered to the next
consumer, and so on: after twenty connections it is a dead letter and ends those of the collectors for ever. One
message of a stranger would stop everybody (measured: RabbitMQ 3.10.8, aiormq 7.2, pamqp 4.0).
"""

import struct
from datetime import datetime

from pamqp import decode
from pamqp.common import FieldTable

_UNDECODABLE = (ValueError, OverflowError, OSError, KeyError, RecursionError)


def install() -> None:
    """Make pamqp's decoding of properties lenient, in this process; doing it again changes nothing."""
    decode.METHODS.update(shortstr=_short_text, table=_table, timestamp=_timestamp)


def _short_text(value: bytes) -> tuple[int, str]:
    try:
        return decode.short_str(value)
    except UnicodeDecodeError:
        end = 1 + value[0]
        return end, value[1:end].decode("utf-8", "replace")


def _table(value: bytes) -> tuple[int, FieldTable]:
    try:
        return decode.field_table(value)
    except _UNDECODABLE:
        (length,) = struct.unpack_from(">I", value)
        return 4 + length, {}


def _timestamp(value: bytes) -> tuple[int, datetime | None]:
    try:
        return decode.timestamp(value)
    except _UNDECODABLE:
        return 8, None
