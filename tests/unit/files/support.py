"""Walking whole trees through the real walker process, or single directories in this one."""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from scanner import paths
from scanner.files.filters import Filters
from scanner.files.frames import PackedListing, raw_reply, replies_of
from scanner.files.ignore import IgnoreRules
from scanner.files.listing import Lister
from scanner.files.tree import Tree
from scanner.files.verifying import Verifier
from scanner.files.walk import Walker, WalkerSettings
from scanner.files.wire import Entry, Listing, ListRequest, Problem, Reply, Request, Verified, VerifyRequest
from scanner.media import Kind

EVERYTHING = Filters(kinds=frozenset(Kind))
SETTLED = WalkerSettings(settle_s=0)
OLD_NS = 1_600_000_000 * 10**9


@dataclass
class Walk:
    """What a whole walk brought."""

    files: dict[str, Entry] = field(default_factory=dict)
    unsettled: set[str] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)
    statuses: dict[str, str] = field(default_factory=dict)
    final_answers: int = 0

    @property
    def names(self) -> set[str]:
        return set(self.files)

    def take(self, path: str, reply: Listing) -> None:
        self.files.update((paths.join(path, entry[0]), entry) for entry in reply.files)
        self.unsettled.update(paths.join(path, entry[0]) for entry in reply.unsettled)
        self.problems += reply.problems
        self.statuses[path] = reply.status
        self.final_answers += reply.status != "part"


def drive(walker: Walker, *, seen: Callable[[Walk], None] = lambda _: None, window: int = 500) -> Walk:
    """Walk the tree of `walker` to its end; `seen` is called after each group of replies."""
    result, todo, asked, key = Walk(), [""], {}, 0
    while todo or walker.outstanding:
        requests: list[Request] = []
        while todo and walker.outstanding + len(requests) < window:
            key += 1
            asked[key] = todo.pop()
            requests.append(ListRequest(key, asked[key]))
        walker.submit(requests)
        for reply in walker.receive(30):
            assert isinstance(reply, Listing)
            path = asked[reply.key]
            result.take(path, reply)
            todo += [paths.join(path, name) for name, _ in reply.subdirectories]
        seen(result)
    return result


def walk(root: Path, filters: Filters = EVERYTHING, settings: WalkerSettings = SETTLED) -> Walk:
    """Walk `root` through a walker process."""
    with Walker(paths.from_os(str(root)), filters, settings) as walker:
        return drive(walker)


class Local:
    """A lister and a verifier in this process: for what needs no process."""

    def __init__(
        self, root: Path, filters: Filters = EVERYTHING, *, settle_s: float = 0, part_size: int = 5000
    ):
        tree = Tree(paths.from_os(str(root)), follow_symlinks=filters.follow_symlinks)
        self.rules = IgnoreRules(tree.open, follow_symlinks=filters.follow_symlinks)
        self.lister = Lister(tree, self.rules, filters, settle_s=settle_s, part_size=part_size)
        self.verifier = Verifier(tree, self.rules)

    def listings(self, path: str = "", digest: bytes | None = None) -> list[Listing]:
        """Return all parts of a listing."""
        parts: list[PackedListing] = []
        last = self.lister.list_directory(ListRequest(1, path, digest), parts.append, lambda: None)
        replies: Iterable[Reply] = replies_of([raw_reply(reply) for reply in (*parts, last)])
        return [reply for reply in replies if isinstance(reply, Listing)]

    def listing(self, path: str = "", digest: bytes | None = None) -> Listing:
        """Return a listing that comes in one part."""
        (only,) = self.listings(path, digest)
        return only

    def names(self, path: str = "") -> list[str]:
        return [entry[0] for entry in self.listing(path).files]

    def verify(self, path: str) -> Verified:
        return self.verifier.verify(VerifyRequest(1, path))


def touch(path: Path, content: bytes = b"", mtime_ns: int = OLD_NS) -> Path:
    """Make a file of the past, and its directories."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, ns=(mtime_ns, mtime_ns))
    return path


def make_tree(root: Path, *names: str) -> Path:
    """Make files; a name with a closing slash is a directory."""
    for name in names:
        if name.endswith("/"):
            (root / name).mkdir(parents=True, exist_ok=True)
        else:
            touch(root / name)
    return root
