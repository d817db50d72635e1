"""Text out of files, made fit for a message: valid Unicode, no control characters, of bounded length."""

_UNFIT = dict.fromkeys((*range(0x20), *range(0x7F, 0xA0)), " ") | dict.fromkeys(range(0xD800, 0xE000), "\ufffd")


def fit(text: str, longest: int) -> str:
    """Return the text without what a message cannot hold, cut to `longest` characters."""
    text = text[:longest]
    return (text if text.isprintable() else text.translate(_UNFIT)).strip()
