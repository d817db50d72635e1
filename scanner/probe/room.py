"""Room for a pool's pipes: how many files this process may have open, against what its probe processes take.

Looked at once, before the first process: a pool that runs out of descriptors in its work would find no broker,
no catalog and no file either.
"""

import os
import resource

from scanner.errors import UsageError
from scanner.probe.child import DESCRIPTORS
from scanner.probe.roots import MOST_PROCESSES

_SPARE = 128
"""For connections, the catalog, and a process that is being started."""


def make_room(processes: int) -> None:
    """Let this process have as many open files as a pool of `processes` may come to need.

    Raises:
        UsageError: the system allows fewer.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = DESCRIPTORS * (2 * processes + MOST_PROCESSES) + len(os.listdir("/proc/self/fd")) + _SPARE
    if hard != resource.RLIM_INFINITY and needed > hard:
        raise UsageError(
            f"concurrency: {processes} needs up to {needed:,} open files, and the system allows {hard:,}"
            " (`ulimit -Hn`): raise `ulimit -n` for this program, or lower concurrency"
        )
    if soft != resource.RLIM_INFINITY and needed > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
