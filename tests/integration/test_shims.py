"""The shims below the walker do to a plain Python child what they are for."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.shims import Shims, combined, read_report
from tests.support.waiting import wait_until

_WALKS = {
    "path": "[entry.stat(follow_symlinks=False) for entry in os.scandir(root)]",
    "descriptor": (
        "fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY)\n"
        "[os.stat(entry.name, dir_fd=fd, follow_symlinks=False) for entry in os.scandir(fd)]"
    ),
    "relative": (
        "parent = os.open(os.path.dirname(root), os.O_RDONLY | os.O_DIRECTORY)\n"
        "fd = os.open(os.path.basename(root), os.O_RDONLY, dir_fd=parent)\n"
        "[os.lstat(os.path.join(root, name)) for name in os.listdir(fd)]"
    ),
}


@pytest.fixture
def films(tmp_path: Path) -> Path:
    root = tmp_path / "films"
    root.mkdir()
    for number in range(5):
        (root / f"{number}.mkv").touch()
    return root


def _python(
    code: str, root: Path, environment: dict[str, str], timeout_s: float = 20
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-S", "-c", f"import os\nroot = {str(root)!r}\n{code}"],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


@pytest.mark.parametrize("walk", _WALKS.values(), ids=_WALKS.keys())
def test_slow_delays_each_directory_and_each_stat_once(
    shims: Shims, films: Path, tmp_path: Path, walk: str
) -> None:
    report = tmp_path / "report"
    environment = shims.slow(root=films, directory_ms=1, stat_ms=1, report=report)
    done = _python(walk, films, environment)
    assert done.returncode == 0, done.stderr
    seen = read_report(report)
    assert (seen.directories, seen.stats) == (1, 5)
    assert (seen.most_directories_at_once, seen.most_stats_at_once) == (1, 1)


def test_slow_takes_the_time_it_was_told_and_counts_what_goes_on_at_once(
    shims: Shims, films: Path, tmp_path: Path
) -> None:
    report = tmp_path / "report"
    code = (
        "import threading, time\n"
        "began = time.monotonic()\n"
        "threads = [threading.Thread(target=os.listdir, args=[root]) for _ in range(4)]\n"
        "[thread.start() for thread in threads]\n"
        "[thread.join() for thread in threads]\n"
        "assert time.monotonic() - began >= 0.3, 'not slow'\n"
    )
    done = _python(code, films, shims.slow(root=films, directory_ms=300, report=report))
    assert done.returncode == 0, done.stderr
    assert read_report(report).most_directories_at_once == 4


def test_eio_comes_in_the_middle_of_a_listing(shims: Shims, films: Path) -> None:
    code = (
        "names = []\n"
        "try:\n"
        "    for entry in os.scandir(root): names.append(entry.name)\n"
        "except OSError as error: print(len(names), error.errno)\n"
        "print(len(os.listdir(os.path.dirname(root))))\n"
    )
    done = _python(code, films, shims.eio("films", after=3))
    assert done.stdout.split() == ["3", "5", "1"], done.stderr


def test_hang_returns_only_once_the_mount_is_back(shims: Shims, films: Path, tmp_path: Path) -> None:
    away = tmp_path / "away"
    away.touch()
    command = [sys.executable, "-S", "-c", "import os, sys; print(len(os.listdir(sys.argv[1])))", str(films)]
    environment = {**os.environ, **shims.hang("films", while_exists=away)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as child:
        wait_until(lambda: _blocks_signals(child.pid), what="the child hangs")
        child.terminate()
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(0.2)
        away.unlink()
        assert child.wait(10) == -15


def test_shims_work_together(shims: Shims, films: Path, tmp_path: Path) -> None:
    report = tmp_path / "report"
    environment = combined(shims.slow(root=films, report=report), shims.eio("films"))
    done = _python("os.listdir(root)", films, environment)
    assert "Errno 5" in done.stderr
    assert read_report(report).directories == 1


def _blocks_signals(pid: int) -> bool:
    """Tell whether SIGTERM is blocked in the process's main thread. Source: proc(5), SigBlk."""
    status = Path(f"/proc/{pid}/status").read_text()
    blocked = next(line.split()[1] for line in status.splitlines() if line.startswith("SigBlk"))
    return bool(int(blocked, 16) & 1 << 14)
