import os
import socket
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from scanner import paths
from scanner.files import mounts
from scanner.files.filters import Filters
from scanner.files.frames import PackedListing
from scanner.files.wire import CheckRequest, ListRequest
from scanner.media import Kind

from .support import EVERYTHING, OLD_NS, SETTLED, Local, make_tree, touch, walk


def has_moved(local: Local, path: str, mtime_ns: int) -> bool:
    """Check one directory between two that are the same, and tell whether it has another mtime."""
    beats: list[None] = []
    three = [("nothing there", 1), (path, mtime_ns), ("nothing there", 1)]
    answer = local.verifier.check(CheckRequest(1, three), lambda: beats.append(None))
    assert (answer.asked, len(beats)) == (3, 3)
    assert {0, 2} <= set(answer.changed)
    return 1 in answer.changed


def test_an_entry_tells_what_stat_tells(tmp_path: Path) -> None:
    path = touch(tmp_path / "a.MKV", b"12345", OLD_NS + 123_456_789)
    found = path.stat()
    listing = Local(tmp_path).listing()
    assert listing.files == [("a.MKV", 5, OLD_NS + 123_456_789, found.st_ino, int(Kind.VIDEO))]
    assert (listing.status, listing.file_count, listing.problems) == ("ok", 1, [])
    assert (listing.mtime_ns, listing.inode) == (tmp_path.stat().st_mtime_ns, tmp_path.stat().st_ino)


def test_subdirectories_come_with_their_inodes(tmp_path: Path) -> None:
    make_tree(tmp_path, "b/", "a/", "c.mkv")
    found = [(name, (tmp_path / name).stat().st_ino) for name in ("a", "b")]
    assert Local(tmp_path).listing().subdirectories == found


def test_kinds_choose_by_extension(tmp_path: Path) -> None:
    make_tree(tmp_path, "a.mkv", "b.mp3", "c.jpg", "d.srt", "e.nfo", "mkv", "f.Mkv", "noext")
    assert Local(tmp_path, Filters()).names() == ["a.mkv", "b.mp3", "c.jpg", "d.srt", "f.Mkv"]
    assert Local(tmp_path, Filters(kinds=frozenset({Kind.VIDEO}))).names() == ["a.mkv", "f.Mkv"]
    assert len(Local(tmp_path).names()) == 8


def test_hidden_names_show_only_when_asked_for(tmp_path: Path) -> None:
    make_tree(tmp_path, ".a.mkv", ".git/x.mkv", "lost+found/y.mkv", "b.mkv", ".mkv")
    assert walk(tmp_path).names == {"b.mkv", "lost+found/y.mkv"}
    everything = walk(tmp_path, EVERYTHING._replace(hidden=True)).names
    assert everything == {".a.mkv", ".git/x.mkv", "lost+found/y.mkv", "b.mkv", ".mkv"}


def test_partial_names_are_listed_only_with_every_kind(tmp_path: Path) -> None:
    names = ["a.mkv.part", "b.!qB", "c.crdownload", "d.TMP", ".part", "e.mkv", "tmp"]
    make_tree(tmp_path, *names)
    all_but_one = Filters(kinds=frozenset(Kind) - {Kind.IMAGE}, hidden=True)
    assert Local(tmp_path, all_but_one).names() == ["e.mkv", "tmp"]
    assert set(Local(tmp_path, EVERYTHING._replace(hidden=True)).names()) == set(names)


def test_globs_narrow_what_is_listed_and_descended_into(tmp_path: Path) -> None:
    make_tree(tmp_path, "Show/a.mkv", "Show/b.avi", "Extras/c.mkv", "d.mkv")
    filters = EVERYTHING._replace(include=("Show/", "Extras/"), exclude=("Extras", "*.avi"))
    result = walk(tmp_path, filters)
    assert result.names == {"Show/a.mkv"}
    assert set(result.statuses) == {"", "Show"}


@pytest.mark.parametrize(
    "filters",
    [
        Filters(),
        EVERYTHING,
        Filters(hidden=True, exclude=("b/", "*.srt")),
        EVERYTHING._replace(include=("*.mkv", "c/*"), exclude=("!x", "a/d")),
    ],
)
def test_a_file_is_listed_if_and_only_if_its_path_is_covered(tmp_path: Path, filters: Filters) -> None:
    names = {
        f"{directory}{name}"
        for directory in ("", "a/", "a/d/", "b/", ".h/", "c/.h/e/", "c/x.mkv/")
        for name in ("x.mkv", ".y.mkv", "z.srt", "w.nfo", "v.mkv.part", "mkv", "caf\xe9.mkv")
        if not (directory in {"c/", ""} and name == "x.mkv")
    }
    make_tree(tmp_path, *names)
    assert walk(tmp_path, filters).names == {name for name in names if filters.covers_file(name)}


