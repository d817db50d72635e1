"""Fixtures that every test may use: private services, fresh databases, fresh AMQP names, shims.

A missing service skips its tests on a laptop, with the reason; with CI=true it fails them.
"""

import os
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import pytest

from tests.support import amqp as amqp_calls
from tests.support.media import MediaFolder
from tests.support.postgresql import PostgresCluster
from tests.support.proxy import TcpProxy
from tests.support.rabbitmq import RabbitNode
from tests.support.services import ServiceMissing
from tests.support.shims import Shims
from tests.support.stage import Stage


class _Closable(Protocol):
    def close(self) -> None: ...


S = TypeVar("S", bound=_Closable)
_FULL = bool(os.environ.get("SCANNER_TEST_FULL"))
_SERVICES = ("rabbitmq", "postgresql")


@dataclass(frozen=True, slots=True)
class Amqp:
    """A place of one's own on the session's node: every object a test makes carries `prefix`."""

    node: RabbitNode
    prefix: str

    @property
    def url(self) -> str:
        """The node's URL (guest, virtual host /)."""
        return self.node.url()

    @property
    def tasks(self) -> str:
        """The name of the tasks queue, and of its exchange."""
        return f"{self.prefix}.tasks"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by the services they use, and skip `long` ones unless the full form is asked for."""
    skip = pytest.mark.skip(reason="the full form runs under `make faults` (SCANNER_TEST_FULL=1)")
    for item in items:
        for service in _SERVICES:
            if service in getattr(item, "fixturenames", ()):
                item.add_marker(service)
        if not _FULL and item.get_closest_marker("long"):
            item.add_marker(skip)


def _started(make: Callable[[], S]) -> Iterator[S]:
    """Give a service for as long as its fixture lives; skip (or under CI fail) where it is not installed."""
    try:
        service = make()
    except ServiceMissing as missing:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI needs it: {missing}")
        pytest.skip(str(missing))
    try:
        yield service
    finally:
        service.close()


@pytest.fixture(scope="session")
def rabbitmq() -> Iterator[RabbitNode]:
    """A running RabbitMQ node that the whole session shares; leave it running and without alarms."""
    yield from _started(lambda: RabbitNode().start())


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresCluster]:
    """A running PostgreSQL that the whole session shares."""
    yield from _started(lambda: PostgresCluster().start())


@pytest.fixture
def rabbitmq_of_my_own() -> Iterator[RabbitNode]:
    """A running RabbitMQ node for one test that kills, freezes or starves it (5 s to start)."""
    yield from _started(lambda: RabbitNode().start())


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database, once on SQLite and once on PostgreSQL."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'catalog.db'}"
        return
    cluster: PostgresCluster = request.getfixturevalue("postgresql")
    url = cluster.database()
    yield url
    cluster.drop(url)


@pytest.fixture
def amqp(rabbitmq: RabbitNode) -> Iterator[Amqp]:
    """A fresh prefix on the session's node; what was declared under it is deleted afterwards."""
    place = Amqp(rabbitmq, f"t{secrets.token_hex(4)}")
    yield place
    _clean_up(place)


def _clean_up(place: Amqp) -> None:
    queues = place.node.ctl("list_queues", "name").splitlines()
    exchanges = place.node.ctl("list_exchanges", "name").splitlines()
    for name in queues:
        if name.startswith(place.prefix):
            amqp_calls.delete_queue(place.url, name)
    for name in exchanges:
        if name.startswith(place.prefix):
            amqp_calls.delete_exchange(place.url, name)


@pytest.fixture
def stage(amqp: Amqp, tmp_path: Path) -> Stage:
    """A stage for whole runs on the session's node, with an SQLite catalog."""
    return Stage(tmp_path, amqp.node, amqp.prefix, f"sqlite:///{tmp_path / 'catalog.db'}")


@pytest.fixture
def any_stage(amqp: Amqp, tmp_path: Path, database_url: str) -> Stage:
    """A stage for whole runs on the session's node, once with SQLite and once with PostgreSQL."""
    return Stage(tmp_path, amqp.node, amqp.prefix, database_url)


@pytest.fixture
def proxy(rabbitmq: RabbitNode) -> Iterator[TcpProxy]:
    """A TCP proxy to the session's node: `rabbitmq.url(port=proxy.port)`."""
    with TcpProxy(rabbitmq.port) as line:
        yield line


@pytest.fixture(scope="session")
def media(tmp_path_factory: pytest.TempPathFactory) -> MediaFolder:
    """Small real media, made once a session, to copy from."""
    try:
        return MediaFolder(tmp_path_factory.mktemp("media"))
    except ServiceMissing as missing:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI needs it: {missing}")
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def shims(tmp_path_factory: pytest.TempPathFactory) -> Shims:
    """The LD_PRELOAD shims, each compiled when first asked for."""
    try:
        return Shims(tmp_path_factory.mktemp("shims"))
    except ServiceMissing as missing:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI needs it: {missing}")
        pytest.skip(str(missing))
