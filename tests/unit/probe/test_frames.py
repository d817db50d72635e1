import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.probe import frames
from scanner.probe.frames import Chunk, FrameReader, Hello, NotAFrame, RootCheck, Start
from scanner.probe.jobs import Job, ProbeSettings, Verdict

VERDICTS = [Verdict(key, "ok", b"x" * key) for key in range(0, 300, 37)]
STREAM = b"".join(frames.frame(verdict) for verdict in VERDICTS)


@given(st.lists(st.integers(0, len(STREAM)), max_size=20).map(sorted))
def test_frames_come_whole_however_the_pipe_cuts_them(cuts: list[int]) -> None:
    reader, found = FrameReader(), []
    for start, end in zip([0, *cuts], [*cuts, len(STREAM)], strict=True):
        reader.feed(STREAM[start:end])
        found += reader.verdicts()
    assert found == VERDICTS


def test_a_first_frame_leaves_those_behind_it() -> None:
    reader = FrameReader()
    reader.feed(frames.frame(Hello("no")) + STREAM)
    assert reader.hello() == Hello("no")
    assert reader.verdicts() == VERDICTS


def test_requests_and_settings_survive_the_wire() -> None:
    start = Start(1, 2, ProbeSettings(handlers=("a",)), {"a": "b:c"})
    chunk = Chunk([Job(1, b"/\xff", "\ufffd", "video", 1, -5, 1, 2, 3, 4, "name", 100)])
    reader = FrameReader()
    reader.feed(frames.frame(start) + frames.frame(chunk) + frames.frame(RootCheck(1, b"/", [b"a"])))
    assert reader.start() == start
    assert reader.requests() == [chunk, RootCheck(1, b"/", [b"a"])]


@pytest.mark.parametrize("noise", [b"\xff" * 8, struct.pack("<I", 3) + b"\xc1\xc1\xc1", b"\5\0\0\0hello"])
def test_what_is_no_frame_is_noticed(noise: bytes) -> None:
    reader = FrameReader()
    reader.feed(noise)
    with pytest.raises(NotAFrame):
        reader.verdicts()
