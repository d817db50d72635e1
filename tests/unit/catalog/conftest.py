"""A fresh catalog on each database."""

from collections.abc import Iterator

import pytest

from scanner.catalog.engine import Database
from scanner.catalog.schema import open_database


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """An open database with the schema and nothing in it."""
    with open_database(database_url) as opened:
        yield opened
