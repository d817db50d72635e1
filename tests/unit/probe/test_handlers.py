from collections.abc import Mapping
from pathlib import Path

import pytest

from scanner.errors import UsageError
from scanner.message import Media, Name
from scanner.probe.file import Findings, MediaFile
from scanner.probe.handlers import Found, Handler, Handlers, places_of
from scanner.probe.jobs import ProbeSettings
from tests.support.handlers import install, with_handlers

FILE = MediaFile("/library/a.mkv", -1, 4, 5, "video", "a.mkv")


class Fixed:
    """A handler that finds what it is told to."""

    def __init__(self, found: Found) -> None:
        self.found = found

    def __call__(self, file: MediaFile, /) -> Found:
        assert file is FILE
        return self.found

    def moved(self, path: str, place: str, kind: str) -> Mapping[str, object]:
        return {"to": (path, place, kind)}


def _look(**found: Found) -> Findings:
    return Handlers({name: Fixed(one) for name, one in found.items()}).look(FILE)


def test_parts_of_several_handlers_come_together() -> None:
    media, name = Media(container="matroska"), Name(title="A")
    found = _look(
        probe=Findings(media=media, fingerprint={"oshash": "1"}),
        names=Findings(name=name, extra={"own": 1}),
        size={"bytes": 4},
        nothing=None,
    )
    assert (found.media, found.name, found.fingerprint) == (media, name, {"oshash": "1"})
    assert found.extra == {"own": 1, "size": {"bytes": 4}}


def test_of_two_handlers_that_give_the_same_part_the_later_counts() -> None:
    found = _look(one=Findings(name=Name(title="A")), two=Findings(name=Name(title="B")))
    assert found.name == Name(title="B")


def test_what_is_no_finding_is_refused_with_the_handlers_name() -> None:
    with pytest.raises(TypeError, match="'bad' returned a list"):
        _look(bad=[1])  # type: ignore[arg-type]


def test_only_handlers_that_care_hear_of_moves_and_deletions() -> None:
    def plain(file: MediaFile, /) -> None:
        raise AssertionError(f"it was called with {file}")

    named: dict[str, Handler] = {"plain": plain, "fixed": Fixed(None)}
    handlers = Handlers(named)
    assert handlers.moved("/new", "new", "video").extra == {"fixed": {"to": ("/new", "new", "video")}}
    handlers.forget("/old", "old")


def test_ours_is_known_without_an_installation() -> None:
    assert places_of(["probe"]) == {"probe": "scanner.probe.handlers:probe"}


def test_finding_a_handler_does_not_import_it(tmp_path: Path) -> None:
    install(tmp_path, "exploding_handlers", "raise SystemExit", {"exploding": "exploding_handlers:it"})
    with with_handlers(tmp_path):
        assert places_of(["exploding", "probe"])["exploding"] == "exploding_handlers:it"


def test_a_name_that_two_packages_claim_is_refused(tmp_path: Path) -> None:
    for package in ("first_claim", "second_claim"):
        install(tmp_path, package, "", {"claimed": f"{package}:it"})
    with (
        with_handlers(tmp_path),
        pytest.raises(UsageError, match="claimed by several packages: first_claim:it, second_claim:it"),
    ):
        places_of(["claimed"])


def test_a_name_that_nobody_has_is_refused_with_those_there_are() -> None:
    with pytest.raises(UsageError, match=r"handlers: none is named 'prob'; installed are .*probe"):
        places_of(["prob"])


def test_a_handler_may_be_deep_in_its_module(tmp_path: Path) -> None:
    source = "class Deep:\n    @staticmethod\n    def it(file):\n        return {'size': file.size}\n"
    install(tmp_path, "deep_handlers", source, {"deep": "deep_handlers:Deep.it"})
    with with_handlers(tmp_path):
        handlers = Handlers.load(places_of(["deep"]), ProbeSettings(), lambda _: None)
    assert handlers.look(FILE).extra == {"deep": {"size": 4}}
