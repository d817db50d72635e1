"""Options narrow the look and never delete; ignore files say what is a member, and leaving is guarded."""

from typing import Any

import pytest

from scanner.catalog.scans import Kind
from scanner.media import Kind as MediaKind
from tests.integration.scan.harness import Library

KINDS: list[Kind] = ["full", "quick"]

NARROW: list[dict[str, Any]] = [
    {"kinds": frozenset({MediaKind.VIDEO})},
    {"exclude": ("music/",)},
    {"exclude": ("*.mp3",)},
    {"include": ("*.mkv",)},
]


@pytest.fixture
def mixed(library: Library) -> Library:
    """A library of two kinds that has been scanned."""
    library.fill("films/a.mkv", "films/b.srt", "music/c.mp3", "music/live/d.mp3", "films/e.mp3")
    library.scan()
    library.settled()
    return library


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("options", NARROW, ids=str)
def test_narrower_options_leave_other_rows_as_they_are(
    mixed: Library, options: dict[str, Any], kind: Kind
) -> None:
    before = mixed.ids()
    for _ in range(2):
        assert mixed.scan(kind, **options).tasks == []
    assert mixed.ids() == before
    assert mixed.scan(kind).tasks == []
    mixed.settled()


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_options_leave_out_is_deleted_by_the_next_wide_scan(mixed: Library, kind: Kind) -> None:
    for name in ("films/b.srt", "music/c.mp3", "music/live/d.mp3"):
        (mixed.root / name).unlink()
    assert mixed.scan(kind, kinds=frozenset({MediaKind.VIDEO})).tasks == []
    expected = {("deleted", name) for name in ("films/b.srt", "music/c.mp3", "music/live/d.mp3")}
    assert mixed.scan(kind).changes == expected
    mixed.settled()


@pytest.mark.parametrize("kind", KINDS)
def test_a_directory_deleted_under_narrow_options_gives_up_only_what_they_cover(
    library: Library, kind: Kind
) -> None:
    library.fill("Show/a.mkv", "Show/subs/b.srt", "keep.mkv")
    library.scan()
    (library.root / "Show/a.mkv").unlink()
    (library.root / "Show/subs/b.srt").unlink()
    (library.root / "Show/subs").rmdir()
    (library.root / "Show").rmdir()
    narrow = library.scan(kind, kinds=frozenset({MediaKind.VIDEO}))
    assert narrow.changes == {("deleted", "Show/a.mkv")}
    assert library.scan(kind).changes == {("deleted", "Show/subs/b.srt")}
    library.settled()


def test_wider_options_add_what_was_left_out(library: Library) -> None:
    library.fill("a.mkv", "b.srt", ".hidden.mkv", ".dir/c.mkv", "d/.e/f.mkv")
    assert library.scan(kinds=frozenset({MediaKind.VIDEO})).changes == {("added", "a.mkv")}
    assert library.scan("quick").changes == {("added", "b.srt")}
    hidden = {("added", path) for path in (".hidden.mkv", ".dir/c.mkv", "d/.e/f.mkv")}
    assert library.scan("quick", hidden=True).changes == hidden
    assert library.scan().tasks == []
    assert len(library.catalog_files()) == 5


def test_a_flat_library_under_options_that_cover_none_of_it_is_not_offline(library: Library) -> None:
    library.fill("a.mkv", "b.mkv")
    library.scan()
    scanned = library.scan(kinds=frozenset({MediaKind.AUDIO}))
    assert (scanned.outcome.end, scanned.tasks) == ("completed", [])
    assert library.row.state == "online"


def test_a_quick_scan_trusts_only_what_was_listed_under_its_own_options(library: Library) -> None:
    library.fill("a/1.mkv", "a/2.mp3", "b/3.mkv")
    library.age_directories()
    video: dict[str, Any] = {"kinds": frozenset({MediaKind.VIDEO})}
    library.scan(**video)
    assert library.scan("quick", **video).listed == 0
    assert library.scan("quick").changes == {("added", "a/2.mp3")}
    assert library.scan("quick").listed == 0


def test_newly_ignored_files_are_deleted_and_come_back_with_their_ids(mixed: Library) -> None:
    before = mixed.ids()
    rules = mixed.root / ".scanignore"
    rules.write_text("music/\n*.srt\n")
    expected = ("films/b.srt", "music/c.mp3", "music/live/d.mp3")
    assert mixed.scan().changes == {("deleted", name) for name in expected}
    assert mixed.scan().tasks == []
    rules.unlink()
    assert mixed.scan().changes == {("added", name) for name in expected}
    assert mixed.ids() == before
    mixed.settled()


def test_newly_ignored_files_go_through_the_guard(library: Library) -> None:
    library.fill(*(f"many/{number}.mkv" for number in range(101)), "keep.mkv")
    library.scan()
    (library.root / ".ignore").write_text("many/\n")
    held = library.scan()
    assert (held.tasks, held.counters.held_back) == ([], 101)
    assert library.scan(confirm_deletes=True).counters.deleted == 101


def test_a_file_moved_into_an_ignored_directory_is_deleted(mixed: Library) -> None:
    (mixed.root / ".scanignore").write_text("attic/\n")
    (mixed.root / "attic").mkdir()
    mixed.rename("films/a.mkv", "attic/a.mkv")
    assert mixed.scan().changes == {("deleted", "films/a.mkv")}
    mixed.rename("attic/a.mkv", "films/a.mkv")
    assert mixed.scan().changes == {("added", "films/a.mkv")}
    mixed.settled()


def test_a_rename_that_makes_a_name_partial_takes_the_file_out(mixed: Library) -> None:
    mixed.rename("films/a.mkv", "films/a.mkv.part")
    assert mixed.scan().changes == {("deleted", "films/a.mkv")}
    mixed.rename("films/a.mkv.part", "films/a.mkv")
    assert mixed.scan().changes == {("added", "films/a.mkv")}
    mixed.settled()
