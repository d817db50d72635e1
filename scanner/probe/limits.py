"""What a probe process may do to its machine: little memory, no core file, last in line, no life of its own.

Called once in the process itself, before any file. A limit that the system refuses is passed over, but not that
of the parent: a process whose parent is gone leaves at once.
"""

import ctypes
import os
import resource
import signal
from collections.abc import Callable
from contextlib import suppress

from scanner.probe.jobs import ProbeSettings

_PR_SET_PDEATHSIG = 1
_OOM_SCORE = "500"
"""When memory runs out the kernel is to choose a probe, which costs one file, not the worker."""


def die_with(parent: int) -> None:
    """Ask the kernel for SIGKILL when the thread that started us ends, whatever C code we are in then.

    Source: prctl(2), PR_SET_PDEATHSIG. A parent that died before the call is noticed after it.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)


def confine(settings: ProbeSettings) -> None:
    """Bound address space and core files, and give way to others."""
    _lower(resource.RLIMIT_AS, settings.memory_mib << 20)
    _lower(resource.RLIMIT_CORE, 0)
    _try(lambda: os.nice(settings.nice))
    with suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
        file.write(_OOM_SCORE)


def too_much(settings: ProbeSettings) -> str:
    """Return the sentence for a file that needed more memory than there is."""
    return (
        f"it needed more memory than a probe process may have ({settings.memory_mib} MiB, `probe_memory_mib`)"
    )


def _lower(which: int, value: int) -> None:
    _, hard = resource.getrlimit(which)
    most = value if hard == resource.RLIM_INFINITY else min(value, hard)
    _try(lambda: resource.setrlimit(which, (most, most)))


def _try(act: Callable[[], object]) -> None:
    with suppress(OSError, ValueError):
        act()
