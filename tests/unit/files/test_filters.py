import subprocess
import sys

import pytest

from scanner.files.filters import Filters
from scanner.media import Kind


def test_signature_is_equal_for_equal_options_and_differs_otherwise() -> None:
    one = Filters(include=("*.mkv",), exclude=("a",))
    assert one.signature == Filters(include=("*.mkv",), exclude=("a",)).signature
    others = [
        Filters(),
        Filters(include=("a",), exclude=("*.mkv",)),
        one._replace(hidden=True),
        one._replace(follow_symlinks=True),
        one._replace(kinds=frozenset({Kind.VIDEO})),
    ]
    signatures = {filters.signature for filters in [one, *others]}
    assert len(signatures) == len(others) + 1
    assert all(0 <= signature < 1 << 63 for signature in signatures)


def test_signature_is_the_same_in_another_process() -> None:
    code = "from scanner.files.filters import Filters; print(Filters(include=('x', 'y')).signature)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) == Filters(include=("x", "y")).signature


def test_options_survive_json() -> None:
    filters = Filters(
        frozenset({Kind.OTHER, Kind.IMAGE}), ("a b",), ("*.é",), hidden=True, follow_symlinks=True
    )
    assert Filters.from_json(filters.to_json()) == filters


@pytest.mark.parametrize(
    ("path", "covered"),
    [
        ("a/b.mkv", True),
        ("a/B.MKV", True),
        ("a/b.txt", False),
        ("mkv", False),
        ("a/.b.mkv", False),
        (".a/b.mkv", False),
        ("a/.c/d/b.mkv", False),
        ("a/b.mkv.part", False),
    ],
)
def test_covers_media_that_is_not_hidden(path: str, covered: bool) -> None:
    assert Filters().covers_file(path) is covered


def test_hidden_option_covers_what_is_below_hidden_directories() -> None:
    filters = Filters(hidden=True)
    assert filters.covers_file(".a/.b.mkv")
    assert filters.covers_directory(".a/.b")
    assert not Filters().covers_directory("x/.b/c")
    assert filters.covers_directory("")


def test_partial_names_are_covered_only_with_every_kind() -> None:
    assert not Filters(kinds=frozenset(Kind) - {Kind.IMAGE}, hidden=True).covers_file("a/b.part")
    assert Filters(kinds=frozenset(Kind)).covers_file("a/b.part")


def test_exclude_covers_neither_directory_nor_what_is_below() -> None:
    filters = Filters(exclude=("extras/", "*.avi", "!keep.avi", "extras/best.mkv"))
    assert not filters.covers_directory("show/extras")
    assert not filters.covers_file("show/extras/x.mkv")
    assert not filters.covers_file("extras/best.mkv")
    assert not filters.covers_file("a/x.avi")
    assert filters.covers_file("a/keep.avi")
    assert filters.covers_file("a/extras.mkv")


def test_an_excluded_parent_cannot_be_taken_back() -> None:
    filters = Filters(exclude=("extras/", "!extras/best.mkv"))
    assert not filters.covers_file("extras/best.mkv")


def test_include_chooses_files_and_leaves_directories_open() -> None:
    filters = Filters(include=("Show/**/*.mkv", "*.mp3"))
    assert filters.covers_file("Show/S1/x.mkv")
    assert filters.covers_file("deep/down/x.mp3")
    assert not filters.covers_file("Other/x.mkv")
    assert filters.covers_directory("Other")


def test_a_malformed_glob_is_named() -> None:
    with pytest.raises(ValueError, match=r"glob '\[z-a\]' is malformed"):
        Filters(exclude=("[z-a]",)).validate()
    Filters(include=("*.mkv", "[[:alpha:]]x")).validate()


def test_pathspec_is_imported_for_a_glob_only() -> None:
    code = (
        "import sys; from scanner.files.filters import Filters; import scanner.files.walker\n"
        "Filters().covers_file('a/b.mkv'); assert 'pathspec' not in sys.modules\n"
        "Filters(exclude=('x',)).covers_file('a/b.mkv'); assert 'pathspec' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
