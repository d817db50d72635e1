"""What the pool is asked and what it answers: plain values that cross a pipe to a probe process and back."""

import enum
from dataclasses import dataclass
from typing import Literal

import msgspec

from scanner.message import ErrorKind, Status

Look = Literal["content", "name", "forget"]
"""`content`: open the file and run the handlers. `name`: it moved, read its name. `forget`: it is deleted."""

RootState = Literal["known", "unknown", "silent"]
"""A root that is there and holds what was known of it; one that does not; one that does not answer in time."""


class Job(msgspec.Struct, array_like=True, frozen=True):
    """One file to look at.

    `key` is the caller's own; `path` absolute, the bytes the system takes; `place` the readable path relative
    to the library's root, for the name parser. `size` and `mtime_ns` are what the task says; times that differ
    by less than `granularity_ns` (that of the mount) are equal. `file`, `revision`, `content` and `attempt` go
    into the result as they are.
    """

    key: int
    path: bytes
    place: str
    kind: str
    size: int
    mtime_ns: int
    file: int
    revision: int
    content: int
    attempt: int = 0
    look: Look = "content"
    granularity_ns: int = 1


class Verdict(msgspec.Struct, array_like=True, frozen=True):
    """What came of a job.

    `result` is the JSON of a `scanner.message.Result`, ready for a result message, whatever the status.
    `opened` is false for a file that hung in its opening until its time was up: its mount may be dead. (And
    for one that was withdrawn and passed over: nobody hears that verdict.)
    `opened_s` is how long the file took to open, `text` the error's sentence.
    """

    key: int
    status: Status
    result: bytes
    error_kind: ErrorKind | None = None
    text: str = ""
    opened_s: float = 0.0
    opened: bool = True


class Hash(enum.StrEnum):
    """Which fingerprint is taken: the OpenSubtitles hash alone, or BLAKE3 of the whole content, too."""

    QUICK = "quick"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class ProbeSettings:
    """How probing is done.

    `processes` at most work at a time; a file may take `time_limit_s` (default 30; while all of it is hashed,
    the time counts anew from each piece), a process `memory_mib` (1,024) of address space, and is replaced
    after `recycle_after` (10,000) files. `handlers` are names of entry points in the group `scanner.handlers`.
    `names` parses file names. `nice` (10) and the idle I/O class (unless `idle_io` is false) leave the
    machine to others. `io_rate_mib_s` limits what all processes read together, 0 being no limit.
    """

    processes: int = 2
    time_limit_s: float = 30.0
    memory_mib: int = 1_024
    recycle_after: int = 10_000
    handlers: tuple[str, ...] = ("probe",)
    names: bool = True
    hash: Hash = Hash.QUICK
    nice: int = 10
    idle_io: bool = True
    io_rate_mib_s: float = 0.0
