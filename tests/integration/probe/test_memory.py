"""What a probe process needs does not grow with the file."""

from pathlib import Path

import pytest

from scanner.probe.pool import Pool
from tests.integration.probe.harness import Probing, look, result
from tests.support.media import GIB, MediaFolder


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
