from typing import Any

from scanner.probe.child import Entry
from scanner.probe.groups import Group, Groups
from scanner.probe.jobs import Job, Verdict

DONE: Any = None


def _entries(count: int) -> list[Entry]:
    return [(Job(key, b"/a", "a", "video", 0, 0, 1, 1, 1), DONE) for key in range(count)]


def _answers(count: int, **fields: Any) -> list[tuple[Entry, Verdict]]:
    return [(entry, Verdict(entry[0].key, "ok", b"{}", **fields)) for entry in _entries(count)]


def test_the_group_with_the_fewest_processes_is_next_then_the_one_that_waited_longest() -> None:
    groups = Groups()
    for name in ("a", "b"):
        groups.add(name, _entries(10))
    first = groups.next()
    assert first is not None
    groups.take(first, 1, 99)
    second = groups.next()
    assert second is not first
    assert second is not None
    second.processes = 1
    assert groups.next() is first
    groups.take(second, 1, 99)
    assert groups.next(second) is first
    first.processes = 2
    assert groups.next() is second


def test_chunks_begin_small_grow_by_doubling_and_shrink_at_once() -> None:
    group = Group("a")
    sizes = []
    for _ in range(10):
        sizes.append(group.chunk)
        group.learn(_answers(10), 10 * 20e-6)
    assert sizes == [1, 2, 4, 8, 16, 32, 64, 128, 256, 256]
    group.learn(_answers(1), 2.0)
    assert group.chunk == 1


def test_a_chunk_leaves_something_for_the_other_processes() -> None:
    groups = Groups()
    groups.add("a", _entries(10))
    group = groups.by_name["a"]
    group.chunk = 100
    assert len(groups.take(group, 4, 99)) == 3
    assert len(groups.take(group, 1, 2)) == 2


def test_what_is_put_back_comes_first_and_in_order() -> None:
    group = Group("a")
    entries = _entries(6)
    group.waiting.extend(entries[3:])
    group.put_back(entries[:3])
    assert list(group.waiting) == entries


def test_a_group_that_is_held_or_hangs_has_one_process_until_a_file_opens() -> None:
    groups = Groups()
    groups.add("a", _entries(3))
    group = groups.by_name["a"]
    for trouble in ("is_held", "hanging"):
        setattr(group, trouble, 1)
        group.processes = 1
        assert groups.next() is None
        group.processes = 0
        assert groups.next() is group
        setattr(group, trouble, 0)
    group.is_held = True
    group.learn(_answers(1, opened_s=0.25), 0.3)
    assert not group.is_held
    assert group.status().open_p95_s == 0.25


def test_groups_without_work_are_not_kept_for_ever() -> None:
    groups = Groups()
    groups.add("kept", _entries(1))
    for number in range(1000):
        groups.add(f"library {number}", [])
    assert "kept" in groups.by_name
    assert len(groups.by_name) <= 257


def test_after_a_file_that_hung_chunks_begin_small_again() -> None:
    group = Group("a")
    for _ in range(10):
        group.learn(_answers(10), 10 * 20e-6)
    assert group.chunk == 256
    group.start_over()
    sizes = []
    for _ in range(3):
        sizes.append(group.chunk)
        group.learn(_answers(1), 20e-6)
    assert sizes == [1, 2, 4]


def test_what_was_passed_over_teaches_nothing() -> None:
    group = Group("a", is_held=True)
    group.learn(_answers(100, opened=False), 0.001)
    assert (group.chunk, group.is_held) == (1, True)
