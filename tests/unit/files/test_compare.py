from scanner.files.compare import Comparison, Known, compare
from scanner.files.wire import Entry


def _entry(name: str, size: int = 1, mtime_ns: int = 10, inode: int = 5) -> Entry:
    return (name, size, mtime_ns, inode, 1)


def _known(name: str, size: int = 1, mtime_ns: int = 10, inode: int = 5, *, vanished: bool = False) -> Known:
    return Known(1, name, size, mtime_ns, inode, 2, 3, 1, vanished)


def test_everything_is_added_where_nothing_was_known() -> None:
    entries = [_entry("a"), _entry("b")]
    assert compare(entries, []) == Comparison(added=entries)


def test_differences_are_sorted_by_what_they_are() -> None:
    entries = [_entry("same"), _entry("new"), _entry("bigger", size=2), _entry("later", mtime_ns=11)]
    known = [_known("same"), _known("bigger"), _known("later"), _known("away")]
    found = compare(entries, known)
    assert found.added == [_entry("new")]
    assert [row.name for row, _ in found.modified] == ["bigger", "later"]
    assert found.absent == [_known("away")]
    assert found.unchanged == 1


def test_another_inode_counts_only_where_both_are_trusted() -> None:
    entries = [_entry("a", inode=6), _entry("b", inode=0), _entry("c", inode=7)]
    known = [_known("a"), _known("b"), _known("c", inode=0)]
    found = compare(entries, known)
    assert [row.name for row, _ in found.modified] == ["a"]
    assert found.unchanged == 2


def test_what_is_present_but_not_comparable_is_not_absent() -> None:
    found = compare([], [_known("growing"), _known("away")], present={"growing"})
    assert [row.name for row in found.absent] == ["away"]


def test_a_vanished_row_that_is_back_is_reappeared_or_modified() -> None:
    known = [_known("back", vanished=True), _known("other", vanished=True), _known("still", vanished=True)]
    found = compare([_entry("back"), _entry("other", size=9)], known)
    assert found.reappeared == [known[0]]
    assert found.modified == [(known[1], _entry("other", size=9))]
    assert found.absent == [known[2]]
    assert found.unchanged == 0


def test_an_equal_row_without_a_task_is_modified_even_if_it_had_vanished() -> None:
    found = compare([_entry("a"), _entry("b")], [_known("a"), _known("b", vanished=True)], without_task=2)
    assert [row.name for row, _ in found.modified] == ["a", "b"]
    assert (found.reappeared, found.unchanged) == ([], 0)
    assert compare([_entry("a")], [_known("a")], without_task=0).unchanged == 1
