"""Handlers that a test's files direct: each file says in its first words what is to happen to it.

`act` does it; `pace` lets every file take `TEST_PACE_S`, and as long as there is a file `TEST_PAUSE`. Both
are installed as a package would be, in a folder that the processes of a stage find through PYTHONPATH. A file
whose path `act` has seen is noted in `TEST_OPENED`, one path a line.
"""

import os
from pathlib import Path
from textwrap import dedent

from tests.support.handlers import install
from tests.support.processes import REPOSITORY
from tests.support.stage import Stage
from tests.support.trees import PAST_NS

PACKAGE = "scanner_test_acts"
SOURCE = dedent(
    '''
    """Handlers that do what a file says."""

    import errno
    import os
    import signal
    import time


    def pace(file):
        time.sleep(float(os.environ["TEST_PACE_S"]))
        while os.path.exists(os.environ.get("TEST_PAUSE", "/nowhere")):
            time.sleep(0.01)


    def act(file):
        note(os.environ.get("TEST_OPENED", os.devnull), file.path)
        words = file.open().read(4096).decode("ascii", "replace").split()
        if words[:1] == ["act"]:
            ACTS[words[1]](*words[2:])
        return {"pid": os.getpid()}


    def note(path, text):
        """Append a line; return how many there are."""
        with open(path, "a+") as stream:
            stream.write(text + "\\n")
            stream.flush()
            stream.seek(0)
            return len(stream.readlines())


    def io(state, times):
        if note(state, "io") <= int(times):
            raise OSError(errno.EIO, "the disk is gone for a moment")


    def crash(state, times):
        if note(state, "crash") <= int(times):
            os._exit(7)


    def wait(gate):
        while not os.path.exists(gate):
            time.sleep(0.01)


    def burn(seconds):
        end = time.monotonic() + float(seconds)
        while time.monotonic() < end:
            pass


    def kill_worker(state):
        note(state, "killed")
        os.kill(os.getppid(), signal.SIGKILL)
        signal.pause()


    ACTS = {act.__name__: act for act in (io, crash, wait, burn, kill_worker)}
    '''
).lstrip()


def install_acts(stage: Stage, *, handlers: str = "act", **settings: str) -> None:
    """Let every process of a stage find the handlers, and use those that are named."""
    folder = stage.folder / "acts"
    if not folder.exists():
        install(folder, PACKAGE, SOURCE, {name: f"{PACKAGE}:{name}" for name in ("act", "pace")})
    stage.settings.update(
        settings, handlers=handlers, PYTHONPATH=os.pathsep.join([str(REPOSITORY), str(folder)])
    )


def direct(path: Path, *words: str | float | Path) -> Path:
    """Make a file that says what is to happen to it; without words nothing does. Return `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(" ".join(["act", *map(str, words)]) if words else "nothing")
    os.utime(path, ns=(PAST_NS, PAST_NS))
    return path


def lines(path: Path) -> list[str]:
    """Return the lines of a file that acts write into; none before they do."""
    return path.read_text().splitlines() if path.exists() else []
