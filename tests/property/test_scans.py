"""Scans as a property: wherever they are interrupted and whatever is edited, they end at what is on disk."""

import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from scanner.catalog.engine import Database
from scanner.catalog.scans import Kind
from scanner.catalog.schema import open_database
from scanner.files.walk import Walker
from scanner.files.wire import Request
from tests.integration.scan.harness import PAST_NS, Killed, Library, Stops

FULL = bool(os.environ.get("SCANNER_TEST_FULL"))

DIRECTORIES = ["", "a", "b", "a/c", "a/c/d", "b/e", "caf\udce9"]
NAMES = ["1.mkv", "2.mkv", "3.mkv", "\udcff.mkv"]

directories = st.sampled_from(DIRECTORIES)
files = st.builds(os.path.join, directories, st.sampled_from(NAMES))
kinds = st.sampled_from(["full", "quick"])

Edit = tuple[Any, ...]

edits = st.one_of(
    st.tuples(st.just("write"), files, st.integers(0, 3)),
    st.tuples(st.just("touch"), files, st.integers(0, 3)),
    st.tuples(st.just("move"), files, files),
    st.tuples(st.just("link"), files, files),
    st.tuples(st.just("unlink"), files),
    st.tuples(st.just("move directory"), directories, directories),
    st.tuples(st.just("swap"), directories, directories),
    st.tuples(st.just("remove directory"), directories),
    st.tuples(st.just("directory to file"), directories),
)


class Disk:
    """A small tree on which edits that make no sense do nothing."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._clock = 0

    def edit(self, what: str, *arguments: Any) -> None:
        """Do one edit."""
        action: Callable[..., None] = getattr(self, "_" + what.replace(" ", "_"))
        try:
            action(*arguments)
        except OSError:
            return

    def _at(self, path: str) -> Path:
        return self._root / path

    def _write(self, path: str, size: int) -> None:
        target = self._at(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(b"x" * size)
        self._clock += 1
        os.utime(target, ns=(PAST_NS, PAST_NS + self._clock * 10**9))

    def _touch(self, path: str, seconds: int) -> None:
        os.utime(self._at(path), ns=(PAST_NS, PAST_NS + seconds * 10**9))

    def _move(self, source: str, target: str) -> None:
        self._at(target).parent.mkdir(parents=True, exist_ok=True)
        self._at(source).rename(self._at(target))

    def _link(self, source: str, target: str) -> None:
        os.link(self._at(source), self._at(target))

    def _unlink(self, path: str) -> None:
        self._at(path).unlink()

    def _move_directory(self, source: str, target: str) -> None:
        if source and target and not target.startswith(f"{source}/"):
            self._move(source, target if not self._at(target).is_dir() else f"{target}/moved")

    def _swap(self, one: str, other: str) -> None:
        if one and other and not one.startswith(other) and not other.startswith(one):
            aside = self._root / "aside"
            self._at(one).rename(aside)
            self._at(other).rename(self._at(one))
            aside.rename(self._at(other))

    def _remove_directory(self, path: str) -> None:
        if path:
            shutil.rmtree(self._at(path))

    def _directory_to_file(self, path: str) -> None:
        self._remove_directory(path)
        self._write(path, 1)


@contextmanager
def libraries(template: Path) -> Iterator[tuple[Library, Disk]]:
    """Give a library with one file that always stays (an emptied root is offline, which is another story)."""
    with tempfile.TemporaryDirectory(prefix="scanner-") as name:
        root = Path(name) / "films"
        root.mkdir()
        shutil.copyfile(template, Path(name) / "catalog.db")
        with Database(f"sqlite:///{name}/catalog.db") as database:
            library = Library(root, database)
            library.fill("stays.mkv")
            yield library, Disk(root)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalog with nothing in it."""
    file = tmp_path_factory.mktemp("schema") / "empty.db"
    open_database(f"sqlite:///{file}").close()
    return file


def examples(few: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return Hypothesis's settings: a modest number of examples, many in the full form."""
    count = few * 10 if FULL else few
    return settings(
        max_examples=count,
        deadline=None,
        derandomize=not FULL,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    )


def scan(library: Library, kind: Kind, stop_after: int | None = None, *, kill: bool = False) -> bool:
    """Scan to the end, or to the Nth transaction; return whether the scan was interrupted there."""
    options: dict[str, Any] = {"batch_files": 2, "part_size": 2, "threads": 2, "confirm_deletes": True}
    if stop_after is None:
        assert library.scan(kind, **options).outcome.end == "completed"
        return False
    stop = None if kill else threading.Event()
    stops = Stops(library.database, stop_after, stop)
    with library.held() as grant:
        running = library.prepare(grant, library.options(kind, **options), stop)
        try:
            with stops.counting():
                running.run()
        except Killed:
            event("killed")
        library.consume()
    return stops.hit


@examples(40)
@given(
    before=st.lists(edits, max_size=15),
    between=st.lists(edits, max_size=8),
    kind=kinds,
    stops=st.lists(st.tuples(st.integers(1, 12), st.booleans()), max_size=4),
)
def test_a_scan_interrupted_anywhere_ends_like_one_that_was_not(
    template: Path, before: list[Edit], between: list[Edit], kind: Kind, stops: list[tuple[int, bool]]
) -> None:
    with libraries(template) as (library, disk):
        for edit in before:
            disk.edit(*edit)
        if between:
            scan(library, "full")
        for edit in between:
            disk.edit(*edit)
        for after, kill in stops:
            scan(library, kind, after, kill=kill)
        # In-place edits need a full scan, and an interrupted one of another kind is replaced.
        scan(library, kind)
        scan(library, "full")
        library.settled()
        assert library.scan().tasks == []


@examples(40)
@given(rounds=st.lists(st.lists(edits, min_size=1, max_size=6), min_size=1, max_size=5), quick=st.booleans())
def test_any_sequence_of_edits_converges_to_the_tree(
    template: Path, rounds: list[list[Edit]], quick: bool
) -> None:
    with libraries(template) as (library, disk):
        for number, edited in enumerate(rounds):
            for edit in edited:
                disk.edit(*edit)
            scan(library, "quick" if quick and number % 2 else "full")
        scan(library, "full")
        library.settled()
        assert library.scan().tasks == []


@examples(30)
@given(
    before=st.lists(edits, min_size=3, max_size=15),
    meanwhile=st.lists(st.tuples(st.integers(1, 25), edits), min_size=1, max_size=6),
    kind=kinds,
)
def test_edits_in_the_middle_of_a_scan_are_made_good_by_the_next(
    template: Path, before: list[Edit], meanwhile: list[tuple[int, Edit]], kind: Kind
) -> None:
    with libraries(template) as (library, disk):
        for edit in before:
            disk.edit(*edit)
        scan(library, "full")
        original, calls = Walker.submit, [0]

        def submit(self: Walker, requests: list[Request]) -> None:
            calls[0] += 1
            for at, edit in meanwhile:
                if at == calls[0]:
                    disk.edit(*edit)
            original(self, requests)

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(Walker, "submit", submit)
            scan(library, kind)
            scan(library, kind)
        scan(library, "full")
        library.settled()
        assert library.scan().tasks == []
