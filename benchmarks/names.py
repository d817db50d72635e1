"""Read names by the cheap path, by guessit and by other parsers; print how right and how fast each is.

    python -m benchmarks.names [--cache DIR] [--misses]

The corpora: guessit's own test files (films, episodes, various: what it was tuned on, so its own figures there
are the best it can do), the test names of five other parsers that its source distribution carries along, and
tidy libraries made here after the usual naming schemes. pip fetches guessit's source distribution and the
other parsers into DIR; nothing of them is kept in the repository. A title counts as right if its letters and
digits are; a field that a corpus doesn't name isn't counted. CPU time, one process, warm.
"""

import argparse
import importlib
import json
import re
import subprocess
import sys
import tarfile
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from scanner.media import kind_of
from scanner.message import Name
from scanner.probe.names import NameParser
from scanner.probe.names.guess import guess
from scanner.probe.names.words import key

FIELDS = ("title", "type", "year", "season", "episode")
_OWN_FILES = ("movies.yml", "episodes.yml", "various.yml")
_OTHERS = ("pyyaml", "parsett", "parse-torrent-title")

Facts = Mapping[str, Any]
Reader = Callable[[str], Facts]


@dataclass(slots=True)
class Score:
    """One parser on one corpus: right and asked by field, CPU seconds, names that went to guessit."""

    names: int
    seconds: float = 0.0
    guessed: int | None = None
    right: Counter[str] = field(default_factory=Counter)
    asked: Counter[str] = field(default_factory=Counter)

    def row(self, parser: str) -> str:
        """Return the figures as a table's row."""
        cells = [f"{self.right[name] / self.asked[name]:.1%}" if self.asked[name] else "" for name in FIELDS]
        each = self.seconds / self.names
        share = "" if self.guessed is None else f"{self.guessed / self.names:.0%}"
        return f"| {parser} | {' | '.join(cells)} | {each * 1e3:.2f} ms | {1 / each:,.0f} | {share} |"


