"""What the probe and what ffprobe say of the same file, in the same words, and where they differ."""

import json
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_FFPROBE = ("ffprobe", "-v", "quiet", "-print_format", "json", "-show_format", "-show_streams")
_TIMEOUT_S = 120

_IMAGE_CODECS = {
    "jpeg": {"mjpeg"},
    "mpo": {"mjpeg"},
    "png": {"png", "apng"},
    "ppm": {"ppm", "pgm", "pbm", "pgmyuv", "pam", "pfm", "phm"},
    "dib": {"bmp"},
    "ico": {"bmp", "png"},
    "tga": {"targa"},
    "sun": {"sunrast"},
    "avif": {"av1"},
    "heif": {"hevc"},
}
"""Image formats whose name is not that of FFmpeg's codec."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a prober says of a file: `formats` are the names it has for the container, none where it refuses."""

    formats: frozenset[str] = frozenset()
    duration_s: float | None = None
    codecs: tuple[str | None, ...] = ()
    is_image: bool = False
    is_unread: bool = False
    error: str = ""


def by_probe(files: Sequence[Path]) -> list[Verdict]:
    """Return what `scanner.probe.look` says, all in one process, which none of the files may take down."""
    command = [sys.executable, "-m", "tests.e2e.real_media.looking"]
    paths = "\0".join(str(path) for path in files)
    asked = subprocess.run(command, input=paths.encode(), capture_output=True, check=False, timeout=600)
    assert asked.returncode == 0, f"the probing process died: {asked.stderr.decode()[-2000:]}"
    assert asked.stderr == b"", f"something was written to stderr: {asked.stderr.decode()[-2000:]}"
    return [_of_probe(json.loads(line)) for line in asked.stdout.splitlines()]


def by_ffprobe(files: Sequence[Path]) -> list[Verdict]:
    """Return what ffprobe says."""
    with ThreadPoolExecutor(2) as threads:
        return list(threads.map(_ask_ffprobe, files))


def _of_probe(media: dict[str, Any]) -> Verdict:
    if "error" in media:
        return Verdict(error=media["error"])
    container = str(media.get("container"))
    streams = media.get("streams", [])
    if streams:
        codecs = tuple(stream.get("codec") for stream in streams)
        return Verdict(frozenset({container}), media.get("duration_s"), codecs)
    return Verdict(frozenset(_IMAGE_CODECS.get(container, {container})), is_image=True)


def _ask_ffprobe(path: Path) -> Verdict:
    said = subprocess.run(
        [*_FFPROBE, f"file:{path}"], capture_output=True, check=False, timeout=_TIMEOUT_S
    ).stdout
    found = json.loads(said or b"{}")
    streams = found.get("streams", [])
    if not streams:
        return Verdict(error="refused")
    names = {name.removesuffix("_pipe") for name in found["format"]["format_name"].split(",")}
    duration = found["format"].get("duration")
    codecs = tuple(stream.get("codec_name") for stream in streams)
    is_unread = all(stream.get("width") == 0 for stream in streams)
    return Verdict(frozenset(names), float(duration) if duration else None, codecs, is_unread=is_unread)


def differences(ours: Verdict, theirs: Verdict) -> set[str]:
    """Return in what two verdicts on a file differ: verdict, container, duration (by 1 %), streams, codecs.

    A picture of 0x0 is one that ffprobe named by its extension or first bytes and could not read: that agrees
    with a probe that could, and with one that calls it corrupt.
    """
    if theirs.is_unread:
        return set()
    if bool(ours.formats) != bool(theirs.formats):
        return {"verdict"}
    if ours.is_image:
        # An image has no streams for us and one for ffprobe, whose codec is the format.
        return set() if ours.formats & {*theirs.codecs, *theirs.formats} else {"container"}
    found = set()
    if not ours.formats & theirs.formats and ours.formats != theirs.formats:
        found.add("container")
    if not _is_close(ours.duration_s, theirs.duration_s):
        found.add("duration")
    if len(ours.codecs) != len(theirs.codecs):
        found.add("streams")
    elif ours.codecs != theirs.codecs:
        found.add("codecs")
    return found


def _is_close(ours_s: float | None, theirs_s: float | None) -> bool:
    if not ours_s or not theirs_s:
        return not ours_s and not theirs_s
    return abs(ours_s - theirs_s) <= 0.01 * theirs_s
