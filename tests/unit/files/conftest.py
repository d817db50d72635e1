"""What the tests of `scanner.files` share."""

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


@pytest.fixture
def deep_tree(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A tree whose deepest directory is beyond PATH_MAX, and the relative path of the file in it."""
    root, name, depth = tmp_path / "deep", "d" * 200, 30
    root.mkdir()
    descriptor = os.open(root, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir(name, dir_fd=descriptor)
        deeper = os.open(name, os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = deeper
    os.close(os.open("end.mkv", os.O_CREAT | os.O_WRONLY, dir_fd=descriptor))
    os.close(descriptor)
    yield root, "/".join([name] * depth + ["end.mkv"])
    subprocess.run(["rm", "-rf", str(root)], check=True)  # rmtree gives up at PATH_MAX


@pytest.fixture
def open_path() -> Iterator[Path]:
    """A folder that everybody can reach (`tmp_path` is below one that only its owner can)."""
    with tempfile.TemporaryDirectory(prefix="scanner-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def as_nobody() -> Callable[[], contextlib.AbstractContextManager[None]]:
    """A context in which this process has none of root's powers."""

    @contextlib.contextmanager
    def powerless() -> Iterator[None]:
        user = os.geteuid()
        os.seteuid(user or 65534)
        try:
            yield
        finally:
            os.seteuid(user)

    return powerless
