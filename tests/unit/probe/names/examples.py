"""Names as people and release groups give them, written for these tests, and what they say."""

from dataclasses import dataclass

from scanner.message import Name


@dataclass(frozen=True, slots=True)
class Example:
    """A path and what it says; `hard` if the plain patterns leave it to guessit."""

    place: str
    title: str
    type: str
    year: int | None = None
    season: int | None = None
    episodes: tuple[int, ...] = ()
    date: str | None = None
    episode_title: str | None = None
    hard: bool = False

    def differences(self, name: Name) -> dict[str, tuple[object, object]]:
        """Return what a name says otherwise: what it says, and what it should."""
        said = (name.title, name.type, name.year, name.season, _episodes(name), name.date)
        right = (self.title, self.type, self.year, self.season, self.episodes, self.date)
        words = ("title", "type", "year", "season", "episodes", "date")
        wrong = {word: pair for word, *pair in zip(words, said, right, strict=True) if pair[0] != pair[1]}
        if self.episode_title is not None and name.episode_title != self.episode_title:
            wrong["episode_title"] = [name.episode_title, self.episode_title]
        return {word: (said, right) for word, (said, right) in wrong.items()}


def _episodes(name: Name) -> tuple[int, ...]:
    return tuple(name.episodes) or (() if name.episode is None else (name.episode,))


def _film(place: str, title: str, year: int | None = None, *, hard: bool = False) -> Example:
    return Example(place, title, "movie", year, hard=hard)


def _show(
    place: str, title: str, season: int | None, *episodes: int,
    year: int | None = None, called: str | None = None, hard: bool = False,
) -> Example:  # fmt: skip
    return Example(place, title, "episode", year, season, episodes, None, called, hard)


def _daily(place: str, title: str, date: str, called: str | None = None) -> Example:
    return Example(place, title, "episode", date=date, episode_title=called)


