"""What a probe found in a file and read from its name: the shapes inside a result.

Times are seconds, sizes bytes, rates a second. A field that is not known is left out of the message. Numbers
are finite; texts are valid Unicode of bounded length, whatever the file held.
"""

import msgspec


class Stream(msgspec.Struct, omit_defaults=True):
    """One stream of a container.

    `type` is video, audio, subtitle, data or attachment; `codec` FFmpeg's canonical name of the codec; `hdr` is
    HDR10, HLG, "Dolby Vision" and so on; `language` as the file has it, mostly ISO 639-2. A picture such as a
    cover is a video stream with `picture` true. `hearing_impaired` marks subtitles that tell of sounds, too.
    """

    type: str
    codec: str | None = None
    profile: str | None = None
    bit_rate: int | None = None
    duration_s: float | None = None
    width: int | None = None
    height: int | None = None
    frame_rate: float | None = None
    pixel_format: str | None = None
    hdr: str | None = None
    channels: int | None = None
    sample_rate: int | None = None
    language: str | None = None
    title: str | None = None
    default: bool = False
    forced: bool = False
    hearing_impaired: bool = False
    picture: bool = False


class Chapter(msgspec.Struct, omit_defaults=True):
    """A chapter: where it begins and ends, and its title."""

    start_s: float
    end_s: float | None = None
    title: str | None = None


class Media(msgspec.Struct, omit_defaults=True):
    """What a file holds: a container with streams, an image (`width`, `height`) or a subtitle (`language`).

    `container` is the format's short name: matroska, mp4, mp3, jpeg, png, srt. `taken_at` is an image's EXIF
    date, ISO 8601 without a zone unless the file names one.
    """

    container: str | None = None
    duration_s: float | None = None
    bit_rate: int | None = None
    width: int | None = None
    height: int | None = None
    taken_at: str | None = None
    language: str | None = None
    streams: list[Stream] = []
    chapters: list[Chapter] = []
    tags: dict[str, str] = {}


class Name(msgspec.Struct, omit_defaults=True):
    """What a file's name and folders say.

    `type` is movie, episode or none of them; `episodes` lists the numbers when one file holds several. `extra`
    is trailer, sample, featurette, "behind the scenes", "deleted scene", interview, scene, short, clip, theme,
    backdrop or other, and title, year and season are then those of the work it belongs to. `date` is ISO 8601:
    when a daily show was aired, when a camera filmed. `language` is a subtitle's, ISO 639-2 (eng, ger).
    `release` holds what else was recognised (source, screen_size, codecs, release_group), in guessit's words.
    `sidecar_of` is the name, without extension, that a file beside a video shares with it; empty for what
    belongs to its whole folder (`poster.jpg`).
    """

    title: str | None = None
    type: str | None = None
    year: int | None = None
    season: int | None = None
    episode: int | None = None
    episodes: list[int] = []
    episode_title: str | None = None
    date: str | None = None
    language: str | None = None
    extra: str | None = None
    sidecar_of: str | None = None
    release: dict[str, str] = {}
