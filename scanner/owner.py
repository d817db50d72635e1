"""Who holds a lease: a process named so that its death can be proved on the same machine.

A process id alone is not an identity (it is reused, and another container has its own numbers), so the owner
is boot id + pid namespace + pid + the process's start time. Source: proc(5), field `starttime` of
`/proc/[pid]/stat`, in clock ticks since boot.
"""

import os
import socket
from pathlib import Path

import msgspec


def process_name() -> str:
    """Return this process as results and connections name it to a person: `host:pid`."""
    return f"{socket.gethostname()}:{os.getpid()}"


class Owner(msgspec.Struct, frozen=True):
    """One process on one machine since one boot."""

    host: str
    boot: str
    pid_namespace: str
    pid: int
    started: int

    @classmethod
    def current(cls) -> "Owner":
        """Return the owner that this process is."""
        pid = os.getpid()
        return cls(
            host=socket.gethostname(),
            boot=_boot_id(),
            pid_namespace=_pid_namespace(),
            pid=pid,
            started=_start_time(_read(f"/proc/{pid}/stat") or "") or 0,
        )

    @classmethod
    def parse(cls, text: str) -> "Owner":
        """Return the owner that `str(owner)` gave.

        Raises:
            ValueError: the text is not one.
        """
        return msgspec.json.decode(text, type=cls)

    def __str__(self) -> str:
        return msgspec.json.encode(self).decode()

    @property
    def provably_dead(self) -> bool:
        """Whether this owner can be seen from here and is gone; False also means "cannot tell".

        Another boot id proves nothing: two machines that share a database may share a host name too.
        """
        if (self.boot, self.pid_namespace) != (_boot_id(), _pid_namespace()):
            return False
        stat = _read(f"/proc/{self.pid}/stat")
        if stat is None:
            return not _answers(self.pid)
        return _start_time(stat) != self.started

    @property
    def described(self) -> str:
        """The owner in words: host and process id."""
        return f"host {self.host}, process {self.pid}"


def described(text: str) -> str:
    """Return an owner's text in words; as it is if it cannot be read."""
    try:
        return Owner.parse(text).described
    except ValueError:
        return text


def _boot_id() -> str:
    return _read("/proc/sys/kernel/random/boot_id") or "unknown"


def _pid_namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return "unknown"


def _start_time(stat: str) -> int | None:
    """Return when a living process started, in clock ticks since boot; None for one that has ended."""
    fields = stat.rpartition(")")[2].split()
    return None if not fields or fields[0] in "ZX" else int(fields[19])


def _answers(pid: int) -> bool:
    """Tell whether there is a process that /proc does not show: with `hidepid`, another user's is hidden."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None
