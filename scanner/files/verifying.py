"""Looking at one path without listing: whether a directory changed, whether a missing file is really gone.

The answers err on one side only: a directory that cannot be looked at has changed, a path that cannot be
looked at is not gone. Standard library only. Every call may block for as long as the file system likes.
"""

import os
import stat

from scanner.files.ignore import IgnoreRules
from scanner.files.listing import Beat
from scanner.files.tree import GONE, RootAway, Tree
from scanner.files.wire import Checked, CheckRequest, Verified, VerifyRequest


class Verifier:
    """Answers check and verify requests for one tree. Safe to use from several threads."""

    def __init__(self, tree: Tree, rules: IgnoreRules) -> None:
        self._tree, self._rules = tree, rules

    def check(self, request: CheckRequest, beat: Beat) -> Checked:
        """Tell which directories' mtimes have moved. Never raises OSError."""
        changed = []
        for position, (path, mtime_ns) in enumerate(request.directories):
            if self._has_moved(path, mtime_ns):
                changed.append(position)
            beat()
        return Checked(request.key, changed, len(request.directories))

    def _has_moved(self, path: str, mtime_ns: int) -> bool:
        """Tell whether a directory has another mtime.

        Where mtimes of directories are made up they tell nothing, and would be another at each look.
        """
        try:
            found = self._tree.directory_stat(path)
        except OSError:
            return True
        measure = self._tree.measure_of(path)
        moved = measure.tells_directory_changes and measure.mtime_ns(found.st_mtime_ns) != mtime_ns
        return moved or not stat.S_ISDIR(found.st_mode)

    def verify(self, request: VerifyRequest) -> Verified:
        """Tell what is at a path. Never raises OSError."""
        try:
            found = self._tree.stat(request.path)
            is_member = self._is_member(request.path, found.st_mode)
        except OSError as error:
            is_gone = error.errno in GONE and not isinstance(error, RootAway)
            return Verified(request.key, "gone" if is_gone else "failed", False, 0, 0, 0, error.errno or 0)
        return self._there(request, found, is_member=is_member)

    def _there(self, request: VerifyRequest, found: os.stat_result, *, is_member: bool) -> Verified:
        measure = self._tree.measure_of(request.path)
        return Verified(
            key=request.key,
            status="present" if is_member else "excluded",
            is_directory=stat.S_ISDIR(found.st_mode),
            size=found.st_size,
            mtime_ns=measure.mtime_ns(found.st_mtime_ns),
            inode=measure.inode(found.st_ino),
            errno=0,
        )

    def _is_member(self, path: str, mode: int) -> bool:
        """Judge by what defines membership: type and ignore files. Options only narrow."""
        if not path:
            return stat.S_ISDIR(mode)
        if stat.S_ISREG(mode):
            return not self._rules.ignores(path)
        return stat.S_ISDIR(mode) and not self._rules.ignores(path, is_directory=True)
