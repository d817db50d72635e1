"""The options that narrow a look: kinds, globs, hidden files, symlinks.

Options narrow, they never delete: a catalog row that this run's options do not cover is left untouched, so
the scan side asks `covers_file` and `covers_directory` about paths it knows, and the walker applies the same
rules to what it lists. Membership (ignore files) is another matter: see `scanner.files.ignore`.

Pure; standard library only until a glob is really there.
"""

import functools
import hashlib
import json
from typing import Any, NamedTuple

from scanner.files.globs import Globs
from scanner.media import MEDIA_KINDS, Kind, is_wanted

_SIGNATURE_BITS = (1 << 63) - 1
_CACHED_DIRECTORIES = 4096


class Filters(NamedTuple):
    """What a run looks at. `include` and `exclude` are gitignore-style globs relative to the root.

    An empty `include` includes everything. Defaults: every media kind, no glob, nothing hidden, no symlink.
    """

    kinds: frozenset[Kind] = MEDIA_KINDS
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    hidden: bool = False
    follow_symlinks: bool = False

    @property
    def signature(self) -> int:
        """A stable number (63 bits) that is equal for equal options."""
        return _signature(self)

    def to_json(self) -> dict[str, Any]:
        """Return the options as plain JSON values."""
        return {
            "kinds": sorted(int(kind) for kind in self.kinds),
            "include": list(self.include),
            "exclude": list(self.exclude),
            "hidden": self.hidden,
            "follow_symlinks": self.follow_symlinks,
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Filters":
        """Return the options that `to_json` gave."""
        return cls(
            kinds=frozenset(Kind(kind) for kind in values["kinds"]),
            include=tuple(values["include"]),
            exclude=tuple(values["exclude"]),
            hidden=values["hidden"],
            follow_symlinks=values["follow_symlinks"],
        )

    def validate(self) -> None:
        """Check the globs.

        Raises:
            ValueError: a glob is malformed; the text names it.
        """
        for pattern in self.include + self.exclude:
            Globs([pattern])

    def covers_file(self, path: str) -> bool:
        """Tell whether these options look at the file `path` (path text relative to the root)."""
        directory, _, name = path.rpartition("/")
        if not self.hidden and name.startswith("."):
            return False
        if not is_wanted(name, self.kinds):
            return False
        return _covers_directory(self, directory) and self.selects(path, is_directory=False)

    def covers_directory(self, path: str) -> bool:
        """Tell whether these options descend into the directory `path` ('' is the root)."""
        return _covers_directory(self, path)

    def selects(self, path: str, *, is_directory: bool) -> bool:
        """Apply the globs alone to one path whose parents are known to be covered."""
        if self.exclude and _globs(self.exclude).verdict(path, is_directory=is_directory):
            return False
        if is_directory or not self.include:
            return True  # a directory that is not included may hold a file that is
        return bool(_globs(self.include).verdict(path, is_directory=False))


@functools.lru_cache(maxsize=64)
def _globs(patterns: tuple[str, ...]) -> Globs:
    return Globs(patterns)


@functools.lru_cache(maxsize=64)
def _signature(filters: Filters) -> int:
    canonical = json.dumps(filters.to_json(), sort_keys=True).encode()
    digest = hashlib.blake2b(canonical, digest_size=8).digest()
    return int.from_bytes(digest, "big") & _SIGNATURE_BITS


@functools.lru_cache(maxsize=_CACHED_DIRECTORIES)
def _covers_directory(filters: Filters, path: str) -> bool:
    if not path:
        return True
    if not filters.hidden and (path.startswith(".") or "/." in path):
        return False
    if not filters.exclude:
        return True
    parts = path.split("/")
    above = ("/".join(parts[:depth]) for depth in range(1, len(parts) + 1))
    return all(filters.selects(ancestor, is_directory=True) for ancestor in above)
