"""The mount table, from /proc/self/mountinfo: which file system holds a path, without touching it.

Reading the table does no I/O on any mount, so it answers for a mount that hangs. Format: proc(5). Paths and
sources are path text (`scanner.paths`); the kernel's octal escapes are undone. Standard library only.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple, Self

from scanner import paths, times

MOUNTINFO = "/proc/self/mountinfo"

_OCTAL = re.compile(rb"\\([0-7]{3})")
_NETWORK = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "ceph", "glusterfs", "afs", "ncpfs", "lustre"}
)
_FAT = frozenset({"vfat", "msdos", "exfat"})
_UNSTABLE_INODES = _FAT | {"cifs", "smb3", "smbfs", "9p", "ncpfs", "afs", "vboxsf"}
_SECOND_NS = 1_000_000_000
_GRANULARITY_NS = {
    "vfat": 2 * _SECOND_NS,
    "msdos": 2 * _SECOND_NS,
    "exfat": 10_000_000,
    "hfsplus": _SECOND_NS,
    "hfs": _SECOND_NS,
    "ext2": _SECOND_NS,
    "ext3": _SECOND_NS,
    "cifs": 100,
    "smb3": 100,
    "ntfs": 100,
    "ntfs3": 100,
    "fuseblk": 100,
}


class Mount(NamedTuple):
    """One line of the table.

    `sub_root` is the part of the file system that is mounted; `device` is "major:minor".
    """

    source: str
    fs_type: str
    sub_root: str
    mount_point: str
    device: str


class MountTable:
    """The mounts of this process's namespace at one moment."""

    def __init__(self, raw: bytes) -> None:
        """Parse the bytes of a mountinfo file; lines it cannot make sense of are passed over."""
        self.raw = raw
        self._mounts: dict[int, Mount] = {}
        self._children: dict[int, list[int]] = {}
        parents: dict[int, int] = {}
        for line in raw.splitlines():
            parsed = _parse(line)
            if parsed is not None:
                number, parents[number], self._mounts[number] = parsed
        for number, parent in parents.items():
            is_top = parent == number or parent not in self._mounts
            self._children.setdefault(0 if is_top else parent, []).append(number)

    @classmethod
    def load(cls) -> Self:
        """Read the table of this process."""
        with open(MOUNTINFO, "rb") as file:
            return cls(file.read())

    def of(self, path: str | bytes) -> Mount:
        """Return the mount that holds the absolute `path` (path text or bytes).

        Follows the tree of mounts as the kernel walks a path: one mounted over another hides it and all
        that was mounted below.
        """
        return self._mounts.get(self._number_of(_text(path)), _UNKNOWN)

    def below(self, path: str | bytes) -> list[Mount]:
        """Return the mounts that lie strictly below the absolute `path` and can be reached, sorted."""
        prefix = _text(path).rstrip("/") + "/"
        found = [
            mount
            for number, mount in self._mounts.items()
            if mount.mount_point.startswith(prefix)
            and mount.mount_point != prefix
            and self._number_of(mount.mount_point) == number
        ]
        return sorted(found, key=lambda mount: mount.mount_point)

    def _number_of(self, path: str) -> int:
        number = 0
        while True:
            crossed = [
                child
                for child in self._children.get(number, ())
                if paths.contains(self._mounts[child].mount_point, path)
            ]
            if not crossed:
                return number
            nearest = min if number else max  # tops: no order among them is known, the closest one holds it
            number = nearest(crossed, key=lambda child: len(self._mounts[child].mount_point))


_UNKNOWN = Mount(source="", fs_type="", sub_root="/", mount_point="/", device="0:0")


def _text(path: str | bytes) -> str:
    return paths.from_bytes(path) if isinstance(path, bytes) else path


def _parse(line: bytes) -> tuple[int, int, Mount] | None:
    left, dash, right = line.partition(b" - ")
    fields, tail = left.split(b" "), right.split(b" ")
    if not dash or len(fields) < 6 or len(tail) < 2 or not (fields[0].isdigit() and fields[1].isdigit()):
        return None
    device, sub_root, mount_point = (_unescape(field) for field in fields[2:5])
    fs_type, source = _unescape(tail[0]), _unescape(tail[1])
    return int(fields[0]), int(fields[1]), Mount(source, fs_type, sub_root, mount_point, device)


def _unescape(field: bytes) -> str:
    return paths.from_bytes(_OCTAL.sub(lambda match: bytes([int(match[1], 8) & 0xFF]), field))


def holder(mounts: Iterable[Mount], path: str) -> Mount | None:
    """Return the one of `mounts` whose mount point is the longest prefix of `path`, if any is one."""
    holding = [mount for mount in mounts if paths.contains(mount.mount_point, path)]
    return max(holding, key=lambda mount: len(mount.mount_point), default=None)


def is_fuse(fs_type: str) -> bool:
    """Tell whether a user-space program serves the file system (mergerfs, rclone, sshfs, ntfs-3g...)."""
    return fs_type in {"fuse", "fuseblk"} or fs_type.startswith("fuse.")


def is_network(fs_type: str) -> bool:
    """Tell whether the file system may be on another machine: it can vanish, hang, and lag behind."""
    return fs_type in _NETWORK or (is_fuse(fs_type) and fs_type != "fuseblk")


def stable_inodes(fs_type: str) -> bool:
    """Tell whether an inode number means the same file for as long as the file exists."""
    return fs_type not in _UNSTABLE_INODES and not is_fuse(fs_type)


def tells_directory_changes(fs_type: str) -> bool:
    """Tell whether a directory's mtime reliably moves when an entry comes or goes.

    FAT has no time for its root, and user-space file systems (a bucket, several disks shown as one) often
    make directory times up.
    """
    return fs_type not in _FAT and fs_type != "9p" and not is_fuse(fs_type)


def mtime_granularity_ns(fs_type: str) -> int:
    """Return the step, in ns, in which the file system keeps mtimes on disk."""
    return _GRANULARITY_NS.get(fs_type, 1)


class Measure:
    """How a file system's numbers are to be read: the step of mtimes, whether inodes mean anything."""

    __slots__ = ("is_plain", "step_ns", "tells_directory_changes", "trusts_inodes")

    def __init__(self, fs_type: str) -> None:
        self.step_ns = mtime_granularity_ns(fs_type)
        self.trusts_inodes = stable_inodes(fs_type)
        self.tells_directory_changes = tells_directory_changes(fs_type)
        self.is_plain = self.step_ns == 1 and self.trusts_inodes

    def mtime_ns(self, raw_ns: int) -> int:
        """Return an mtime at the file system's granularity, and as a signed 64-bit number."""
        return times.bounded_ns(raw_ns - raw_ns % self.step_ns)

    def inode(self, raw: int) -> int:
        """Return an inode as a signed 64-bit number, 0 where it means nothing."""
        if not self.trusts_inodes:
            return 0
        return raw if raw < 1 << 63 else raw - (1 << 64)
