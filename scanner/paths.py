"""Path text: how a file name, which is any bytes, is kept in a database's text and shown to a person.

The file system's names are bytes; SQLite, PostgreSQL and JSON want valid Unicode. *Path text* is valid
Unicode that stands for exactly one byte string: what decodes as UTF-8 is itself, and every byte that does
not is one character of the range U+10FF80 to U+10FFFF (private use, plane 16). A name that really holds such
a character has its four bytes escaped in the same way, so the mapping is one to one in both directions.

Pure functions, standard library only (the walker process imports this module).
"""

import os
import re

_ESCAPE_BASE = 0x10FF00
_ESCAPED = re.compile("[\U0010ff80-\U0010ffff]")
_ESCAPED_UTF8 = re.compile(rb"\xf4\x8f[\xbe\xbf][\x80-\xbf]")
"""The same characters in UTF-8: searching bytes is ten times as fast as searching wide strings."""
_SURROGATE_OR_RESERVED = re.compile("[\udc80-\udcff\U0010ff80-\U0010ffff]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def from_os(name: str) -> str:
    """Return the path text of a name as `os` functions give it (surrogateescape)."""
    if name.isascii():
        return name
    try:
        if not _ESCAPED_UTF8.search(name.encode()):
            return name
    except UnicodeEncodeError:  # it holds a byte that is not UTF-8
        pass
    return _SURROGATE_OR_RESERVED.sub(_escape, name)


def _escape(match: re.Match[str]) -> str:
    raw = match[0].encode("utf-8", "surrogateescape")
    return "".join(chr(_ESCAPE_BASE + byte) for byte in raw)


def from_bytes(name: bytes) -> str:
    """Return the path text of a name given as bytes."""
    return from_os(name.decode("utf-8", "surrogateescape"))


def to_bytes(text: str) -> bytes:
    """Return the bytes that `text` stands for."""
    return _ESCAPED_UTF8.sub(_unescape, text.encode())


def _unescape(match: re.Match[bytes]) -> bytes:
    third, fourth = match[0][2:]
    return bytes([0x80 | (third & 1) << 6 | fourth & 0x3F])


def to_os(text: str) -> str:
    """Return `text` as `os` functions take it (surrogateescape)."""
    return text if text.isascii() else to_bytes(text).decode("utf-8", "surrogateescape")


def is_exact(text: str) -> bool:
    """Tell whether `text` is the name itself: valid UTF-8, nothing escaped."""
    return text.isascii() or not _ESCAPED_UTF8.search(text.encode())


def readable(text: str) -> str:
    """Return `text` with every escaped byte as U+FFFD: for reading, not for opening."""
    return text if text.isascii() else _ESCAPED.sub("\ufffd", text)


def printable(text: str) -> str:
    r"""Return `text` safe for a terminal or a log: no control, no bidirectional override, no stray byte.

    Control characters show as `\x1b`, bytes that are not UTF-8 as `\xff`.
    """
    shown = _ESCAPED.sub(lambda match: f"\\x{ord(match[0]) - _ESCAPE_BASE:02x}", text)
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), shown)


def join(directory: str, name: str) -> str:
    """Return the path of `name` in `directory`, relative to the same root ('' is the root itself)."""
    return f"{directory}/{name}" if directory else name


def basename(path: str) -> str:
    """Return the last component of a path."""
    return path.rpartition("/")[2]


def absolute(path: str) -> str:
    """Return the absolute path text of an `os` path, `.`, `..` and `~` resolved, symlinks kept."""
    return from_os(os.path.abspath(os.path.expanduser(path)))


def contains(outer: str, inner: str) -> bool:
    """Tell whether the absolute path `inner` is `outer` or lies below it."""
    return inner == outer or inner.startswith(outer.rstrip("/") + "/")
