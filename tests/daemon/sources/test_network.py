"""What network cameras share: a stream that is read in its own thread, and given up in time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.runtime.heartbeat import Heartbeat
from pipeline.daemon.sources import Frame, _reader_thread
from pipeline.daemon.sources._network import NetworkCamera
from pipeline.daemon.sources.rtsp import Config
from pipeline.errors import SourceLost
from tests.daemon.waiting import until

SHOWN = "rtsp://10.0.0.7/line1"


def frame(i: int) -> Frame:
    return Frame(datetime(2026, 1, 1, tzinfo=UTC), float(i), str(i), None, data=b"picture")


class Camera(NetworkCamera[Config]):
    """Sends so many pictures, then nothing until it is switched off."""

    first_s = 20.0

    def __init__(self, pictures: int, read_timeout_s: float = 20) -> None:
        self.off = threading.Event()
        self.pictures = pictures
        url = "rtsp://qc:s3cret@10.0.0.7/line1"
        settings = Config(type="rtsp", url=url, read_timeout_s=read_timeout_s)
        super().__init__(settings, settings.camera_url(), Clock())

    def _read(self) -> Iterator[Frame]:
        for i in range(self.pictures):
            yield frame(i)
        self.off.wait(20)


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[Camera]:
    """Sends one picture and then nothing."""
    monkeypatch.setattr(_reader_thread, "JOIN_TIMEOUT_S", 0.02)
    camera = Camera(1, read_timeout_s=0.05)
    yield camera
    camera.off.set()


def test_pictures_are_frames_in_their_order() -> None:
    camera = Camera(3)
    frames = camera.frames(Heartbeat(Clock()))
    assert [next(frames).serial for _ in range(3)] == ["0", "1", "2"]
    camera.off.set()


def test_a_camera_that_ends_its_stream_is_lost_under_a_name_without_the_password() -> None:
    camera = Camera(0)
    camera.off.set()
    with pytest.raises(SourceLost, match=f"^{SHOWN} has ended the stream$"):
        next(camera.frames(Heartbeat(Clock())))


def test_a_camera_that_falls_silent_is_lost_after_its_read_timeout(silent: Camera) -> None:
    frames = silent.frames(Heartbeat(Clock()))
    next(frames)
    with pytest.raises(SourceLost, match=rf"^{SHOWN} sent no picture for 0\.05 s$"):
        next(frames)


def test_the_first_picture_may_take_longer_than_the_others() -> None:
    class Slow(Camera):
        first_s = 0.1

    camera = Slow(0, read_timeout_s=0.05)
    with pytest.raises(SourceLost, match=r"sent no picture for 0\.1 s"):
        next(camera.frames(Heartbeat(Clock())))
    camera.off.set()


def test_a_camera_that_comes_back_is_read_again(silent: Camera) -> None:
    frames = silent.frames(Heartbeat(Clock()))
    next(frames)
    with pytest.raises(SourceLost):
        next(frames)
    assert next(silent.frames(Heartbeat(Clock()))).serial == "0"


def test_a_camera_whose_driver_hangs_takes_no_more_threads_than_a_few(silent: Camera) -> None:
    def reading() -> int:
        return sum(thread.name == SHOWN for thread in threading.enumerate())

    why = ""
    for _ in range(9):
        try:
            for _ in silent.frames(Heartbeat(Clock())):
                pass
        except SourceLost as lost:
            why = str(lost)
        if "former attempts hang in its driver" in why:
            break
    assert why.startswith(f"{SHOWN} is not connected again: {reading()} former attempts hang")
    silent.off.set()
    until(lambda: reading() == 0, "the end of the threads")
    assert next(silent.frames(Heartbeat(Clock()))).serial == "0"
