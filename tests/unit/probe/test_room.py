"""How many open files a pool may need, against the limit: in a process of its own, whose limits are set."""

import resource
import subprocess
import sys

from tests.support.processes import REPOSITORY

ASK = """
import resource
from scanner.errors import UsageError
from scanner.probe.room import make_room
try:
    make_room({processes})
    print("room", resource.getrlimit(resource.RLIMIT_NOFILE)[0])
except UsageError as error:
    print(error)
"""


def _ask(processes: int, soft: int, hard: int) -> str:
    return subprocess.run(
        [sys.executable, "-c", ASK.format(processes=processes)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard)),
    ).stdout.strip()


def test_a_limit_that_is_too_low_is_raised_as_far_as_needed() -> None:
    word, limit = _ask(256, 256, 4096).split()
    assert word == "room"
    assert 4 * 2 * 256 < int(limit) < 2560


def test_a_limit_that_is_enough_is_left_alone() -> None:
    assert _ask(2, 1024, 4096) == "room 1024"


def test_a_concurrency_beyond_the_hard_limit_is_refused_with_the_remedy() -> None:
    said = _ask(256, 256, 1024)
    assert said.startswith("concurrency: 256 needs up to 2,")
    assert "the system allows 1,024 (`ulimit -Hn`): raise `ulimit -n` for this program" in said
