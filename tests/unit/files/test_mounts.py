import pytest

from scanner import paths, times
from scanner.files import mounts
from scanner.files.mounts import MountTable

_TABLE = rb"""22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
23 22 0:21 / /proc rw - proc proc rw
30 22 0:40 / /srv/my\040films rw shared:5 master:2 - nfs4 nas:/vol/my\040films rw,vers=4.2
31 30 8:17 /sub\134x /srv/my\040films/usb rw - vfat /dev/sdb1 rw
32 22 0:50 / /srv/caf\351 rw - fuse.mergerfs 1:2 rw
33 22 0:51 / /a/b rw - ext4 hidden rw
34 22 0:52 / /a rw - xfs over rw
35 22 0:53 / /m rw - autofs systemd-1 rw
36 35 0:54 / /m rw - cifs //nas/m rw
a broken line
"""


@pytest.fixture
def table() -> MountTable:
    return MountTable(_TABLE)


def test_longest_mount_point_holds_the_path(table: MountTable) -> None:
    assert table.of(b"/srv").source == "/dev/sda1"
    assert table.of(b"/srv/my films").source == "nas:/vol/my films"
    assert table.of("/srv/my films/x/y").device == "0:40"
    assert table.of(b"/srv/my filmsX").mount_point == "/"
    assert table.of(b"/srv/my films/usb/x") == mounts.Mount(
        "/dev/sdb1", "vfat", "/sub\\x", "/srv/my films/usb", "8:17"
    )


def test_mount_points_that_are_not_utf8(table: MountTable) -> None:
    mount = table.of(b"/srv/caf\xe9/x")
    assert mount.fs_type == "fuse.mergerfs"
    assert paths.to_bytes(mount.mount_point) == b"/srv/caf\xe9"


def test_a_mount_over_another_hides_it(table: MountTable) -> None:
    assert table.of("/a/b/c").fs_type == "xfs"
    assert table.of("/m/x").fs_type == "cifs"
    assert [mount.mount_point for mount in table.below("/a")] == []


def test_below_gives_reachable_mounts_strictly_below(table: MountTable) -> None:
    assert [mount.mount_point for mount in table.below("/srv/my films")] == ["/srv/my films/usb"]
    below_root = [mount.fs_type for mount in table.below("/")]
    assert below_root == ["xfs", "cifs", "proc", "fuse.mergerfs", "nfs4", "vfat"]


def test_the_machines_own_table() -> None:
    table = MountTable.load()
    assert table.of("/proc/self").fs_type == "proc"
    assert table.of("/").mount_point == "/"


@pytest.mark.parametrize(
    ("fs_type", "stable", "network", "step_ns"),
    [
        ("ext4", True, False, 1),
        ("btrfs", True, False, 1),
        ("ext3", True, False, 10**9),
        ("nfs4", True, True, 1),
        ("cifs", False, True, 100),
        ("9p", False, True, 1),
        ("fuse.sshfs", False, True, 1),
        ("fuseblk", False, False, 100),
        ("vfat", False, False, 2 * 10**9),
        ("exfat", False, False, 10**7),
    ],
)
def test_what_file_systems_promise(fs_type: str, stable: bool, network: bool, step_ns: int) -> None:
    assert mounts.stable_inodes(fs_type) is stable
    assert mounts.is_network(fs_type) is network
    assert mounts.mtime_granularity_ns(fs_type) == step_ns


def test_numbers_are_read_by_the_file_systems_rules() -> None:
    fat, ext4 = mounts.Measure("vfat"), mounts.Measure("ext4")
    assert fat.mtime_ns(3_999_999_999) == 2_000_000_000
    assert fat.inode(77) == 0
    assert ext4.mtime_ns(3_999_999_999) == 3_999_999_999
    assert ext4.inode((1 << 64) - 1) == -1
    assert ext4.inode(77) == 77


@pytest.mark.parametrize("fs_type", ["ext4", "vfat"])
def test_times_beyond_what_a_database_holds_are_the_nearest_that_fit(fs_type: str) -> None:
    measure, most = mounts.Measure(fs_type), (1 << 63) - 1
    assert measure.mtime_ns(4 * most) == most
    assert measure.mtime_ns(-4 * most) == -most
    assert times.bounded_ns(most + 1) == most
