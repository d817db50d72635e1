"""Searching: every filter, in every case, without holding everything."""

from collections.abc import Generator
from typing import Any

import pytest
from sqlalchemy import text

from scanner.catalog import search
from scanner.catalog.engine import Database
from scanner.catalog.search import Filter
from scanner.catalog.tables import FileState
from scanner.media import Kind
from scanner.message import Media, Name, Stream
from tests.unit.catalog.stock import Stock, failed, ok


@pytest.fixture
def stock(database: Database) -> Stock:
    """Two films, a song, a subtitle without a result, one that failed and one that was deleted."""
    stock = Stock(database)
    names = ("Heat (1995)/heat.mkv", "Amélie/AMÉLIE_100%.mkv", "song.mp3", "Heat (1995)/heat.en.srt", "bad.mkv")
    film, french, song, _, bad = [stock.add(name) for name in names]
    stock.add("Heat (1995)/old.mkv", FileState.MISSING)
    large = Media("mp4", 600.0, streams=[Stream("video", "av1", width=3840, height=2160)])
    small = Media("mp3", 180.0, streams=[Stream("audio", "mp3", language="fre")])
    stock.apply(
        stock.batch(
            "ok", ok(film, name=Name(title="Heat", year=1995)), ok(french, media=large), ok(song, media=small)
        ),
        stock.batch("failed", failed(bad, text="moov atom missing")),
    )
    return stock


ALL = {"Heat (1995)/heat.mkv", "Amélie/AMÉLIE_100%.mkv", "song.mp3", "Heat (1995)/heat.en.srt", "bad.mkv"}


def paths(stock: Stock, **wanted: Any) -> set[str]:
    found = [row.path for row in search.files(stock.database, Filter(**wanted))]
    assert len(found) == len(set(found))
    return set(found)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, ALL),
        ({"library": "films"}, ALL),
        ({"library": "other"}, set()),
        ({"kind": Kind.AUDIO}, {"song.mp3"}),
        ({"kind": Kind.SUBTITLE}, {"Heat (1995)/heat.en.srt"}),
        ({"state": FileState.OK}, {"Heat (1995)/heat.mkv", "Amélie/AMÉLIE_100%.mkv", "song.mp3"}),
        ({"state": FileState.FAILED}, {"bad.mkv"}),
        ({"state": FileState.MISSING}, {"Heat (1995)/old.mkv"}),
        ({"error_kind": "corrupt"}, {"bad.mkv"}),
        ({"error_kind": "io"}, set()),
        ({"codec": "hevc"}, {"Heat (1995)/heat.mkv"}),
        ({"codec": "mp3"}, {"song.mp3"}),
        ({"container": "mp4"}, {"Amélie/AMÉLIE_100%.mkv"}),
        ({"language": "fre"}, {"song.mp3"}),
        ({"min_height": 801}, {"Amélie/AMÉLIE_100%.mkv"}),
        ({"max_height": 800}, {"Heat (1995)/heat.mkv"}),
        ({"min_duration_s": 600.0, "max_duration_s": 600.0}, {"Amélie/AMÉLIE_100%.mkv"}),
        ({"text": "HEAT.MKV"}, {"Heat (1995)/heat.mkv"}),
        ({"text": "heat"}, {"Heat (1995)/heat.mkv", "Heat (1995)/heat.en.srt"}),
        ({"text": "5)/h"}, {"Heat (1995)/heat.mkv", "Heat (1995)/heat.en.srt"}),
        ({"text": "100%"}, {"Amélie/AMÉLIE_100%.mkv"}),
        ({"text": "e_1"}, {"Amélie/AMÉLIE_100%.mkv"}),
        ({"text": "h_at"}, set()),
        ({"text": "\\"}, set()),
        ({"path": "Heat (1995)"}, {"Heat (1995)/heat.mkv", "Heat (1995)/heat.en.srt"}),
        ({"path": "Heat (1995)/heat.mkv"}, {"Heat (1995)/heat.mkv"}),
        ({"path": "song.mp3"}, {"song.mp3"}),
        ({"path": "Heat"}, set()),
        ({"path": ""}, ALL),
        ({"path": "/"}, ALL),
        (
            {"kind": Kind.VIDEO, "text": "a", "min_height": 100},
            {"Heat (1995)/heat.mkv", "Amélie/AMÉLIE_100%.mkv"},
        ),
    ],
)
def test_a_filter_finds_what_it_says(stock: Stock, wanted: dict[str, Any], expected: set[str]) -> None:
    assert paths(stock, **wanted) == expected


