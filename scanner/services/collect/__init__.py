"""The collector: what workers answered goes into the catalog, and is acknowledged when it is committed.

`service` runs two intakes, of results and of dead letters; `intake` is one source's sessions; `reading` tells
what a message says; `committing` writes it; `status` is what others see.
"""

from scanner.services.collect.service import Collect
from scanner.services.collect.status import CollectSettings, CollectState, CollectStatus

__all__ = ["Collect", "CollectSettings", "CollectState", "CollectStatus"]
