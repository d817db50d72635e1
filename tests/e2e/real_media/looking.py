"""Look into files, as a probe process does: paths on stdin, parted by NUL; a JSON line each on stdout."""

import os
import sys

import msgspec

from scanner.media import kind_of
from scanner.probe.file import MediaFile, ProbeError
from scanner.probe.look import look


def _looked(path: str) -> object:
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        state = os.fstat(descriptor)
        kind = kind_of(os.path.basename(path)).label
        return look(MediaFile(path, descriptor, state.st_size, state.st_mtime_ns, kind, path))
    except ProbeError as error:
        return {"error": f"{error.kind}: {error}"}
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    for name in filter(None, sys.stdin.read().split("\0")):
        sys.stdout.buffer.write(msgspec.json.encode(_looked(name)) + b"\n")