def test_special_files_are_never_opened_nor_listed(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.mkv")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s.mkv"))
    if os.geteuid() == 0:
        os.mknod(tmp_path / "zero.mkv", stat.S_IFCHR | 0o666, os.makedev(1, 5))
    touch(tmp_path / "real.mkv")
    result = walk(tmp_path)
    assert (result.names, result.problems) == ({"real.mkv"}, [])
    assert walk(tmp_path, EVERYTHING._replace(follow_symlinks=True)).names == {"real.mkv"}


_NAMES = [
    b"caf\xe9.mkv",
    b"\xff\xfe\x80.mkv",
    "café.mkv".encode(),
    "cafe\u0301.mkv".encode(),
    "\U0010ffe9.mkv".encode(),
    b"new\nline.mkv",
    b"tab\tbell\x07\x1b[31m.mkv",
    b"\x7f\x01.mkv",
    b"back\\slash.mkv",
    b" .mkv",
    b"n" * 251 + b".mkv",
    b"\xe9" * 251 + b".mkv",
]


def test_every_name_comes_back_byte_for_byte(tmp_path: Path) -> None:
    for directory in (b"", b"caf\xe9\n/"):
        os.makedirs(os.fsencode(tmp_path) + b"/" + directory, exist_ok=True)
        for name in _NAMES:
            os.close(os.open(os.fsencode(tmp_path) + b"/" + directory + name, os.O_CREAT | os.O_WRONLY))
    result = walk(tmp_path)
    assert {paths.to_bytes(name) for name in result.names} == {
        directory + name for directory in (b"", b"caf\xe9\n/") for name in _NAMES
    }
    assert result.problems == []
    assert Local(tmp_path).verify(paths.from_bytes(b"caf\xe9\n/" + _NAMES[-1])).status == "present"


def test_a_root_whose_own_name_is_not_utf8(tmp_path: Path) -> None:
    root = Path(os.fsdecode(os.fsencode(tmp_path) + b"/r\xe9\xff"))
    touch(root / "a" / "b.mkv")
    assert walk(root).names == {"a/b.mkv"}


def test_trees_beyond_path_max_are_listed_and_verified(deep_tree: tuple[Path, str]) -> None:
    root, path = deep_tree
    result = walk(root)
    assert (result.names, result.problems) == ({path}, [])
    local = Local(root)
    assert local.verify(path).status == "present"
    assert local.verify(path + "x").status == "gone"
    directory = path.rpartition("/")[0]
    mtime_ns = local.listing(directory).mtime_ns
    assert not has_moved(local, directory, mtime_ns)


