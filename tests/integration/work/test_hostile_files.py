"""Files that crash, hang or fill whatever reads them, among good ones: each costs itself and nobody else."""

import os
import random
import shutil
import signal
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path

import pytest

from tests.support.acts import install_acts
from tests.support.handlers import install_test_handlers
from tests.support.media import MediaFolder
from tests.support.stage import Stage, assert_no_defect, size
from tests.support.trees import PAST_NS
from tests.support.waiting import wait_until

GOOD, HOSTILE = size(300, 2000), size(30, 200)
ACTS = {
    "segfault": "crashed",
    "allocate": "crashed",
    "hang": "timeout",
    "spin": "timeout",
    "leave": "crashed",
    "kill": "crashed",
    "noisy_death": "crashed",
    "system_exit": "crashed",
    "child": "crashed",
    "raise_error": "crashed",
    "big": "unsupported",
    "noise": "corrupt unsupported",
}
"""What `misbehave` does to its process when a file asks for it, and what is to be said of the file."""

Made = dict[str, str]
"""What is to be said of a file, by its name: the kinds of error that would be right, or `gone`."""


def make_before(media: MediaFolder, folder: Path) -> Made:
    """Make one file of each kind that a scan takes for a file like any other."""
    expected = {}
    for act, kind in ACTS.items():
        (folder / f"{act}.mkv").write_text(act)
        expected[f"{act}.mkv"] = kind
    film = media["film.mkv"].read_bytes()
    chance = random.Random(5)
    contents = {
        "truncated.mkv": (film[: len(film) // 200], "corrupt unsupported"),
        "empty.mkv": (b"", "corrupt unsupported"),
        "random.mp4": (chance.randbytes(200_000), "corrupt unsupported"),
        "concat.mkv": (f"ffconcat version 1.0\nfile '{media['film.mkv']}'\n".encode(), "corrupt unsupported"),
    }
    for name, (content, kinds) in contents.items():
        (folder / name).write_bytes(content)
        expected[name] = kinds
    with open(folder / "zeros.mp3", "wb") as file:
        file.truncate(10 * 1024**3)
    return expected | {"zeros.mp3": "corrupt unsupported timeout"}


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


AFTERWARDS: dict[str, tuple[Callable[[Path], None], str]] = {
    "pipe.mkv": (_pipe, "unsupported"),
    "folder.mkv": (_folder, "unsupported"),
    "vanished.mkv": (Path.unlink, "gone"),
}
"""What becomes of a good file between the scan and the worker, and what is to be said of it then."""


def make_hostile(media: MediaFolder, root: Path) -> Made:
    """Make `HOSTILE` files of all kinds in turns."""
    masters = root.parent / "masters"
    masters.mkdir()
    kinds = make_before(media, masters)
    for name, (_, expected) in AFTERWARDS.items():
        shutil.copy(media["film.mkv"], masters / name)
        kinds[name] = expected
    made = {}
    for number, name in enumerate(islice(cycle(kinds), HOSTILE)):
        target = root / f"Bad {number % 7}" / f"{number:04d} {name}"
        target.parent.mkdir(parents=True, exist_ok=True)
        _copy_sparse(masters / name, target)
        os.utime(target, ns=(PAST_NS, PAST_NS))
        made[target.name] = kinds[name]
    return made


def _copy_sparse(source: Path, target: Path) -> None:
    seen = os.stat(source)
    if seen.st_blocks == 0 and seen.st_size:
        with open(target, "wb") as file:
            file.truncate(seen.st_size)
    else:
        shutil.copyfile(source, target)


def strike(root: Path) -> None:
    """Let happen what happens to files between the scan and the worker."""
    for path in list(root.rglob("*.mkv")):
        name = path.name.partition(" ")[2]
        if path.parent.name.startswith("Bad") and name in AFTERWARDS:
            AFTERWARDS[name][0](path)


@pytest.fixture
def infested(stage: Stage, media: MediaFolder) -> Stage:
    """A stage with a library of good files, whose workers let hostile ones do what they want."""
    install_acts(stage, handlers="misbehave,probe", settle_s="0", probe_timeout_s="2", probe_memory_mib="512")
    folder = install_test_handlers(stage.folder / "handlers")
    stage.settings["PYTHONPATH"] += f"{os.pathsep}{folder}"
    media.library(stage.library, GOOD)
    return stage


@pytest.mark.timeout(900)
def test_hostile_files_cost_themselves_alone_and_every_good_one_is_ok(
    infested: Stage, media: MediaFolder
) -> None:
    expected = make_hostile(media, infested.library)
    with infested.start_scan("--wait") as run:
        wait_until(lambda: infested.catalog.last_scan_state == "completed", 60, what="all is scanned")
        strike(infested.library)
        with infested.start_worker(concurrency="2") as worker:
            pid = worker.pid
            result = infested.ended(run)
            assert worker.is_running()
            assert (worker.pid, worker.stderr.count("work.connected")) == (pid, 1)
            worker.signal(signal.SIGTERM)
            assert worker.wait() == 143
            worker.assert_no_process_left()
            assert_no_defect(worker)
    assert result["tasks"] == GOOD + HOSTILE
    said = {
        name: kind or {0: "gone", 2: "ok"}.get(state, "?")
        for name, state, kind in infested.catalog.rows("SELECT name, state, error_kind FROM files")
    }
    assert {said[name] for name in said.keys() - expected.keys()} == {"ok"}
    assert len(said.keys() - expected.keys()) == GOOD
    wrong = {name: said[name] for name, kinds in expected.items() if said[name] not in kinds.split()}
    assert not wrong
