"""A private PostgreSQL cluster on a free loopback port, with a fresh database whenever one is asked for.

Its collation is ICU's en-US on purpose: what compares or orders paths must not lean on byte order, which no
real server promises. `fsync` is off: the tests kill processes, not the machine.
"""

import atexit
import itertools
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from tests.support import processes
from tests.support.services import (
    ServiceUser,
    find_program,
    free_port,
    private_folder,
    run_as,
    start_process,
)
from tests.support.waiting import wait_until

_PROGRAMS = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin")
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",
    "max_connections": "60",
    "shared_buffers": "64MB",
}


class PostgresCluster:
    """One cluster from `start()` to `close()`; what it stores survives `kill()` and `stop()`."""

    def __init__(self) -> None:
        """Prepare a cluster.

        Raises:
            ServiceMissing: PostgreSQL's server is not installed.
        """
        self._initdb = find_program("initdb", *_PROGRAMS)
        self._server = find_program("postgres", *_PROGRAMS)
        self._user = ServiceUser.named("postgres")
        self.port = free_port()
        self.folder = private_folder("postgresql", self._user)
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count(1)
        atexit.register(self.close)

    def is_running(self) -> bool:
        """Tell whether the server's process lives."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process id of the running server (its postmaster)."""
        assert self._process is not None, "the cluster is not running"
        return self._process.pid

    def start(self) -> "PostgresCluster":
        """Start the cluster (again), made at the first time; returns when it takes connections."""
        assert not self.is_running(), "the cluster runs already"
        if not self._data.exists():
            self._make()
        settings = {**_SETTINGS, "port": str(self.port)}
        options = [f"--{name}={value}" for name, value in settings.items()]
        self._process = start_process(
            [self._server, "-D", self._data, *options],
            user=self._user,
            environment=_environment(),
            folder=self.folder,
            log=self.folder / "server.log",
        )
        wait_until(self._answers_or_died, 60, what="PostgreSQL answers", interval_s=0.05)
        assert self.is_running(), f"PostgreSQL died at its start:\n{self.log_text()}"
        return self

    def stop(self) -> None:
        """Stop in order, ending open sessions (a "fast" shutdown, as systemd does)."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """End the server and every session of it with SIGKILL; `start()` recovers it."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop in order and start again."""
        self.stop()
        self.start()

    def freeze(self) -> None:
        """Stop the server and its sessions in their tracks (SIGSTOP)."""
        for process in self._processes():
            process.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen server go on (SIGCONT)."""
        for process in self._processes():
            process.signal(signal.SIGCONT)

    def close(self) -> None:
        """End the cluster and remove its folder; harmless when done already."""
        atexit.unregister(self.close)
        self._end(signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)

    def database(self, name: str | None = None) -> str:
        """Make an empty database and return its `postgresql://` URL."""
        name = name or f"test_{os.getpid()}_{next(self._numbers)}"
        with self.connect() as connection:
            connection.execute(f'CREATE DATABASE "{name}"'.encode())
        return self.url(name)

    def drop(self, url: str) -> None:
        """Drop a database made by `database()`, ending its sessions."""
        name = url.rpartition("/")[2]
        with self.connect() as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())

    def url(self, database: str = "postgres") -> str:
        """Return the URL of a database of this cluster; any password will do."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    @contextmanager
    def connect(self, url: str | None = None) -> Iterator["psycopg.Connection[tuple[object, ...]]"]:
        """Open an autocommit connection to a database (`postgres` if none is named)."""
        with psycopg.connect(url or self.url(), autocommit=True, connect_timeout=10) as connection:
            yield connection

    def log_text(self) -> str:
        """Return the whole of the server's log."""
        log = self.folder / "server.log"
        return log.read_text(errors="replace") if log.exists() else ""

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _make(self) -> None:
        command: list[str | Path] = [self._initdb, "-D", self._data, "--username=postgres", "--auth=trust"]
        locale = ["--encoding=UTF8", "--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en-US"]
        run_as(
            [*command, "--no-sync", *locale],
            user=self._user,
            environment=_environment(),
            folder=self.folder,
            timeout_s=120,
        )

    def _answers_or_died(self) -> bool:
        if not self.is_running():
            return True
        try:
            with self.connect():
                return True
        except psycopg.OperationalError:
            return False

    def _processes(self) -> list[processes.ProcessInfo]:
        server = processes.process(self.pid) if self.is_running() else None
        return [] if server is None else [server, *processes.descendants(server.pid)]

    def _end(self, number: signal.Signals) -> None:
        backends = self._processes()  # each its own session (setsid), so there is no group to signal
        process = self._process
        self._process = None
        if process is None:
            return
        process.send_signal(number)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(30)
        processes.kill_all(backends)  # a living one would keep the shared memory taken


def _environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8", "TZ": "UTC"}