def test_a_big_directory_comes_in_parts(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    for number in range(12_000):
        os.close(os.open(f"{number:05}.mkv", os.O_CREAT | os.O_WRONLY, dir_fd=descriptor))
    os.close(descriptor)
    (tmp_path / "sub").mkdir()
    listings = Local(tmp_path).listings()
    assert [listing.status for listing in listings] == ["part", "part", "ok"]
    assert all(len(listing.files) <= 5000 and listing.file_count == len(listing.files) for listing in listings)
    assert sum(listing.file_count for listing in listings) == 12_000
    assert [listing.subdirectories == [] for listing in listings] == [True, True, False]
    assert listings[-1].digest is None
    assert len(walk(tmp_path).names) == 12_000


def test_a_directory_of_exactly_one_part_comes_whole(tmp_path: Path) -> None:
    make_tree(tmp_path, *(f"{number}.mkv" for number in range(7)))
    statuses = [listing.status for listing in Local(tmp_path, part_size=7).listings()]
    assert statuses in (["ok"], ["part", "ok"])
    assert [listing.file_count for listing in Local(tmp_path, part_size=8).listings()] == [7]


def test_symlinks_are_skipped_by_default(tmp_path: Path) -> None:
    make_tree(tmp_path / "library", "a/x.mkv")
    make_tree(tmp_path / "outside", "y.mkv")
    (tmp_path / "library/link").symlink_to(tmp_path / "outside")
    (tmp_path / "library/z.mkv").symlink_to(tmp_path / "outside/y.mkv")
    result = walk(tmp_path / "library")
    assert (result.names, set(result.statuses)) == ({"a/x.mkv"}, {"", "a"})


def test_followed_links_are_what_they_point_to(tmp_path: Path) -> None:
    make_tree(tmp_path / "library", "a/x.mkv")
    touch(tmp_path / "outside/y.mkv", b"123")
    (tmp_path / "library/link").symlink_to(tmp_path / "outside")
    (tmp_path / "library/z.mkv").symlink_to(tmp_path / "outside/y.mkv")
    (tmp_path / "library/dangling.mkv").symlink_to("nowhere")
    (tmp_path / "library/self.mkv").symlink_to("self.mkv")
    result = walk(tmp_path / "library", EVERYTHING._replace(follow_symlinks=True))
    assert result.names == {"a/x.mkv", "link/y.mkv", "z.mkv"}
    assert result.files["z.mkv"][1:4] == (3, OLD_NS, 0)
    assert [problem.kind for problem in result.problems] in ([], ["io"])


@pytest.mark.parametrize("target", [".", "..", "../..", "../../.."])
def test_links_that_lead_back_end_in_one_loop_problem(tmp_path: Path, target: str) -> None:
    make_tree(tmp_path / "library", "a/b/x.mkv")
    (tmp_path / "library/a/b/back").symlink_to(target)
    result = walk(tmp_path / "library", EVERYTHING._replace(follow_symlinks=True))
    assert "a/b/x.mkv" in result.names
    assert [problem.kind for problem in result.problems] == ["loop"]
    assert result.problems[0].path.startswith("a/b/back")


def test_two_links_that_lead_to_each_other_end(tmp_path: Path) -> None:
    make_tree(tmp_path, "a/x.mkv", "b/y.mkv")
    (tmp_path / "a/to_b").symlink_to("../b")
    (tmp_path / "b/to_a").symlink_to("../a")
    result = walk(tmp_path, EVERYTHING._replace(follow_symlinks=True))
    assert result.names == {"a/x.mkv", "b/y.mkv", "a/to_b/y.mkv", "b/to_a/x.mkv"}
    assert {problem.path for problem in result.problems} == {"a/to_b/to_a", "b/to_a/to_b"}


def test_a_directory_that_is_not_there_is_gone(tmp_path: Path) -> None:
    make_tree(tmp_path, "a/x.mkv", "file")
    local = Local(tmp_path)
    for path in ("nothing", "a/nothing", "file", "file/below"):
        listing = local.listing(path)
        assert (listing.status, listing.problems, listing.files) == ("gone", [], [])


def test_nothing_is_gone_while_the_root_is_away(tmp_path: Path) -> None:
    root = make_tree(tmp_path / "library", "a/x.mkv")
    local = Local(root)
    assert local.listing("").status == "ok"
    root.rename(tmp_path / "elsewhere")
    _assert_offline(local)
    root.mkdir()
    _assert_offline(local)


def _assert_offline(local: Local) -> None:
    listing = local.listing("a")
    assert (listing.status, [problem.kind for problem in listing.problems]) == ("failed", ["offline"])
    assert local.verify("a/x.mkv").status == "failed"


def test_a_root_that_never_was_is_offline(tmp_path: Path) -> None:
    result = walk(tmp_path / "nothing")
    assert result.statuses == {"": "failed"}
    assert [problem.kind for problem in result.problems] == ["offline"]


def test_what_lies_behind_a_new_symlink_is_gone(tmp_path: Path) -> None:
    make_tree(tmp_path, "library/a/b/x.mkv")
    (tmp_path / "library/a").rename(tmp_path / "moved")
    (tmp_path / "library/a").symlink_to(tmp_path / "moved")
    local = Local(tmp_path / "library")
    assert local.listing("a/b").status == "gone"
    assert local.verify("a/b/x.mkv").status == "gone"
    assert Local(tmp_path / "library", EVERYTHING._replace(follow_symlinks=True)).names("a/b") == ["x.mkv"]


def test_what_is_unreadable_is_one_problem(
    open_path: Path, as_nobody: Callable[[], AbstractContextManager[None]]
) -> None:
    make_tree(open_path, "open/x.mkv", "shut/y.mkv")
    (open_path / "open/.ignore").write_text("x.mkv\n")
    (open_path / "open/.ignore").chmod(0)
    (open_path / "shut").chmod(0)
    with as_nobody():
        local = Local(open_path)
        opened, shut, root = local.listing("open"), local.listing("shut"), local.listing()
        verified = local.verify("shut/y.mkv")
    assert [(problem.path, problem.kind, problem.errno) for problem in opened.problems + shut.problems] == [
        ("open/.ignore", "unreadable", 13),
        ("shut", "unreadable", 13),
    ]
    assert [listing.status for listing in (opened, shut, root)] == ["ok", "failed", "ok"]
    assert [entry[0] for entry in opened.files] == ["x.mkv"]
    assert (verified.status, verified.errno) == ("failed", 13)


def test_an_entry_that_vanishes_or_fails_is_one_problem_and_the_rest_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_tree(tmp_path, "a.mkv", "b.mkv", "c.mkv")
    local = Local(tmp_path)
    learn = local.lister._learn_rules

    def vanish(*arguments: object) -> None:
        learn(*arguments)  # type: ignore[arg-type]
        (tmp_path / "b.mkv").unlink()

    monkeypatch.setattr(local.lister, "_learn_rules", vanish)
    listing = local.listing()
    assert [entry[0] for entry in listing.files] == ["a.mkv", "c.mkv"]
    assert [(problem.path, problem.kind) for problem in listing.problems] == [("b.mkv", "vanished")]
    assert (listing.status, listing.digest, listing.trustworthy) == ("ok", None, False)


_AGES = {"1600.mkv": -11_676_096_000, "2300.mkv": 10_413_792_000}
_MOST_NS = (1 << 63) - 1


@pytest.fixture
def timeless_path() -> Iterator[Path]:
    """A folder on tmpfs, which keeps every time (ext4 does not)."""
    with tempfile.TemporaryDirectory(prefix="scanner-", dir="/dev/shm") as name:
        yield Path(name)


@pytest.mark.parametrize("settle_s", [0, 60])
def test_times_of_other_centuries_fit_a_database(timeless_path: Path, settle_s: float) -> None:
    for name, second in _AGES.items():
        touch(timeless_path / name, mtime_ns=second * 10**9)
    os.utime(timeless_path, ns=(_AGES["2300.mkv"] * 10**9,) * 2)
    local = Local(timeless_path, settle_s=settle_s)
    listing = local.listing()
    mtimes = {entry[0]: entry[2] for entry in (*listing.files, *listing.unsettled)}
    assert mtimes == {"1600.mkv": -_MOST_NS, "2300.mkv": _MOST_NS}
    assert [entry[0] for entry in listing.unsettled] == (["2300.mkv"] if settle_s else [])
    assert listing.mtime_ns == _MOST_NS
    assert not has_moved(local, "", _MOST_NS)
    assert local.verify("2300.mkv").mtime_ns == _MOST_NS


class _Twice:
    """A directory read while names are renamed over: each entry comes once more at the end."""

    def __init__(self, descriptor: int) -> None:
        self._entries: list[os.DirEntry[str]] = []
        for _ in range(2):
            with _SCANDIR(descriptor) as entries:
                self._entries += entries

    def __enter__(self) -> Iterator[os.DirEntry[str]]:
        return iter(self._entries)

    def __exit__(self, *_: object) -> None:
        pass


_SCANDIR = os.scandir


@pytest.mark.parametrize("settle_s", [0, 60])
def test_a_name_that_is_read_twice_is_listed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settle_s: float
) -> None:
    make_tree(tmp_path, "a.mkv", "b.mkv", "sub/", "other/")
    touch(tmp_path / "new.mkv", mtime_ns=time.time_ns())
    once = Local(tmp_path, settle_s=settle_s).listing()
    monkeypatch.setattr(os, "scandir", _Twice)
    assert Local(tmp_path, settle_s=settle_s).listing() == once
    assert (len(once.files) + len(once.unsettled), len(once.subdirectories)) == (3, 2)