def main() -> None:
    """Fetch what is missing, measure, print."""
    arguments = _arguments()
    cache: Path = arguments.cache
    corpora = {**_fetched(cache), **dict(_tidy())}
    readers = _readers()
    for corpus, entries in corpora.items():
        print(f"\n### {corpus}: {len(entries):,} names\n")
        print(f"| parser | {' | '.join(FIELDS)} | a name | names/s | to guessit |\n|{'---|' * 9}")
        for parser, reader in readers.items():
            print(_measure(reader, entries, arguments.misses).row(parser), flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(tempfile.gettempdir()) / "scanner-bench-names"
    parser.add_argument("--cache", type=Path, default=default, metavar="DIR")
    parser.add_argument(
        "--misses", action="store_true", help="print what the cheap path and fallback get wrong"
    )
    return parser.parse_args()


# The parsers: each takes a name and gives what it says in `Name`'s words.


class Cheap:
    """Our parser; `guessed` counts the names that the plain patterns left open."""

    def __init__(self, *, use_guessit: bool) -> None:
        self._use_guessit = use_guessit
        self.fresh()

    def fresh(self) -> None:
        """Forget what was read before."""
        self._parser = NameParser(use_guessit=self._use_guessit)

    @property
    def guessed(self) -> int:
        """Names that were left to guessit since `fresh`."""
        return self._parser._guess.cache_info().misses

    def __call__(self, name: str) -> Facts:
        """Return what the name says."""
        kind = kind_of(name).label
        return _facts(
            self._parser.parse(
                name if kind != "other" else f"{name}.mkv", kind if kind == "subtitle" else "video"
            )
        )


def _readers() -> dict[str, Reader]:
    ptt, ptn = importlib.import_module("PTT"), importlib.import_module("PTN")
    readers: dict[str, Reader] = {
        "cheap path, then guessit": Cheap(use_guessit=True),
        "cheap path alone": Cheap(use_guessit=False),
        f"guessit {version('guessit')}": lambda name: _facts(guess(name)),
        "parsett (PTT)": lambda name: _from_ptt(ptt.parse_title(name.rpartition("/")[2])),
        "parse-torrent-title (PTN)": lambda name: _from_ptn(ptn.parse(name.rpartition("/")[2])),
    }
    for reader in readers.values():
        reader("Warm.Up.2010.1080p.BluRay.x264-GROUP.mkv")
    return readers


def _facts(name: Name) -> Facts:
    return {
        "title": name.title, "type": name.type, "year": name.year, "season": name.season,
        "episode": name.episodes or name.episode,
    }  # fmt: skip


def _from_ptt(found: Mapping[str, Any]) -> Facts:
    kind = "episode" if found.get("episodes") or found.get("seasons") else "movie"
    return {
        "title": found.get("title"), "type": kind, "year": found.get("year"), "season": found.get("seasons"),
        "episode": found.get("episodes"),
    }  # fmt: skip


def _from_ptn(found: Mapping[str, Any]) -> Facts:
    return {**found, "type": "episode" if "season" in found or "episode" in found else "movie"}


def _measure(reader: Reader, entries: list[tuple[str, Facts]], show_misses: bool) -> Score:
    score = Score(names=len(entries))
    if isinstance(reader, Cheap):
        reader.fresh()
    began = time.process_time()
    answers = [reader(name) for name, _ in entries]
    score.seconds = time.process_time() - began
    if isinstance(reader, Cheap):
        score.guessed = reader.guessed
    for (name, expected), answer in zip(entries, answers, strict=True):
        for about in FIELDS:
            if expected.get(about) is not None:
                right = _same(about, expected[about], answer.get(about))
                score.asked[about] += 1
                score.right[about] += right
                if show_misses and not right and isinstance(reader, Cheap) and reader._use_guessit:
                    print(f"  {name!r}: {about} {answer.get(about)!r}, not {expected[about]!r}")
    return score


def _same(about: str, expected: object, answer: object) -> bool:
    if about == "title":
        return key(str(expected)) == key(str(answer))
    return _several(expected) == _several(answer)


def _several(value: object) -> set[object]:
    return set(value) if isinstance(value, list) else {value}


# The corpora.


def _fetched(cache: Path) -> dict[str, list[tuple[str, Facts]]]:
    source = f"guessit=={version('guessit')}"
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    if not (cache / "parsers").is_dir():
        subprocess.run([*pip, "install", "--target", str(cache / "parsers"), *_OTHERS], check=True)
    sys.path.append(str(cache / "parsers"))
    if not list(cache.glob("guessit-*.tar.gz")):
        download = ["download", "--no-deps", "--no-binary", "guessit", "--dest", str(cache), source]
        subprocess.run([*pip, *download], check=True)
    with tarfile.open(next(cache.glob("guessit-*.tar.gz"))) as archive:
        files = {member.name.partition("/guessit/test/")[2]: archive.extractfile(member) for member in archive}
        read = {name: file.read().decode() for name, file in files.items() if name and file}
    corpora = {f"guessit, {name}": list(_entries(read[name])) for name in _OWN_FILES}
    for name in sorted(read):
        if name.endswith(".json") and '"release_name"' in read[name]:
            tests = json.loads(read[name])["entries"]
            corpora[f"others, {Path(name).name}"] = [(test["release_name"], test["expected"]) for test in tests]
    return corpora


def _entries(text: str) -> Iterator[tuple[str, Facts]]:
    """Yield names and expectations: one without its own has the next one's, `__default__` fills in."""
    yaml = importlib.import_module("yaml")
    loader = yaml.SafeLoader(text)
    pairs = [
        (key.value, loader.construct_object(value, deep=True)) for key, value in loader.get_single_node().value
    ]
    following: Facts = {}
    filled = []
    for name, facts in reversed(pairs):
        following = facts or following
        filled.append((str(name), following))
    default = dict(filled).get("__default__", {})
    for name, facts in reversed(filled):
        if name != "__default__" and not re.match(r" *[+-]", name) and not facts.get("options"):
            yield name, {**default, **facts}


_FILMS = (
    ("The Matrix", 1999), ("Alien", 1979), ("2012", 2009), ("1917", 2019), ("Blade Runner 2049", 2017),
    ("300", 2006), ("12 Monkeys", 1995), ("Se7en", 1995), ("X-Men", 2000), ("Ocean's Eleven", 2001),
    ("2 Fast 2 Furious", 2003), ("Mission - Impossible - Fallout", 2018), ("Amélie", 2001),
    ("千と千尋の神隠し", 2001), ("Real Steel", 2011), ("The Good, the Bad and the Ugly", 1966),
    ("Spider-Man - No Way Home", 2021), ("Toy Story 3", 2010), ("Up", 2009), ("Kill Bill Vol. 1", 2003),
    ("The Godfather Part II", 1974), ("E.T. the Extra-Terrestrial", 1982), ("M", 1931),
    ("Les Misérables", 2012), ("The Lord of the Rings The Two Towers", 2002), ("Сталкер", 1979),
    ("Her", 2013), ("Star Wars Episode IV - A New Hope", 1977), ("Ford v Ferrari", 2019),
    ("The French Dispatch", 2021),
)  # fmt: skip
_SHOWS = (
    ("Breaking Bad", 2008), ("The Office (US)", 2005), ("Doctor Who", 2005), ("24", 2001),
    ("Mr. Robot", 2015), ("Marvel's Agents of S.H.I.E.L.D.", 2013), ("Star Trek - Discovery", 2017),
    ("9-1-1", 2018), ("1923", 2022), ("Trailer Park Boys", 2001), ("Line of Duty", 2012), ("The 100", 2014),
    ("Extras", 2005), ("Dark", 2017), ("Game of Thrones", 2011), ("Brooklyn Nine-Nine", 2013),
    ("Law & Order - SVU", 1999), ("M*A*S*H", 1972), ("Cowboy Bebop", 1998), ("Attack on Titan", 2013),
    ("La casa de papel", 2017), ("Тьма", 2017),
)  # fmt: skip
_EPISODE_TITLES = (
    "Pilot", "The Real Thing", "Part 2", "99 Problems", "Say My Name", "Ozymandias", "Blink", "The Web", "1969",
    "Who Are You", "The Complete Guide", "Chapter One", "Über Nacht", "第一話", "Live",
)  # fmt: skip


def _tidy() -> Iterator[tuple[str, list[tuple[str, Facts]]]]:
    """Yield made libraries: films and episodes in the naming schemes of the usual managers and servers."""
    yield (
        "tidy films",
        [
            (
                scheme.format(title=title, dotted=_dotted(title), year=year),
                {"title": title, "type": "movie", "year": year},
            )
            for title, year in _FILMS
            for scheme in _FILM_SCHEMES
        ],
    )
    yield "tidy episodes", list(_tidy_episodes())


_FILM_SCHEMES = (
    "{title} ({year})/{title} ({year}).mkv",
    "{title} ({year})/{title} ({year}) Bluray-1080p.mkv",
    "{title} ({year}).mkv",
    "Films/{title} ({year})/{title} ({year}) {{imdb-tt0133093}} [Bluray-1080p][HDR10][DTS 5.1][x264]-GROUP.mkv",
    "{title} ({year}) [imdbid-tt0133093]/{title} ({year}) [imdbid-tt0133093] - 2160p.mkv",
    "{title} ({year})/{dotted}.{year}.1080p.BluRay.x264-GROUP.mkv",
    "{dotted}.{year}.1080p.BluRay.x264-GROUP/{dotted}.{year}.1080p.BluRay.x264-GROUP.mkv",
    "{dotted}.{year}.PROPER.2160p.WEB-DL.DDP5.1.H.265-GROUP.mkv",
    "{title} ({year})/{title}.mkv",
    "{title} ({year}) [1080p]/{title} ({year}) [1080p].mp4",
)
_EPISODE_SCHEMES = (
    "{show}/Season {season:02}/{show} - S{season:02}E{episode:02} - {title} HDTV-720p.mkv",
    "{show} ({year})/Season {season:02}/{show} ({year}) - S{season:02}E{episode:02} - {title} [WEB-1080p].mkv",
    "{show}/Season {season}/{episode:02} - {title}.mkv",
    "{show}/Season {season}/{show} {season}x{episode:02} {title}.avi",
    "{show}/Season {season:02}/{dotted}.S{season:02}E{episode:02}.1080p.WEB.H264-GROUP.mkv",
    "{dotted}.S{season:02}.1080p.WEB.H264-GROUP/{dotted}.S{season:02}E{episode:02}.1080p.WEB.H264-GROUP.mkv",
    "{show}/S{season:02}E{episode:02} - {title}.mkv",
    "{show}/Season {season:02}/S{season:02}E{episode:02}.mkv",
)


def _tidy_episodes() -> Iterable[tuple[str, Facts]]:
    numbers = [(1, 1), (2, 10), (3, 23)]
    for at, (show, year) in enumerate(_SHOWS):
        for scheme in _EPISODE_SCHEMES:
            for season, episode in numbers:
                title = _EPISODE_TITLES[(at + episode) % len(_EPISODE_TITLES)]
                name = scheme.format(
                    show=show, dotted=_dotted(show), year=year, season=season, episode=episode, title=title
                )
                bare = show.removesuffix(" (US)")
                yield name, {"title": bare, "type": "episode", "season": season, "episode": episode}


def _dotted(title: str) -> str:
    return re.sub(r"[^\w'-]+", ".", title.replace(" - ", " ").replace("'", "")).strip(".")


if __name__ == "__main__":
    main()
