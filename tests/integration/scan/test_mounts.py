"""Mounts that come and go, at the root and inside it: what was on one that is away is never deleted.

Each test has a mount namespace of its own, held by a process; mounts and scans are made inside it. Needs root.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from scanner.catalog.engine import Database
from scanner.catalog.scans import Kind
from tests.integration.scan.harness import PAST_NS

KINDS: list[Kind] = ["full", "quick"]
_PROJECT = Path(__file__).parents[3]


@dataclass
class Scan:
    """What a scan inside the namespace told."""

    end: str
    changes: set[tuple[str, ...]]
    problems: list[tuple[str, str]]
    disk: set[str]


@dataclass
class Namespace:
    """A mount namespace, and a library `root` on `database` that is scanned inside it."""

    pid: int
    root: Path
    database: Database

    def run(self, *command: str | Path) -> str:
        """Run a command in the namespace; return what it printed."""
        inside = ["nsenter", f"--target={self.pid}", "--mount", f"--wdns={_PROJECT}", "--", *map(str, command)]
        done = subprocess.run(inside, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def mount(self, target: Path, source: str = "films") -> None:
        """Mount a new, empty file system."""
        self.run("mkdir", "-p", target)
        self.run("mount", "-t", "tmpfs", source, target)

    def unmount(self, target: Path) -> None:
        self.run("umount", target)

    def write(self, *names: str) -> None:
        """Make files of the past below the root, in this order (a new file system numbers them alike)."""
        script = (
            "import os, sys, pathlib\n"
            "for name in sys.argv[1:]:\n"
            "    path = pathlib.Path(name)\n"
            "    path.parent.mkdir(parents=True, exist_ok=True)\n"
            "    path.write_text(name)\n"
            f"    os.utime(path, ns=({PAST_NS}, {PAST_NS}))\n"
        )
        self.run(sys.executable, "-c", script, *(self.root / name for name in names))

    def device(self, path: Path) -> str:
        return self.run("stat", "--format=%d", path)

    def scan(self, kind: Kind = "full") -> Scan:
        """Scan the library inside the namespace."""
        name = "sqlite" if self.database.dialect == "sqlite" else "postgresql"
        url = self.database.url.set(drivername=name).render_as_string(hide_password=False)
        program = [sys.executable, "-m", "tests.integration.scan.once", url, str(self.root), kind]
        told: dict[str, Any] = json.loads(self.run(*program).splitlines()[-1])
        changes = {tuple(change) for change in told["changes"]}
        return Scan(told["end"], changes, [tuple(row) for row in told["problems"]], set(told["disk"]))

    def known(self) -> set[str]:
        """Return the paths of the living files in the catalog."""
        with self.database.read() as connection:
            rows = connection.exec_driver_sql(
                "SELECT d.path, f.name FROM files f JOIN directories d ON d.id = f.directory_id"
                " WHERE f.state <> 5"
            )
            return {f"{path}/{name}".removeprefix("/") for path, name in rows}

    def state(self) -> str:
        with self.database.read() as connection:
            return str(connection.exec_driver_sql("SELECT state FROM libraries").scalar())


@pytest.fixture
def namespace(database: Database, tmp_path: Path) -> Iterator[Namespace]:
    """A mount namespace with an empty library, not scanned yet."""
    command = [
        "unshare",
        "--mount",
        "--propagation=private",
        "sh",
        "-c",
        "mount -t tmpfs x /mnt && echo && cat",
    ]
    holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert holder.stdout is not None
    try:
        if not holder.stdout.readline():
            reason = "mounting is not permitted here (needs root and CAP_SYS_ADMIN)"
            if os.environ.get("CI") == "true":
                pytest.fail(f"CI needs it: {reason}")
            pytest.skip(reason)
        root = tmp_path / "films"
        root.mkdir()
        yield Namespace(holder.pid, root, database)
    finally:
        holder.communicate()


NESTED = ("disk/1.mkv", "disk/deep/2.mkv", "disk/deep/er/3.mkv")


@pytest.fixture
def nested(namespace: Namespace) -> Namespace:
    """A library with a mount point inside, scanned."""
    namespace.mount(namespace.root / "disk")
    namespace.write("top.mkv", *NESTED)
    assert namespace.scan().changes == {("added", name) for name in ("top.mkv", *NESTED)}
    return namespace


@pytest.mark.parametrize("kind", KINDS)
def test_a_nested_mount_that_is_away_deletes_nothing_and_says_so_each_time(
    nested: Namespace, kind: Kind
) -> None:
    nested.unmount(nested.root / "disk")
    for _ in range(2):
        scanned = nested.scan(kind)
        assert (scanned.end, scanned.changes) == ("completed", set())
        assert scanned.problems == [("disk", "offline")]
    assert nested.known() == {"top.mkv", *NESTED}


@pytest.mark.parametrize("kind", KINDS)
def test_a_stray_file_where_a_mount_was_does_not_make_it_believed(nested: Namespace, kind: Kind) -> None:
    nested.unmount(nested.root / "disk")
    nested.write("disk/stray.mkv", "disk/deep/stray.mkv")
    scanned = nested.scan(kind)
    assert (scanned.changes, scanned.problems) == (set(), [("disk", "offline")])
    assert nested.known() == {"top.mkv", *NESTED}


@pytest.mark.parametrize("kind", KINDS)
def test_a_mount_point_that_was_removed_with_its_mount_deletes_nothing(nested: Namespace, kind: Kind) -> None:
    nested.unmount(nested.root / "disk")
    nested.run("rmdir", nested.root / "disk")
    for _ in range(2):
        scanned = nested.scan(kind)
        assert (scanned.changes, scanned.problems) == (set(), [("disk", "offline")])
    assert nested.known() == {"top.mkv", *NESTED}


def test_a_mount_point_whose_parent_was_removed_deletes_nothing(namespace: Namespace) -> None:
    namespace.mount(namespace.root / "disks/one")
    namespace.write("top.mkv", "disks/one/1.mkv")
    namespace.scan()
    namespace.unmount(namespace.root / "disks/one")
    namespace.run("rm", "-r", namespace.root / "disks")
    assert namespace.scan().changes == set()
    assert namespace.scan("quick").changes == set()
    assert namespace.known() == {"top.mkv", "disks/one/1.mkv"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_nested_mount_back_under_a_new_device_number_changes_nothing(nested: Namespace, kind: Kind) -> None:
    before = nested.device(nested.root / "disk")
    nested.unmount(nested.root / "disk")
    nested.scan(kind)
    nested.mount(nested.root.parent / "placeholder", "other")  # takes the number that is free now
    nested.mount(nested.root / "disk")
    assert nested.device(nested.root / "disk") != before
    nested.write("none.txt", *NESTED)
    scanned = nested.scan(kind)
    assert (scanned.end, scanned.changes, scanned.problems) == ("completed", set(), [])


def test_a_file_deleted_on_a_mount_that_is_there_is_deleted(nested: Namespace) -> None:
    nested.run("rm", nested.root / "disk/1.mkv")
    assert nested.scan().changes == {("deleted", "disk/1.mkv")}


@pytest.fixture
def mounted(namespace: Namespace) -> Namespace:
    """A library whose root is a mount, scanned."""
    namespace.mount(namespace.root)
    namespace.write("1.mkv", "a/2.mkv", "a/b/3.mkv")
    namespace.scan()
    return namespace


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stray", [(), ("stray.mkv",), ("a/stray.mkv", "other/stray.mkv")], ids=len)
def test_a_root_that_is_not_mounted_is_offline_and_comes_back_by_itself(
    mounted: Namespace, stray: tuple[str, ...], kind: Kind
) -> None:
    before = mounted.device(mounted.root)
    mounted.unmount(mounted.root)
    if stray:
        mounted.write(*stray)
    for _ in range(2):
        scanned = mounted.scan(kind)
        assert (scanned.end, scanned.changes) == ("offline", set())
    assert mounted.state() == "offline"
    assert mounted.known() == {"1.mkv", "a/2.mkv", "a/b/3.mkv"}
    mounted.mount(mounted.root.parent / "placeholder", "other")
    mounted.mount(mounted.root)
    assert mounted.device(mounted.root) != before
    mounted.write("1.mkv", "a/2.mkv", "a/b/3.mkv")
    scanned = mounted.scan(kind)
    assert (scanned.end, scanned.changes, mounted.state()) == ("completed", set(), "online")


def test_another_disk_at_the_root_is_offline(mounted: Namespace) -> None:
    mounted.unmount(mounted.root)
    mounted.mount(mounted.root, "another disk")
    mounted.write("x.mkv", "y/z.mkv")
    assert mounted.scan().end == "offline"
    assert mounted.known() == {"1.mkv", "a/2.mkv", "a/b/3.mkv"}


def test_the_same_files_from_another_source_are_the_same_library(mounted: Namespace) -> None:
    mounted.unmount(mounted.root)
    mounted.mount(mounted.root, "server:/export/films")
    mounted.write("1.mkv", "a/2.mkv", "a/b/3.mkv", "new.mkv")
    scanned = mounted.scan()
    assert (scanned.end, scanned.changes) == ("completed", {("added", "new.mkv")})
