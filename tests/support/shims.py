"""LD_PRELOAD shims that make a file system slow, broken or silent below whoever lists it.

The C sources are in `tests/shims`; each is compiled once a session. `use()` gives the environment for a
child process. The shims act on a process and on its children, and on paths, never on the machine.
"""

import os
import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.support.services import ServiceMissing, find_program

_SOURCES = Path(__file__).parent.parent / "shims"
_REPORT = struct.Struct("=QQQQ")
_COUNT = struct.Struct("=Q")


@dataclass(frozen=True, slots=True)
class SlowReport:
    """What `slow` delayed, over all processes that loaded it."""

    directories: int
    stats: int
    most_directories_at_once: int
    most_stats_at_once: int


class Shims:
    """The compiled shims, in a folder of the session."""

    def __init__(self, folder: Path) -> None:
        """Prepare to compile into `folder`.

        Raises:
            ServiceMissing: no C compiler, or not Linux.
        """
        if sys.platform != "linux":
            raise ServiceMissing("LD_PRELOAD shims need Linux")
        self._compiler = find_program("gcc")
        self._folder = folder

    def slow(
        self,
        *,
        root: Path | None = None,
        directory_ms: float = 0,
        stat_ms: float = 0,
        report: Path | None = None,
    ) -> dict[str, str]:
        """Delay each opening of a directory and each stat, below `root` if given.

        `report` becomes a file that `read_report` reads, at any time.
        """
        settings = {"SHIM_DIR_MS": str(directory_ms), "SHIM_STAT_MS": str(stat_ms)}
        if root is not None:
            settings["SHIM_ROOT"] = str(root)
        if report is not None:
            report.write_bytes(bytes(_REPORT.size))
            settings["SHIM_REPORT"] = str(report)
        return self.use("slow", settings)

    def eio(self, part: str, *, after: int = 0) -> dict[str, str]:
        """Make reading a directory whose path contains `part` fail with EIO after `after` entries."""
        return self.use("eio", {"SHIM_EIO": part, "SHIM_EIO_AFTER": str(after)})

    def hang(self, part: str, *, while_exists: Path | None = None) -> dict[str, str]:
        """Make opening a directory whose path contains `part` never return.

        With `while_exists` only for as long as that file is there: a mount that comes back.
        """
        settings = {"SHIM_HANG": part}
        if while_exists is not None:
            settings["SHIM_HANG_WHILE"] = str(while_exists)
        return self.use("hang", settings)

    def listed(self, root: Path, report: Path) -> dict[str, str]:
        """Count the listings of directories below `root` in the file `report`, which `read_listed` reads."""
        report.write_bytes(bytes(_COUNT.size))
        return self.use("listed", {"SHIM_ROOT": str(root), "SHIM_LISTED": str(report)})

    def use(self, name: str, settings: dict[str, str]) -> dict[str, str]:
        """Return the environment that loads the shim `name` with its settings."""
        return {"LD_PRELOAD": str(self.library(name)), **settings}

    def library(self, name: str) -> Path:
        """Return the compiled shim of `tests/shims/<name>.c`, compiling it at the first call."""
        target = self._folder / f"{name}.so"
        if not target.exists():
            flags = ["-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror", "-pthread"]
            command = [str(self._compiler), *flags, "-o", str(target), str(_SOURCES / f"{name}.c"), "-ldl"]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"{name}.c does not compile:\n{done.stderr}"
        return target


def combined(*environments: dict[str, str]) -> dict[str, str]:
    """Return one environment that loads the shims of all of `environments`."""
    merged: dict[str, str] = {}
    libraries: list[str] = []
    for environment in environments:
        libraries.append(environment["LD_PRELOAD"])
        merged |= environment
    return {**merged, "LD_PRELOAD": os.pathsep.join(libraries)}


def read_report(report: Path) -> SlowReport:
    """Return what `slow(report=…)` counted so far."""
    return SlowReport(*_REPORT.unpack(report.read_bytes()))


def read_listed(report: Path) -> int:
    """Return how many listings `listed` counted so far."""
    count: int = _COUNT.unpack(report.read_bytes())[0]
    return count