def test_text_beyond_ascii_is_found_in_any_case(stock: Stock) -> None:
    with stock.database.read() as connection:
        folds = connection.dialect.name == "sqlite" or connection.scalar(text("SELECT lower('É') = 'é'"))
    if not folds:
        pytest.skip("this PostgreSQL was made with a locale that knows ASCII only")
    assert paths(stock, text="AMÉLIE_1") == paths(stock, text="amélie_1") == {"Amélie/AMÉLIE_100%.mkv"}


def test_text_is_looked_for_in_the_title_too(stock: Stock) -> None:
    song = next(search.files(stock.database, Filter(kind=Kind.AUDIO)))
    with stock.database.write() as connection:
        connection.execute(
            text("UPDATE media SET title = 'Ne me quitte pas' WHERE file_id = :id"), {"id": song.id}
        )
    assert paths(stock, text="QUITTE") == {"song.mp3"}


def test_a_file_comes_with_all_that_is_known_of_it(stock: Stock) -> None:
    (found,) = search.files(stock.database, Filter(path="Heat (1995)/heat.mkv"))
    assert found._asdict() == {
        **dict.fromkeys(search.FoundFile._fields),
        "id": found.id,
        "library": "films",
        "path": "Heat (1995)/heat.mkv",
        "kind": "video",
        "state": "ok",
        "size": 10,
        "mtime_ns": 5,
        "revision": 1,
        "content": 1,
        "attempts": 0,
        "container": "matroska",
        "duration_s": 7200.0,
        "bit_rate": 5_000_000,
        "width": 1920,
        "height": 800,
        "video_codec": "hevc",
        "audio_codec": "aac",
        "language": "eng",
        "title": "Heat",
        "year": 1995,
    }
    (bad,) = search.files(stock.database, Filter(path="bad.mkv"))
    assert (bad.error_kind, bad.error, bad.container) == ("corrupt", "moov atom missing", None)
    assert list(search.files(stock.database, Filter(id=bad.id))) == [bad]


def test_what_was_found_in_an_older_content_is_not_shown(stock: Stock) -> None:
    with stock.database.write() as connection:
        connection.execute(text("UPDATE files SET content = 2, state = 1 WHERE name = 'heat.mkv'"))
    (found,) = search.files(stock.database, Filter(path="Heat (1995)/heat.mkv"))
    assert (found.state, found.container, found.title) == ("queued", None, None)
    assert paths(stock, codec="hevc") == set()


def test_pages_follow_one_another_whatever_is_added_between_them(stock: Stock) -> None:
    seen: list[str] = []
    after = 0
    while page := list(search.files(stock.database, after=after, limit=2)):
        assert len(page) <= 2
        seen += [row.path for row in page]
        after = page[-1].id
        if len(seen) < 7:
            stock.add(f"late{len(seen)}.mkv")
    assert set(seen) > ALL
    assert len(seen) == len(set(seen))


def test_a_sidecar_belongs_to_the_video_with_the_longest_stem_of_its_own(database: Database) -> None:
    stock = Stock(database)
    names = (
        "a.mkv",
        "a.de.mkv",
        "a.srt",
        "a.de.srt",
        "a.de.forced.srt",
        "a-poster.jpg",
        "b.srt",
        "a.nfo",
        "a.mp3",
    )
    ids = {name: stock.add(f"x/{name}") for name in names}
    stock.add("y/a.en.srt")
    stock.add("x/a.fr.srt", FileState.MISSING)

    def beside(name: str) -> list[str]:
        return [row.path.removeprefix("x/") for row in search.sidecars(stock.database, ids[name])]

    assert beside("a.mkv") == ["a.srt", "a-poster.jpg", "a.nfo"]
    assert beside("a.de.mkv") == ["a.de.srt", "a.de.forced.srt"]
    assert beside("a.srt") == beside("b.srt") == []


def test_who_stops_early_leaves_nothing_open(stock: Stock) -> None:
    rows = search.files(stock.database)
    assert isinstance(rows, Generator)
    assert next(rows).path in ALL
    rows.close()
    with stock.database.write() as connection:  # an open cursor would be heard of when it is collected, too
        connection.execute(text("DELETE FROM files"))
    assert paths(stock) == set()
