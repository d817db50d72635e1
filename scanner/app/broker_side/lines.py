"""What parent and broker side say to each other: lines, JSON where there is more than a word.

The parent's first line is the settings (never arguments: they hold passwords, and the process table is public),
then words: `wake`, `drain`. The end of stdin means that the parent died. The child answers with reports.
"""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, TypeVar

import msgspec

from scanner.broker.publisher import PublisherSettings
from scanner.broker.session import BrokerSettings
from scanner.errors import ScannerError
from scanner.probe.jobs import ProbeSettings
from scanner.services.collect.status import CollectSettings, CollectStatus
from scanner.services.relay.status import RelaySettings, RelayStatus
from scanner.services.work.status import WorkSettings, WorkStatus

S = TypeVar("S", RelayStatus, WorkStatus, CollectStatus)

WAKE = b"wake\n"
DRAIN = b"drain\n"
LONGEST_LINE_BYTES = 4096
"""Linux's PIPE_BUF: a line up to here is written in one piece or not at all, also to a full pipe."""
_LONGEST_TEXT = 700
_LONGEST_WHEN_CUT = (300, 40)
_MOST_AWAY_WHEN_CUT = 3

FATAL_EXIT_CODE = 3


@dataclass(frozen=True, slots=True)
class BrokerSideSettings:
    """All that the broker side needs to know.

    Without `broker` it is the embedded one. The relay always runs; without `work` no worker does, without
    `collect` nobody takes results. `eof_grace_s` (default 5) is how long it works on after its parent died;
    then it leaves, whatever happens.
    """

    database_url: str
    broker: BrokerSettings | None
    publishing: PublisherSettings = field(default_factory=PublisherSettings)
    relay: RelaySettings = field(default_factory=RelaySettings)
    work: WorkSettings | None = None
    probe: ProbeSettings = field(default_factory=ProbeSettings)
    collect: CollectSettings | None = None
    log_level: str = "info"
    log_format: Literal["console", "json"] = "console"
    eof_grace_s: float = 5.0


class Fatal(msgspec.Struct, frozen=True):
    """Why the broker side gave up, as a person has to act: an error's kind and sentence."""

    kind: str
    text: str

    @classmethod
    def of(cls, error: ScannerError) -> "Fatal":
        """Return the error as it travels."""
        return cls(error.kind, str(error)[:_LONGEST_TEXT])

    def to_error(self) -> ScannerError:
        """Return the error that this one was."""
        return _class_of(ScannerError, self.kind)(self.text)


class Report(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the child says at every change and each half second; `status` is the relay's."""

    status: RelayStatus
    fatal: Fatal | None = None
    work: WorkStatus | None = None
    collect: CollectStatus | None = None


def encode_settings(settings: BrokerSideSettings) -> bytes:
    """Return the first line."""
    return msgspec.json.encode(settings) + b"\n"


def decode_settings(line: bytes) -> BrokerSideSettings:
    """Return the settings in the first line.

    Raises:
        msgspec.MsgspecError: it is something else.
    """
    return msgspec.json.decode(line, type=BrokerSideSettings)


def encode_report(report: Report) -> bytes:
    """Return a report's line, not longer than `LONGEST_LINE_BYTES`.

    What does not fit is cut: the libraries first, then what work and collect say, last what the relay says.
    Every state and counter is kept.
    """
    lines = (msgspec.json.encode(shorter) + b"\n" for shorter in _ever_shorter(report))
    return next(line for line in lines if len(line) <= LONGEST_LINE_BYTES)


def _ever_shorter(report: Report) -> Iterator[Report]:
    yield report
    for most in (10, 3, 0):
        report = _with_libraries(report, most)
        yield report
    for longest in _LONGEST_WHEN_CUT:
        work = report.work and _brief_work(report.work, longest)
        collect = report.collect and _brief(report.collect, longest)
        report = msgspec.structs.replace(report, work=work, collect=collect)
        yield report
    for longest in _LONGEST_WHEN_CUT:
        fatal = report.fatal and Fatal(report.fatal.kind, report.fatal.text[:longest])
        report = msgspec.structs.replace(report, status=_brief(report.status, longest), fatal=fatal)
        yield report


def _with_libraries(report: Report, most: int) -> Report:
    if report.collect is None:
        return report
    kept = dict(list(report.collect.libraries.items())[:most])  # they come in the order of their counts
    return msgspec.structs.replace(report, collect=dataclasses.replace(report.collect, libraries=kept))


def _brief_work(work: WorkStatus, longest: int) -> WorkStatus:
    away = tuple(name[:longest] for name in work.away[:_MOST_AWAY_WHEN_CUT])
    return _brief(dataclasses.replace(work, away=away), longest)


def _brief(status: S, longest: int) -> S:
    return dataclasses.replace(status, detail=status.detail[:longest])


def decode_report(line: bytes) -> Report | None:
    """Return the report in a line; None for a torn or foreign one."""
    try:
        return msgspec.json.decode(line, type=Report)
    except msgspec.MsgspecError:
        return None


def _class_of(root: type[ScannerError], kind: str) -> type[ScannerError]:
    for candidate in [root, *_descendants(root)]:
        if candidate.kind == kind:
            return candidate
    return root


def _descendants(root: type[ScannerError]) -> list[type[ScannerError]]:
    children = root.__subclasses__()
    return children + [grandchild for child in children for grandchild in _descendants(child)]
