"""A camera at a USB port; where there is none, a video stands in for the device."""

from __future__ import annotations

import sys
from itertools import islice
from pathlib import Path

import pytest

from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.runtime.heartbeat import Heartbeat
from pipeline.daemon.sources import usb
from pipeline.daemon.sources.usb import Config
from pipeline.errors import MissingExtra, SourceLost
from pipeline.testing import FakeClock
from tests.daemon.sources.conftest import MakeClip

CAMERA = Path("/dev/video0")


def test_a_device_that_is_missing_is_lost_and_found_when_it_is_plugged_in(
    clip: MakeClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usb, "DEVICE_KIND", None)
    device = tmp_path / "video0"
    source = Config(type="usb", device=device).open(Clock())
    with pytest.raises(SourceLost, match="video0: No such file or directory"):
        next(source.frames(Heartbeat(Clock())))
    clip().rename(device)
    assert next(source.frames(Heartbeat(Clock()))).decoded().shape == (48, 64, 3)


@pytest.mark.skipif(not CAMERA.exists(), reason=f"no camera is plugged in here: no {CAMERA}")
def test_a_real_camera_gives_pictures() -> None:
    pytest.importorskip("av")
    frames = Config(type="usb", device=CAMERA).open(Clock()).frames(Heartbeat(Clock()))
    seen = [frame.decoded() for frame in islice(frames, 3)]
    assert len(seen) == 3
    assert all(rgb.size > 0 and rgb.shape[2] == 3 for rgb in seen)


def test_a_file_that_is_not_a_device_is_lost(tmp_path: Path) -> None:
    pytest.importorskip("av")
    device = tmp_path / "video0"
    device.write_bytes(b"no device")
    source = Config(type="usb", device=device).open(Clock())
    with pytest.raises(SourceLost, match="video0: "):
        next(source.frames(Heartbeat(Clock())))


def test_a_device_that_is_pulled_out_is_lost(
    clip: MakeClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usb, "DEVICE_KIND", None)
    frames = Config(type="usb", device=clip(n=4)).open(Clock()).frames(Heartbeat(Clock()))
    assert len(list(islice(frames, 4))) == 4
    with pytest.raises(SourceLost, match="has ended the stream"):
        next(frames)


def test_settings_become_those_of_the_driver() -> None:
    pytest.importorskip("av")
    source = Config(
        type="usb", width_px=1280, height_px=720, rate_hz=30, pixel_format="mjpeg"
    ).open(FakeClock())
    assert source.options() == {
        "video_size": "1280x720",
        "framerate": "30",
        "input_format": "mjpeg",
    }


def test_without_pyav_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingExtra, match=r"source usb needs .*'\.\[rtsp\]'"):
        Config(type="usb").open(FakeClock())
