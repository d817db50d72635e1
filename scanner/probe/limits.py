"""What a probe process may do to its machine: little memory, no core file, last in line, no life of its own.

Called once in the process itself, before any file. A limit that the system refuses is passed over, but not that
of the parent: a process whose parent is gone leaves at once.
"""

import ctypes
import errno
import os
import resource
import signal
import sys
from collections.abc import Callable
from contextlib import suppress

from scanner.probe.jobs import ProbeSettings

_PR_SET_PDEATHSIG = 1
_NARROW_BYTES = 64 << 20
"""With less left a library may find no place: FFmpeg's largest takes half of it."""
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


def is_lack_of_memory(error: Exception) -> bool:
    """Tell whether what could not be imported lacked memory: the loader says no more than that it failed."""
    if isinstance(error, ModuleNotFoundError):
        return False
    if isinstance(error, ImportError):
        return _address_space_left_bytes() < _NARROW_BYTES
    return isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM


def _address_space_left_bytes() -> int:
    """Return what `RLIMIT_AS` left at the peak: a library that fails is taken out with all it needed.

    Source: proc(5), `/proc/[pid]/status`, VmPeak.
    """
    most, _ = resource.getrlimit(resource.RLIMIT_AS)
    if most == resource.RLIM_INFINITY:
        return sys.maxsize
    with open("/proc/self/status", "rb") as file:
        peak_kib = next(int(line.split()[1]) for line in file if line.startswith(b"VmPeak:"))
    return most - (peak_kib << 10)


def _lower(which: int, value: int) -> None:
    _, hard = resource.getrlimit(which)
    most = value if hard == resource.RLIM_INFINITY else min(value, hard)
    _try(lambda: resource.setrlimit(which, (most, most)))


def _try(act: Callable[[], object]) -> None:
    with suppress(OSError, ValueError):
        act()
