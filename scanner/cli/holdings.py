"""What libraries hold, and what failed in them, as compact tables for a person. Pure: values in, text out."""

from collections.abc import Mapping, Sequence

from scanner.app.progress import FailureKind, LibraryHoldings
from scanner.cli import wording
from scanner.log import shown

_MOST = 6


def held(holdings: LibraryHoldings) -> list[str]:
    """Return what one library holds: files, hours and bytes by kind, and what was found in them."""
    kinds = [
        (f"  {kind}", f"{one.files:,}", _playing(one.hours), wording.size(one.size_bytes))
        for kind, one in holdings.kinds.items()
    ]
    found = {
        "video codecs": holdings.video_codecs,
        "audio codecs": holdings.audio_codecs,
        "resolutions": holdings.resolutions,
        "containers": holdings.containers,
    }
    known = [(f"  {name}", _most_frequent(counts)) for name, counts in found.items() if counts]
    lines = wording.columns([("  kind", "files", "plays", "size"), *kinds]).splitlines() if kinds else []
    return [f"{shown(holdings.library)} holds", *lines, *(wording.columns(known).splitlines() if known else [])]


def _playing(hours: float) -> str:
    if hours >= 1:
        return f"{hours:,.1f} h"
    return wording.duration(hours * 3_600) if hours else ""


def _most_frequent(counts: Mapping[str, int]) -> str:
    first = [f"{shown(word)} {number:,}" for word, number in list(counts.items())[:_MOST]]
    more = len(counts) - len(first)
    return ", ".join([*first, *([f"{more:,} more"] if more else [])])


def failed(failures: Sequence[FailureKind]) -> list[str]:
    """Return what failed as a table: the kind, how many files, what it means, the path of one."""
    if not failures:
        return []
    head = ("  failed", "files", "tried again", "because", "for example")
    return wording.columns([head, *map(_failure, failures)]).splitlines()


def _failure(one: FailureKind) -> tuple[str, ...]:
    example = shown(one.examples[0]) if one.examples else ""
    again = f"{one.retrying:,}" if one.retrying else ""
    return (f"  {one.kind or '-'}", f"{one.files:,}", again, wording.meaning(one.kind), example)
