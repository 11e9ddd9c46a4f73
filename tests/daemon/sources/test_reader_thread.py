"""A camera that is read in a thread of its own."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice

import pytest

from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.runtime.heartbeat import Heartbeat
from pipeline.daemon.sources import Frame, _reader_thread
from pipeline.daemon.sources._reader_thread import MAX_PICTURES, LatestFrames, ReaderThread
from pipeline.errors import SourceLost
from pipeline.testing import FakeClock


def frame(i: int) -> Frame:
    return Frame(datetime(2026, 1, 1, tzinfo=UTC), float(i), str(i), None, data=b"picture")


def read(source: Iterator[Frame], heartbeat: Heartbeat, next_s: float = 5) -> Iterator[Frame]:
    thread = ReaderThread(lambda: source, "the camera", Clock(), first_s=5, next_s=next_s)
    return thread.frames(heartbeat)


def test_frames_come_in_order_and_the_end_is_a_loss() -> None:
    frames = read(iter([frame(1), frame(2)]), Heartbeat(Clock()))
    assert [f.serial for f in islice(frames, 2)] == ["1", "2"]
    with pytest.raises(SourceLost, match="the camera has ended the stream"):
        next(frames)


def test_a_loss_comes_after_the_frames_before_it() -> None:
    def source() -> Iterator[Frame]:
        yield frame(1)
        raise SourceLost("pulled out")

    frames = read(source(), Heartbeat(Clock()))
    assert next(frames).serial == "1"
    with pytest.raises(SourceLost, match="pulled out"):
        next(frames)


def test_a_bug_in_the_driver_is_a_loss_and_its_text_is_not_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    secret = "rtsp://user:password@camera"

    def source() -> Iterator[Frame]:
        yield frame(1)
        raise RuntimeError(secret)

    frames = read(source(), Heartbeat(Clock()))
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

    frames = read(source(), Heartbeat(Clock()), next_s=0.1)
    next(frames)
    with pytest.raises(SourceLost, match=r"the camera sent no picture for 0\.1 s"):
        next(frames)
    hangs.set()


def test_a_worker_whose_camera_hangs_beats_and_ends_when_it_is_to() -> None:
    hangs = threading.Event()

    def source() -> Iterator[Frame]:
        hangs.wait(20)
        yield frame(1)

    heartbeat = Heartbeat(Clock())
    threading.Timer(1.2, heartbeat.stop).start()
    assert list(read(source(), heartbeat)) == []
    assert heartbeat.silent_s < 1.1
    hangs.set()


def threads_of(camera: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == camera]


def test_frames_that_come_while_no_worker_takes_them_wait_for_the_next_worker() -> None:
    come = [threading.Event() for _ in range(3)]

    def source() -> Iterator[Frame]:
        for i, event in enumerate(come):
            event.wait(20)
            yield frame(i)
        threading.Event().wait(20)

    reader = ReaderThread(source, "a camera that is kept", Clock(), first_s=20, next_s=20)
    come[0].set()
    heartbeat = Heartbeat(Clock())
    frames = reader.frames(heartbeat)
    assert next(frames).serial == "0"
    heartbeat.stop()
    assert list(frames) == []
    for event in come:
        event.set()
    assert [f.serial for f in islice(reader.frames(Heartbeat(Clock())), 2)] == ["1", "2"]
    assert len(threads_of("a camera that is kept")) == 1
    reader.close()


def test_a_frame_that_comes_as_the_worker_is_asked_to_stop_is_not_lost() -> None:
    class Stopping(Heartbeat):
        """Is asked to stop while a frame is taken."""

        asked = 0

        @property
        def stopping(self) -> bool:
            self.asked += 1
            return self.asked > 1

    reader = ReaderThread(
        lambda: iter([frame(1), frame(2)]), "the camera", Clock(), first_s=5, next_s=5
    )
    assert list(reader.frames(Stopping(Clock()))) == []
    assert [f.serial for f in islice(reader.frames(Heartbeat(Clock())), 2)] == ["1", "2"]


def test_the_thread_ends_when_the_camera_is_closed() -> None:
    closed = threading.Event()

    def source() -> Iterator[Frame]:
        try:
            while True:
                yield frame(1)
        finally:
            closed.set()

    reader = ReaderThread(source, "a camera to close", Clock(), first_s=5, next_s=5)
    next(reader.frames(Heartbeat(Clock())))
    reader.close()
    assert closed.wait(10)
    for thread in threads_of("a camera to close"):
        thread.join(10)
        assert not thread.is_alive()


def test_a_camera_that_hangs_again_and_again_takes_no_more_threads_than_a_few(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hangs, clock = threading.Event(), FakeClock()

    def source() -> Iterator[Frame]:
        hangs.wait(60)
        yield frame(1)

    reader = ReaderThread(source, "a camera that hangs", clock, first_s=0, next_s=5)

    def why() -> str:
        with pytest.raises(SourceLost) as error:
            next(reader.frames(Heartbeat(clock)))
        return str(error.value)

    monkeypatch.setattr(_reader_thread, "MAX_HUNG_THREADS", 2)
    monkeypatch.setattr(_reader_thread, "JOIN_TIMEOUT_S", 0)
    reasons = [why() for _ in range(4)]
    assert "sent no picture" in reasons[1]
    assert reasons[2].startswith("a camera that hangs is not connected again: 2 former attempts")
    assert reasons[2] == reasons[3]
    hangs.set()
    for thread in threads_of("a camera that hangs"):
        thread.join(10)
    monkeypatch.setattr(_reader_thread, "BEAT_EVERY_S", 10)
    assert next(again for again in attempts(reader, clock)).serial == "1"


def attempts(reader: ReaderThread, clock: Clock) -> Iterator[Frame]:
    """Frames of a camera that is connected again whenever it is lost."""
    while True:
        try:
            yield from reader.frames(Heartbeat(clock))
        except SourceLost:
            continue


def test_a_camera_that_is_too_fast_for_the_records_is_lost_and_all_its_frames_are_recorded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_reader_thread, "MAX_FRAMES", 20)
    endless = map(frame, itertools.count())
    reader = ReaderThread(lambda: endless, "a fast camera", Clock(), first_s=5, next_s=5)
    frames = reader.frames(Heartbeat(Clock()))
    found = [next(frames)]
    for thread in threads_of("a fast camera"):
        thread.join(10)
        assert not thread.is_alive()
    with pytest.raises(SourceLost, match="faster than their records can be written: 20 wait"):
        found.extend(frames)
    assert [f.serial for f in found] == [str(i) for i in range(len(found))]
    assert len(found) >= 20


def test_no_frame_is_dropped_but_only_the_newest_keep_their_pictures() -> None:
    box = LatestFrames(Clock())
    for i in range(MAX_PICTURES + 3):
        box.put(frame(i))
    frames = [box.take(0) for _ in range(MAX_PICTURES + 3)]
    assert [f.serial for f in frames if f] == [str(i) for i in range(MAX_PICTURES + 3)]
    assert [f.data for f in frames if f] == [None] * 3 + [b"picture"] * MAX_PICTURES
    assert {f.fault for f in frames[:3] if f} == {
        "the station was busy while 4 newer pictures came"
    }


def test_a_fault_is_not_overwritten_by_a_later_one() -> None:
    box = LatestFrames(Clock())
    box.put(Frame(datetime(2026, 1, 1, tzinfo=UTC), 0.0, "0", None, "damaged"))
    for i in range(MAX_PICTURES):
        box.put(frame(i))
    oldest = box.take(0)
    assert oldest is not None
    assert oldest.fault == "damaged"
