"""What a probe process does with one job: open the file, let the handlers look, make sure it stayed the same.

Every way in which a file or a handler can be wrong ends in a verdict here, unless it takes the process with it:
then the pool gives it.
"""

import errno
import os
import stat
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from scanner import times
from scanner.message import ErrorKind
from scanner.probe import verdicts
from scanner.probe.file import MediaFile, ProbeError
from scanner.probe.handlers import Handlers
from scanner.probe.jobs import Job, RootState, Verdict

_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_GONE = frozenset({errno.ENOENT, errno.ENOTDIR})
_KINDS: dict[int | None, ErrorKind] = {
    errno.EACCES: "unreadable",
    errno.EPERM: "unreadable",
    errno.ELOOP: "unreadable",
    errno.ENAMETOOLONG: "unreadable",
    errno.ENXIO: "unsupported",  # a socket, or a device that is not there
}
_IO_ERRORS = frozenset(
    {errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.ETIMEDOUT, errno.ECONNRESET, errno.EHOSTDOWN}
    | {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EREMOTEIO, errno.ESHUTDOWN, errno.ENOLINK}
)
"""What a handler's read meets when the storage fails it; any other OSError of a handler is its own."""


class Exhausted(Exception):
    """Raised when memory ran out: the verdict is given, but the process must not go on."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict.text)
        self.verdict = verdict


@dataclass(frozen=True, slots=True)
class Examiner:
    """Turns jobs into verdicts. `opened` is called when a file is open, `too_much` names the memory limit."""

    handlers: Handlers
    opened: Callable[[], None]
    too_much: str

    def examine(self, job: Job) -> Verdict:
        """Return the verdict on a job.

        Raises:
            Exhausted: memory ran out over it.
        """
        began_s = time.perf_counter()
        try:
            return self._examine(job, began_s)
        except ProbeError as error:
            kind, text = error.kind, str(error)
        except MemoryError:
            kind, text = "crashed", self.too_much
        except OSError as error:
            kind = "io" if error.errno in _IO_ERRORS else "crashed"
            text = f"reading it failed: {error.strerror}" if kind == "io" else _described(error)
        except BaseException as error:  # noqa: BLE001 - a handler may raise anything, SystemExit included
            kind, text = "crashed", _described(error)
        verdict = verdicts.failure(job, kind, text, seconds=time.perf_counter() - began_s)
        if text is self.too_much:
            raise Exhausted(verdict)
        return verdict

    def _examine(self, job: Job, began_s: float) -> Verdict:
        if job.look == "content":
            return self._content(job, began_s)
        self.opened()
        path = os.fsdecode(job.path)
        if job.look == "forget":
            self.handlers.forget(path, job.place)
            return verdicts.verdict(job, "ok", seconds=time.perf_counter() - began_s)
        found = self.handlers.moved(path, job.place, job.kind)
        return verdicts.verdict(job, "ok", findings=found, seconds=time.perf_counter() - began_s)

    def _content(self, job: Job, began_s: float) -> Verdict:
        try:
            descriptor = os.open(job.path, _FLAGS)
        except (OSError, ValueError) as error:
            return _not_opened(job, error)
        try:
            opened_s = time.perf_counter() - began_s
            self.opened()
            return msgspec.structs.replace(self._opened(job, descriptor, began_s), opened_s=opened_s)
        finally:
            os.close(descriptor)

    def _opened(self, job: Job, descriptor: int, began_s: float) -> Verdict:
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode):
            return verdicts.failure(job, "unsupported", f"it is no regular file but {_type(before.st_mode)}")
        seen = (before.st_size, times.bounded_ns(before.st_mtime_ns))
        if _differs(job, *seen):
            return verdicts.verdict(job, "changed", seen=seen)
        file = MediaFile(os.fsdecode(job.path), descriptor, *seen, job.kind, job.place)
        found = self.handlers.look(file)
        after = os.fstat(descriptor)
        if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
            return verdicts.verdict(job, "changed", seen=(after.st_size, times.bounded_ns(after.st_mtime_ns)))
        seconds = time.perf_counter() - began_s
        return verdicts.verdict(job, "ok", findings=found, seconds=seconds, seen=seen)


def _differs(job: Job, size: int, mtime_ns: int) -> bool:
    return size != job.size or (mtime_ns != job.mtime_ns and abs(mtime_ns - job.mtime_ns) >= job.granularity_ns)


def _not_opened(job: Job, error: OSError | ValueError) -> Verdict:
    if not isinstance(error, OSError):
        return verdicts.failure(job, "rejected", f"the system takes no such path: {error}")
    if error.errno in _GONE:
        return verdicts.verdict(job, "gone")
    return verdicts.failure(job, _KINDS.get(error.errno, "io"), f"it cannot be opened: {error.strerror}")


def _described(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


_TYPES = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISCHR, "a character device"),
    (stat.S_ISBLK, "a block device"),
)


def _type(mode: int) -> str:
    return next((words for test, words in _TYPES if test(mode)), "something else")


def state_of(root: bytes, samples: Sequence[bytes]) -> RootState:
    """Return `known` for a directory that holds something, and one of `samples` (paths below it) if any."""
    try:
        with os.scandir(root) as entries:
            is_empty = next(entries, None) is None
    except (OSError, ValueError):
        return "unknown"
    if is_empty or (samples and not any(os.path.lexists(os.path.join(root, sample)) for sample in samples)):
        return "unknown"
    return "known"
