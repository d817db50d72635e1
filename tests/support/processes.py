"""Processes as /proc shows them, and the scanner's own: found by a mark that every child inherits.

A run is marked by `SCANNER_TEST_MARK` in its environment, so that "no process is left over" is a fact about
exactly this run, whatever else lives on the machine. Linux only.
"""

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from tests.support.waiting import wait_until

MARK = "SCANNER_TEST_MARK"
Role = Literal["parent", "walker", "broker", "prober", "other"]
_ROLE_WORDS: tuple[tuple[str, Role], ...] = (
    ("scanner.probe.process", "prober"),
    ("walker", "walker"),
    ("broker", "broker"),
    ("relay", "broker"),
)
REPOSITORY = Path(__file__).parent.parent.parent


@dataclass(frozen=True, slots=True)
class ProcessInfo:
    """One living process (no zombie): `started` is in clock ticks since boot and makes `pid` unique."""

    pid: int
    parent_pid: int
    name: str
    command: tuple[str, ...]
    state: str
    started: int

    @property
    def alive(self) -> bool:
        """Whether this very process still lives."""
        now = process(self.pid)
        return now is not None and now.started == self.started

    def signal(self, number: signal.Signals) -> None:
        """Signal it, if it still lives."""
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def environment(self) -> dict[str, str]:
        """Return the environment it was started with."""
        return _environment(self.pid)

    def memory_peak_bytes(self) -> int:
        """Return the most memory it ever had resident (VmHWM), 0 if it is gone."""
        status = _read(self.pid, "status").decode(errors="replace")
        rows = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
        return int(rows.get("VmHWM", "0 kB").split()[0]) * 1024


def process(pid: int) -> ProcessInfo | None:
    """Return a living process, None if it is gone or a zombie. Source: proc(5), `/proc/[pid]/stat`."""
    before, _, after = _read(pid, "stat").decode(errors="replace").rpartition(")")
    fields = after.split()
    if not fields or fields[0] in "ZX":
        return None
    command = _read(pid, "cmdline").decode(errors="replace").rstrip("\0").split("\0")
    return ProcessInfo(
        pid, int(fields[1]), before.partition("(")[2], tuple(command), fields[0], int(fields[19])
    )


def processes() -> list[ProcessInfo]:
    """Return every living process that can be seen."""
    found = (process(int(entry)) for entry in os.listdir("/proc") if entry.isdigit())
    return [one for one in found if one is not None]


def descendants(pid: int) -> list[ProcessInfo]:
    """Return the living children of `pid`, theirs, and so on."""
    by_parent: dict[int, list[ProcessInfo]] = {}
    for one in processes():
        by_parent.setdefault(one.parent_pid, []).append(one)
    found: list[ProcessInfo] = []
    pending = [pid]
    while pending:
        children = by_parent.get(pending.pop(), [])
        found += children
        pending += [child.pid for child in children]
    return found


def kill_all(victims: Iterable[ProcessInfo], timeout_s: float = 10.0) -> None:
    """End processes with SIGKILL and wait until they are gone."""
    victims = list(victims)
    for one in victims:
        one.signal(signal.SIGKILL)
    wait_until(lambda: not any(one.alive for one in victims), timeout_s, what=f"{victims} are gone")


def marked(mark: str) -> list[ProcessInfo]:
    """Return the living processes whose environment carries `mark`, this one excepted."""
    return [one for one in processes() if one.pid != os.getpid() and _environment(one.pid).get(MARK) == mark]


def assert_no_process_left(mark: str, timeout_s: float = 10.0) -> None:
    """Check that every process of a run is gone; those that are not are named (and then ended).

    Raises:
        AssertionError: some still live after `timeout_s`.
    """
    try:
        wait_until(lambda: not marked(mark), timeout_s, what="every process of the run is gone")
    except AssertionError as error:
        left = marked(mark)
        kill_all(left)
        raise AssertionError(f"left over: {[(one.pid, one.name, one.command) for one in left]}") from error


def role_of(one: ProcessInfo, parent_pid: int) -> Role:
    """Tell what a process of a run is: by its pid the parent, by its name or command line the others."""
    if one.pid == parent_pid:
        return "parent"
    text = " ".join((one.name, *one.command[:6])).lower()
    return next((role for word, role in _ROLE_WORDS if word in text), "other")


def scanner_command(*arguments: str | os.PathLike[str]) -> list[str]:
    """Return the command line that runs the scanner's CLI from this checkout."""
    return [sys.executable, "-m", "scanner.cli", *(os.fspath(argument) for argument in arguments)]


