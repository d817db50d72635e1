"""Holdings: figures that add up."""

import pytest

from scanner.catalog.engine import Database
from scanner.catalog.holdings import FailureSummary, Held, Holdings, holdings
from scanner.catalog.tables import FileState
from scanner.message import Media, Stream
from tests.unit.catalog.stock import Stock, failed, ok


@pytest.fixture
def stock(database: Database) -> Stock:
    return Stock(database)


def video(codec: str, width: int, height: int, hours: float = 1.0, audio: str = "aac") -> Media:
    streams = [Stream("video", codec, width=width, height=height), Stream("audio", audio)]
    return Media("matroska", hours * 3600, streams=streams)


def test_a_library_is_told_in_figures(stock: Stock) -> None:
    Stock(stock.database, "other").add("elsewhere.mkv")
    stock.add("deleted.mkv", FileState.MISSING)
    found = {
        "film.mkv": video("hevc", 1920, 800, 2.0),
        "show.mkv": video("h264", 1280, 720),
        "more.mkv": video("h264", 1280, 720),
        "song.mp3": Media("mp3", 360.0, streams=[Stream("audio", "mp3")]),
        "cover.jpg": Media("jpeg", width=600, height=600),
    }
    stock.apply(stock.batch("ok", *(ok(stock.add(name), media=media) for name, media in found.items())))
    bad = [stock.add(f"bad/{number}.mkv") for number in range(5)]
    stock.apply(stock.batch("failed", *map(failed, bad), failed(stock.add("slow.mkv"), "timeout")))
    stock.add("waiting.srt")
    assert holdings(stock.database, stock.library) == Holdings(
        kinds={
            "video": Held(9, 90, 4.0),
            "audio": Held(1, 10, 0.1),
            "image": Held(1, 10, 0.0),
            "subtitle": Held(1, 10, 0.0),
        },
        states={"ok": 5, "failed": 5, "retrying": 1, "queued": 1},
        containers={"matroska": 3, "mp3": 1},
        video_codecs={"h264": 2, "hevc": 1},
        audio_codecs={"aac": 3, "mp3": 1},
        resolutions={"720p": 2, "1080p": 1},
        failures=(
            FailureSummary("corrupt", 5, 0, ("bad/0.mkv", "bad/1.mkv", "bad/2.mkv")),
            FailureSummary("timeout", 1, 1, ("slow.mkv",)),
        ),
    )


@pytest.mark.parametrize(
    ("width", "height", "expected"),
    [
        (7680, 4320, "4320p"),
        (3840, 1600, "2160p"),
        (2560, 1440, "1440p"),
        (1920, 1080, "1080p"),
        (1920, 800, "1080p"),
        (1440, 1080, "1080p"),
        (1280, 534, "720p"),
        (960, 720, "720p"),
        (720, 576, "SD"),
        (320, 240, "SD"),
    ],
)
def test_a_resolution_is_judged_by_width_or_height(
    stock: Stock, width: int, height: int, expected: str
) -> None:
    stock.apply(stock.batch("ok", ok(stock.add("x.mkv"), media=video("h264", width, height))))
    assert holdings(stock.database, stock.library).resolutions == {expected: 1}


def test_an_empty_library_holds_nothing(stock: Stock) -> None:
    assert holdings(stock.database, stock.library) == Holdings()
