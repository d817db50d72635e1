"""No probe process outlives its worker, however that ends and whatever the process is in."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.probe.harness import Probing
from tests.support.processes import REPOSITORY, assert_no_process_left, kill_all, marked
from tests.support.waiting import wait_until


@contextmanager
def _worker(probing: Probing, folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
    worker = subprocess.Popen([sys.executable, "-m", "tests.integration.probe.holding", folder], cwd=REPOSITORY)
    try:
        yield worker
    finally:
        worker.kill()
        worker.wait(20)
        kill_all(marked(probing.mark))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("act", ["hang", "spin", "sleep_in_c"])
def test_processes_in_the_middle_of_a_file_die_with_their_worker(
    probing: Probing, act: str, number: signal.Signals
) -> None:
    probing.files(3, act)
    with _worker(probing, probing.folder) as worker:
        wait_until(lambda: probing.in_hand() == 3, 30, what="three processes are in a file")
        worker.send_signal(number)
        worker.wait(20)
        assert_no_process_left(probing.mark)


def test_processes_that_are_just_starting_die_with_their_worker(probing: Probing) -> None:
    probing.files(3, "hang")
    for _ in range(10):
        with _worker(probing, probing.folder) as worker:
            wait_until(lambda: len(marked(probing.mark)) > 1, 30, interval_s=0.001, what="a process is born")
            worker.kill()
            worker.wait(20)
            assert_no_process_left(probing.mark)


def test_a_signal_to_all_of_a_service_leaves_what_is_in_hand_to_be_finished(probing: Probing) -> None:
    probing.files(3, "hang")
    with _worker(probing, probing.folder) as worker:
        wait_until(lambda: probing.in_hand() == 3, 30, what="three processes are in a file")
        children = [one for one in marked(probing.mark) if one.pid != worker.pid]
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            for one in children:
                one.signal(number)
        assert probing.in_hand() == 3
        assert all(one.alive for one in children)
