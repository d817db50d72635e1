"""Chance for fault tests: what a failed run met can be met again, by its seed."""

import os
import random
import secrets
from collections.abc import Sequence
from itertools import cycle, islice
from typing import TypeVar

T = TypeVar("T")


def seeded() -> random.Random:
    """Return a source of chance, and print its seed; SCANNER_TEST_SEED sets it."""
    seed = int(os.environ.get("SCANNER_TEST_SEED") or secrets.randbelow(1_000_000))
    print(f"SCANNER_TEST_SEED={seed}")
    return random.Random(seed)


def drawn(chance: random.Random, kinds: Sequence[T], count: int) -> list[T]:
    """Return `count` of the kinds in an order of chance, each as often as the others (or once more)."""
    return chance.sample(list(islice(cycle(kinds), count)), count)
