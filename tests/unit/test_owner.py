"""Owners: a death is only what can be proved."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from scanner import owner
from scanner.owner import Owner

_PROGRAM = """
import sys
from scanner.owner import Owner
print(Owner.current(), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def other() -> Iterator[tuple[Owner, "subprocess.Popen[str]"]]:
    """A living process, and the owner that it is."""
    with subprocess.Popen(
        [sys.executable, "-c", _PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield Owner.parse(process.stdout.readline()), process
        process.communicate()


@pytest.fixture
def hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let /proc show no process, as `hidepid` does to other users."""
    read = owner._read
    monkeypatch.setattr(owner, "_read", lambda path: None if path.endswith("/stat") else read(path))


def end(process: "subprocess.Popen[str]") -> None:
    """End a process, and leave it a zombie."""
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)


def test_a_living_process_is_not_dead(other: tuple[Owner, "subprocess.Popen[str]"]) -> None:
    assert not other[0].provably_dead


@pytest.mark.usefixtures("hidden")
def test_a_living_process_that_proc_hides_is_not_dead(other: tuple[Owner, "subprocess.Popen[str]"]) -> None:
    assert not other[0].provably_dead


@pytest.mark.usefixtures("hidden")
def test_another_users_process_that_proc_hides_is_not_dead(
    other: tuple[Owner, "subprocess.Popen[str]"], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_pid: int, _signal: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", refuse)
    assert not other[0].provably_dead


def test_a_zombie_is_dead(other: tuple[Owner, "subprocess.Popen[str]"]) -> None:
    end(other[1])
    assert other[0].provably_dead


@pytest.mark.usefixtures("hidden")
def test_a_process_that_is_gone_is_dead_even_where_proc_hides(
    other: tuple[Owner, "subprocess.Popen[str]"],
) -> None:
    end(other[1])
    other[1].wait()
    assert other[0].provably_dead
