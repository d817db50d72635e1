"""Fixtures of the tests of probing."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.probe.harness import Probing
from tests.support.handlers import install_test_handlers, with_handlers
from tests.support.processes import MARK


@pytest.fixture
def probing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Probing]:
    """Files and marked pools, with the test handlers installed."""
    one = Probing(tmp_path / "library")
    one.folder.mkdir()
    monkeypatch.setenv(MARK, one.mark)
    with with_handlers(install_test_handlers(tmp_path / "handlers")):
        yield one