FILMS = [
    _film("The Quiet Harbour (2011).mkv", "The Quiet Harbour", 2011),
    _film("The Quiet Harbour (2011)/The Quiet Harbour (2011).mkv", "The Quiet Harbour", 2011),
    _film(
        "Films/The Quiet Harbour (2011)/The Quiet Harbour (2011) Bluray-1080p.mkv", "The Quiet Harbour", 2011
    ),
    _film("The Quiet Harbour (2011)/The Quiet Harbour.mkv", "The Quiet Harbour", 2011),
    _film("The Quiet Harbour (2011)/the.quiet.harbour.mkv", "the quiet harbour", 2011),
    _film("The.Quiet.Harbour.2011.1080p.BluRay.x264-NOGRP.mkv", "The Quiet Harbour", 2011),
    _film("The_Quiet_Harbour_2011_720p_WEB-DL.mp4", "The Quiet Harbour", 2011),
    _film("the.quiet.harbour.2011.dvdrip.xvid-nogrp.avi", "the quiet harbour", 2011),
    _film("The Quiet Harbour 2011 1080p BluRay.mkv", "The Quiet Harbour", 2011),
    _film("The Quiet Harbour [2011] [1080p].mkv", "The Quiet Harbour", 2011),
    _film(
        "The Quiet Harbour (2011) [1080p] [BluRay] [5.1]/The.Quiet.Harbour.2011.mp4", "The Quiet Harbour", 2011
    ),
    _film("The Quiet Harbour (2011) {imdb-tt0000001}.mkv", "The Quiet Harbour", 2011),
    _film(
        "The Quiet Harbour (2011) [tmdbid-123]/The Quiet Harbour (2011) [tmdbid-123].mkv",
        "The Quiet Harbour",
        2011,
    ),
    _film("The Quiet Harbour (2011) {edition-Director's Cut}.mkv", "The Quiet Harbour", 2011),
    _film("The Quiet Harbour (2011) - 2160p.mkv", "The Quiet Harbour", 2011),
    _film("The Quiet Harbour (2011)/BDMV/STREAM/00000.m2ts", "The Quiet Harbour", 2011),
    _film("The Quiet Harbour (2011)/VIDEO_TS/VTS_01_1.VOB", "The Quiet Harbour", 2011),
    _film(
        "The.Quiet.Harbour.2011.1080p.WEB.H264-NOGRP/9f86d081884c7d659a2feaa0c55ad015.mkv",
        "The Quiet Harbour",
        2011,
    ),
    _film("The Quiet Harbour.mkv", "The Quiet Harbour"),
    _film("Drama/The Quiet Harbour.mkv", "The Quiet Harbour"),
    _film("2084 (1999).mkv", "2084", 1999),
    _film("2084 (1999)/2084.mkv", "2084", 1999),
    _film("Harbour 2049 (2017)/Harbour 2049.mkv", "Harbour 2049", 2017),
    _film("Harbour 2049 (2017).mkv", "Harbour 2049", 2017),
    _film("Harbour.2049.2017.2160p.WEB-DL.mkv", "Harbour 2049", 2017),
    _film("19 Monkeys (1996).mkv", "19 Monkeys", 1996),
    _film("19 Monkeys (1996)/19 Monkeys.mkv", "19 Monkeys", 1996),
    _film("400 (2007).mkv", "400", 2007),
    _film("Toy Harbour 3 (2010).mkv", "Toy Harbour 3", 2010),
    _film("Toy.Harbour.3.2010.1080p.mkv", "Toy Harbour 3", 2010),
    _film("Harbour - Dead Calm - Part One (2023).mkv", "Harbour - Dead Calm - Part One", 2023),
    _film(
        "The Harbourfather Part II (1974)/The Harbourfather Part II (1974).mkv",
        "The Harbourfather Part II",
        1974,
    ),
    _film("Real Iron (2011).mkv", "Real Iron", 2011),
    _film("The Web of Lies (2019) [720p].mkv", "The Web of Lies", 2019),
    _film("Charlie's Angles (2000).mkv", "Charlie's Angles", 2000),
    _film("Harbour, The (1998).mkv", "The Harbour", 1998),
    _film("T.I.D.E. (1985).mkv", "T.I.D.E.", 1985),
    _film("A.B.C.Murders.1966.720p.BluRay.mkv", "A.B.C. Murders", 1966),
    _film("Mr. Harbour (2005).mkv", "Mr. Harbour", 2005),
    _film("Spider-Crab.2002.1080p.BluRay.x264-NOGRP.mkv", "Spider-Crab", 2002),
    _film("Amélie au Port (2001).mkv", "Amélie au Port", 2001),
    _film("Ame\u0301lie au Port (2001).mkv", "Amélie au Port", 2001),
    _film("港の静けさ (1989).mkv", "港の静けさ", 1989),
    _film("Тихая гавань (1979).mkv", "Тихая гавань", 1979),
    _film("Тихая.гавань.1979.720p.WEB-DL.mkv", "Тихая гавань", 1979),
    _film("Das stille Örtchen (1992).mkv", "Das stille Örtchen", 1992),
    _film("Up (2009).mkv", "Up", 2009),
    _film("M (1931).mkv", "M", 1931),
    _film("The Quiet Harbour (2011) [1080p, x265, 10bit].mkv", "The Quiet Harbour", 2011),
    _film(
        "The.Quiet.Harbour.2011.REMASTERED.1080p.BluRay.DTS-HD.MA.5.1.x265-NOGRP.mkv", "The Quiet Harbour", 2011
    ),
    _film("The.Quiet.Harbour.2011.PROPER.REPACK.HDTV.XviD-NOGRP.avi", "The Quiet Harbour", 2011),
    _film("The.Quiet.Harbour.2011.GERMAN.DL.1080p.BluRay.x264-NOGRP.mkv", "The Quiet Harbour", 2011),
    _film("The.Quiet.Harbour.2011.mkv", "The Quiet Harbour", 2011),
    _film("The Sample (2014).mkv", "The Sample", 2014),
    _film("The Trailer (2014)/The Trailer (2014).mkv", "The Trailer", 2014),
    _film("Shorts/Harbour Lights (2012).mkv", "Harbour Lights", 2012),
    _film("Disc Jockey (1987).avi", "Disc Jockey", 1987),
    _film("Film Stars Live Here (2017).mkv", "Film Stars Live Here", 2017),
    _film("Season of the Tide (2011).mkv", "Season of the Tide", 2011),
    _film("Quiet.Harbour.DVDRip.XviD-NOGRP.avi", "Quiet Harbour"),
    _film("The.Quiet.Harbour.FRENCH.720p.BluRay.x264-NOGRP.mkv", "The Quiet Harbour"),
    _film("[NoGrp] The Quiet Harbour (BD 1280x720 x264).mkv", "The Quiet Harbour"),
    _film("Real.Iron.2011.1080p.BluRay.x264-NOGRP.mkv", "Real Iron", 2011),
    *(
        _film(f"The.Quiet.Harbour.{words}.1080p.BluRay.x264-NOGRP.mkv", "The Quiet Harbour")
        for words in ("REPACK", "German.DL", "Extended.Cut", "IMAX.EDITION", "DOCU", "PROPER.FRENCH", "LIMITED")
    ),
    _film("Harbour.7.PDTV-NOGRP.avi", "Harbour 7"),
    _film("Harbour.24.2011.1080p.mkv", "Harbour 24", 2011),
    _film("Agent.077.Storm.1966.720p.WEB.mkv", "Agent 077 Storm", 1966),
    _film("WALL-Y.2008.1080p.mkv", "WALL-Y", 2008),
    _film("The.Dane.English.Harbour.2011.720p.mkv", "The Dane English Harbour", 2011),
    _film("Quiet Harbour EXTENDED (2011) 2160p.mkv", "Quiet Harbour", 2011),
    _film("Quiet.Harbour.GERMAN.2011.720p.BluRay.mkv", "Quiet Harbour", 2011),
    _film("Quiet.Harbour.(Le.Port).DVDRip.XviD-NOGRP.avi", "Quiet Harbour"),
    _film("Quiet.Harbour.2011.COMPLETE.BLURAY-NOGRP.iso", "Quiet Harbour", 2011),
    _film("Quiet.Harbour.2011.DVDRip.XviD-NOGRP/ngr-qh.avi", "Quiet Harbour", 2011),
    _film("Quiet Harbour (2011) CD2.avi", "Quiet Harbour", 2011),
    _film("www.site.example - Quiet Harbour (2011) 1080p.mkv", "Quiet Harbour", 2011),
    _film("Quiet.Harbour.German.2011.720p.BluRay.mkv", "Quiet Harbour", 2011, hard=True),
    _film("ngr-quiet.harbour.2011.1080p.mkv", "quiet harbour", 2011, hard=True),
    _film("Harbour.Part.3.720p.WEB.mkv", "Harbour", hard=True),
]

