"""How a verdict is put together: in a probe process about a file it saw, in the pool about one it lost."""

import msgspec

from scanner import log
from scanner.message import ErrorKind, Result, Status
from scanner.message.results import ResultError
from scanner.probe.file import Findings
from scanner.probe.jobs import Job, Verdict

MOST_RESULT_BYTES = 1 << 20
_MOST_TEXT = 600
_encoder = msgspec.json.Encoder()


def sentence(text: str) -> str:
    """Return a text for people: escaped, and of bounded length."""
    shown = log.shown(text[: 4 * _MOST_TEXT])
    return shown if len(shown) <= _MOST_TEXT else shown[: _MOST_TEXT - 1] + "…"


def verdict(
    job: Job,
    status: Status,
    *,
    findings: Findings | None = None,
    seconds: float = 0.0,
    seen: tuple[int, int] | None = None,
) -> Verdict:
    """Return the verdict on a file about which nothing is wrong; `seen` is its size and mtime.

    Raises:
        TypeError: a handler found what JSON cannot hold (other encoding errors pass, too).
    """
    result = _result(job, seconds, seen)
    if findings is not None:
        result.media, result.name = findings.media, findings.name
        result.fingerprint, result.extra = findings.fingerprint, findings.extra
    body = _encoder.encode(result)
    if len(body) > MOST_RESULT_BYTES:
        text = f"what the handlers found takes {len(body):,} bytes, more than {MOST_RESULT_BYTES:,}"
        return failure(job, "unsupported", text, seconds=seconds, seen=seen)
    return Verdict(job.key, status, body)


def failure(
    job: Job,
    kind: ErrorKind,
    text: str,
    *,
    seconds: float = 0.0,
    seen: tuple[int, int] | None = None,
    opened: bool = True,
) -> Verdict:
    """Return the verdict on a file that failed."""
    text = sentence(text)
    result = _result(job, seconds, seen)
    result.error = ResultError(kind, text)
    return Verdict(job.key, "failed", _encoder.encode(result), kind, text, opened=opened)


def _result(job: Job, seconds: float, seen: tuple[int, int] | None) -> Result:
    size, mtime_ns = seen or (job.size, job.mtime_ns)
    return Result(
        job.file, job.revision, job.content, job.attempt, size, str(mtime_ns), round(max(seconds, 0.0), 4)
    )
