"""Handlers: what is done with a file, found by name among the entry points of the group `scanner.handlers`.

A handler is a callable that takes a `MediaFile` and returns `Findings`, or a mapping, which goes into the
result's `extra` under the handler's name, or None. It runs in a probe process, so whatever it does costs one
file. It may have more: `configure(settings, pace)` is called once, before any file; `moved(path, place,
kind)` for a file whose name is new and whose content is known, and returns what a handler does; `forget(path,
place)` for a deleted one.
"""

import functools
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

from scanner.errors import UsageError
from scanner.probe.file import Findings, MediaFile
from scanner.probe.jobs import Hash, ProbeSettings

if TYPE_CHECKING:
    from scanner.message import Name

GROUP = "scanner.handlers"
_OWN = {"probe": "scanner.probe.handlers:probe"}
"""Ours is found without an installation, too: in a checkout."""

Found = Findings | Mapping[str, object] | None
Pace = Callable[[int], None]
"""Told how many bytes were just read of a long file; returns when it may go on."""


class Handler(Protocol):
    """What every handler is."""

    def __call__(self, file: MediaFile, /) -> Found:
        """Look at a file."""


def places_of(names: Iterable[str]) -> dict[str, str]:
    """Return where each of the named handlers is (`module:attribute`), without importing any.

    Raises:
        UsageError: none has that name, or several packages have one.
    """
    from importlib.metadata import entry_points  # noqa: PLC0415 - slow, and no probe process asks

    known: dict[str, set[str]] = {}
    for point in entry_points(group=GROUP):
        known.setdefault(point.name, set()).add(point.value)
    known |= {name: {place} for name, place in _OWN.items()}
    return {name: _place_of(name, known) for name in names}


def _place_of(name: str, known: Mapping[str, set[str]]) -> str:
    places = sorted(known.get(name, ()))
    if len(places) > 1:
        raise UsageError(f"handlers: {name!r} is claimed by several packages: {', '.join(places)}")
    if not places:
        installed = ", ".join(sorted(known))
        raise UsageError(
            f"handlers: none is named {name!r}; installed are {installed} (entry points in {GROUP})"
        )
    return places[0]


class Handlers:
    """The handlers of one process, in order."""

    def __init__(self, named: Mapping[str, Handler]) -> None:
        self._named = dict(named)

    @classmethod
    def load(cls, places: Mapping[str, str], settings: ProbeSettings, pace: Pace) -> "Handlers":
        """Import and configure handlers.

        Raises:
            Exception: whatever a handler's module raises.
        """
        named: dict[str, Handler] = {}
        for name, place in places.items():
            module, _, attribute = place.partition(":")
            handler = functools.reduce(getattr, attribute.split("."), import_module(module))
            named[name] = handler
            if not callable(handler):
                raise TypeError(f"{place} is a {type(handler).__name__}, and cannot be called")
            configure = getattr(handler, "configure", None)
            if configure is not None:
                configure(settings, pace)
        return cls(named)

    def look(self, file: MediaFile) -> Findings:
        """Return what all handlers find in a file."""
        found = Findings()
        for name, handler in self._named.items():
            _add(found, name, handler(file))
        return found

    def moved(self, path: str, place: str, kind: str) -> Findings:
        """Return what a file's new name says."""
        found = Findings()
        for name, moved in self._having("moved"):
            _add(found, name, moved(path, place, kind))
        return found

    def forget(self, path: str, place: str) -> None:
        """Tell the handlers that a file is deleted."""
        for _, forget in self._having("forget"):
            forget(path, place)

    def _having(self, method: str) -> list[tuple[str, Callable[..., Found]]]:
        pairs = ((name, getattr(handler, method, None)) for name, handler in self._named.items())
        return [(name, call) for name, call in pairs if call is not None]


def _add(found: Findings, name: str, more: Found) -> None:
    """Add what one handler found; where two found the same part, the later one's counts."""
    if isinstance(more, Findings):
        found.media = more.media or found.media
        found.name = more.name or found.name
        found.fingerprint = more.fingerprint or found.fingerprint
        if more.extra:
            found.extra = {**(found.extra or {}), **more.extra}
    elif isinstance(more, Mapping):
        found.extra = {**(found.extra or {}), name: dict(more)}
    elif more is not None:
        raise TypeError(f"handler {name!r} returned a {type(more).__name__}, neither Findings nor a mapping")


class Probe:
    """The handler `probe`: what the file holds, its fingerprint, and what its name says.

    What it needs is imported by `configure`: a process that runs other handlers only does without.
    """

    def configure(self, settings: ProbeSettings, pace: Pace) -> None:
        """Import what reads media and names."""
        from scanner.probe import fingerprint, look  # noqa: PLC0415 - slow

        self._look, self._fingerprint, self._pace = look.look, fingerprint, pace
        self._takes_blake3 = settings.hash is Hash.FULL
        self._parse: Callable[[str, str], Name] | None = None
        if settings.names:
            from scanner.probe.names import NameParser  # noqa: PLC0415 - slow

            self._parse = NameParser().parse

    def __call__(self, file: MediaFile, /) -> Findings:
        """Look into a file."""
        return Findings(
            media=self._look(file), fingerprint=self._hashes(file), name=self._named(file.place, file.kind)
        )

    def moved(self, _path: str, place: str, kind: str) -> Findings:
        """Read a file's new name."""
        return Findings(name=self._named(place, kind))

    def _named(self, place: str, kind: str) -> "Name | None":
        return self._parse(place, kind) if self._parse else None

    def _hashes(self, file: MediaFile) -> dict[str, str] | None:
        quick = self._fingerprint.oshash(file.descriptor, file.size)
        found = {"oshash": quick} if quick is not None else {}
        if self._takes_blake3:
            found["blake3"] = self._fingerprint.blake3_of(file.descriptor, self._pace)
        return found or None


probe = Probe()
