"""Fixtures for whole runs: a stage on SQLite, or one on each database."""

from pathlib import Path

import pytest

from tests.conftest import Amqp
from tests.support.stage import Stage


@pytest.fixture
def stage(amqp: Amqp, tmp_path: Path) -> Stage:
    """A stage on the session's node with an SQLite catalog."""
    return Stage(tmp_path, amqp.node, amqp.prefix, f"sqlite:///{tmp_path / 'catalog.db'}")


@pytest.fixture
def any_stage(amqp: Amqp, tmp_path: Path, database_url: str) -> Stage:
    """A stage on the session's node, once with SQLite and once with PostgreSQL."""
    return Stage(tmp_path, amqp.node, amqp.prefix, database_url)
