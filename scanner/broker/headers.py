"""Headers as both brokers carry them: text to text, bounded, and nothing that UTF-8 cannot say."""

from collections.abc import Mapping

_MOST_HEADERS = 32
_LONGEST_TEXT = 1_000


def carried(headers: Mapping[str, object]) -> dict[str, str]:
    """Return what is carried of the headers: those whose value is text, cut to what a reason needs.

    A reason may quote a path that is not UTF-8.
    """
    texts = [(name, value[:_LONGEST_TEXT]) for name, value in headers.items() if isinstance(value, str)]
    return {name: value.encode("utf-8", "backslashreplace").decode() for name, value in texts[:_MOST_HEADERS]}