def scanner_environment(
    folder: Path, *, database_url: str | None = None, broker_url: str | None = None, **settings: str
) -> dict[str, str]:
    """Return an environment in which a scanner keeps everything under `folder`, marked.

    No `SCANNER_*` variable of the caller gets in; `settings` are such variables without that prefix
    (`lease_s="2"`), or whole names in upper case (`LD_PRELOAD=…`). Files are not probed unless `probe="true"`.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("SCANNER_")}
    urls = {"SCANNER_DATABASE_URL": database_url, "SCANNER_BROKER_URL": broker_url}
    given = {name if name.isupper() else f"SCANNER_{name.upper()}": value for name, value in settings.items()}
    return {
        **inherited,
        **{name: str(folder) for name in ("HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME")},
        "PYTHONPATH": str(REPOSITORY),
        "PYTHONUNBUFFERED": "1",
        "COLUMNS": "200",
        "SCANNER_PROBE": "false",
        **{name: url for name, url in urls.items() if url is not None},
        **given,
        MARK: given.get(MARK, secrets.token_hex(8)),
    }


class ScannerRun:
    """One run of the CLI as a subprocess, from `start` to its end; whatever happens nothing is left over.

    As a context manager it kills what is left of the run at the end of the block.
    """

    def __init__(
        self,
        arguments: Sequence[str | os.PathLike[str]],
        *,
        environment: Mapping[str, str],
        folder: Path,
        wrapper: Sequence[str] = (),
    ) -> None:
        """Start `scanner <arguments>`; its output goes to files in `folder`.

        `wrapper` is a command that becomes the one given to it, as `nice` does.
        """
        number = secrets.token_hex(4)
        self._stdout, self._stderr = folder / f"{number}.stdout", folder / f"{number}.stderr"
        self.mark = environment[MARK]
        with self._stdout.open("wb") as stdout, self._stderr.open("wb") as stderr:
            self.process = subprocess.Popen(
                [*wrapper, *scanner_command(*arguments)],
                env=dict(environment),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill_everything()

    @property
    def pid(self) -> int:
        """The parent's process id."""
        return self.process.pid

    def is_running(self) -> bool:
        """Tell whether the parent lives."""
        return self.process.poll() is None

    @property
    def stdout(self) -> str:
        """What it printed so far."""
        return self._stdout.read_text(errors="replace")

    @property
    def stderr(self) -> str:
        """What it said so far: progress, logs, errors."""
        return self._stderr.read_text(errors="replace")

    def wait(self, timeout_s: float = 60.0) -> int:
        """Wait for its end and return the exit code (negative: the signal that ended it).

        Raises:
            AssertionError: it still runs after `timeout_s`; the text ends with what it said.
        """
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            raise AssertionError(f"still runs after {timeout_s} s:\n{self.stderr[-4000:]}") from error

    def result(self, timeout_s: float = 60.0, *, exit_code: int | None = 0) -> dict[str, Any]:
        """Wait for its end and return the JSON document on its standard output (it runs with `--json`).

        Raises:
            AssertionError: it ended with another code than `exit_code` (None: any), or printed no JSON.
        """
        code = self.wait(timeout_s)
        said = f"exit {code}\n{self.stdout[-4000:]}\n{self.stderr[-4000:]}"
        assert exit_code is None or code == exit_code, said
        try:
            document: dict[str, Any] = json.loads(self.stdout)
        except ValueError as error:
            raise AssertionError(f"no JSON on stdout: {said}") from error
        return document

    def processes(self, role: Role | None = None) -> list[ProcessInfo]:
        """Return the living processes of this run, of one role if given."""
        found = marked(self.mark)
        return [one for one in found if role is None or role_of(one, self.pid) == role]

    def one(self, role: Role, timeout_s: float = 20.0) -> ProcessInfo:
        """Return the process of this run that has `role`, waiting for it to appear."""
        return wait_until(lambda: self.processes(role), timeout_s, what=f"the {role} process lives")[0]

    def signal(self, number: signal.Signals) -> None:
        """Signal the parent alone."""
        self.process.send_signal(number)

    def kill(self, role: Role = "parent") -> None:
        """End one process of the run with SIGKILL and wait until it is gone."""
        if role == "parent":
            self.process.kill()
            self.process.wait(20)
            return
        kill_all([self.one(role)])

    def kill_everything(self) -> None:
        """End every process of the run with SIGKILL."""
        if self.is_running():
            self.process.kill()
        self.process.wait(20)
        kill_all(marked(self.mark))

    def assert_no_process_left(self, timeout_s: float = 10.0) -> None:
        """Check that the run left no process behind."""
        assert_no_process_left(self.mark, timeout_s)


def _environment(pid: int) -> dict[str, str]:
    pairs = (pair.partition("=") for pair in _read(pid, "environ").decode(errors="surrogateescape").split("\0"))
    return {name: value for name, separator, value in pairs if separator}


def _read(pid: int, name: str) -> bytes:
    """Return a file of /proc/[pid], empty when the process is gone or not ours to look into."""
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""
