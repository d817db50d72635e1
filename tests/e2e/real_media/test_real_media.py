"""Real media no one here wrote: the probe's word against ffprobe's, file by file.

`disagreements.toml` lists where they differ and why. It was made with the versions that it names: with others
only the share of disagreements is held to its bound (of the full form's files: the short form's are chosen for
being small, not for being usual).
"""

import functools
import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import platformdirs
import pytest

from tests.e2e.real_media import verdicts
from tests.support import real_media
from tests.support.stage import FULL

_LIST = Path(__file__).with_name("disagreements.toml")
_MOST_DISAGREEMENTS = 0.02
_FEWEST_FILES = 1_000 if FULL else 300


def _gone_without(reason: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI needs it: {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="module")
def folder() -> Path:
    """The fetched media; the full form's is kept between runs."""
    if shutil.which("ffprobe") is None:
        _gone_without("ffprobe is not installed (apt-get install ffmpeg)")
    place = Path(platformdirs.user_cache_dir("scanner-tests")) / ("media-full" if FULL else "media-short")
    try:
        real_media.fetch(place, short=not FULL)
    except real_media.FetchFailed as failed:
        _gone_without(f"media cannot be fetched here: {failed}")
    return place


@pytest.fixture(scope="module")
def files(folder: Path) -> list[Path]:
    return real_media.media_files(folder)


@pytest.fixture(scope="module")
def found(folder: Path, files: list[Path]) -> dict[str, set[str]]:
    """What differs, by path below the folder, of the files of which something does."""
    pairs = zip(verdicts.by_probe(files), verdicts.by_ffprobe(files), strict=True)
    compared = {
        str(path.relative_to(folder)): verdicts.differences(ours, theirs)
        for path, (ours, theirs) in zip(files, pairs, strict=True)
    }
    return {path: differing for path, differing in compared.items() if differing}


def _listed() -> Iterator[tuple[str, str]]:
    for entry in _document()["disagreement"]:
        assert entry["why"].strip(), f"not explained: {entry}"
        yield from ((path, about) for path in entry["files"] for about in entry["about"])


@functools.cache
def _document() -> dict[str, Any]:
    return tomllib.loads(_LIST.read_text())


def _versions() -> dict[str, str]:
    said = subprocess.run(["ffprobe", "-version"], capture_output=True, text=True, check=True).stdout
    ffprobe = re.search(r"version (\d+\.\d+)", said)
    return {
        "ffprobe": ffprobe[1] if ffprobe else "?",
        "ffmpeg_in_pyav": ".".join(av.ffmpeg_version_info.split(".")[:2]),
    }


@pytest.mark.long
def test_probe_agrees_with_ffprobe_on_98_of_100_real_files(
    files: list[Path], found: dict[str, set[str]]
) -> None:
    assert len(found) <= _MOST_DISAGREEMENTS * len(files), f"{len(found)} of {len(files)}: {found}"


def test_every_disagreement_with_ffprobe_is_listed_and_explained(
    files: list[Path], folder: Path, found: dict[str, set[str]]
) -> None:
    assert len(files) >= _FEWEST_FILES
    made_with = _document()["versions"]
    if made_with != _versions():
        pytest.skip(f"the list was made with {made_with}, here are {_versions()}")
    present = {str(path.relative_to(folder)) for path in files}
    listed = {pair for pair in _listed() if pair[0] in present}
    differing = {(path, about) for path, abouts in found.items() for about in abouts}
    assert differing - listed == set(), "not listed"
    assert listed - differing == set(), "listed, but they agree now"


def test_list_names_no_file_that_does_not_exist(files: list[Path], folder: Path) -> None:
    packages = {path.relative_to(folder).parts[0] for path in files}
    present = {str(path.relative_to(folder)) for path in files}
    missing = {path for path, _ in _listed() if path.partition("/")[0] in packages and path not in present}
    assert missing == set()