def test_a_file_that_is_read_again_while_it_is_written_is_unsettled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = touch(tmp_path / "a.mkv")
    local = Local(tmp_path, settle_s=60, part_size=1)  # a chunk of one entry, and no part before the second
    local.lister._part_size = 100
    monkeypatch.setattr(os, "scandir", _Twice)
    parts: list[PackedListing] = []
    last = local.lister.list_directory(
        ListRequest(1, ""), parts.append, lambda: os.utime(path, ns=(time.time_ns(),) * 2)
    )
    assert parts == []
    assert [entry[0] for entry in last.listing.unsettled] == ["a.mkv"]
    assert last.listing.file_count == 1


def test_settled_is_older_than_settle_s(tmp_path: Path) -> None:
    now_ns = time.time_ns()
    touch(tmp_path / "old.mkv", mtime_ns=now_ns - 3600 * 10**9)
    touch(tmp_path / "new.mkv", mtime_ns=now_ns)
    touch(tmp_path / "future.mkv", b"12", mtime_ns=now_ns + 3600 * 10**9)
    listing = Local(tmp_path, settle_s=60).listing()
    assert [entry[0] for entry in listing.files] == ["old.mkv"]
    future = next(entry for entry in listing.unsettled if entry[0] == "future.mkv")
    found = (tmp_path / "future.mkv").stat()
    assert future == ("future.mkv", 2, now_ns + 3600 * 10**9, found.st_ino, 1, found.st_ctime_ns)
    assert {entry[0] for entry in listing.unsettled} == {"new.mkv", "future.mkv"}
    assert (listing.file_count, listing.digest, listing.trustworthy) == (3, None, False)
    assert len(Local(tmp_path, settle_s=0).names()) == 3


