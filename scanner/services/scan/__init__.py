"""The scan service: walks one library, compares it with the catalog, commits checkpoints.

`LibraryScan` (in `service`) is the way in. Synchronous: it runs on a thread of its own, beside nothing that
must not wait. A crash anywhere in it loses at most the batch that was not committed.
"""

from scanner.services.scan.context import ScanOptions, ScanProgress
from scanner.services.scan.service import LibraryScan, ScanOutcome

__all__ = ["LibraryScan", "ScanOptions", "ScanOutcome", "ScanProgress"]
