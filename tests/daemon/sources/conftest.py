"""Tiny videos, and a folder that something writes to."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.imaging import codec

MakeClip = Callable[..., Path]

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
