"""Waiting: what becomes of tasks that nobody awaits."""

import asyncio

import pytest
from structlog.testing import capture_logs

from scanner.errors import BrokerUnavailable
from scanner.waiting import stop, watched


async def fail(error: Exception) -> None:
    raise error


@pytest.mark.parametrize(
    ("error", "told"), [(ZeroDivisionError(), ["task.failed"]), (BrokerUnavailable("told elsewhere"), [])]
)
def test_an_unforeseen_error_of_a_stopped_task_is_logged(error: Exception, told: list[str]) -> None:
    async def scenario() -> None:
        failed, waiting = asyncio.create_task(fail(error)), asyncio.create_task(asyncio.Event().wait())
        await asyncio.wait({failed})
        await stop(failed, waiting)
        assert waiting.cancelled()

    with capture_logs() as logs:
        asyncio.run(scenario())
    assert [entry["event"] for entry in logs] == told


def test_an_error_that_ends_a_watched_task_is_logged_when_it_comes() -> None:
    async def scenario() -> None:
        task = watched(asyncio.create_task(fail(ZeroDivisionError())))
        await asyncio.wait({task})
        await asyncio.sleep(0)
        assert [entry["event"] for entry in logs] == ["task.failed"]

    with capture_logs() as logs:
        asyncio.run(scenario())
