"""The OpenSubtitles hash against its plain definition, and BLAKE3 against its own library."""

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from scanner.probe import fingerprint

_KIB = 1024


@contextmanager
def _opened(path: Path, content: bytes) -> Iterator[int]:
    path.write_bytes(content)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _plain(content: bytes) -> str:
    words = struct.unpack("<16384Q", content[: 64 * _KIB] + content[-64 * _KIB :])
    return f"{(len(content) + sum(words)) % 2**64:016x}"


@pytest.mark.parametrize("size", [128 * _KIB, 128 * _KIB + 1, 200_003])
@pytest.mark.parametrize("fill", [b"\0", b"\xff", b"\x80\0\0\0\0\0\0\x01", None])
def test_oshash_is_the_sum_of_size_and_both_ends(tmp_path: Path, size: int, fill: bytes | None) -> None:
    content = os.urandom(size) if fill is None else (fill * size)[:size]
    with _opened(tmp_path / "x", content) as descriptor:
        assert fingerprint.oshash(descriptor, size) == _plain(content)


@settings(deadline=None)
@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=40))
def test_sum_of_words_carries_as_plain_addition_does(words: list[int]) -> None:
    filled = (words * (16_384 // len(words) + 1))[:16_384]
    assert fingerprint._sum_of_words(struct.pack("<16384Q", *filled)) == sum(filled) % 2**64


def test_no_oshash_for_a_file_whose_ends_would_overlap(tmp_path: Path) -> None:
    with _opened(tmp_path / "x", bytes(128 * _KIB - 1)) as descriptor:
        assert fingerprint.oshash(descriptor, 128 * _KIB - 1) is None


def test_blake3_is_that_of_every_byte_and_paces_itself(tmp_path: Path) -> None:
    content = os.urandom(2_500_000)
    read: list[int] = []
    with _opened(tmp_path / "x", content) as descriptor:
        assert fingerprint.blake3_of(descriptor, read.append) == blake3(content).hexdigest()
        assert fingerprint.blake3_of(descriptor) == blake3(content).hexdigest()
    assert sum(read) == len(content)
    assert max(read) <= 1024 * _KIB
