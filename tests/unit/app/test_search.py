"""What is asked for in words: what each word means; one without meaning is refused with its option."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from scanner.app.search import Wanted, filter_of
from scanner.catalog import libraries
from scanner.catalog.engine import Database
from scanner.catalog.schema import open_database
from scanner.catalog.search import Filter
from scanner.catalog.tables import FileState
from scanner.errors import UsageError
from scanner.media import Kind


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    folder = tmp_path_factory.mktemp("catalog")
    with open_database(f"sqlite:///{folder / 'catalog.db'}") as opened:
        libraries.add_library(opened, "/srv/films", "films")
        yield opened


@pytest.mark.parametrize(
    ("words", "low", "high"),
    [("2160", 2160, None), ("720-", 720, None), ("720-1080", 720, 1080), ("-480", None, 480), ("7 - 8", 7, 8)],
)
def test_range_of_heights(database: Database, words: str, low: int | None, high: int | None) -> None:
    asked = filter_of(database, Wanted(height=words))
    assert (asked.min_height, asked.max_height) == (low, high)


@pytest.mark.parametrize(
    ("words", "low", "high"),
    [
        ("90m", 5_400, None),
        ("1h30m-2h", 5_400, 7_200),
        ("-30s", None, 30),
        ("1.5", 1.5, None),
        ("1h0m5s-", 3_605, None),
    ],
)
def test_range_of_durations(database: Database, words: str, low: float | None, high: float | None) -> None:
    asked = filter_of(database, Wanted(duration=words))
    assert (asked.min_duration_s, asked.max_duration_s) == (low, high)


def test_words_become_values(database: Database) -> None:
    wanted = Wanted("x", "films", "Video", "failed", "H265", "MP4", error_kind="io")
    assert filter_of(database, wanted) == Filter(
        library="films",
        kind=Kind.VIDEO,
        state=FileState.FAILED,
        codec="hevc",
        container="mp4",
        text="x",
        error_kind="io",
    )
    assert filter_of(database, Wanted()) == Filter()


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        (Wanted(height="4k"), "'4k' is no range such as 2160, 720-1080 or -480 (--height)"),
        (Wanted(height="1080-720"), "(--height)"),
        (Wanted(height=""), "(--height)"),
        (Wanted(height="-"), "(--height)"),
        (Wanted(height="1-2-3"), "(--height)"),
        (Wanted(height="9" * 10), "(--height)"),
        (Wanted(duration="long"), "(--duration)"),
        (Wanted(duration="5m3h"), "(--duration)"),
        (Wanted(kind="film"), "'film' is not a kind of file: other, video, audio, image, subtitle (--kind)"),
        (
            Wanted(state="bad\x1b"),
            r"'bad\\x1b' is not a state: new, queued, ok, failed, retrying, missing (--state)",
        ),
        (Wanted(error_kind="bad"), "is not a kind of error: corrupt, unsupported"),
        (Wanted(library="musik"), "library 'musik' does not exist: known are films"),
        (Wanted(file="9"), "'9' is neither the id nor the path of a file in the catalog"),
        (Wanted(file=""), "neither the id nor the path"),
        (Wanted(file="/"), "neither the id nor the path"),
        (Wanted(file="9" * 30), "neither the id nor the path"),
    ],
)
def test_word_without_meaning_is_refused_with_its_option(database: Database, wanted: Wanted, told: str) -> None:
    with pytest.raises(UsageError) as refused:
        filter_of(database, wanted)
    assert told in str(refused.value)


def test_nothing_is_shown_for_a_folder_without_files(database: Database, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="neither the id nor the path"):
        filter_of(database, Wanted(file=str(tmp_path)))
