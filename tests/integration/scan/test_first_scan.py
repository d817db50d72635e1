"""The first scan of a library: every file once, by its exact name, and tasks as the contract has them."""

import base64
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from scanner import paths
from scanner.catalog.engine import Database
from scanner.media import Kind
from tests.integration.scan.harness import PAST_NS, Library
from tests.support.trees import make_library

ODD_NAMES = [
    b"latin1 caf\xe9.mkv",
    b"\xff\xfe\x80.mkv",
    b"new\nline.mkv",
    b"tab\tescape\x1b[31m.mkv",
    "reserved \U0010ffe9.mkv".encode(),
    "映画.mkv".encode(),
    b"quote'\"\\ %s {0}.mkv",
    b"x" * 251 + b".mkv",
    b"\xff" * 251 + b".mkv",
]


def test_every_file_of_a_varied_library_comes_once(library: Library) -> None:
    make_library(library.root, 2000, seed=7)
    scanned = library.scan()
    assert scanned.outcome.end == "completed"
    assert sorted(scanned.paths) == sorted(library.disk())
    assert {task.change for task in scanned.tasks} == {"added"}
    assert len({task.file for task in scanned.tasks}) == len(scanned.tasks)
    library.settled()


def test_names_of_any_bytes_travel_exactly(library: Library) -> None:
    folder = os.fsencode(library.root) + b"/caf\xe9\n"
    os.mkdir(folder)
    for name in ODD_NAMES:
        os.close(os.open(folder + b"/" + name, os.O_CREAT | os.O_WRONLY))
    scanned = library.scan()
    assert {paths.to_bytes(path) for path in scanned.paths} == {b"caf\xe9\n/" + name for name in ODD_NAMES}
    for task in scanned.tasks:
        assert task.path_bytes is not None  # the directory's name is not UTF-8
        assert "\ufffd" in task.path
        assert base64.b64decode(task.path_bytes).startswith(b"caf\xe9\n/")
    assert library.scan().tasks == []
    library.settled()


def test_a_name_that_is_valid_text_comes_without_its_bytes(library: Library) -> None:
    library.fill("Show/é 映画.mkv")
    (task,) = library.scan().tasks
    assert (task.path, task.path_bytes) == ("Show/é 映画.mkv", None)


def test_an_empty_library_is_a_completed_scan_without_a_message(library: Library) -> None:
    scanned = library.scan()
    assert scanned.outcome.end == "completed"
    assert scanned.batches == []
    assert (scanned.counters.directories, scanned.counters.files) == (1, 0)
    library.fill("first.mkv")
    assert library.scan().changes == {("added", "first.mkv")}


def test_tasks_carry_what_the_contract_says(library: Library) -> None:
    path = library.write("Show/Season 01/e.MKV", b"x" * 1234, PAST_NS + 123_456_789)
    scanned = library.scan()
    (batch,) = scanned.batches
    (task,) = batch.tasks
    assert (batch.version, batch.catalog, batch.scan) == (1, library.catalog, str(scanned.scan_id))
    assert (batch.library, batch.root, batch.root_bytes) == ("films", str(library.root), None)
    assert (task.file, task.revision, task.content) == (library.id_of("Show/Season 01/e.MKV"), 1, 1)
    assert (task.change, task.path, task.kind) == ("added", "Show/Season 01/e.MKV", "video")
    assert (task.size, task.mtime_ns) == (1234, str(path.stat().st_mtime_ns))
    assert (task.path_bytes, task.moved_from, task.from_bytes, task.probe) == (None, None, None, False)


def test_a_message_holds_as_many_tasks_as_asked_for(library: Library) -> None:
    library.fill(*(f"{number}.mkv" for number in range(7)))
    scanned = library.scan(tasks_per_message=3)
    assert [len(batch.tasks) for batch in scanned.batches] == [3, 3, 1]
    assert (scanned.counters.tasks, scanned.counters.messages) == (7, 3)


def test_kinds_come_from_the_extension_and_all_means_all(library: Library) -> None:
    library.fill("a.mkv", "b.mp3", "c.jpg", "d.srt", "e.txt", "no extension", "x.part")
    assert {task.path: task.kind for task in library.scan(kinds=frozenset(Kind)).tasks} == {
        "a.mkv": "video",
        "b.mp3": "audio",
        "c.jpg": "image",
        "d.srt": "subtitle",
        "e.txt": "other",
        "no extension": "other",
        "x.part": "other",
    }


def test_special_files_and_links_are_no_files(library: Library) -> None:
    library.fill("real.mkv", "elsewhere/inside.mkv")
    os.mkfifo(library.root / "pipe.mkv")
    (library.root / "link.mkv").symlink_to("real.mkv")
    (library.root / "folder").symlink_to("elsewhere")
    assert library.scan().changes == {("added", "real.mkv"), ("added", "elsewhere/inside.mkv")}


@pytest.fixture
def beyond_path_max(library: Library) -> Iterator[bytes]:
    """The path, beyond PATH_MAX, of a file whose directories' names are not UTF-8 either."""
    name, depth = b"\xe9" * 200, 30
    descriptor = os.open(library.root, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir(name, dir_fd=descriptor)
        deeper = os.open(name, os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = deeper
    os.close(os.open("end.mkv", os.O_CREAT | os.O_WRONLY, dir_fd=descriptor))
    os.close(descriptor)
    yield b"/".join([name] * depth + [b"end.mkv"])
    subprocess.run(["rm", "-rf", str(library.root)], check=True)  # rmtree gives up at PATH_MAX


def test_paths_beyond_path_max_are_found_kept_and_deleted(library: Library, beyond_path_max: bytes) -> None:
    scanned = library.scan()
    assert [paths.to_bytes(path) for path in scanned.paths] == [beyond_path_max]
    assert scanned.counters.directories == 31
    assert library.scan().tasks == []
    assert library.scan("quick").tasks == []
    first = beyond_path_max.partition(b"/")[0]
    os.rename(os.fsencode(library.root) + b"/" + first, os.fsencode(library.root) + b"/top")
    (task,) = library.scan().tasks
    assert task.change == "moved"
    library.write("keep.mkv")
    subprocess.run(["rm", "-rf", str(library.root / "top")], check=True)
    assert {task.change for task in library.scan().tasks} == {"added", "deleted"}
    library.settled()


def test_two_libraries_of_one_catalog_know_nothing_of_each_other(database: Database, tmp_path: Path) -> None:
    found = []
    for name in ("films", "music"):
        (tmp_path / name).mkdir()
        found.append(Library(tmp_path / name, database, name=name))
    films, music = found
    films.fill("Show/a.mkv")
    music.fill("Band/b.mp3")
    assert films.scan().changes == {("added", "Show/a.mkv")}
    assert music.scan().changes == {("added", "Band/b.mp3")}
    os.rename(films.root / "Show", music.root / "Show")
    films.fill("other.mkv")
    assert music.scan().changes == {("added", "Show/a.mkv")}
    assert films.scan().changes == {("added", "other.mkv"), ("deleted", "Show/a.mkv")}
