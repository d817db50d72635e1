"""Parting what is too much at a time by its size. Pure."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def portions(items: Iterable[T], size_of: Callable[[T], int], most_bytes: int) -> Iterator[list[T]]:
    """Yield items in their order, up to `most_bytes` of them at a time; one always fits."""
    portion: list[T] = []
    size_bytes = 0
    for item in items:
        if portion and size_bytes + size_of(item) > most_bytes:
            yield portion
            portion, size_bytes = [], 0
        portion.append(item)
        size_bytes += size_of(item)
    if portion:
        yield portion
