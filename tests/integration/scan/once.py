"""One scan in a process of its own, for tests in a mount namespace: `python -m tests.integration.scan.once`.

Arguments: database URL, root, kind, and whether deletes are confirmed. Prints the end and the tasks as JSON.
"""

import json
import sys
from pathlib import Path
from typing import get_args

from scanner.catalog.engine import Database
from scanner.catalog.scans import Kind
from tests.integration.scan.harness import Library


def main(url: str, root: str, kind: str) -> None:
    """Scan and tell."""
    (chosen,) = [known for known in get_args(Kind) if known == kind]
    with Database(url) as database:
        library = Library(Path(root), database)
        scanned = library.scan(chosen)
        told = {
            "end": scanned.outcome.end,
            "changes": sorted(scanned.changes),
            "problems": library.problems(),
            "disk": library.disk(),
        }
        sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
