import os
import shutil
import subprocess
from pathlib import Path

import pytest

from scanner import paths
from scanner.files.wire import VerifyRequest

from .support import Local, make_tree, touch, walk

_TREE = (
    "a.mkv", "b.mkv", "keep.mkv", "build/x.mkv", "build/keep.mkv", "sub/build/y.mkv", "sub/a.mkv", "sub/b.mkv",
    "sub/deep/a.mkv", "sub/deep/keep.mkv", "sub/deep/er/z.mkv", "foo/bar/one.mkv", "foo/baz/two.mkv",
    "foo/three.mkv", "odd [x]/q.mkv", "sp ace.mkv", "trail .mkv", "#hash.mkv", "!bang.mkv", "café/é.mkv",
)  # fmt: skip

_RULES: dict[str, dict[str, str]] = {
    "plain": {"": "a.mkv\n"},
    "negated": {"": "*.mkv\n!keep.mkv\n"},
    "directory only": {"": "build/\n"},
    "a file is no directory": {"": "a.mkv/\n"},
    "anchored": {"": "/a.mkv\n"},
    "excluded parent": {"": "build/\n!build/keep.mkv\n"},
    "contents, one taken back": {"": "foo/*\n!foo/bar/\n"},
    "contents, one file taken back": {"": "foo/**\n!foo/three.mkv\n"},
    "contents at any depth, a directory taken back": {"": "foo/**\n!foo/bar/\n"},
    "contents at any depth, anchored": {"": "/sub/**\n!/sub/a.mkv\n"},
    "deeper overrides": {"": "*.mkv\n", "sub": "!a.mkv\n", "sub/deep": "a.mkv\n"},
    "deeper takes a directory back": {"": "build/\n", "sub": "!build/\n"},
    "deeper ignores all": {"sub": "*\n"},
    "stars": {"": "sub/**/a.mkv\n"},
    "middle slash anchors": {"": "deep/a.mkv\nsub/b.mkv\n"},
    "escapes": {"": "\\#hash.mkv\n\\!bang.mkv\ntrail\\ .mkv\n"},
    "comment and blank": {"": "#hash.mkv\n\n   \nb.mkv  \n"},
    "brackets": {"": "odd \\[x\\]/\n[ab].mkv\n"},
    "not ASCII": {"": "caf*/\n"},
    "carriage return": {"": "a.mkv\r\n"},
}


@pytest.mark.skipif(not shutil.which("git"), reason="git is the judge here")
@pytest.mark.parametrize("rules", _RULES.values(), ids=_RULES.keys())
def test_ignores_exactly_what_git_ignores(tmp_path: Path, rules: dict[str, str]) -> None:
    root = make_tree(tmp_path / "library", *_TREE)
    judge = make_tree(tmp_path / "git", *_TREE)
    for directory, text in rules.items():
        (root / directory / ".ignore").write_text(text)
        (judge / directory / ".gitignore").write_text(text.replace("\r", ""))
    subprocess.run(["git", "init", "-q"], cwd=judge, check=True)
    command = ["git", "ls-files", "-z", "--others", "--exclude-per-directory=.gitignore", "*.mkv"]
    kept = subprocess.run(command, cwd=judge, check=True, capture_output=True).stdout
    assert walk(root).names == {paths.from_bytes(name) for name in kept.split(b"\0") if name}


def test_scanignore_counts_too_and_its_bytes_need_not_be_utf8(tmp_path: Path) -> None:
    make_tree(tmp_path, "a.mkv", "b.mkv")
    touch(Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.mkv")))
    (tmp_path / ".scanignore").write_bytes(b"caf\xe9.mkv\na.mkv\n")
    assert Local(tmp_path).names() == ["b.mkv"]


def test_malformed_lines_match_nothing_and_the_others_count(tmp_path: Path) -> None:
    make_tree(tmp_path, "a.mkv", "b.mkv")
    (tmp_path / ".ignore").write_text("!\n[z-a]\n\\\n[[:alpha:]\na.mkv\n")
    assert Local(tmp_path).names() == ["b.mkv"]


def test_at_most_a_mebibyte_is_read(tmp_path: Path) -> None:
    make_tree(tmp_path, "a.mkv", "b.mkv")
    (tmp_path / ".ignore").write_bytes(b"a.mkv\n" + b"#" * (1 << 20) + b"\nb.mkv\n")
    assert Local(tmp_path).names() == ["b.mkv"]


def test_names_with_newlines_are_matched_whole(tmp_path: Path) -> None:
    make_tree(tmp_path, "new\nline/foo.mkv", "bar\n.mkv", "a.mkv\n")
    (tmp_path / ".ignore").write_text("foo.mkv\nbar?.mkv\n*.mkv\n")
    assert walk(tmp_path).names == {"a.mkv\n"}


def test_rules_of_ancestors_hold_after_a_resume(tmp_path: Path) -> None:
    make_tree(tmp_path, "a/b/c/x.mkv", "a/b/c/y.mkv", "a/b/c/z.mkv")
    (tmp_path / ".ignore").write_text("x.mkv\n")
    (tmp_path / "a/b/.ignore").write_text("y.mkv\n")
    assert Local(tmp_path).names("a/b/c") == ["z.mkv"]  # its ancestors were listed by nobody


def test_rules_are_seen_in_a_directory_read_in_several_pieces(tmp_path: Path) -> None:
    make_tree(tmp_path, *(f"{number:04}.mkv" for number in range(700)))
    (tmp_path / ".ignore").write_text("0[1-9]*.mkv\n")
    assert Local(tmp_path).names() == [f"{number:04}.mkv" for number in range(100)]


@pytest.mark.parametrize("kind", ["fifo", "directory", "link", "dangling"])
def test_an_ignore_file_that_is_no_regular_file_holds_no_rules(tmp_path: Path, kind: str) -> None:
    make_tree(tmp_path, "a.mkv", "rules")
    place = tmp_path / ".ignore"
    if kind == "fifo":
        os.mkfifo(place)
    elif kind == "directory":
        place.mkdir()
    else:
        (tmp_path / "rules").write_text("a.mkv\n")
        place.symlink_to("rules" if kind == "link" else "nowhere")
    listing = Local(tmp_path).listing()
    assert [entry[0] for entry in listing.files] == ["a.mkv", "rules"]
    assert (listing.status, listing.problems) == ("ok", [])


def test_verify_tells_ignored_files_from_members(tmp_path: Path) -> None:
    make_tree(tmp_path, "a/x.mkv", "a/y.mkv", "b/y.mkv")
    (tmp_path / ".ignore").write_text("x.mkv\nb/\n")
    local = Local(tmp_path)
    statuses = [
        local.verifier.verify(VerifyRequest(1, path)).status for path in ("a/x.mkv", "a/y.mkv", "b/y.mkv", "b")
    ]
    assert statuses == ["excluded", "present", "excluded", "excluded"]
