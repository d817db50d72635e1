"""What is too much at a time is parted in its order, and nothing of it is lost or repeated."""

from itertools import chain

from hypothesis import given
from hypothesis import strategies as st

from scanner.portions import portions


def test_a_portion_is_filled_up_to_its_size_and_one_item_always_fits() -> None:
    assert list(portions(["aa", "b", "ccc", "dddddd", "e"], len, 3)) == [
        ["aa", "b"],
        ["ccc"],
        ["dddddd"],
        ["e"],
    ]
    assert list(portions([], len, 3)) == []


@given(st.lists(st.binary(max_size=9)), st.integers(0, 12))
def test_whatever_comes_leaves_in_its_order_in_portions_that_fit(items: list[bytes], most_bytes: int) -> None:
    parted = list(portions(items, len, most_bytes))
    assert list(chain.from_iterable(parted)) == items
    assert all(portion for portion in parted)
    assert all(len(portion) == 1 or sum(map(len, portion)) <= most_bytes for portion in parted)
