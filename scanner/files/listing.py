"""Listing one directory.

The loop over a directory's entries (`Lister._take`) is the hottest code of the project: a library of a million
files runs it a million times, on one thread while the disk is quick. Names are judged before anything is
stat'ed, and special files are told apart by the directory entry alone: a FIFO, a socket or a device is never
opened, nor looked at. A directory beyond `part_size` is handed over in parts, so memory stays flat.

Standard library only. Every call may block for as long as the file system likes.
"""

import hashlib
import os
import stat
import time
from collections.abc import Callable
from itertools import islice
from operator import itemgetter

from scanner import media, paths, times
from scanner.files import mounts
from scanner.files.filters import Filters
from scanner.files.frames import PackedListing, pack
from scanner.files.ignore import IGNORE_NAMES, Chain, IgnoreRules, is_ignored
from scanner.files.tree import GONE, DirectoryLoop, RootAway, Tree, problem_of
from scanner.files.wire import (
    Entry,
    Listing,
    ListingStatus,
    ListRequest,
    Problem,
    Subdirectory,
    UnsettledEntry,
)

_CHUNK = 256
"""Entries between two signs of progress; a directory that fits is seen whole before it is judged."""

_TRUST_AFTER_NS = 2_000_000_000
_NEVER_NS = 1 << 100
"""Beyond every mtime."""

_EARLIEST_NS = -times.LATEST_NS
_NAME = itemgetter(0)
_TYPE_BITS = 0o170000
_INODE_LIMIT = 1 << 63
_REGULAR = stat.S_IFREG
_NO_KIND = -1
_REMEMBERED = 4096

Emit = Callable[[PackedListing], None]
"""Takes one part of a listing; may block while the reader is slow."""

Beat = Callable[[], None]
"""Called whenever the file system gave a sign of life."""


class _Kinds(dict[str, int]):
    """Extension, as written, to kind; `_NO_KIND` for those not wanted. Filled as extensions turn up."""

    def __init__(self, wanted: frozenset[media.Kind]) -> None:
        super().__init__()
        self._wanted = wanted

    def __missing__(self, extension: str) -> int:
        kind = self.of_name(f"x.{extension}")
        if len(self) < _REMEMBERED:
            self[extension] = kind
        return kind

    def of_name(self, name: str) -> int:
        """Return the kind of a whole name."""
        return int(media.kind_of(name)) if media.is_wanted(name, self._wanted) else _NO_KIND


class _Look:
    """One listing in the making."""

    def __init__(self, request: ListRequest, measure: mounts.Measure, settle_ns: int) -> None:
        self.request, self.path, self.measure = request, request.path, measure
        self.started_ns = time.time_ns()
        self.settled_until_ns = self.started_ns - settle_ns if settle_ns else _NEVER_NS
        # up to here a file's numbers are its entry's as they are
        last_ns = min(self.settled_until_ns, times.LATEST_NS)
        self.plain_until_ns = last_ns if measure.is_plain else -_NEVER_NS
        self.mtime_ns = self.inode = self.parts = 0
        self.chain: Chain = ()
        self.is_picky = False
        self.subdirectories: list[Subdirectory] = []
        self.clear()

    def clear(self) -> None:
        """Start the next part."""
        self.files: list[Entry] = []
        self.unsettled: list[UnsettledEntry] = []
        self.problems: list[Problem] = []

    def taken(self) -> int:
        """Return the number of rows in the part in the making."""
        return len(self.files) + len(self.unsettled) + len(self.problems)

    def trouble(self, name: str, error: OSError) -> None:
        """Note that one entry could not be looked at."""
        self.problems.append(problem_of(paths.join(self.path, paths.from_os(name)), error))

    def part(self) -> PackedListing:
        """Return what was found since the last part, as one part."""
        self._order_files()
        reply = self._reply("part", pack(self.files, []), None, is_trustworthy=False)
        self.parts += 1
        self.clear()
        return reply

    def end(self, digest_key: bytes) -> PackedListing:
        """Return the last part of a complete listing."""
        self._order_files()
        self._order_subdirectories()
        body, digest, is_clean = (
            pack(self.files, self.subdirectories),
            None,
            not (self.unsettled or self.problems),
        )
        if is_clean and not self.parts:
            digest = hashlib.blake2b(body, digest_size=16, key=digest_key).digest()
        is_same = digest is not None and digest == self.request.digest
        if is_same:
            body = pack([], self.subdirectories)
        return self._reply(
            "same" if is_same else "ok", body, digest, is_trustworthy=is_clean and self._is_old_enough()
        )

    def failure(self, error: OSError) -> PackedListing:
        """Return the last part of a listing that could not be finished."""
        is_gone = error.errno in GONE and not isinstance(error, RootAway)
        self._order_subdirectories()
        if not is_gone:
            self.problems.append(problem_of(self.path, error))
        return self._reply(
            "gone" if is_gone else "failed", pack([], self.subdirectories), None, is_trustworthy=False
        )

    def _order_files(self) -> None:
        """Sort the files of this part, each name once.

        A file system may return a name twice: one that is renamed over meanwhile, or found on two branches.
        """
        names = set(map(_NAME, self.files))
        names.update(map(_NAME, self.unsettled))
        if len(names) < len(self.files) + len(self.unsettled):
            unsettled = {entry[0]: entry for entry in self.unsettled}
            latest = {entry[0]: entry for entry in self.files if entry[0] not in unsettled}
            self.files, self.unsettled = list(latest.values()), list(unsettled.values())
        self.files.sort()

    def _order_subdirectories(self) -> None:
        """Sort the subdirectories, each name once."""
        self.subdirectories = sorted(dict(self.subdirectories).items())

    def _is_old_enough(self) -> bool:
        age_ns = self.started_ns - self.mtime_ns
        is_told = self.measure.tells_directory_changes and self.mtime_ns > 0
        return is_told and age_ns >= _TRUST_AFTER_NS + self.measure.step_ns

    def _reply(
        self, status: ListingStatus, body: bytes, digest: bytes | None, *, is_trustworthy: bool
    ) -> PackedListing:
        count = 0 if status in {"gone", "failed"} else len(self.files) + len(self.unsettled)
        is_last = status != "part"
        listing = Listing(
            self.request.key, status, [], self.unsettled, [], self.problems, count,
            self.mtime_ns if is_last else 0, self.inode if is_last else 0, digest, is_trustworthy,
        )  # fmt: skip
        return PackedListing(listing, body)


