import errno
import os
from pathlib import Path

import pytest

from scanner.probe.examine import Examiner, Exhausted
from scanner.probe.file import MediaFile
from scanner.probe.handlers import Handlers
from scanner.probe.jobs import Job, Verdict


def _job(path: Path) -> Job:
    about = path.stat()
    return Job(1, os.fsencode(path), path.name, "video", about.st_size, about.st_mtime_ns, 1, 1, 1)


def _examine(job: Job, error: BaseException | None = None) -> tuple[Verdict, list[str]]:
    def handler(_: MediaFile, /) -> None:
        if error is not None:
            raise error

    opened: list[str] = []
    examiner = Examiner(Handlers({"it": handler}), lambda: opened.append("opened"), "too much")
    return examiner.examine(job), opened


@pytest.fixture
def job(tmp_path: Path) -> Job:
    path = tmp_path / "film.mkv"
    path.write_text("good")
    return _job(path)


@pytest.mark.parametrize(
    ("number", "status", "kind"),
    [
        (errno.ENOENT, "gone", None),
        (errno.ENOTDIR, "gone", None),
        (errno.EACCES, "failed", "unreadable"),
        (errno.EPERM, "failed", "unreadable"),
        (errno.ELOOP, "failed", "unreadable"),
        (errno.ENXIO, "failed", "unsupported"),
        (errno.EIO, "failed", "io"),
        (errno.ESTALE, "failed", "io"),
        (errno.ENOTCONN, "failed", "io"),
        (errno.EHOSTDOWN, "failed", "io"),
        (errno.EMFILE, "failed", "io"),
    ],
)
def test_what_the_system_says_at_opening_decides(
    job: Job, monkeypatch: pytest.MonkeyPatch, number: int, status: str, kind: str | None
) -> None:
    def refuse(path: bytes, flags: int) -> int:
        assert flags & os.O_NONBLOCK
        assert flags & os.O_ACCMODE == os.O_RDONLY
        raise OSError(number, os.strerror(number), path)

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", refuse)
        verdict, opened = _examine(job)
    assert (verdict.status, verdict.error_kind) == (status, kind)
    assert opened == []


@pytest.mark.parametrize(
    ("number", "kind"), [(errno.EIO, "io"), (errno.ESTALE, "io"), (errno.ENOENT, "crashed")]
)
def test_storage_that_fails_a_handler_is_told_from_a_handlers_own_error(
    job: Job, number: int, kind: str
) -> None:
    verdict, opened = _examine(job, OSError(number, os.strerror(number)))
    assert verdict.error_kind == kind
    assert opened == ["opened"]


def test_a_path_that_no_system_takes_is_rejected(job: Job) -> None:
    verdict, _ = _examine(Job(1, job.path + b"\0", "a", "video", 4, 0, 1, 1, 1))
    assert (verdict.status, verdict.error_kind) == ("failed", "rejected")


def test_a_process_that_ran_out_of_memory_must_not_go_on(job: Job) -> None:
    with pytest.raises(Exhausted) as raised:
        _examine(job, MemoryError())
    assert (raised.value.verdict.error_kind, raised.value.verdict.text) == ("crashed", "too much")


def test_no_descriptor_is_left_open(job: Job) -> None:
    before = os.listdir("/proc/self/fd")
    for error in (None, RuntimeError("bad"), KeyboardInterrupt()):
        _examine(job, error)
    assert len(os.listdir("/proc/self/fd")) == len(before)
