"""From an AMQP message to a `Delivery`, whatever the message says.

Invariant: this never raises. Whoever may publish can send any property and header; one that raised here would
stay unacknowledged and block its queue. Attempts are clamped, texts bounded, all else left out.
"""

from collections.abc import Mapping

from aiormq.abc import DeliveredMessage

from scanner import message as wire
from scanner.broker.api import REASON_HEADER, Delivery, Source
from scanner.broker.headers import carried

_SHORTSTR_BYTES = 255


def delivery_of(message: DeliveredMessage, source: Source) -> Delivery:
    """Return the message as a delivery; a letter that the broker itself gave up gets its reason as a header."""
    properties = message.header.properties
    given = properties.headers or {}
    headers = carried(given)
    if source is Source.DEAD and REASON_HEADER not in headers:
        headers |= _broker_reason(given.get("x-death"))
    return Delivery(
        tag=message.delivery_tag or 0,
        message_id=_short(properties.message_id or ""),
        type=_short(properties.message_type or "") or None,
        body=message.body,
        attempt=_attempt(given.get(wire.ATTEMPT_HEADER)),
        redelivered=bool(message.redelivered),
        deliveries=_count(given.get("x-delivery-count")),
        headers=headers,
    )


def _short(text: str) -> str:
    """Return as much of a text as AMQP can say again: what was no UTF-8 has grown to three times its bytes."""
    return text.encode("utf-8", "replace")[:_SHORTSTR_BYTES].decode("utf-8", "ignore")


def _broker_reason(deaths: object) -> dict[str, str]:
    """Return the reason header for the latest of the deaths that RabbitMQ notes in `x-death`, newest first."""
    latest = deaths[0] if isinstance(deaths, list) and deaths else None
    if not isinstance(latest, Mapping):
        return {}
    reason = f"{latest.get('reason')} in the queue {latest.get('queue')}"
    return carried({REASON_HEADER: f"given up by the broker: {reason}"})


def _count(value: object) -> int:
    """Return how often a quorum queue has delivered it before; other queues do not say."""
    return max(0, value) if isinstance(value, int) and not isinstance(value, bool) else 0


def _attempt(value: object) -> int:
    """Return an attempt between the first and the last; what is no number is a first attempt."""
    if not isinstance(value, int) or isinstance(value, bool):
        return 0
    return min(max(0, value), wire.FINAL_ATTEMPT)
