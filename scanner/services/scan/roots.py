"""Roots and mounts: whether what lies under a path is still what the catalog knows.

A share that is not mounted looks like an empty directory, and a disk that comes back has another device
number. What counts is the mount's source, file-system type and sub-root; where those differ, a sample of known
files decides. A mount point inside a library is judged like a root.
"""

import dataclasses
import os

import msgspec

from scanner import paths
from scanner.catalog import files as catalog_files
from scanner.catalog import libraries
from scanner.catalog.files import sample_of_library
from scanner.catalog.leases import renew
from scanner.files.mounts import Mount, MountTable
from scanner.files.wire import Problem
from scanner.services.scan.context import RootOfflineError, ScanContext
from scanner.services.scan.lookout import Lookout

_SAMPLED_FILES = 32


class RootIdentity(msgspec.Struct, frozen=True):
    """What a mount is, apart from its device number, which changes at every remount."""

    source: str
    fs_type: str
    sub_root: str

    @classmethod
    def of(cls, mount: Mount) -> "RootIdentity":
        """Return the identity of a mount."""
        return cls(paths.readable(mount.source), mount.fs_type, paths.readable(mount.sub_root))

    @classmethod
    def parse(cls, text: str | None) -> "RootIdentity | None":
        """Return the identity that `str(identity)` gave; None when there is none."""
        return None if text is None else msgspec.json.decode(text, type=cls)

    def __str__(self) -> str:
        return msgspec.json.encode(self).decode()


class Roots:
    """Judges the root and the mount points inside it; the mount table is read once a phase of the scan."""

    def __init__(self, context: ScanContext, lookout: Lookout) -> None:
        self._context = context
        self._lookout = lookout
        self._mounts: dict[str, str] = {}
        self._away: set[str] = set()
        self._reported: set[str] = set()
        self._identity = RootIdentity("", "", "")

    def _reload(self) -> None:
        """Read the mount table; only when the root has answered, since resolving its links looks at it."""
        root = paths.from_os(os.path.realpath(paths.to_os(self._context.library.root)))
        table = MountTable.load()
        self._identity = RootIdentity.of(table.of(root))
        start = len(root.rstrip("/")) + 1
        self._mounts = {mount.mount_point[start:]: str(RootIdentity.of(mount)) for mount in table.below(root)}

    def mount_at(self, path: str) -> str | None:
        """Return the identity of the mount at a directory inside the library; None if it is no mount point."""
        return self._mounts.get(path)

    def judge_root(self) -> RootIdentity:
        """Return what is mounted at the root.

        Raises:
            RootOfflineError: the root is not there, cannot be looked at, or is not what it was.
        """
        look = self._lookout.verify([""])[""]
        if look.status == "failed":
            raise _offline("the root cannot be looked at", look.errno)
        if look.status == "gone" or not look.is_directory:
            raise _offline("the root is not there", look.errno)
        self._reload()
        self._accept(RootIdentity.parse(self._context.library.identity))
        self._away = self._mounts_away()
        return self._identity

    def _accept(self, known: RootIdentity | None) -> None:
        """Note what the root is; another one than before must hold what was known."""
        if known == self._identity:
            return
        if known is not None and self._context.had_files and not self._sample_agrees(""):
            raise _offline(f"another file system is mounted there: {self._identity}, not {known}")
        self._context.retry(lambda: self._save(is_another=known is not None))
        self._context.library = dataclasses.replace(self._context.library, identity=str(self._identity))

    def _save(self, *, is_another: bool) -> None:
        library_id = self._context.library.id
        with self._context.database.write() as connection:
            renew(connection, self._context.grant)
            if is_another:
                libraries.forget_inodes(connection, library_id)
            libraries.save_identity(connection, library_id, str(self._identity), "online")

    def _mounts_away(self) -> set[str]:
        """Return the directories that were mount points and are not what they were."""
        of = (self._context.database, self._context.library.id)
        known = self._context.retry(lambda: catalog_files.mounted_directories(*of))
        changed = [path for path, mount in known if self._mounts.get(path) != mount]
        return {path for path in changed if not self._sample_agrees(path)}

    def is_away(self, path: str) -> bool:
        """Tell whether a directory was a mount point and is not what it was."""
        return path in self._away

    def refusal(self, path: str) -> Problem | None:
        """Tell why nothing at a path can be believed: it is, or lies below, a mount that is away."""
        away = next((mount for mount in self._away if paths.contains(mount, path)), None)
        return None if away is None else Problem(away, "offline", None, "what was mounted there is not")

    def report(self, path: str) -> list[Problem]:
        """Return the problem of a mount that is away, the first time that something on it is met."""
        problem = self.refusal(path)
        if problem is None or problem.path in self._reported:
            return []
        self._reported.add(problem.path)
        return [problem]

    def holds_known_files(self) -> bool:
        """Tell whether known files are where they were, or none is known."""
        return self._sample_agrees("")

    def _sample_agrees(self, below: str) -> bool:
        """Tell whether at least half of a sample of known files is where it was; with no file known, yes."""
        of = (self._context.database, self._context.library.id)
        sample = self._context.retry(lambda: sample_of_library(*of, below, _SAMPLED_FILES))
        looks = self._lookout.verify([path for path, _, _ in sample])
        agreeing = sum(
            looks[path].status == "present" and looks[path].size == size
            for path, size, _ in sample
            if path in looks
        )
        return agreeing * 2 >= len(sample)


def _offline(text: str, errno: int | None = None) -> RootOfflineError:
    return RootOfflineError(Problem("", "offline", errno or None, text))
