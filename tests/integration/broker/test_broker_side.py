"""The broker side as a process: fed, heard, killed, restarted, ended in order, and never left behind."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from scanner.app.broker_side import BrokerSide, BrokerSideSettings
from scanner.app.broker_side.handle import Supervision
from scanner.errors import BrokerRefused, BrokerUnavailable
from scanner.retry import Patience
from scanner.services.relay import RelaySettings, RelayState
from tests.conftest import Amqp
from tests.integration.broker.bench import (
    PATIENT,
    SLOW,
    assert_all_arrived,
    settings_of,
    work,
)
from tests.support.processes import REPOSITORY, process
from tests.support.waiting import wait_until, wait_until_async

REPEATS = 1_500

PARENT = """
import asyncio, sys
from scanner.app.broker_side import BrokerSide
from scanner.app.broker_side.lines import decode_settings

async def main():
    side = BrokerSide(decode_settings(sys.stdin.buffer.readline()), lambda: tell(side))
    await side.start()
    await asyncio.Event().wait()

def tell(side):
    print(side.pid, side.status.state, side.status.messages, flush=True)

asyncio.run(main())
"""


def settings(amqp: Amqp, url: str, *, heartbeat_s: int = 10) -> BrokerSideSettings:
    broker = settings_of(amqp.node.url(heartbeat_s=heartbeat_s), amqp.prefix)
    return BrokerSideSettings(
        url, broker, replace(SLOW, publish_timeout_s=10.0), RelaySettings(patience=PATIENT), eof_grace_s=3.0
    )


def run(
    made: BrokerSideSettings, body: Callable[[BrokerSide], Awaitable[None]], *, stop_s: float = 8.0
) -> BrokerSide:
    """Run `body` beside a broker side, and stop that."""

    async def main() -> BrokerSide:
        side = BrokerSide(made)
        await side.start()
        try:
            await body(side)
        finally:
            await side.stop(stop_s)
        return side

    return asyncio.run(main())


def test_it_relays_reports_and_ends_in_order(amqp: Amqp, tmp_path: Path) -> None:
    async def body(side: BrokerSide) -> None:
        await wait_until_async(lambda: side.status.state is RelayState.IDLE)
        pids.append(side.pid or 0)
        done.add(500)
        side.wake()
        await wait_until_async(lambda: side.status.messages == 500)
        assert side.status.connected

    pids: list[int] = []
    with work(tmp_path) as done:
        side = run(settings(amqp, done.url), body)
        assert side.status.state is RelayState.STOPPED
        assert side.restarts == 0
        assert side.pid is None
        assert process(pids[0]) is None
        with done.database.read() as connection:
            assert connection.exec_driver_sql("SELECT owner FROM roles").scalar() is None
        assert_all_arrived(done, amqp.url, amqp.tasks)


def test_a_killed_child_is_restarted_and_goes_on_at_once(amqp: Amqp, tmp_path: Path) -> None:
    async def body(side: BrokerSide) -> None:
        await wait_until_async(lambda: side.status.messages >= 600)
        assert side.status.messages <= 2_400
        first = side.pid
        assert first is not None
        killed_at = time.monotonic()
        os.kill(first, signal.SIGKILL)
        await wait_until_async(
            lambda: side.pid not in {None, first} and side.status.state is RelayState.RELAYING
        )
        assert time.monotonic() - killed_at < 10, "the dead owner's role is taken over at once"
        await wait_until_async(lambda: done.left == 0)
        assert process(first) is None

    with work(tmp_path, 3_000) as done:
        side = run(settings(amqp, done.url), body)
        assert side.restarts == 1
        assert_all_arrived(done, amqp.url, amqp.tasks, repeats=REPEATS)


BRISK = Patience(first_s=0.01, cap_s=0.02, start_s=None, outage_s=None)


async def killed_whenever_it_reports(
    made: BrokerSideSettings, supervision: Supervision, times: int
) -> BrokerSide:
    """Kill each child as soon as it has connected, until the broker side gives up or so many have died."""
    killed: set[int] = set()

    def strike() -> None:
        if side.pid is not None and side.status.connected and len(killed) < times:
            killed.add(side.pid)
            os.kill(side.pid, signal.SIGKILL)

    side = BrokerSide(made, strike, supervision)
    await side.start()
    try:
        await wait_until_async(lambda: side.failure is not None or len(killed) == times, 60)
        await wait_until_async(lambda: side.failure is not None or side.pid not in killed | {None}, 20)
    finally:
        await side.stop()
    return side


def test_a_child_that_dies_again_and_again_after_its_first_report_is_given_up(
    amqp: Amqp, tmp_path: Path
) -> None:
    with work(tmp_path) as done:
        made = settings(amqp, done.url)
        side = asyncio.run(killed_whenever_it_reports(made, Supervision(60.0, 3, BRISK), 10))
    assert side.restarts == 2
    assert side.failure is not None
    assert side.failure.exit_code == 3
    assert "died 3 times in a row within 60 s of its start, the last time with exit code -9" in str(
        side.failure
    )


def test_deaths_of_a_child_that_was_healthy_before_are_borne_however_many(amqp: Amqp, tmp_path: Path) -> None:
    with work(tmp_path) as done:
        made = settings(amqp, done.url)
        side = asyncio.run(killed_whenever_it_reports(made, Supervision(0.0, 2, BRISK), 4))
    assert side.failure is None
    assert side.restarts == 4


def test_the_child_leaves_when_its_parent_is_killed(amqp: Amqp, tmp_path: Path) -> None:
    from scanner.app.broker_side.lines import encode_settings

    with work(tmp_path, 20_000) as done:
        parent = subprocess.Popen(
            [sys.executable, "-c", PARENT],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        )
        assert parent.stdin is not None
        assert parent.stdout is not None
        parent.stdin.write(encode_settings(settings(amqp, done.url)))
        parent.stdin.flush()
        line = next(line.split() for line in parent.stdout if int(line.split()[2]) > 0)
        child = process(int(line[0]))
        assert child is not None
        assert b"s3cret" not in Path(f"/proc/{child.pid}/cmdline").read_bytes()
        parent.kill()
        parent.wait(5)
        assert child.alive
        wait_until(lambda: not child.alive, 10, what="the orphan leaves")
        parent.stdin.close()
        parent.stdout.close()
        left = done.left
        assert 0 < left < 20_000
        depth = amqp.node.queue_depth(amqp.tasks)
        assert 20_000 - left <= depth <= 20_000 - left + 5, "it drained: what was confirmed was deleted"
        with done.database.read() as connection:
            assert connection.exec_driver_sql("SELECT owner FROM roles").scalar() is None


def test_sigint_is_the_parents_business_and_a_frozen_child_is_killed(amqp: Amqp, tmp_path: Path) -> None:
    async def body(side: BrokerSide) -> None:
        await wait_until_async(lambda: side.status.state is RelayState.IDLE)
        assert side.pid is not None
        os.kill(side.pid, signal.SIGINT)
        os.kill(side.pid, signal.SIGHUP)
        done.add(10)
        side.wake()
        await wait_until_async(lambda: done.left == 0)
        pids.append(side.pid)
        os.kill(side.pid, signal.SIGSTOP)

    pids: list[int] = []
    with work(tmp_path) as done:
        before = time.monotonic()
        side = run(settings(amqp, done.url), body, stop_s=2.0)
        assert time.monotonic() - before < 15
        assert side.restarts == 0
        assert process(pids[0]) is None


def test_a_refusal_comes_up_as_the_error_that_it_was(amqp: Amqp, tmp_path: Path) -> None:
    async def body(side: BrokerSide) -> None:
        with pytest.raises(BrokerRefused, match=r"\*\*\*") as caught:
            await asyncio.wait_for(side.wait_failed(), 20)
        assert "wr0ng" not in str(caught.value)

    with work(tmp_path) as done:
        made = settings(amqp, done.url)
        assert made.broker is not None
        run(replace(made, broker=replace(made.broker, url=amqp.node.url(password="wr0ng"))), body)


def test_a_broker_that_never_comes_is_given_up(tmp_path: Path, amqp: Amqp) -> None:
    async def body(side: BrokerSide) -> None:
        with pytest.raises(BrokerUnavailable, match="next run sends them"):
            await asyncio.wait_for(side.wait_failed(), 20)

    with work(tmp_path) as done:
        made = settings(amqp, done.url)
        assert made.broker is not None
        relay = RelaySettings(patience=Patience(first_s=0.1, start_s=0.5))
        run(replace(made, broker=replace(made.broker, url="amqp://127.0.0.1:1/"), relay=relay), body)


def test_the_connection_stands_while_the_parent_is_busy_stopped_and_deaf(amqp: Amqp, tmp_path: Path) -> None:
    """heartbeat=1: the broker drops whoever is silent for two seconds; the parent hears nothing for four."""

    async def body(side: BrokerSide) -> None:
        await wait_until_async(lambda: side.status.state is RelayState.IDLE)
        before = _own(amqp)
        busy_until = time.monotonic() + 4
        while time.monotonic() < busy_until:
            json.dumps(list(range(2_000)))  # this loop is held up: nobody reads the child's reports
        assert _own(amqp) == before
        assert before[0][1] == 1
        assert side.status.reconnects == 0

    with work(tmp_path) as done:
        run(settings(amqp, done.url, heartbeat_s=1), body)


def _own(amqp: Amqp) -> list[tuple[str, int]]:
    rows = amqp.node.connections()
    return [(row.pid, row.timeout_s) for row in rows if "scanner relay" in str(row.client_properties)]
