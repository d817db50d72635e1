"""Path text stands for exactly one byte string, in both directions, and can be stored and shown anywhere."""

import os

from hypothesis import given
from hypothesis import strategies as st

from scanner import paths

_ODD_BYTES = st.lists(
    st.sampled_from(
        [b"a", b"\xc3\xa4", b"\xff", b"\xf4", b"\x8f", b"\xbe", b"\xbf", b"\x80", b"\xed\xb2\x80", b"/"]
    )
).map(b"".join)
_NAMES = st.binary(max_size=40) | _ODD_BYTES


@given(_NAMES)
def test_every_byte_string_comes_back(name: bytes) -> None:
    text = paths.from_bytes(name)
    assert paths.to_bytes(text) == name
    assert paths.to_os(text) == os.fsdecode(name)
    assert paths.from_os(os.fsdecode(name)) == text


@given(_NAMES)
def test_path_text_is_valid_unicode(name: bytes) -> None:
    assert paths.from_bytes(name).encode().decode() == paths.from_bytes(name)


@given(_NAMES, _NAMES)
def test_different_names_have_different_texts(one: bytes, other: bytes) -> None:
    assert (paths.from_bytes(one) == paths.from_bytes(other)) == (one == other)


@given(_NAMES)
def test_text_is_exact_if_it_is_the_name_itself(name: bytes) -> None:
    text = paths.from_bytes(name)
    assert paths.is_exact(text) == (text.encode() == name)
    assert paths.is_exact(paths.readable(text))


def test_a_character_of_the_reserved_range_is_escaped_too() -> None:
    name = "\U0010ff80".encode()
    assert not paths.is_exact(paths.from_bytes(name))
    assert paths.to_bytes(paths.from_bytes(name)) == name


def test_what_is_printed_holds_nothing_that_a_terminal_obeys() -> None:
    hostile = paths.from_bytes(b"\x1b[31m\nred\x07 \xff \xe2\x80\xae")
    shown = paths.printable(hostile)
    assert shown == "\\x1b[31m\\nred\\x07 \\xff \\u202e"
    assert shown.isprintable()


def test_paths_are_joined_and_taken_apart() -> None:
    assert paths.join("", "a") == "a"
    assert paths.join("a/b", "c") == "a/b/c"
    assert paths.basename("a/b/c") == "c"
    assert paths.contains("/srv", "/srv/films")
    assert paths.contains("/", "/srv")
    assert not paths.contains("/srv/film", "/srv/films")
