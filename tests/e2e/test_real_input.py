"""What an independent consumer finds in the queue is what `find` lists: every path by its bytes, each once."""

from pathlib import Path

import pytest

from tests.support import trees
from tests.support.consumer import tasks_of
from tests.support.stage import Stage, assert_all_handed_over, assert_same, size

MEDIA = (".mkv", ".mp4", ".avi", ".ts", ".m2ts", ".vob", ".divx", ".mp3", ".flac", ".opus", ".ogg")
OTHER_MEDIA = (".jpg", ".png", ".webp", ".srt", ".ass", ".sub")
FILES = size(20_000, 100_000)


@pytest.mark.timeout(600)
def test_every_file_of_a_real_system_is_handed_over_once(stage: Stage) -> None:
    root = Path("/usr")
    before = trees.find_files(root)
    result = stage.run("run", root, "--kinds", "all", "--settle", "0")
    handed = stage.handed_over()
    assert trees.find_files(root) == before, "/usr changed meanwhile: the comparison means nothing"
    assert_same(handed, before)
    assert (result["state"], result["files"], result["tasks"]) == ("completed", len(before), len(before))
    assert result["outbox_messages"] == 0


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library of varied names and sizes."""
    root = tmp_path_factory.mktemp("real") / "library"
    trees.make_library(root, FILES, seed=7)
    return root


def test_every_media_file_of_a_varied_library_is_handed_over_once(stage: Stage, library: Path) -> None:
    expected = trees.find_files(library, suffixes=(*MEDIA, *OTHER_MEDIA))
    result = stage.run("run", library)
    assert assert_all_handed_over(stage.drain(), expected) == 0
    assert result["added"] == result["files"] == len(expected) > FILES // 2


def test_every_file_of_a_varied_library_is_handed_over_once(any_stage: Stage, library: Path) -> None:
    expected = trees.find_files(library)
    result = any_stage.run("run", library, "--kinds", "all")
    messages = any_stage.drain()
    assert assert_all_handed_over(messages, expected) == 0
    assert len(messages) == result["messages"]
    assert len({task.file for task in tasks_of(messages)}) == result["tasks"] == len(expected)
    assert {message.delivery_mode for message in messages} == {2}
