"""What is written: results to stdout, everything else to stderr, and neither is ever a traceback.

A reader that goes away (`scanner files | head`) ends the writing, not the command: the exit code stays the
command's own. Every text passes through `scanner.log.shown` here or where it is composed.
"""

import dataclasses
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import TextIO

from scanner import paths
from scanner.log import shown


def prepare() -> None:
    """Make both streams take any text, whatever the locale."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def result(text: str) -> None:
    """Write lines of the result to stdout; whoever composed them made them printable."""
    _write(sys.stdout, text)


def json_result(value: object) -> None:
    """Write the result to stdout as one JSON document."""
    _write(sys.stdout, json.dumps(plain(value), indent=2))


def stream(pieces: Iterable[str]) -> None:
    """Write a long result to stdout as it comes; a reader that goes away ends it."""
    try:
        for piece in pieces:
            sys.stdout.write(piece)
        sys.stdout.flush()
    except BrokenPipeError:
        _silence(sys.stdout)


def json_rows(rows: Iterable[Mapping[str, object]]) -> Iterator[str]:
    """Yield the pieces of one JSON document, an array, one line a row; rows are plain already."""
    before = "[\n"
    for row in rows:
        yield before + json.dumps(row)
        before = ",\n"
    yield "[]\n" if before == "[\n" else "\n]\n"


def error(kind: str, text: str, *, as_json: bool) -> None:
    """Write an error's sentence to stderr, and with `as_json` the error's document to stdout."""
    if as_json:
        json_result({"error": {"kind": kind, "text": shown(text)}})
    say(f"scanner: {text}")


def say(text: str) -> None:
    """Write one line to stderr, made printable."""
    _write(sys.stderr, shown(text))


def say_lines(lines: Iterable[str]) -> None:
    """Write lines to stderr, each made printable."""
    for line in lines:
        say(line)


def flush() -> None:
    """Bring out what is still buffered, so that Python's own last flush has nothing to complain about."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            _silence(stream)


def _write(stream: TextIO, text: str) -> None:
    try:
        stream.write(text + "\n")
        stream.flush()
    except BrokenPipeError:
        _silence(stream)


def _silence(stream: TextIO) -> None:
    """Send a stream whose reader has gone to nowhere."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
    except (OSError, ValueError):  # a stream without a descriptor: nothing flushes it at exit
        return


def plain(value: object) -> object:
    """Return `value` as JSON can hold it: values become objects, path text becomes readable text."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {row.name: plain(getattr(value, row.name)) for row in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return paths.readable(value) if isinstance(value, str) else value
