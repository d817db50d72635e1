"""A library is only believed to be there if something that was in it is; its root may be elsewhere here."""

import asyncio
from collections.abc import Sequence

from scanner.probe.jobs import RootState
from scanner.services.work.roots import Roots, granularity_ns


class Checker:
    """Answers as told, and remembers what it was asked."""

    def __init__(self, state: RootState = "known") -> None:
        self.state = state
        self.asked: list[tuple[bytes, list[bytes]]] = []

    async def check_root(self, root: bytes, samples: Sequence[bytes]) -> RootState:
        self.asked.append((root, list(samples)))
        return self.state


def test_the_longest_mapped_root_decides_and_only_at_a_folder_s_boundary() -> None:
    roots = Roots([("/srv", "/mnt"), ("/srv/films", "/films")], 5)
    assert roots.local("/srv/films") == "/films"
    assert roots.local("/srv/films/new") == "/films/new"
    assert roots.local("/srv/filmsets") == "/mnt/filmsets"
    assert roots.local("/home/x") == "/home/x"


def test_a_root_may_be_mapped_to_the_top() -> None:
    assert Roots([("/data", "/")], 5).local("/data/films") == "/films"


def test_an_absent_root_is_believed_away_for_a_while_and_then_looked_at_again() -> None:
    now = [100.0]
    roots = Roots([], 5, clock=lambda: now[0])
    checker = Checker("unknown")
    assert not asyncio.run(roots.is_there("/srv", checker))
    assert "/srv" in roots.away
    assert roots.was_looked_at("/srv")
    now[0] += 5
    assert not roots.was_looked_at("/srv")
    checker.state = "known"
    assert asyncio.run(roots.is_there("/srv", checker))
    assert not roots.away


def test_what_was_seen_before_is_looked_for_beside_what_should_be_there() -> None:
    roots, checker = Roots([], 5), Checker()
    asyncio.run(roots.is_there("/srv", checker, ["/srv/a"]))
    roots.saw("/srv", "/srv/b/x.mkv")
    asyncio.run(roots.is_there("/srv", checker, ["/srv/a"]))
    assert checker.asked == [(b"/srv", [b"/srv/a"]), (b"/srv", [b"/srv/b/x.mkv", b"/srv/a"])]


def test_times_are_compared_at_the_coarser_of_the_two_mounts() -> None:
    assert granularity_ns(1, 1_700_000_000_123_456_789) == 1
    assert granularity_ns(2_000_000_000, 1_700_000_000_123_456_789) == 2_000_000_000
    assert granularity_ns(1, 1_700_000_000_123_456_700) == 100
    assert granularity_ns(1, 1_700_000_000_000_000_000) == 1_000_000_000


def test_after_a_library_is_back_its_old_samples_are_not_asked_for_any_more() -> None:
    roots, checker = Roots([], 5), Checker()
    roots.saw("/srv", "/srv/old/x.mkv")
    checker.state = "unknown"
    asyncio.run(roots.is_there("/srv", checker))
    checker.state = "known"
    asyncio.run(roots.is_there("/srv", checker, ["/srv/new/x.mkv"]))
    asyncio.run(roots.is_there("/srv", checker))
    assert [samples for _, samples in checker.asked][1:] == [[b"/srv/old/x.mkv", b"/srv/new/x.mkv"], []]


def test_the_memory_for_roots_is_bounded_and_forgets_those_not_used_lately() -> None:
    roots, checker = Roots([], 5), Checker("unknown")
    for number in range(1_500):
        asyncio.run(roots.is_there(f"/{number}", checker))
        roots.saw("/0", "/0/x")
    assert len(roots.away) == 1_000
    assert {"/0", "/1499"} <= set(roots.away)
