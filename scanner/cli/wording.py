"""Numbers, times and rows in words: plain text, the same on a terminal, in a file and in a test."""

import time
from collections.abc import Sequence

_MEANINGS = {
    "corrupt": "damaged or cut off",
    "unsupported": "no format that can be read",
    "timeout": "took too long (--probe-timeout)",
    "crashed": "ended the process that read it",
    "unreadable": "may not be opened (permissions)",
    "io": "the disk or share had an error",
    "rejected": "its task was given up",
}


def count(number: int, one: str, many: str = "") -> str:
    """Return a number with its noun: "1 file", "2,000 files"."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def duration(seconds: float) -> str:
    """Return a span of time as a person says it: "0.4 s", "12 s", "3:05 min", "2:07 h"."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3_600:
        return f"{whole // 60}:{whole % 60:02d} min"
    return f"{whole // 3_600}:{whole // 60 % 60:02d} h"


def size(size_bytes: int) -> str:
    """Return a number of bytes in the unit that suits it: "812 B", "1.4 GB" (powers of 1000)."""
    number = float(size_bytes)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if number < 999.95:
            return f"{number:.0f} B" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1_000
    return f"{number:,.1f} PB"


def clock(seconds: float | None) -> str:
    """Return how long something plays as a player shows it: "1:52:07", "3:05"; nothing for None."""
    if seconds is None:
        return ""
    whole = round(seconds)
    minutes = f"{whole // 60 % 60:02d}:{whole % 60:02d}"
    return f"{whole // 3_600}:{minutes}" if whole >= 3_600 else minutes.removeprefix("0")


def meaning(error_kind: str | None) -> str:
    """Return what a kind of error means, in a few words."""
    return _MEANINGS.get(error_kind or "", "no reason was given")


def moment(epoch_s: float | None) -> str:
    """Return a point in time by the local clock; a dash for None."""
    return "-" if epoch_s is None else time.strftime("%Y-%m-%d %H:%M", time.localtime(epoch_s))


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as aligned columns; a cell that is a number stands to the right."""
    from rich.cells import cell_len

    widths = [max(cell_len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return "\n".join(_line(row, widths, [cell_len(cell) for cell in row]) for row in rows)


def _line(row: Sequence[str], widths: Sequence[int], lengths: Sequence[int]) -> str:
    cells = zip(row, widths, lengths, strict=True)
    return "  ".join(_cell(text, " " * (width - length)) for text, width, length in cells).rstrip()


def _cell(text: str, padding: str) -> str:
    return padding + text if text.replace(",", "").isdigit() else text + padding
