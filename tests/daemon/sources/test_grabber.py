"""A camera that is read in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice

import pytest

from pipeline.daemon.clock import Clock
from pipeline.daemon.pulse import Pulse
from pipeline.daemon.sources import Frame
from pipeline.daemon.sources._grabber import HELD, Mailbox, grabbed
from pipeline.errors import SourceLost


def frame(i: int) -> Frame:
    return Frame(datetime(2026, 1, 1, tzinfo=UTC), float(i), str(i), None, data=b"picture")


def read(source: Iterator[Frame], pulse: Pulse, next_s: float = 5) -> Iterator[Frame]:
    return grabbed(lambda: source, "the camera", pulse, Clock(), first_s=5, next_s=next_s)


def test_frames_come_in_order_and_the_end_is_a_loss() -> None:
    frames = read(iter([frame(1), frame(2)]), Pulse(Clock()))
    assert [f.serial for f in islice(frames, 2)] == ["1", "2"]
    with pytest.raises(SourceLost, match="the camera has ended the stream"):
        next(frames)


def test_a_loss_comes_after_the_frames_before_it() -> None:
    def source() -> Iterator[Frame]:
        yield frame(1)
        raise SourceLost("pulled out")

    frames = read(source(), Pulse(Clock()))
    assert next(frames).serial == "1"
    with pytest.raises(SourceLost, match="pulled out"):
        next(frames)


def test_a_bug_in_the_driver_is_a_loss_and_its_text_is_not_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    secret = "rtsp://user:password@camera"

    def source() -> Iterator[Frame]:
        yield frame(1)
        raise RuntimeError(secret)

    frames = read(source(), Pulse(Clock()))
    next(frames)
    with pytest.raises(SourceLost, match=r"^reading failed: RuntimeError$"):
        next(frames)
    assert "raise RuntimeError(secret)" in caplog.text
    assert secret not in caplog.text


def test_a_camera_that_falls_silent_is_lost() -> None:
    hangs = threading.Event()

    def source() -> Iterator[Frame]:
        yield frame(1)
        hangs.wait(20)

    frames = read(source(), Pulse(Clock()), next_s=0.1)
    next(frames)
    with pytest.raises(SourceLost, match=r"the camera sent no picture for 0\.1 s"):
        next(frames)
    hangs.set()


def test_a_worker_whose_camera_hangs_beats_and_ends_when_it_is_to() -> None:
    hangs = threading.Event()

    def source() -> Iterator[Frame]:
        hangs.wait(20)
        yield frame(1)

    pulse = Pulse(Clock())
    threading.Timer(1.2, pulse.stop).start()
    assert list(read(source(), pulse)) == []
    assert pulse.silent_s < 1.1
    hangs.set()


def test_no_frame_is_dropped_but_only_the_newest_keep_their_pictures() -> None:
    box = Mailbox(Clock())
    for i in range(HELD + 3):
        box.put(frame(i))
    frames = [box.take(0) for _ in range(HELD + 3)]
    assert [f.serial for f in frames if f] == [str(i) for i in range(HELD + 3)]
    assert [f.data for f in frames if f] == [None] * 3 + [b"picture"] * HELD
    assert {f.fault for f in frames[:3] if f} == {
        "the station was busy while 4 newer pictures came"
    }


def test_a_fault_is_not_overwritten_by_a_later_one() -> None:
    box = Mailbox(Clock())
    box.put(Frame(datetime(2026, 1, 1, tzinfo=UTC), 0.0, "0", None, "damaged"))
    for i in range(HELD):
        box.put(frame(i))
    oldest = box.take(0)
    assert oldest is not None
    assert oldest.fault == "damaged"
