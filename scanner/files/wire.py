"""What the scan side and the walker process say to each other: plain tuples over two pipes.

Every path is path text (`scanner.paths`) relative to the library's root, '' being the root itself. Messages
are `marshal` frames (both ends run the same interpreter): the fastest encoding in the standard library.
Standard library only.
"""

from typing import Literal, NamedTuple

Entry = tuple[str, int, int, int, int]
"""A settled regular file: name, size in bytes, mtime in ns, inode (0 = not to be trusted), kind."""

UnsettledEntry = tuple[str, int, int, int, int, int]
"""A file that may still be written: an `Entry` and its ctime in ns."""

Subdirectory = tuple[str, int]
"""A directory to descend into: name, inode (0 = not to be trusted)."""

ProblemKind = Literal["unreadable", "timeout", "io", "vanished", "offline", "loop"]
"""`unreadable` EACCES/EPERM; `timeout` no answer; `io` EIO, ESTALE, ENOTCONN...; `vanished` ENOENT under a
listed name; `offline` a root or mount that is not what it was; `loop` a followed link to its own ancestor."""


ListingStatus = Literal["part", "ok", "same", "gone", "failed"]
"""How a listing, or one part of it, ended; see `Listing`."""


class ListRequest(NamedTuple):
    """List one directory. `digest` is that of its last decided listing: equal means answer `same`."""

    key: int
    path: str
    digest: bytes | None = None


class CheckRequest(NamedTuple):
    """Tell which of some directories (path, mtime_ns) have another mtime by now, without listing them.

    Many in one request: looking at one costs less than handing a request about.
    """

    key: int
    directories: list[tuple[str, int]]

    @property
    def path(self) -> str:
        """The first directory: where it is mounted, so are the others as a rule."""
        return self.directories[0][0]


class VerifyRequest(NamedTuple):
    """Look at one path with `lstat`: gone, there, or there but no longer a member of the library."""

    key: int
    path: str


class Problem(NamedTuple):
    """One thing that could not be looked at; `path` is relative to the root."""

    path: str
    kind: ProblemKind
    errno: int | None
    text: str


class Listing(NamedTuple):
    """The answer to a `ListRequest`, or one part of it: a directory beyond `part_size` entries comes in parts.

    `status`: `part` (more comes), `ok` (the last part, the listing is complete and error-free), `same` (equal
    to `digest`: `files` is empty and `file_count` counts them), `gone` (ENOENT/ENOTDIR), `failed` (see
    `problems`; parts already sent stand, but nothing absent from them is vanished).
    Only the last part has `mtime_ns`, `inode`, `digest`, `trustworthy`, and all of `subdirectories`.
    `file_count` counts the files of this message, unsettled ones included, so that the sum over a listing's
    messages is its total. `same` comes with all of `subdirectories`, too. A `problems` row about an entry means
    that the entry was there and could not be looked at; it does not make the listing `failed`.
    `digest` is None for a listing in several parts or with an unsettled entry or a problem.
    `trustworthy`: the mtime was at least 2 s older than the listing's start, without a problem or an
    unsettled entry, so that an equal mtime later means an equal listing.
    """

    key: int
    status: ListingStatus
    files: list[Entry]
    unsettled: list[UnsettledEntry]
    subdirectories: list[Subdirectory]
    problems: list[Problem]
    file_count: int
    mtime_ns: int
    inode: int
    digest: bytes | None
    trustworthy: bool

    def names(self) -> list[str]:
        """Return the names of all files that it shows."""
        return [entry[0] for entry in self.files] + [entry[0] for entry in self.unsettled]


class Checked(NamedTuple):
    """The answer to a `CheckRequest`: the positions of those that changed or could not be looked at.

    `asked` says how many there were.
    """

    key: int
    changed: list[int]
    asked: int


class Verified(NamedTuple):
    """The answer to a `VerifyRequest`.

    `status`: `present` (a member), `excluded` (there, but no member: ignored, another type), `gone`
    (ENOENT/ENOTDIR), `failed` (any other error: nothing may be concluded). `size`, `mtime_ns` and `inode`
    are 0 unless it is there; `is_directory` tells what is there.
    """

    key: int
    status: Literal["present", "excluded", "gone", "failed"]
    is_directory: bool
    size: int
    mtime_ns: int
    inode: int
    errno: int


Request = ListRequest | CheckRequest | VerifyRequest
Reply = Listing | Checked | Verified
