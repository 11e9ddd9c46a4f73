"""A folder of images as a camera."""

from __future__ import annotations

import os
import threading
from itertools import islice
from pathlib import Path

import pytest

from pipeline.daemon.build import assembled
from pipeline.daemon.runtime.heartbeat import Heartbeat
from pipeline.daemon.settings.line import Line
from pipeline.daemon.sources.replay import Config
from pipeline.errors import DataError, UnreadableImage
from pipeline.ledger.ledger import Ledger
from pipeline.registry.store import Registry
from pipeline.testing import FakeClock


def test_files_come_in_order_with_their_names_as_serials(parts: Path) -> None:
    clock = FakeClock()
    source = Config(type="replay", path=parts).open(clock)
    serials = [f.serial for f in source.frames(Heartbeat(clock))]
    assert serials == ["a_good.png", "b_bad.png", "c_damaged.png", "tray/d_doubt.png"]


def test_damaged_file_is_a_frame_that_cannot_be_decoded(parts: Path) -> None:
    clock = FakeClock()
    source = Config(type="replay", path=parts).open(clock)
    frames = {f.serial: f for f in source.frames(Heartbeat(clock))}
    assert frames["c_damaged.png"].pixels is None
    with pytest.raises(UnreadableImage, match=r"c_damaged\.png cannot be decoded"):
        frames["c_damaged.png"].decoded()
    assert frames["a_good.png"].decoded().shape == (20, 24, 3)


def test_file_that_vanishes_is_a_frame_with_a_fault(parts: Path) -> None:
    clock = FakeClock()
    source = Config(type="replay", path=parts).open(clock)
    (parts / "b_bad.png").unlink()
    frames = list(source.frames(Heartbeat(clock)))
    assert len(frames) == 4
    assert "No such file" in frames[1].fault


def named_in_latin_1(parts: Path, *files: str) -> None:
    """Give files names that are not UTF-8, as an old camera or share does."""
    for file in files:
        (parts / file).rename(os.fsdecode(os.fsencode(parts) + b"/\xfc" + file.encode()))


def test_file_whose_name_is_not_utf_8_gets_its_record(
    line: Line, parts: Path, champion: Registry
) -> None:
    named_in_latin_1(parts, "b_bad.png", "c_damaged.png")
    with assembled(line) as station:
        station.run(threading.Event())
    records = {r.serial: r for r in Ledger(line.ledger, "west-1").records()}
    assert records["\\udcfcb_bad.png"].verdict == "FAIL"
    assert "\\udcfcc_damaged.png cannot be decoded" in records["\\udcfcc_damaged.png"].reason
    assert len(records) == 4


def test_vanished_file_whose_name_is_not_utf_8_is_named_as_it_can_be_written(parts: Path) -> None:
    named_in_latin_1(parts, "b_bad.png")
    clock = FakeClock()
    source = Config(type="replay", path=parts).open(clock)
    (parts / os.fsdecode(b"\xfcb_bad.png")).unlink()
    (fault,) = [f.fault for f in source.frames(Heartbeat(clock)) if "b_bad" in f.serial]
    assert f"{parts}/\\udcfcb_bad.png cannot be read: No such file" in fault
    assert fault.encode()


def test_a_fitting_rate_is_what_the_machine_inspects_with_a_third_to_spare(parts: Path) -> None:
    clock = FakeClock()
    config = Config(type="replay", path=parts, rate_hz="fitting", loop=True)
    times = list[float]()
    for frame in islice(config.open(clock).frames(Heartbeat(clock)), 60):
        times.append(frame.captured_s)
        if len(times) > 8:  # those before went into an empty queue
            clock.advance(0.1)  # a slow machine
    assert not config.live
    assert times[30] - times[29] == pytest.approx(0.1)
    assert times[-1] - times[-2] == pytest.approx(0.15)


def test_a_fitting_rate_is_at_most_that_of_a_usual_line(parts: Path) -> None:
    clock = FakeClock()
    source = Config(type="replay", path=parts, rate_hz="fitting", loop=True).open(clock)
    times = list[float]()
    for frame in islice(source.frames(Heartbeat(clock)), 600):
        times.append(frame.captured_s)
        if len(times) < 400:
            clock.advance(0.01)
    assert times[-1] - times[-2] == pytest.approx(0.05)


def test_rate_spaces_the_frames(parts: Path) -> None:
    clock = FakeClock()
    source = Config(type="replay", path=parts, rate_hz=20).open(clock)
    times = [f.captured_s for f in source.frames(Heartbeat(clock))]
    assert times == pytest.approx([0.0, 0.05, 0.10, 0.15])


def test_slow_station_leaves_no_frame_out_and_gets_no_burst(parts: Path) -> None:
    clock = FakeClock()
    source = Config(type="replay", path=parts, rate_hz=20).open(clock)
    times = []
    for frame in source.frames(Heartbeat(clock)):
        times.append(frame.captured_s)
        clock.advance(1.0 if frame.serial == "a_good.png" else 0.0)
    assert times == pytest.approx([0.0, 1.0, 1.05, 1.10])


def test_loop_begins_again(parts: Path) -> None:
    clock = FakeClock()
    source = Config(type="replay", path=parts, loop=True).open(clock)
    serials = [f.serial for f in islice(source.frames(Heartbeat(clock)), 5)]
    assert serials[4] == serials[0]


def test_stop_ends_an_endless_replay(parts: Path) -> None:
    clock = FakeClock()
    heartbeat = Heartbeat(clock)
    source = Config(type="replay", path=parts, loop=True).open(clock)
    seen = 0
    for _ in source.frames(heartbeat):
        seen += 1
        if seen == 6:
            heartbeat.stop()
    assert seen == 6


def test_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere is not a folder"):
        Config(type="replay", path=tmp_path / "nowhere").open(FakeClock())


def test_folder_without_images_names_the_formats(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(DataError, match=r"holds no image; known are .*\.png"):
        Config(type="replay", path=tmp_path).open(FakeClock())
