"""Headers as both brokers carry them: text to text, bounded, and nothing that UTF-8 cannot say."""

from collections.abc import Mapping

from scanner.broker.api import ERROR_KIND_HEADER, PUT_LAST_HEADER, REASON_HEADER

_OURS = (REASON_HEADER, ERROR_KIND_HEADER, PUT_LAST_HEADER)
_MOST_HEADERS = 32
_LONGEST_TEXT = 1_000


def carried(headers: Mapping[str, object]) -> dict[str, str]:
    """Return what is carried of the headers: those whose value is text, cut to what a reason needs.

    A reason may quote a path that is not UTF-8.
    """
    names = sorted(headers, key=lambda name: name not in _OURS)[:_MOST_HEADERS]
    texts = ((name, headers[name]) for name in names)
    return {name: _said(text) for name, text in texts if isinstance(text, str)}


def _said(text: str) -> str:
    return text[:_LONGEST_TEXT].encode("utf-8", "backslashreplace").decode()
