"""The example in docs/handlers.md does what the page says."""

import hashlib
import os
import re
import tomllib
from pathlib import Path

from scanner.probe.pool import Pool
from tests.integration.probe.harness import Probing, extra, look
from tests.support.handlers import install, with_handlers
from tests.support.processes import REPOSITORY


def _example(folder: Path) -> None:
    """Install the example as the page has it."""
    page = (REPOSITORY / "docs" / "handlers.md").read_text()
    blocks = dict(re.findall(r"^```(python|toml)\n(.*?)^```$", page, re.DOTALL | re.MULTILINE))
    points = tomllib.loads(blocks["toml"])["project"]["entry-points"]["scanner.handlers"]
    (module,) = {place.partition(":")[0] for place in points.values()}
    install(folder, module, blocks["python"], points)


def test_the_documented_handler_is_found_and_run(probing: Probing, tmp_path: Path) -> None:
    small, large = probing.file("small.mkv", "four"), probing.file("large.mkv")
    os.truncate(large, (1 << 30) + 1)

    async def scenario(pool: Pool) -> None:
        good, bad = await look(pool, [probing.job(small), probing.job(large)])
        assert extra(good, "sha256") == {"hex": hashlib.sha256(b"four").hexdigest()}
        assert (bad.error_kind, bad.text) == ("unsupported", "more than 1 GiB is not hashed")

    _example(tmp_path / "example")
    with with_handlers(tmp_path / "example"):
        probing.run(scenario, handlers=("sha256",))
