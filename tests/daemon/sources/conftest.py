"""Tiny videos, and a folder that something writes to."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.contracts.records import Record, Verdict
from pipeline.daemon.runtime.heartbeat import Heartbeat
from pipeline.daemon.sources import Frame
from pipeline.daemon.sources.folder import Config, Folder
from pipeline.imaging import codec
from pipeline.testing import FakeClock

MakeClip = Callable[..., Path]

RECORD = Record("1", "west-1", "2026-01-01T00:00:00+00:00", "a.png", Verdict.PASS, "fine")
PICTURE = codec.encode_png(np.full((20, 24, 3), 200, np.uint8))


@pytest.fixture
def watched(tmp_path: Path) -> Path:
    folder = tmp_path / "watched"
    folder.mkdir()
    return folder


def write(path: Path, seconds: int = 0, data: bytes = PICTURE) -> Path:
    """A file that was written so many seconds after 2026 began."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    at_s = 1_767_225_600 + seconds
    os.utime(path, (at_s, at_s))
    return path


class Polled(Folder):
    """Looks each second of a clock of its own, which takes no time."""

    def __init__(self, folder: Path, clock: FakeClock | None = None, **settings: object) -> None:
        self.clock = clock or FakeClock()
        super().__init__(config(folder, polling_s=1, **settings), self.clock)


def config(folder: Path, **settings: object) -> Config:
    return Config.model_validate({"type": "folder", "path": folder} | settings)


def taken(source: Polled, n: int = 99, *, answer: bool = True, looks: int = 5) -> list[Frame]:
    """Up to `n` frames, all that come within a few looks, each one's record closed at once."""
    clock, frames = source.clock, list[Frame]()
    heartbeat = Heartbeat(clock)
    until_s = clock.monotonic_s() + looks

    def wait(stop: threading.Event, seconds: float) -> None:
        clock.advance(seconds)
        if clock.monotonic_s() > until_s:
            heartbeat.stop()

    clock.wait = wait  # type: ignore[method-assign]
    for frame in source.frames(heartbeat):
        frames.append(frame)
        if answer and frame.answer is not None:
            frame.answer(RECORD)
        if len(frames) == n:
            heartbeat.stop()
    return frames


def serials(frames: list[Frame]) -> list[str]:
    return [f.serial for f in frames]


@pytest.fixture
def clip(tmp_path: Path) -> MakeClip:
    """Write a video whose i-th picture is 10 * i + 50 bright, at so many pictures a second."""
    av = pytest.importorskip("av")

    def make(n: int = 4, rate_hz: int = 10) -> Path:
        path = tmp_path / "clip.mkv"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("mjpeg", rate=rate_hz)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
            for i in range(n):
                pixels = np.full((48, 64, 3), 10 * i + 50, np.uint8)
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        return path

    return make
