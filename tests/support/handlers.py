"""Plug-in handlers for tests, and the package that brings them: a module and a dist-info folder on a path.

`misbehave` does what the file's content says, so that one pool has every kind of file before it. The package is
written to a folder that a process finds through PYTHONPATH (`with_handlers`), as pip would have installed it.
"""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent

PACKAGE = "scanner_test_handlers"
SOURCE = dedent(
    '''
    """Handlers that do what a test asks for."""

    import ctypes
    import os
    import signal
    import sys
    import time


    def noop(file):
        return None


    def size(file):
        return {"bytes": file.size, "place": file.place, "pid": os.getpid()}


    def misbehave(file):
        words = file.open().read(100).decode("ascii", "replace").split()
        return ACTS[words[0]](file) if words and words[0] in ACTS else {"pid": os.getpid()}


    def segfault(file):
        ctypes.string_at(0)


    def allocate(file):
        held = []
        while True:
            held.append(bytes(16 << 20))


    def hang(file):
        ctypes.CDLL(None).pause()


    def sleep_in_c(file):
        """Hold the interpreter's lock for good: no other thread of the process ever runs again."""
        ctypes.PyDLL(None).sleep(3600)


    def spin(file):
        while True:
            pass


    def leave(file):
        os._exit(7)


    def system_exit(file):
        sys.exit(3)


    def kill(file):
        os.kill(os.getpid(), signal.SIGKILL)


    def noise(file):
        for descriptor in (1, 2):
            for _ in range(16):
                os.write(descriptor, b"\\x1b[31mnoise\\n" * 6000)
        print("x" * 1_000_000)
        return {"pid": os.getpid()}


    def noisy_death(file):
        noise(file)
        os.write(2, b"\\nthe last \\x1b[2J words\\n")
        os._exit(9)


    def big(file):
        return {"text": "x" * (2 << 20)}


    def unencodable(file):
        return {"what": object()}


    def surrogates(file):
        return {"text": "\\udcff"}


    def nothing_known(file):
        return 42


    def raise_error(file):
        raise LookupError("no \\x1b[31m such thing")


    def grow(file):
        with open(file.path, "ab") as stream:
            stream.write(b"more")


    def child(file):
        if os.fork() == 0:
            while True:
                time.sleep(60)
        os._exit(5)


    def tally(file):
        """Add a line to the file named in the content."""
        name = file.open().read().decode().split()[1]
        with open(name, "a") as stream:
            stream.write(file.path + "\\n")


    def read(file):
        file.open().read()


    def wait_for_file(file):
        """Wait until the file named in the content is there."""
        name = file.open().read().decode().split()[1]
        while not os.path.exists(name):
            time.sleep(0.01)
        return {"pid": os.getpid()}


    ACTS = {
        name: act
        for name, act in list(globals().items())
        if callable(act) and name not in ("noop", "size", "misbehave")
    }


    class Derived:
        """A handler with all there may be, which keeps a file beside for every file it saw."""

        def configure(self, settings, pace):
            self.limit_s = settings.time_limit_s

        def __call__(self, file):
            open(file.path + ".seen", "w").close()
            return {"limit_s": self.limit_s}

        def moved(self, path, place, kind):
            return {"moved_to": place}

        def forget(self, path, place):
            os.unlink(path + ".seen")


    class Paced:
        """A handler that reads piece by piece."""

        def configure(self, settings, pace):
            self.pace = pace

        def __call__(self, file):
            stream, pieces = file.open(), open(file.path + ".pieces", "ab", buffering=0)
            while piece := stream.read(1 << 20):
                pieces.write(b".")
                self.pace(len(piece))


    derived, paced = Derived(), Paced()
    not_callable = "text"
    '''
).lstrip()
NAMES = ("noop", "size", "misbehave", "derived", "paced", "not_callable")


def install(
    folder: Path, package: str, source: str, points: Mapping[str, str], *, group: str = "scanner.handlers"
) -> Path:
    """Write a module and the metadata that announces its entry points into `folder`; return that."""
    info = folder / f"{package}-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / f"{package}.py").write_text(source)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    lines = "\n".join(f"{name} = {place}" for name, place in points.items())
    (info / "entry_points.txt").write_text(f"[{group}]\n{lines}\n")
    return folder


def install_test_handlers(folder: Path) -> Path:
    """Write the test handlers, and one whose module does not exist, into `folder`."""
    points = {name: f"{PACKAGE}:{name}" for name in NAMES}
    return install(folder, PACKAGE, SOURCE, {**points, "broken": f"{PACKAGE}_that_is_not_there:handler"})


@contextmanager
def with_handlers(folder: Path) -> Iterator[None]:
    """Let this process, and those it starts, find what is installed in `folder`."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(folder), before]))
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        os.environ.pop("PYTHONPATH")
        if before is not None:
            os.environ["PYTHONPATH"] = before
