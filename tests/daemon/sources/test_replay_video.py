"""A video in place of a camera."""

from __future__ import annotations

import sys
from itertools import islice
from pathlib import Path

import pytest
from pydantic import ValidationError

from pipeline.daemon.runtime.heartbeat import Heartbeat
from pipeline.daemon.sources.replay import Config
from pipeline.errors import DataError, MissingExtra
from pipeline.testing import FakeClock
from tests.daemon.sources.conftest import MakeClip


def config(path: Path, **settings: object) -> Config:
    return Config.model_validate({"type": "replay", "path": path} | settings)


def test_each_picture_comes_in_order_with_its_number(clip: MakeClip) -> None:
    clock = FakeClock()
    frames = list(config(clip()).open(clock).frames(Heartbeat(clock)))
    assert [f.serial for f in frames] == ["000000", "000001", "000002", "000003"]
    assert [round(f.decoded().mean(), -1) for f in frames] == [50, 60, 70, 80]
    assert frames[0].decoded().shape == (48, 64, 3)


@pytest.mark.parametrize(("rate_hz", "period_s"), [(0, 0.0), (4, 0.25), ("recorded", 0.1)])
def test_it_runs_flat_out_at_a_rate_or_as_recorded(
    clip: MakeClip, rate_hz: object, period_s: float
) -> None:
    clock = FakeClock()
    source = config(clip(rate_hz=10), rate_hz=rate_hz).open(clock)
    times = [f.captured_s for f in source.frames(Heartbeat(clock))]
    assert times == pytest.approx([i * period_s for i in range(4)], abs=0.002)
    assert source.live == (rate_hz != 0)


def test_time_lost_is_not_caught_up_in_a_burst(clip: MakeClip) -> None:
    clock, times = FakeClock(), []
    for frame in config(clip(), rate_hz="recorded").open(clock).frames(Heartbeat(clock)):
        times.append(frame.captured_s)
        clock.advance(1.0 if frame.serial == "000000" else 0)
    assert times == pytest.approx([0, 1.0, 1.1, 1.2], abs=0.002)


def test_a_loop_begins_again(clip: MakeClip) -> None:
    clock = FakeClock()
    frames = config(clip(), loop=True).open(clock).frames(Heartbeat(clock))
    assert [f.serial for f in islice(frames, 5)][4] == "000000"


def test_a_damaged_picture_is_a_frame_with_a_fault(clip: MakeClip) -> None:
    path = clip()
    data = bytearray(path.read_bytes())
    starts = [i for i in range(len(data)) if data[i : i + 3] == b"\xff\xd8\xff"]
    end = data.index(b"\xff\xd9", starts[2]) + 2
    data[starts[2] : end] = bytes(end - starts[2])
    path.write_bytes(data)
    clock = FakeClock()
    frames = list(config(path).open(clock).frames(Heartbeat(clock)))
    assert [bool(f.fault) for f in frames] == [False, False, True, False]


def test_a_file_that_is_not_a_video_is_named(tmp_path: Path) -> None:
    pytest.importorskip("av")
    path = tmp_path / "notes.mp4"
    path.write_text("no video")
    with pytest.raises(DataError, match=r"neither a folder nor a video: .*notes\.mp4: Invalid"):
        config(path).open(FakeClock())


def test_a_playlist_opens_nothing_else(clip: MakeClip, tmp_path: Path) -> None:
    path = tmp_path / "list.m3u8"
    path.write_text("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/x.ts\n#EXT-X-ENDLIST\n")
    with pytest.raises(DataError, match=r"list\.m3u8"):
        config(path).open(FakeClock())


def test_as_recorded_is_for_videos_only(parts: Path) -> None:
    with pytest.raises(DataError, match="recorded is for a video"):
        config(parts, rate_hz="recorded").open(FakeClock())
    with pytest.raises(ValidationError):
        config(parts, rate_hz="slow")


def test_without_pyav_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    (tmp_path / "clip.mp4").touch()
    with pytest.raises(MissingExtra, match=r"clip.mp4, a video, needs .*'\.\[rtsp\]'"):
        config(tmp_path / "clip.mp4").open(FakeClock())