SERIES = [
    _show("Tide/Season 01/Tide - S01E04 - The Boat HDTV-720p.mkv", "Tide", 1, 4, called="The Boat"),
    _show("Tide (2005)/Season 01/Tide (2005) - S01E04 - The Boat [WEBDL-1080p].mkv", "Tide", 1, 4, year=2005),
    _show("Tide (2005)/Season 01/Tide - S01E04.mkv", "Tide", 1, 4, year=2005),
    _show("Tide (2005) [tvdbid-99]/Season 1/Tide S01E04.mkv", "Tide", 1, 4, year=2005),
    _show("The.Tide.S02E10.1080p.WEB.H264-NOGRP.mkv", "The Tide", 2, 10),
    _show("the.tide.s02e10.720p.hdtv.x264-nogrp.mkv", "the tide", 2, 10),
    _show("The.Tide.S02E10.The.Real.Thing.1080p.WEB.mkv", "The Tide", 2, 10, called="The Real Thing"),
    _show("The Tide S02E10.mkv", "The Tide", 2, 10),
    _show("The_Tide_-_S02E10_-_Low_Water.avi", "The Tide", 2, 10, called="Low Water"),
    _show("The Tide - s2e5.mkv", "The Tide", 2, 5),
    _show("The Tide S02 E10.mkv", "The Tide", 2, 10),
    _show("The.Tide.S02.E10.720p.mkv", "The Tide", 2, 10),
    _show("The Tide - S02 - E10 - Low Water.mkv", "The Tide", 2, 10, called="Low Water"),
    _show("The Tide 2x10 Low Water.avi", "The Tide", 2, 10, called="Low Water"),
    _show("The Tide - 2x10 - Low Water.avi", "The Tide", 2, 10, called="Low Water"),
    _show("The Tide - [02x10] - Low Water.mp4", "The Tide", 2, 10, called="Low Water"),
    _show("The.Tide.2x10.Low.Water.DVDRip.avi", "The Tide", 2, 10, called="Low Water"),
    _show("The Tide/Season 2/The Tide 2x10.avi", "The Tide", 2, 10),
    _show("The Tide S01E01E02.mkv", "The Tide", 1, 1, 2),
    _show("The.Tide.S01E01E02E03.720p.mkv", "The Tide", 1, 1, 2, 3),
    _show("The Tide - S01E01-E03 - Ebb.mkv", "The Tide", 1, 1, 2, 3, called="Ebb"),
    _show("The Tide S01E01-02.mkv", "The Tide", 1, 1, 2),
    _show("The Tide S01E01-E02-E03.mkv", "The Tide", 1, 1, 2, 3),
    _show("The Tide - S01E09 - S01E10.mkv", "The Tide", 1, 9, 10),
    _show("The Tide S07E25+E26 Low Water.mp4", "The Tide", 7, 25, 26),
    _show("The Tide 5x44x45x46.avi", "The Tide", 5, 44, 45, 46),
    _show("The Tide - 1x02-04 - Ebb.avi", "The Tide", 1, 2, 3, 4),
    _show("The.Tide.S01E06v2.1080p.mkv", "The Tide", 1, 6),
    _show("The Tide/S03E05 - Low Water.mkv", "The Tide", 3, 5, called="Low Water"),
    _show("The Tide/Season 03/S03E05.mkv", "The Tide", 3, 5),
    _show("The Tide/Season 3/05 - Low Water.mkv", "The Tide", 3, 5, called="Low Water"),
    _show("The Tide/Season 3/05. Low Water.mkv", "The Tide", 3, 5, called="Low Water"),
    _show("The Tide/Season 3/05 Low Water.mkv", "The Tide", 3, 5, called="Low Water"),
    _show("The Tide/Season 3/05.mkv", "The Tide", 3, 5),
    _show("The Tide/Season 3/E05.mkv", "The Tide", 3, 5),
    _show("The Tide/Season 3/Episode 5.mkv", "The Tide", 3, 5),
    _show("The Tide/Season 3/Episode 5 - Low Water.mkv", "The Tide", 3, 5, called="Low Water"),
    _show("The Tide/Season 3/Ep. 05 - Low Water.mkv", "The Tide", 3, 5, called="Low Water"),
    _show("Die Flut/Staffel 2/07 - Ebbe.mkv", "Die Flut", 2, 7, called="Ebbe"),
    _show("La Marée/Saison 2/07 - Basse mer.mkv", "La Marée", 2, 7, called="Basse mer"),
    _show("The Tide/S2/07 - Ebb.mkv", "The Tide", 2, 7),
    _show("The Tide S03/05 - Low Water.mkv", "The Tide", 3, 5),
    _show("The Tide - Season 3/05 - Low Water.mkv", "The Tide", 3, 5),
    _show("The Tide/Specials/The Tide - S00E03 - Making Waves.mkv", "The Tide", 0, 3),
    _show("The Tide/Specials/03 - Making Waves.mkv", "The Tide", 0, 3),
    _show("The Tide/Season 00/S00E01.mkv", "The Tide", 0, 1),
    _show("TV/The Tide (US)/Season 1/The Tide (US) - S01E02 - Gulls.mkv", "The Tide", 1, 2, called="Gulls"),
    _show("The.Tide.US.S01E02.720p.HDTV.mkv", "The Tide", 1, 2),
    _show(
        "Tide Trek - Discovery/Season 1/Tide Trek - Discovery - S01E02 - Gulls.mkv",
        "Tide Trek - Discovery",
        1,
        2,
    ),
    _show("Tide Trek - Discovery/Season 1/02 - Gulls.mkv", "Tide Trek - Discovery", 1, 2),
    _show("Tide Trek - Discovery/S01E02.mkv", "Tide Trek - Discovery", 1, 2),
    _show("42/Season 01/42 - S01E02 - 9-00 A.M.mkv", "42", 1, 2),
    _show("9-1-9/Season 1/9-1-9 - S01E02 - Gulls.mkv", "9-1-9", 1, 2),
    _show("1823/Season 1/1823 - S01E02.mkv", "1823", 1, 2),
    _show("1923.S01E02.1080p.WEB.mkv", "1923", 1, 2),
    _show("The 400 - S01E02 - Gulls.mkv", "The 400", 1, 2),
    _show("Trailer Harbour Boys/Season 01/Trailer.Harbour.Boys.S01E02.720p.mkv", "Trailer Harbour Boys", 1, 2),
    _show("Trailer Harbour Boys/Season 01/02 - Gulls.mkv", "Trailer Harbour Boys", 1, 2),
    _show("Extras/Season 1/Extras - S01E02 - Gulls.mkv", "Extras", 1, 2),
    _show("Extras/Season 1/02 - Gulls.mkv", "Extras", 1, 2),
    _show("BBC/Extras/Extras - S01E02.mkv", "Extras", 1, 2),
    _show("Line of Tide - S01E02.mkv", "Line of Tide", 1, 2),
    _show("M.O.O.R.S01E02.720p.mkv", "M.O.O.R.", 1, 2),
    _show("Harbour's Agents of T.I.D.E. - S01E02 - 0-8-4.mkv", "Harbour's Agents of T.I.D.E.", 1, 2),
    _show("Mr. Tide - S01E02 - 99 Boats.mkv", "Mr. Tide", 1, 2, called="99 Boats"),
    _show(
        "Brooklyn Tide-Nine/Season 1/Brooklyn Tide-Nine - S01E02 - 1969.mkv",
        "Brooklyn Tide-Nine",
        1,
        2,
        year=1969,
    ),
    _show("Law & Tide - S01E02 - Gulls.mkv", "Law & Tide", 1, 2),
    _show("Tide, The - S01E02.mkv", "The Tide", 1, 2),
    _show("Прилив/Сезон/Прилив - S01E02 - Чайки.mkv", "Прилив", 1, 2, called="Чайки"),
    _show("潮/Season 1/潮 - S01E02 - 第二話.mkv", "潮", 1, 2, called="第二話"),
    _show("The.Tide.2005.S01E02.720p.mkv", "The Tide", 1, 2, year=2005),
    _show("The.Tide.S2016E08.Gulls.1080p.WEB.mkv", "The Tide", 2016, 8, year=2016),
    _show("Tide.S12E1024.720p.mkv", "Tide", 12, 1024),
    _show("The.Tide.S01E02.1080p.WEB-NOGRP/The.Tide.S01E02.1080p.WEB-NOGRP.mkv", "The Tide", 1, 2),
    _show("The.Tide.S01E02.1080p.WEB.H264-NOGRP/0123456789abcdef0123456789abcdef.mkv", "The Tide", 1, 2),
    _show("[NoGrp] The Tide - 04 [1080p].mkv", "The Tide", None, 4),
    _show("[NoGrp] The Tide - 04v2 [1080p][ABCD1234].mkv", "The Tide", None, 4),
    _show("[NoGrp]_The_Tide_-_04_[720p][ABCD1234].mkv", "The Tide", None, 4),
    _show("[NoGrp] The Tide - 104 (BD 1080p).mkv", "The Tide", None, 104),
    _show("[NoGrp] The Tide S2 - 04 [1080p].mkv", "The Tide", 2, 4),
    _show("[NoGrp] The Tide Season 3 - 11 (BD 1080p).mkv", "The Tide", 3, 11),
    _show("[NoGrp] The Tide - Low Water - 04 [1080p].mkv", "The Tide - Low Water", None, 4),
    _show("[NoGrp] The Tide (2008) - 04 [1080p].mkv", "The Tide", None, 4, year=2008),
    _show("[NoGrp] The Tide - 04 - Gulls [1080p].mkv", "The Tide", None, 4, called="Gulls"),
    _show("[NoGrp] The Tide - S01E04 [1080p].mkv", "The Tide", 1, 4),
    _show("The Tide - 04.mkv", "The Tide", None, 4),
    _show("The Tide/Season 02/The Tide - 04.mkv", "The Tide", 2, 4),
    _show("The Tide/Season 02/[NoGrp] The Tide - 04 [1080p].mkv", "The Tide", 2, 4),
    _show("The Tide/Season 3/Low Water.mkv", "Low Water", 3, hard=True),
    _show("The Tide - 104.mkv", "The Tide", 1, 4, hard=True),
    _show("The Tide Episode 7.mkv", "The Tide", None, 7),
    _show("The.Tide.104.hdtv-lol.mp4", "The Tide", 1, 4),
    _show("[NoGrp] The Tide 06 (720p 8bit AAC).mp4", "The Tide", None, 6),
    _show("The.Tide.S02.1080p.BluRay.x264-NOGRP.mkv", "The Tide", 2),
    _show("The.Tide.S02-S04.COMPLETE.720p.BluRay-NOGRP.mkv", "The Tide", 2),
    _show("The Tide Saison 2 FRENCH 720p.mkv", "The Tide", 2),
    _show("The Tide - 2ª Temporada 720p.mkv", "The Tide", 2, hard=True),
    _show("The.Tide.COMPLETE.SERIES.720p.BluRay-NOGRP.mkv", "The Tide", None),
    _show("The.Tide.2014.Christmas.Special.HDTV.x264-NOGRP.mkv", "The Tide", None, year=2014),
    _show("The Tide Season 2 Episode 5 Low Water.mkv", "The Tide", 2, 5, called="Low Water"),
    _show("The Tide Saison 2 Épisode 5.mkv", "The Tide", 2, 5),
    _show("Die.Flut.Staffel.2.Folge.5.German.1080p.mkv", "Die Flut", 2, 5),
    _show("Прилив Сезон 2 Эпизод 5.mkv", "Прилив", 2, 5),
    _show("Прилив 2 сезон 5 серия.mkv", "Прилив", 2, 5),
    _show("The.Tide.2.Sezon.5.Bolum.1080p.mkv", "The Tide", 2, 5),
    _show("The.Tide.-.Temporada.1.720p[Cap.102].mkv", "The Tide", 1, 2),
    _show("The Tide T02E05.mkv", "The Tide", 2, 5),
    _show("The Tide 2 x 05 HDTV.avi", "The Tide", 2, 5),
    _show("The Tide 2016x05 HDTV.avi", "The Tide", 2016, 5, year=2016),
    _show("The Tide - 2016x105.mkv", "The Tide", 2016, 105, year=2016),
    _show("The.Tide.5of8.Low.Water.HDTV.avi", "The Tide", None, 5, called="Low Water"),
    _show("The.Tide.E05-06.720p.mkv", "The Tide", None, 5, 6),
    _show("The.Tide.2x01.2x02.720p.mkv", "The Tide", 2, 1, 2),
    _show("The.Tide.13.HDTV-NOGRP.mkv", "The Tide", None, 13),
    _show("The.Tide.2401.hdtv-nogrp.mp4", "The Tide", 24, 1),
    _show("The.Red.Line.S01E02.mkv", "The Red Line", 1, 2),
    _show("Special.Tide.S01E02.720p.mkv", "Special Tide", 1, 2),
    _show("[NoGrp]_The_Tide_679_[VOSTFR]_[720p].mp4", "The Tide", None, 679),
    _show("[NoGrp] The Tide 13.mkv", "The Tide", None, 13),
    _show("[NoGrp] The Tide (TV) - 02 [720p].mkv", "The Tide", None, 2),
    _show("[NoGrp] The Tide #04 (1280x720 x264).mp4", "The Tide", None, 4),
    _show("[NoGrp] 06 The Tide (720p).mp4", "The Tide", None, 6, hard=True),
    _show("The.Tide.S03E21.22.720p.mkv", "The Tide", 3, 21, 22, hard=True),
]

DAILY = [
    _daily(
        "The Late Tide/The Late Tide - 2015-03-04 - Some Guest.mkv", "The Late Tide", "2015-03-04", "Some Guest"
    ),
    _daily(
        "The.Late.Tide.2015.03.04.Some.Guest.720p.WEB.x264-NOGRP.mkv",
        "The Late Tide",
        "2015-03-04",
        "Some Guest",
    ),
    _daily("The Late Tide 2015 03 04 HDTV.mkv", "The Late Tide", "2015-03-04"),
    _daily("the.late.tide.2015.03.04.hdtv-nogrp.avi", "the late tide", "2015-03-04"),
    _daily("Real.Tide.2014.10.31.HDTV.XviD-NOGRP.avi", "Real Tide", "2014-10-31"),
    _daily("News at Tide - 2020-12-31.mp4", "News at Tide", "2020-12-31"),
]

EXAMPLES = [*FILMS, *SERIES, *DAILY]
