"""`.ignore` and `.scanignore` files: gitignore semantics, nested, the deeper file deciding first.

Rules form a chain from the root to a directory. The walker lists parents before children, so a directory's
chain is nearly always its parent's, found in a bounded cache; after a resume (or an eviction) it is loaded by
opening the ancestors' ignore files. A tree without ignore files costs one cache look-up a directory.

A malformed line matches nothing. A file that may not be read counts as empty, and is reported for the
directory it lies in; any other error is the caller's, since what would be ignored is then unknown.
"""

import errno
import os
import stat
from collections.abc import Callable

from scanner import paths
from scanner.files.globs import Globs, tolerant

IGNORE_NAMES = frozenset({".ignore", ".scanignore"})

_READ_LIMIT_BYTES = 1 << 20
_CACHE_SIZE = 8192
_NOT_A_RULE_FILE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EACCES, errno.EPERM, errno.ENXIO})

Chain = tuple[tuple[str, Globs], ...]
"""From the root down: a directory and the patterns of its ignore files."""


class IgnoreRules:
    """The chains of one library. Safe to use from several threads."""

    def __init__(self, open_directory: Callable[[str], int], *, follow_symlinks: bool) -> None:
        """Use `open_directory` (relative path text to a descriptor) to reach ancestors not listed here."""
        self._open_directory = open_directory
        self._flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
        self._flags |= 0 if follow_symlinks else os.O_NOFOLLOW
        self._young: dict[str, Chain] = {}
        self._old: dict[str, Chain] = {}

    def above(self, directory: str) -> Chain:
        """Return the chain that `directory` inherits: the ignore files of its ancestors.

        Raises:
            OSError: an ancestor's ignore file exists and cannot be looked at (EIO, ESTALE...).
        """
        return self._of(directory.rpartition("/")[0]) if directory else ()

    def knows(self, directory: str) -> bool:
        """Tell whether `directory` was listed lately (a bounded memory)."""
        return directory in self._young or directory in self._old

    def remember(self, directory: str, chain: Chain) -> None:
        """Keep the chain of a directory just listed, for its children."""
        if len(self._young) >= _CACHE_SIZE:  # two generations: a cheap stand-in for least recently used
            self._old, self._young = self._young, {}
        self._young[directory] = chain

    def extend(self, chain: Chain, directory: str, descriptor: int) -> tuple[Chain, list[tuple[str, OSError]]]:
        """Return `chain` with the ignore files in the open `directory`, and those it may not read.

        Raises:
            OSError: an ignore file exists and cannot be looked at (EIO, ESTALE...).
        """
        lines: list[str] = []
        refused: list[tuple[str, OSError]] = []
        for name in sorted(IGNORE_NAMES):
            try:
                lines += self._read(name, descriptor)
            except OSError as error:
                if error.errno not in _NOT_A_RULE_FILE:
                    raise
                if error.errno in (errno.EACCES, errno.EPERM):
                    refused.append((name, error))
        rules = tolerant(lines) if lines else ()
        return (*chain, (directory, rules)) if rules else chain, refused

    def ignores(self, path: str, *, is_directory: bool = False) -> bool:
        """Tell whether `path` is ignored, itself or through a directory above it.

        Raises:
            OSError: an ignore file on the way exists and cannot be looked at.
        """
        parts = path.split("/")
        for depth in range(1, len(parts) + 1):
            step = "/".join(parts[:depth])
            if is_ignored(self.above(step), step, is_directory=is_directory or depth < len(parts)):
                return True
        return False

    def _of(self, directory: str) -> Chain:
        chain = self._young.get(directory)
        if chain is None:
            chain = self._old.get(directory)
            if chain is None:
                chain = self._load(directory)
            self.remember(directory, chain)
        return chain

    def _load(self, directory: str) -> Chain:
        missing = [directory]
        while missing[-1] and missing[-1] not in self._young and missing[-1] not in self._old:
            missing.append(missing[-1].rpartition("/")[0])
        chain: Chain = ()
        for step in reversed(missing):  # a loop, not recursion: trees can be thousands of levels deep
            known = self._young.get(step, self._old.get(step))
            chain = self._read_own(chain, step) if known is None else known
            self.remember(step, chain)
        return chain

    def _read_own(self, chain: Chain, directory: str) -> Chain:
        try:
            descriptor = self._open_directory(directory)
        except (FileNotFoundError, NotADirectoryError):
            return chain
        try:
            return self.extend(chain, directory, descriptor)[0]
        finally:
            os.close(descriptor)

    def _read(self, name: str, directory_descriptor: int) -> list[str]:
        descriptor = os.open(name, self._flags, dir_fd=directory_descriptor)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return []
            return _lines(_read_up_to(descriptor, _READ_LIMIT_BYTES))
        finally:
            os.close(descriptor)


def is_ignored(chain: Chain, path: str, *, is_directory: bool) -> bool:
    """Tell whether `chain` ignores `path`, whose parent directory is known not to be ignored."""
    for directory, rules in reversed(chain):
        below = path[len(directory) + 1 :] if directory else path
        verdict = rules.verdict(below, is_directory=is_directory)
        if verdict is not None:
            return verdict
    return False


def _read_up_to(descriptor: int, limit_bytes: int) -> bytes:
    content = b""
    while len(content) < limit_bytes and (more := os.read(descriptor, limit_bytes - len(content))):
        content += more
    return content


def _lines(content: bytes) -> list[str]:
    content = content.removeprefix(b"\xef\xbb\xbf")
    lines = (paths.from_bytes(line.removesuffix(b"\r")) for line in content.split(b"\n"))
    return [line for line in lines if line and not line.startswith("#")]
