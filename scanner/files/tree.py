"""Reaching things below a library's root: opening directories at any depth, and telling `gone` from `away`.

Paths are opened through the root's absolute path each time, never through a descriptor kept open: what is
looked at is what is mounted there now, and no mount is kept busy. A path that leads through a symbolic link
counts as gone unless links are followed: the tree it was part of is no longer there.

Standard library only. Every call may block for as long as the file system likes.
"""

import errno
import os
from typing import Final

from scanner import paths
from scanner.files import mounts
from scanner.files.wire import Problem, ProblemKind

GONE: Final = frozenset({errno.ENOENT, errno.ENOTDIR})
_PATH_LIMIT_BYTES = 4000
"""A little below PATH_MAX (4096), which counts the closing NUL and what the kernel adds."""

_KINDS: dict[int | None, ProblemKind] = {
    errno.EACCES: "unreadable",
    errno.EPERM: "unreadable",
    errno.ENOENT: "vanished",
    errno.ENOTDIR: "vanished",
}


class RootAway(OSError):
    """Raised when something is not found and the root, or the mount it lay on, is not what it was."""


def problem_of(path: str, error: OSError) -> Problem:
    """Return the problem row for `error` at `path`."""
    kind: ProblemKind = _KINDS.get(error.errno, "io")
    if isinstance(error, RootAway):
        kind = "offline"
    elif isinstance(error, DirectoryLoop):
        kind = "loop"
    return Problem(path, kind, error.errno, error.strerror or str(error))


class DirectoryLoop(OSError):
    """Raised when a directory is its own ancestor, which only a followed link can bring about."""

    def __init__(self, ancestor: str) -> None:
        super().__init__(errno.ELOOP, f"a link leads back to {paths.printable(ancestor) or 'the root'!r}")


