"""What the tests of workers share: a stage whose handlers do what the files say, and the results that come."""

import pytest

from tests.support.acts import install_acts
from tests.support.publishing import Results
from tests.support.stage import Stage


@pytest.fixture
def directed(stage: Stage) -> Stage:
    """A stage whose workers run the handler `act`, on a library that is there and empty."""
    install_acts(stage, TEST_OPENED=str(stage.folder / "opened"), settle_s="0")
    stage.library.mkdir()
    return stage


@pytest.fixture
def results(directed: Stage) -> Results:
    """The results that workers send for tasks of `publishing.CATALOG`."""
    return Results(directed)
