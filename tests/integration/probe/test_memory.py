"""What a probe process needs does not grow with the file."""

import os
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from scanner.probe.pool import Pool
from tests.integration.probe.harness import Probing, look, result
from tests.support.media import GIB, MediaFolder

ATTACHED_BYTES = 90 << 20


@pytest.mark.parametrize("name", ["film.mkv", "film.mp4"])
def test_five_gigabytes_take_the_memory_of_a_small_file(
    probing: Probing, media: MediaFolder, name: str
) -> None:
    small = media.copy(name, probing.folder / f"small-{name}", 1)
    large = media.huge(probing.folder / f"large-{name}")
    assert large.stat().st_size == 5 * GIB
    peaks = [_peak(probing, path) for path in (small, large)]
    assert peaks[1] < peaks[0] * 1.1, peaks


def _peak(probing: Probing, path: Path) -> int:
    """Return the most memory that a process of its own had resident for a file."""
    peaks: list[int] = []

    async def scenario(pool: Pool) -> None:
        (verdict,) = await look(pool, [probing.job(path)])
        assert verdict.status == "ok", verdict.text
        media = result(verdict).media
        assert media is not None
        assert media.streams
        peaks.extend(one.memory_peak_bytes() for one in probing.processes())

    probing.run(scenario, handlers=("probe",), processes=1)
    assert len(peaks) == 1
    return peaks[0]


def test_large_pictures_films_and_attachments_fit_into_what_a_process_may_have(
    probing: Probing, media: MediaFolder
) -> None:
    film = probing.folder / "8k.mkv"
    _ffmpeg(
        *("-f", "lavfi", "-i", "color=size=7680x4320:duration=0.08"),
        *("-c:v", "libx264", "-preset", "ultrafast"),
        film,
    )
    picture = probing.folder / "20k.png"
    Image.new("1", (20_000, 20_000)).save(picture, compress_level=1)
    attached = _with_attachment(media, probing.folder, ATTACHED_BYTES)

    async def scenario(pool: Pool) -> None:
        jobs = [probing.job(film), probing.job(picture, kind="image"), probing.job(attached)]
        verdicts = await look(pool, jobs)
        assert [verdict.status for verdict in verdicts] == ["ok"] * 3, verdicts
        found = [result(verdict).media for verdict in verdicts]
        assert found[0] is not None
        assert (found[0].streams[0].width, found[0].streams[0].height) == (7680, 4320)
        assert found[1] is not None
        assert (found[1].width, found[1].height) == (20_000, 20_000)
        assert found[2] is not None
        assert found[2].streams[-1].type == "attachment"

    probing.run(scenario, handlers=("probe",), processes=1)


def test_what_needs_more_than_that_is_crashed_and_names_the_setting(
    probing: Probing, media: MediaFolder
) -> None:
    attached = _with_attachment(media, probing.folder, ATTACHED_BYTES)
    small = media.copy("film.mkv", probing.folder / "small.mkv", 1)

    async def scenario(pool: Pool) -> None:
        large, other = await look(pool, [probing.job(attached), probing.job(small)])
        assert (large.error_kind, other.status) == ("crashed", "ok")
        assert "(256 MiB, `probe_memory_mib`)" in large.text

    probing.run(scenario, handlers=("probe",), processes=1, memory_mib=256)


def _with_attachment(media: MediaFolder, folder: Path, size_bytes: int) -> Path:
    font, film = folder / "font.ttf", folder / "attached.mkv"
    font.touch()
    os.truncate(font, size_bytes)
    streams = ("-map", "0:v:0", "-map", "0:a:0", "-c", "copy")
    _ffmpeg("-i", media["film.mkv"], *streams, "-attach", font, "-metadata:s:t:0", "mimetype=font/ttf", film)
    return film


def _ffmpeg(*arguments: str | Path) -> None:
    subprocess.run(["ffmpeg", "-v", "error", *arguments], check=True)