class Tree:
    """The directory tree of one library, for the life of one walker."""

    def __init__(self, root: str, *, follow_symlinks: bool) -> None:
        """Remember the root (absolute path text) and the mount table; touches no file system."""
        self.root = root
        self.mounts = mounts.MountTable.load()
        self.root_mount = self.mounts.of(root)
        self.mounts_below = self.mounts.below(root)
        self._mount_points = {mount.mount_point for mount in self.mounts_below}
        self._measures: dict[str, mounts.Measure] = {}
        self._root_os = paths.to_os(root)
        self._below_os = self._root_os.rstrip("/") + "/"
        self._follow = follow_symlinks
        self._flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NONBLOCK
        self._identity: tuple[int, int] | None = None
        self._real_root: str | None = None

    def absolute(self, path: str) -> str:
        """Return the absolute path text of `path`."""
        return f"{self.root.rstrip('/')}/{path}" if path else self.root

    def mount_of(self, path: str) -> mounts.Mount:
        """Return the mount that held `path` when the walker started; no I/O."""
        if not self.mounts_below:
            return self.root_mount
        return mounts.holder(self.mounts_below, self.absolute(path)) or self.root_mount

    def is_mount_point(self, path: str) -> bool:
        """Tell whether something was mounted at `path` when the walker started; no I/O."""
        return bool(self._mount_points) and self.absolute(path) in self._mount_points

    def measure_of(self, path: str) -> mounts.Measure:
        """Return how the numbers of the file system that holds `path` are to be read; no I/O."""
        fs_type = self.mount_of(path).fs_type
        measure = self._measures.get(fs_type)
        if measure is None:
            measure = self._measures[fs_type] = mounts.Measure(fs_type)
        return measure

    def open(self, path: str, *, knows_parent: bool = False) -> int:
        """Open the directory `path` ('' is the root) and return its descriptor.

        With `knows_parent` the way there is not looked at for links: whoever asks just listed the parent.

        Raises:
            RootAway: it is not there, and the root or its mount is not what it was either.
            OSError: it cannot be opened; ENOENT and ENOTDIR mean that no such directory is there.
        """
        if self._identity is None:
            self._meet_root()
        try:
            descriptor = self._open(path)
        except OSError as error:
            if error.errno in GONE:
                self.refuse_if_away(path)
            raise
        if not knows_parent:
            self._refuse_if_linked(path, descriptor)
        return descriptor

    def stat(self, path: str) -> os.stat_result:
        """Look at `path` itself: a symbolic link is not followed unless links are.

        Raises:
            RootAway: it is not there, and the root or its mount is not what it was either.
            OSError: it cannot be looked at; ENOENT and ENOTDIR mean that nothing is there.
        """
        directory, _, name = path.rpartition("/")
        descriptor = self.open(directory)
        try:
            return os.stat(paths.to_os(name) or ".", dir_fd=descriptor, follow_symlinks=self._follow)
        except OSError as error:
            if error.errno in GONE:
                self.refuse_if_away(path)
            raise
        finally:
            os.close(descriptor)

    def directory_stat(self, path: str) -> os.stat_result:
        """Look at the directory `path`, cheaply where that is enough.

        On a network mount the directory is opened, which makes the client ask the server again.

        Raises:
            OSError: it cannot be looked at.
        """
        if len(path) < _PATH_LIMIT_BYTES // 8 and not mounts.is_network(self.mount_of(path).fs_type):
            return os.stat(self._below_os + paths.to_os(path), follow_symlinks=self._follow or not path)
        descriptor = self.open(path)
        try:
            return os.fstat(descriptor)
        finally:
            os.close(descriptor)

    def refuse_if_away(self, path: str) -> None:
        """Check that the root, and the mount that held `path`, still are what they were.

        Raises:
            RootAway: they are not, so that "not found" says nothing about `path`.
        """
        try:
            found = os.stat(self._root_os)
        except OSError as error:
            raise RootAway(error.errno, f"the root is away: {error.strerror}") from error
        if self._identity is not None and (found.st_dev, found.st_ino) != self._identity:
            raise RootAway(errno.ENODEV, "the root is another directory than at the start")
        now = mounts.MountTable.load()
        if now.raw != self.mounts.raw and now.of(self.absolute(path)) != self.mount_of(path):
            raise RootAway(errno.ENODEV, f"the mount at {self.mount_of(path).mount_point} is not what it was")

    def _meet_root(self) -> None:
        try:
            descriptor = os.open(self._root_os, self._flags)
        except OSError as error:
            raise RootAway(error.errno, f"the root cannot be opened: {error.strerror}") from error
        try:
            found = os.fstat(descriptor)
            self._real_root = _kernel_path(descriptor)
        finally:
            os.close(descriptor)
        self._identity = (found.st_dev, found.st_ino)

    def _open(self, path: str) -> int:
        flags = self._flags if self._follow or not path else self._flags | os.O_NOFOLLOW
        target = self._below_os + paths.to_os(path)
        if len(target) * 4 < _PATH_LIMIT_BYTES or len(os.fsencode(target)) < _PATH_LIMIT_BYTES:
            return os.open(target, flags)
        return self._open_deep(path, flags)

    def _open_deep(self, path: str, flags: int) -> int:
        """Open a path beyond PATH_MAX in stretches, each relative to the one before."""
        descriptor = os.open(self._root_os, self._flags)
        for stretch in _stretches(paths.to_os(path)):
            try:
                deeper = os.open(stretch, flags, dir_fd=descriptor)
            finally:
                os.close(descriptor)
            descriptor = deeper
        return descriptor

    def _refuse_if_linked(self, path: str, descriptor: int) -> None:
        """Refuse (and close) a directory reached through a link: O_NOFOLLOW guards the last component only."""
        if self._follow or "/" not in path or self._real_root is None:
            return
        place = _kernel_path(descriptor)
        if place is None or place == f"{self._real_root.rstrip('/')}/{paths.to_os(path)}":
            return
        parts = paths.to_os(path).split("/")
        for depth in range(1, len(parts)):
            if os.path.islink(self._below_os + "/".join(parts[:depth])):
                os.close(descriptor)
                raise NotADirectoryError(errno.ENOTDIR, f"{'/'.join(parts[:depth])!r} is a symbolic link")


def _kernel_path(descriptor: int) -> str | None:
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:  # beyond PATH_MAX, or no /proc
        return None


def _stretches(path: str) -> list[str]:
    stretches = [""]
    for part in path.split("/"):
        longer = f"{stretches[-1]}/{part}" if stretches[-1] else part
        if len(os.fsencode(longer)) < _PATH_LIMIT_BYTES:
            stretches[-1] = longer
        else:
            stretches.append(part)
    return stretches
