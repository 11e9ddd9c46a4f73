"""A folder of images as a camera."""

from __future__ import annotations

import threading
from itertools import islice
from pathlib import Path

import pytest

from pipeline.daemon.clock import FakeClock
from pipeline.daemon.sources.replay import Config
from pipeline.errors import DataError


def test_files_come_in_order_with_their_names_as_serials(parts: Path) -> None:
    source = Config(type="replay", path=parts).open(FakeClock())
    serials = [f.serial for f in source.frames(threading.Event())]
    assert serials == ["a_good.png", "b_bad.png", "c_damaged.png", "tray/d_doubt.png"]


def test_damaged_file_is_a_frame_with_a_fault(parts: Path) -> None:
    source = Config(type="replay", path=parts).open(FakeClock())
    frames = {f.serial: f for f in source.frames(threading.Event())}
    assert frames["c_damaged.png"].pixels is None
    assert "cannot be decoded" in frames["c_damaged.png"].fault
    pixels = frames["a_good.png"].pixels
    assert pixels is not None
    assert pixels.shape == (20, 24, 3)


def test_file_that_vanishes_is_a_frame_with_a_fault(parts: Path) -> None:
    source = Config(type="replay", path=parts).open(FakeClock())
    (parts / "b_bad.png").unlink()
    frames = list(source.frames(threading.Event()))
    assert len(frames) == 4
    assert "No such file" in frames[1].fault


def test_rate_spaces_the_frames(parts: Path) -> None:
    clock = FakeClock()
    source = Config(type="replay", path=parts, rate_hz=20).open(clock)
    times = [f.triggered_s for f in source.frames(threading.Event())]
    assert times == pytest.approx([0.0, 0.05, 0.10, 0.15])


def test_slow_station_leaves_no_frame_out_and_gets_no_burst(parts: Path) -> None:
    clock = FakeClock()
    source = Config(type="replay", path=parts, rate_hz=20).open(clock)
    times = []
    for frame in source.frames(threading.Event()):
        times.append(frame.triggered_s)
        clock.advance(1.0 if frame.serial == "a_good.png" else 0.0)
    assert times == pytest.approx([0.0, 1.0, 1.05, 1.10])


def test_loop_begins_again(parts: Path) -> None:
    source = Config(type="replay", path=parts, loop=True).open(FakeClock())
    serials = [f.serial for f in islice(source.frames(threading.Event()), 5)]
    assert serials[4] == serials[0]


def test_stop_ends_an_endless_replay(parts: Path) -> None:
    stop = threading.Event()
    source = Config(type="replay", path=parts, loop=True).open(FakeClock())
    seen = 0
    for _ in source.frames(stop):
        seen += 1
        if seen == 6:
            stop.set()
    assert seen == 6


def test_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere is no folder"):
        Config(type="replay", path=tmp_path / "nowhere").open(FakeClock())


def test_folder_without_images_names_the_formats(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(DataError, match=r"holds no image; known are .*\.png"):
        Config(type="replay", path=tmp_path).open(FakeClock())
