"""Pictures that are sent to the station."""

from __future__ import annotations

import threading
from itertools import islice

import numpy as np
import pytest

from pipeline.contracts.records import Record
from pipeline.daemon.runtime.bounded_queue import Refused
from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.runtime.heartbeat import Heartbeat
from pipeline.daemon.sources.push import Config
from pipeline.errors import UnreadableImage
from pipeline.imaging import codec
from pipeline.testing import FakeClock

PICTURE = codec.encode_png(np.full((20, 24, 3), 200, np.uint8))


def answer(record: Record | None) -> None:
    """Of somebody who waits."""


def test_a_picture_comes_out_as_it_was_sent_with_the_time_it_came() -> None:
    clock = FakeClock()
    source = Config(type="push").open(clock)
    clock.advance(3)
    source.submit(PICTURE, ".PNG", "A-17", answer)
    came_at = clock.now()
    clock.advance(3)
    frame = next(source.frames(Heartbeat(Clock())))
    assert (frame.data, frame.ending, frame.serial) == (PICTURE, ".png", "A-17")
    assert (frame.captured_at, frame.captured_s) == (came_at, 3.0)
    assert frame.answer is answer
    assert frame.decoded().shape == (20, 24, 3)


def test_a_damaged_picture_is_a_frame_all_the_same() -> None:
    source = Config(type="push").open(FakeClock())
    source.submit(b"no picture", ".jpg", "A-17")
    frame = next(source.frames(Heartbeat(Clock())))
    with pytest.raises(UnreadableImage, match="A-17 cannot be decoded"):
        frame.decoded()


def test_a_frame_that_comes_while_the_source_waits_is_yielded() -> None:
    source = Config(type="push").open(Clock())
    frames = source.frames(Heartbeat(Clock()))
    threading.Timer(0.3, source.submit, (PICTURE,)).start()
    assert next(frames).data == PICTURE


def test_more_than_may_wait_are_refused_and_none_is_lost() -> None:
    source = Config(type="push", waiting=2).open(FakeClock())
    source.submit(PICTURE, serial="A-1")
    source.submit(PICTURE, serial="A-2")
    with pytest.raises(Refused, match="source push: 2 wait already"):
        source.submit(PICTURE, serial="A-3")
    assert [f.serial for f in islice(source.frames(Heartbeat(Clock())), 2)] == ["A-1", "A-2"]


def test_control_characters_in_a_serial_are_escaped() -> None:
    source = Config(type="push").open(FakeClock())
    source.submit(PICTURE, serial="A\x1b[2J")
    assert next(source.frames(Heartbeat(Clock()))).serial == "A\\x1b[2J"


def test_after_the_end_pictures_are_refused() -> None:
    source = Config(type="push").open(FakeClock())
    source.close()
    with pytest.raises(Refused, match="shutting down"):
        source.submit(PICTURE)
