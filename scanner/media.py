"""What a file is by its name: the explicit extension table by kind, and the names of partial downloads.

Pure, standard library only (the walker process imports this module).
"""

import enum

_VIDEO = (
    "3g2 3gp amv asf avi divx dv f4v flv h264 h265 hevc iso ivf m1v m2p m2t m2ts m2v m4v mj2 mjpeg mjpg mk3d "
    "mkv mov mp4 mpe mpeg mpg mpv mts mxf nsv nut ogm ogv ogx qt rm rmvb roq svi ts vob vro webm wmv wtv xvid "
    "y4m yuv"
)
_AUDIO = (
    "aa aac aax ac3 ac4 adts aif aifc aiff alac amr ape au awb caf dff dsf dts dtshd eac3 flac gsm it m4a m4b "
    "m4p m4r mid midi mka mlp mod mp1 mp2 mp3 mpa mpc mpga oga ogg opus ra s3m shn snd spx tak thd truehd tta "
    "voc w64 wav wma wv xm"
)
_IMAGE = (
    "arw avif bmp cr2 cr3 dds dib dng emf exr gif hdr heic heif ico j2k jfif jp2 jpe jpeg jpf jpg jpx jxl nef "
    "orf pbm pcx pef pgm png pnm ppm psd raf raw rw2 sgi srw svg tga tif tiff webp wmf xbm xcf xpm"
)
_SUBTITLE = "ass cap dfxp idx itt jss lrc mks mpl2 pjs rt sbv scc smi smil srt ssa stl sub sup ttml usf vtt"

_PARTIAL_SUFFIXES = (
    ".part", ".partial", ".crdownload", ".!qb", ".!ut", ".!bt", ".bc!", ".tmp", ".temp", ".download",
    ".opdownload", ".filepart", ".aria2", ".unfinished", ".incomplete", ".dtapart", ".ytdl",
)  # fmt: skip


class Kind(enum.IntEnum):
    """What a file holds, by its extension; the numbers are stored in the catalog and never change."""

    OTHER = 0
    VIDEO = 1
    AUDIO = 2
    IMAGE = 3
    SUBTITLE = 4

    @property
    def label(self) -> str:
        """The word used on the command line and in messages."""
        return self.name.lower()


KIND_BY_EXTENSION: dict[str, Kind] = {
    extension: kind
    for kind, extensions in (
        (Kind.VIDEO, _VIDEO),
        (Kind.AUDIO, _AUDIO),
        (Kind.IMAGE, _IMAGE),
        (Kind.SUBTITLE, _SUBTITLE),
    )
    for extension in extensions.split()
}

MEDIA_KINDS = frozenset({Kind.VIDEO, Kind.AUDIO, Kind.IMAGE, Kind.SUBTITLE})


def kind_of(name: str) -> Kind:
    """Return the kind of a file by its name's extension, whatever its case."""
    stem, dot, extension = name.rpartition(".")
    return KIND_BY_EXTENSION.get(extension.lower(), Kind.OTHER) if dot and stem else Kind.OTHER


def is_partial(name: str) -> bool:
    """Tell whether the name is one that downloaders and copiers give to a file not yet whole."""
    return name.lower().endswith(_PARTIAL_SUFFIXES)


def is_wanted(name: str, kinds: frozenset[Kind]) -> bool:
    """Tell whether a file of that name is looked at; with every kind (`all`) whatever its name."""
    return len(kinds) == len(Kind) or (kind_of(name) in kinds and not is_partial(name))


def parse_kinds(words: str) -> frozenset[Kind]:
    """Return the kinds named by a comma-separated list; `all` means every kind, OTHER included.

    Raises:
        ValueError: a word names no kind; the text lists those that exist.
    """
    names = {word.strip().lower() for word in words.split(",") if word.strip()}
    if names == {"all"}:
        return frozenset(Kind)
    by_label = {kind.label: kind for kind in Kind}
    unknown = sorted(names - by_label.keys())
    if unknown or not names:
        known = ", ".join(sorted(by_label))
        raise ValueError(f"kinds {words!r}: {', '.join(unknown) or 'nothing'} is not one of {known} or all")
    return frozenset(by_label[name] for name in names)