def test_digest_is_the_same_until_something_changes(tmp_path: Path) -> None:
    make_tree(tmp_path, "a.mkv", "b.mkv", "sub/")
    first = Local(tmp_path).listing()
    assert first.digest is not None
    assert len(first.digest) == 16
    again = Local(tmp_path).listing(digest=first.digest)
    assert (again.status, again.files, again.file_count, again.digest) == ("same", [], 2, first.digest)
    assert again.subdirectories == first.subdirectories
    other_options = Local(tmp_path, EVERYTHING._replace(hidden=True)).listing(digest=first.digest)
    assert other_options.status == "ok"
    touch(tmp_path / "b.mkv", mtime_ns=OLD_NS + 1)
    changed = Local(tmp_path).listing(digest=first.digest)
    assert (changed.status, changed.file_count) == ("ok", 2)
    assert changed.digest != first.digest


def test_a_replaced_subdirectory_changes_the_digest(tmp_path: Path) -> None:
    make_tree(tmp_path, "sub/", "other/")
    first = Local(tmp_path).listing()
    (tmp_path / "sub").rename(tmp_path / "x")
    (tmp_path / "other").rename(tmp_path / "sub")
    (tmp_path / "x").rename(tmp_path / "other")
    assert Local(tmp_path).listing(digest=first.digest).status == "ok"


def test_a_directory_is_trustworthy_once_its_mtime_is_two_seconds_old(tmp_path: Path) -> None:
    make_tree(tmp_path, "a.mkv")
    assert not Local(tmp_path).listing().trustworthy
    os.utime(tmp_path, ns=(OLD_NS, OLD_NS))
    listing = Local(tmp_path).listing()
    assert (listing.trustworthy, listing.mtime_ns) == (True, OLD_NS)


def test_check_tells_whether_the_mtime_moved(tmp_path: Path) -> None:
    make_tree(tmp_path, "a/x.mkv", "file.mkv")
    local = Local(tmp_path)
    mtime_ns = local.listing("a").mtime_ns
    assert not has_moved(local, "a", mtime_ns)
    assert has_moved(local, "a", mtime_ns - 1)
    assert has_moved(local, "nothing", mtime_ns)
    assert has_moved(local, "file.mkv", OLD_NS)


def test_a_check_asks_nothing_of_directory_times_that_are_made_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_tree(tmp_path, "a/x.mkv", "file.mkv")
    monkeypatch.setattr(mounts, "tells_directory_changes", lambda _: False)
    local = Local(tmp_path)
    assert not has_moved(local, "a", OLD_NS)
    assert has_moved(local, "nothing", OLD_NS)
    assert has_moved(local, "file.mkv", OLD_NS)


def test_verify_tells_present_excluded_and_gone_apart(tmp_path: Path) -> None:
    touch(tmp_path / "a/x.mkv", b"123")
    os.mkfifo(tmp_path / "a/fifo.mkv")
    (tmp_path / "a/link.mkv").symlink_to("x.mkv")
    touch(tmp_path / "a/y.part")
    local = Local(tmp_path)
    found = (tmp_path / "a/x.mkv").stat()
    present = local.verify("a/x.mkv")
    assert present[1:] == ("present", False, 3, OLD_NS, found.st_ino, 0)
    assert (local.verify("a").status, local.verify("a").is_directory) == ("present", True)
    assert local.verify("").status == "present"
    excluded = {name: local.verify(f"a/{name}").status for name in ("fifo.mkv", "link.mkv")}
    assert set(excluded.values()) == {"excluded"}
    assert [local.verify(path).status for path in ("a/no", "no/no", "a/x.mkv/no")] == ["gone"] * 3


def test_settings_reach_the_walker(tmp_path: Path) -> None:
    touch(tmp_path / "new.mkv", mtime_ns=time.time_ns())
    assert walk(tmp_path, EVERYTHING, SETTLED).unsettled == set()
