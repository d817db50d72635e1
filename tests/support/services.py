"""What private services share: a folder their user may enter, free ports, a process that dies with us.

Nothing here outlives the test session: every service process has the parent-death signal (`setpriv`), is
stopped by its fixture, and once more at interpreter exit.
"""

import grp
import os
import pwd
import random
import shutil
import socket
import stat
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_PORTS = range(20_000, 32_000)
"""Below Linux's ephemeral range, so that no outgoing connection takes a port while its service restarts."""


class ServiceMissing(Exception):
    """A program that a private service needs is not installed here; the text says which, and the remedy."""


@dataclass(frozen=True, slots=True)
class ServiceUser:
    """The user a service runs as: its own when we are root (it refuses root), else ourselves."""

    name: str
    uid: int
    gid: int

    @classmethod
    def named(cls, name: str) -> "ServiceUser":
        """Return the system user `name` when we are root, the current user otherwise.

        Raises:
            ServiceMissing: we are root and there is no such user.
        """
        if os.geteuid() != 0:
            return cls(pwd.getpwuid(os.geteuid()).pw_name, os.geteuid(), os.getegid())
        try:
            entry = pwd.getpwnam(name)
        except KeyError as error:
            raise ServiceMissing(f"no system user {name!r} to run the service as") from error
        return cls(entry.pw_name, entry.pw_uid, entry.pw_gid)

    @property
    def group(self) -> str:
        """The name of its primary group."""
        return grp.getgrgid(self.gid).gr_name


def private_folder(prefix: str, user: ServiceUser) -> Path:
    """Return a new folder that belongs to `user`, in a temporary directory that other users may enter."""
    folder = Path(tempfile.mkdtemp(prefix=f"scanner-{prefix}-", dir=_public_temporary_directory()))
    os.chown(folder, user.uid, user.gid)
    return folder


def give(path: Path, user: ServiceUser, mode: int = 0o600) -> None:
    """Make `path` belong to `user` with `mode`."""
    os.chown(path, user.uid, user.gid)
    path.chmod(mode)


def _public_temporary_directory() -> str:
    for candidate in (tempfile.gettempdir(), "/tmp", "/var/tmp"):
        parents = [Path(candidate), *Path(candidate).absolute().parents]
        if all(parent.is_dir() and parent.stat().st_mode & stat.S_IXOTH for parent in parents):
            return candidate
    return tempfile.gettempdir()


def free_port() -> int:
    """Return a loopback TCP port nobody listens on."""
    for port in random.sample(_PORTS, 200):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError(f"no free port among 200 tried in {_PORTS}")


def find_program(name: str, *folders: str) -> Path:
    """Return the path of a program, `folders` (glob patterns below /) before PATH.

    Raises:
        ServiceMissing: it is not installed.
    """
    for pattern in folders:
        found = sorted(Path("/").glob(f"{pattern.strip('/')}/{name}"))
        if found:
            return found[-1]
    on_path = shutil.which(name)
    if on_path is None:
        raise ServiceMissing(f"{name} is not installed (`.ci/install-services` installs it)")
    return Path(on_path)


def start_process(
    command: Sequence[str | Path], *, user: ServiceUser, environment: Mapping[str, str], folder: Path, log: Path
) -> "subprocess.Popen[bytes]":
    """Start a service as `user` in `folder`; it is killed when the thread that called this ends."""
    with log.open("ab") as output:
        return subprocess.Popen(
            [*_as_user(user), *map(str, command)],
            env=dict(environment),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def run_as(
    command: Sequence[str | Path],
    *,
    user: ServiceUser,
    environment: Mapping[str, str],
    folder: Path,
    timeout_s: float,
) -> str:
    """Run a program as `user` to its end and return its standard output.

    Raises:
        AssertionError: it failed; the text holds what it said.
        subprocess.TimeoutExpired: it did not end within `timeout_s`.
    """
    done = subprocess.run(
        [*_as_user(user), *map(str, command)],
        env=dict(environment),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=timeout_s,
        check=False,
    )
    if done.returncode != 0:
        said = (done.stdout + done.stderr).decode(errors="replace")
        raise AssertionError(f"{Path(command[0]).name} {command[1:]} exited {done.returncode}: {said}")
    return done.stdout.decode(errors="replace")


def _as_user(user: ServiceUser) -> list[str]:
    """Return the `setpriv` prefix: drop to `user` if we are root, and die with the starting thread."""
    if shutil.which("setpriv") is None:
        raise ServiceMissing("setpriv (util-linux) is not installed")
    identity = [f"--reuid={user.uid}", f"--regid={user.gid}", "--clear-groups"] if os.geteuid() == 0 else []
    return ["setpriv", "--pdeathsig", "KILL", *identity, "--"]