class Lister:
    """Lists the directories of one tree under one set of options. Safe to use from several threads."""

    def __init__(
        self, tree: Tree, rules: IgnoreRules, filters: Filters, *, settle_s: float, part_size: int
    ) -> None:
        self._tree, self._rules, self._filters = tree, rules, filters
        self._settle_ns = int(settle_s * 1e9)
        self._part_size = part_size
        self._chunk = min(_CHUNK, part_size)
        self._kinds = _Kinds(filters.kinds)
        self._has_globs = bool(filters.include or filters.exclude)
        self._digest_key = filters.signature.to_bytes(8, "big")
        self._identities: dict[str, tuple[int, int]] = {}

    def list_directory(self, request: ListRequest, emit: Emit, beat: Beat) -> PackedListing:
        """List one directory; parts but the last go to `emit`, the last is returned. Never raises OSError."""
        look = _Look(request, self._tree.measure_of(request.path), self._settle_ns)
        try:
            parent = request.path.rpartition("/")[0]
            descriptor = self._tree.open(request.path, knows_parent=self._rules.knows(parent))
            try:
                self._read(look, descriptor, emit, beat)
            finally:
                os.close(descriptor)
        except OSError as error:
            return self._fail(look, error, emit)
        return look.end(self._digest_key)

    def _fail(self, look: _Look, error: OSError, emit: Emit) -> PackedListing:
        if error.errno not in GONE and look.taken():
            emit(look.part())  # what was found is there, whatever follows
        look.clear()
        return look.failure(error)

    def _read(self, look: _Look, descriptor: int, emit: Emit, beat: Beat) -> None:
        found = os.fstat(
            descriptor
        )  # before the first entry is read: a later change then shows as a newer mtime
        look.mtime_ns, look.inode = look.measure.mtime_ns(found.st_mtime_ns), look.measure.inode(found.st_ino)
        if self._filters.follow_symlinks:
            self._refuse_loop(look.path, (found.st_dev, found.st_ino))
        with os.scandir(descriptor) as entries:
            chunk = list(islice(entries, self._chunk))
            self._learn_rules(look, chunk, descriptor)
            self._take(look, chunk)
            while len(chunk) == self._chunk:
                beat()
                if look.taken() > self._part_size - self._chunk:
                    emit(look.part())
                chunk = list(islice(entries, self._chunk))
                self._take(look, chunk)

    def _learn_rules(self, look: _Look, chunk: list[os.DirEntry[str]], descriptor: int) -> None:
        """Settle what is ignored here, before any entry is judged."""
        chain = self._rules.above(look.path)
        if len(chunk) == self._chunk or not IGNORE_NAMES.isdisjoint([entry.name for entry in chunk]):
            chain, refused = self._rules.extend(chain, look.path, descriptor)
            for name, error in refused:
                look.trouble(name, error)
        self._rules.remember(look.path, chain)
        look.chain, look.is_picky = chain, self._has_globs or bool(chain)

    def _take(self, look: _Look, chunk: list[os.DirEntry[str]]) -> None:
        """Sort a chunk's entries into files, subdirectories, problems and what is none of our business."""
        kinds, shows_hidden, is_picky = self._kinds, self._filters.hidden, look.is_picky
        plain_until_ns, add, text_of = look.plain_until_ns, look.files.append, paths.from_os
        for entry in chunk:
            name = entry.name
            if name[0] == "." and not shows_hidden:
                continue
            try:
                if not entry.is_file(follow_symlinks=False):
                    self._take_other(look, entry)
                    continue
                stem, _, extension = name.rpartition(".")
                kind = kinds[extension] if stem else kinds.of_name(name)
                if kind < 0 or (is_picky and self._is_unwanted(look, name, is_directory=False)):
                    continue
                found = entry.stat(follow_symlinks=False)
            except OSError as error:
                look.trouble(name, error)
                continue
            mtime_ns, inode = found.st_mtime_ns, found.st_ino
            if not _EARLIEST_NS <= mtime_ns <= plain_until_ns or inode >= _INODE_LIMIT:
                self._take_file(look, name, kind, found)
            elif found.st_mode & _TYPE_BITS == _REGULAR:  # not replaced since the directory was read
                text = name if name.isascii() else text_of(name)
                add((text, found.st_size, mtime_ns, inode, kind))

    def _take_file(
        self, look: _Look, name: str, kind: int, found: os.stat_result, *, trusts_inode: bool = True
    ) -> None:
        """Take a file the careful way: unsettled, behind a link, or on a peculiar file system."""
        if found.st_mode & _TYPE_BITS != _REGULAR:
            return
        mtime_ns = look.measure.mtime_ns(found.st_mtime_ns)
        inode = look.measure.inode(found.st_ino) if trusts_inode else 0
        entry = (paths.from_os(name), found.st_size, mtime_ns, inode, kind)
        if found.st_mtime_ns > look.settled_until_ns:
            look.unsettled.append((*entry, times.bounded_ns(found.st_ctime_ns)))
        else:
            look.files.append(entry)

    def _take_other(self, look: _Look, entry: os.DirEntry[str]) -> None:
        if entry.is_dir(follow_symlinks=False):
            self._take_directory(look, entry.name, entry.inode())
        elif self._filters.follow_symlinks and entry.is_symlink():
            self._take_link(look, entry)

    def _take_directory(self, look: _Look, name: str, inode: int) -> None:
        if look.is_picky and self._is_unwanted(look, name, is_directory=True):
            return
        text = paths.from_os(name)
        if self._tree.is_mount_point(paths.join(look.path, text)):
            inode = 0  # the number is that of the directory underneath
        look.subdirectories.append((text, look.measure.inode(inode)))

    def _take_link(self, look: _Look, entry: os.DirEntry[str]) -> None:
        name = entry.name
        if entry.is_dir():
            self._take_directory(look, name, 0)
        elif entry.is_file():  # False for a link that leads nowhere, or to something special
            kind = self._kinds.of_name(name)
            if kind != _NO_KIND and not (look.is_picky and self._is_unwanted(look, name, is_directory=False)):
                self._take_file(look, name, kind, entry.stat(), trusts_inode=False)

    def _is_unwanted(self, look: _Look, name: str, *, is_directory: bool) -> bool:
        path = paths.join(look.path, paths.from_os(name))
        return is_ignored(look.chain, path, is_directory=is_directory) or not self._filters.selects(
            path, is_directory=is_directory
        )

    def _refuse_loop(self, path: str, identity: tuple[int, int]) -> None:
        """Refuse a directory that is one of its own ancestors, which only a followed link can bring about."""
        parts = path.split("/") if path else []
        for depth in range(len(parts)):
            if self._identity("/".join(parts[:depth])) == identity:
                raise DirectoryLoop("/".join(parts[:depth]))
        if len(self._identities) >= _REMEMBERED:
            self._identities.clear()
        self._identities[path] = identity

    def _identity(self, path: str) -> tuple[int, int]:
        known = self._identities.get(path)
        if known is None:
            found = self._tree.stat(path)
            known = self._identities[path] = (found.st_dev, found.st_ino)
        return known
