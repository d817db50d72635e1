"""Chance for fault tests: what a failed run met can be met again, by its seed."""

import os
import random
import secrets


def seeded() -> random.Random:
    """Return a source of chance, and print its seed; SCANNER_TEST_SEED sets it."""
    seed = int(os.environ.get("SCANNER_TEST_SEED") or secrets.randbelow(1_000_000))
    print(f"SCANNER_TEST_SEED={seed}")
    return random.Random(seed)
