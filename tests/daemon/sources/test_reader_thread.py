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
from pipeline.daemon.sources._reader_thread import MAX_PICTURES, LatestFrames, read_in_thread
from pipeline.errors import SourceLost


def frame(i: int) -> Frame:
    return Frame(datetime(2026, 1, 1, tzinfo=UTC), float(i), str(i), None, data=b"picture")


def read(source: Iterator[Frame], heartbeat: Heartbeat, next_s: float = 5) -> Iterator[Frame]:
    return read_in_thread(
        lambda: source, "the camera", heartbeat, Clock(), first_s=5, next_s=next_s, threads=[]
    )


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


def test_the_thread_of_a_worker_that_hangs_ends_when_that_is_left_behind() -> None:
    heartbeat, threads, closed = Heartbeat(Clock()), list[threading.Thread](), threading.Event()

    def source() -> Iterator[Frame]:
        try:
            while True:
                yield frame(1)
        finally:
            closed.set()

    frames = read_in_thread(
        source, "the camera", heartbeat, Clock(), first_s=5, next_s=5, threads=threads
    )
    next(frames)  # and then the worker hangs with it
    heartbeat.stop()
    assert closed.wait(10)
    threads[0].join(10)
    assert not threads[0].is_alive()


def test_a_camera_that_hangs_again_and_again_takes_no_more_threads_than_a_few(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hangs, threads = threading.Event(), list[threading.Thread]()

    def source() -> Iterator[Frame]:
        hangs.wait(60)
        yield frame(1)

    def attempt(first_s: float) -> Iterator[Frame]:
        return read_in_thread(
            *(source, "the camera", Heartbeat(Clock()), Clock()),
            first_s=first_s,
            next_s=5,
            threads=threads,
        )

    def why() -> str:
        with pytest.raises(SourceLost) as error:
            next(attempt(0))
        return str(error.value)

    monkeypatch.setattr(_reader_thread, "MAX_HUNG_THREADS", 2)
    monkeypatch.setattr(_reader_thread, "JOIN_TIMEOUT_S", 0)
    told = [why() for _ in range(4)]
    assert "sent no picture" in told[1]
    assert told[2].startswith("the camera is not connected again: 2 former attempts hang")
    assert told[2] == told[3]
    hangs.set()
    for thread in threads:
        thread.join(10)
    assert next(attempt(5)).serial == "1"


def test_a_camera_that_is_too_fast_for_the_records_is_lost_after_all_its_frames(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_reader_thread, "MAX_FRAMES", 20)
    threads: list[threading.Thread] = []
    endless = map(frame, itertools.count())
    heartbeat, clock = Heartbeat(Clock()), Clock()
    frames = read_in_thread(
        lambda: endless, "the camera", heartbeat, clock, first_s=5, next_s=5, threads=threads
    )
    first = next(frames)
    threads[0].join(10)
    assert not threads[0].is_alive()
    found = [first]
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
