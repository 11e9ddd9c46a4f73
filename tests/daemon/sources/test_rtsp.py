"""A network camera over RTSP: GStreamer's server, killed and frozen."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import cache
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest

from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.runtime.heartbeat import Heartbeat
from pipeline.daemon.sources import Frame
from pipeline.daemon.sources.rtsp import Config
from pipeline.errors import ConfigError, MissingExtra, SourceLost
from pipeline.imaging import Pixels
from pipeline.testing import FakeClock

pytestmark = pytest.mark.slow

SERVER = Path(__file__).parents[1] / "servers" / "rtsp_gst.py"
SYSTEM_PYTHON = "/usr/bin/python3"
BLOCK_PX = 16
DEADLINE_S = 20.0


@cache
def why_not() -> str:
    """Why no camera can be played here; "" when one can."""
    needed = (
        "import gi; gi.require_version('GstRtspServer', '1.0'); "
        "from gi.repository import Gst, GstRtspServer; Gst.init(None); "
        "assert all(map(Gst.ElementFactory.find, ('x264enc', 'x265enc', 'jpegenc', 'rtpjpegpay')))"
    )
    try:
        subprocess.run([SYSTEM_PYTHON, "-c", needed], check=True, capture_output=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        return (
            "no GStreamer RTSP server here: apt-get install python3-gi gir1.2-gst-rtsp-server-1.0 "
            "gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad "
            "gstreamer1.0-plugins-ugly"
        )
    return ""


class RtspCamera:
    """A camera that can be killed, frozen and switched on again at the same port."""

    def __init__(self, codec: str, fps: int = 20, key_every: int = 20) -> None:
        self.port = 0
        self._picture = [codec, str(fps), str(key_every)]
        self._process: subprocess.Popen[str] | None = None

    def on(self) -> None:
        """Switch it on; returns when it takes connections."""
        self._process = subprocess.Popen(
            [SYSTEM_PYTHON, str(SERVER), str(self.port), *self._picture],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def signal(self, what: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(what)

    def off(self) -> None:
        """End it at once, frozen or not."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


@pytest.fixture(params=["jpeg", "h264"])
def camera(request: pytest.FixtureRequest) -> Iterator[RtspCamera]:
    pytest.importorskip("av")
    if why_not():
        pytest.skip(why_not())
    it = RtspCamera(request.param)
    it.on()
    yield it
    it.off()


def config(port: int, **settings: object) -> Config:
    url = f"rtsp://127.0.0.1:{port}/line1"
    return Config.model_validate({"type": "rtsp", "url": url} | settings)


def age_ms(pixels: Pixels) -> int:
    """How old a picture of that camera is, by what it shows."""
    middle = BLOCK_PX // 2
    shown = sum(1 << i for i in range(32) if pixels[middle, i * BLOCK_PX + middle].mean() > 128)
    return ((int(time.time() * 1000) & 0xFFFFFFFF) - shown) & 0xFFFFFFFF


def first(config: Config) -> Frame:
    """The first frame, connecting again and again as the station does."""
    until_s = time.monotonic() + DEADLINE_S
    source = config.open(Clock())
    while True:
        try:
            return next(source.frames(Heartbeat(Clock())))
        except SourceLost:
            assert time.monotonic() < until_s
            time.sleep(0.1)


def test_pictures_come_fresh_and_each_with_its_time(camera: RtspCamera) -> None:
    clock = Clock()
    frames, ages = [], []
    for frame in islice(config(camera.port).open(clock).frames(Heartbeat(clock)), 20):
        frames.append(frame)
        ages.append(age_ms(frame.decoded()))
    assert frames[0].decoded().shape == (128, 512, 3)
    assert frames[0].decoded().dtype == np.uint8
    assert all(a.captured_s < b.captured_s for a, b in pairwise(frames))
    print(f"age of a picture when it is yielded: {min(ages)} to {max(ages)} ms")
    assert max(ages) < 5000


def test_a_slow_station_gets_every_frame_and_the_newest_are_fresh(camera: RtspCamera) -> None:
    clock = Clock()
    frames = config(camera.port).open(clock).frames(Heartbeat(clock))
    next(frames)
    threading.Event().wait(1.5)  # busy
    busy_until_s = clock.monotonic_s()
    assert next(frames).fault == "the station was busy while 4 newer pictures came"
    fresh = next(f for f in frames if not f.fault)
    assert fresh.captured_s > busy_until_s - 1.0


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_camera_that_is_killed_or_hangs_is_lost_and_comes_back(
    camera: RtspCamera, how: signal.Signals
) -> None:
    frames = config(camera.port).open(Clock()).frames(Heartbeat(Clock()))
    list(islice(frames, 10))
    camera.signal(how)
    lost_s = time.monotonic()
    with pytest.raises(SourceLost, match=r"/line1 (has ended the stream|sent no picture|does not)"):
        list(frames)
    print(f"{how.name}: noticed after {time.monotonic() - lost_s:.2f} s")
    camera.off()
    camera.on()
    back_s = time.monotonic()
    frame = first(config(camera.port))
    print(f"{how.name}: first picture {time.monotonic() - back_s:.2f} s after its return")
    assert age_ms(frame.decoded()) < 5000


def test_a_camera_that_is_away_is_lost_without_a_word_about_the_password(
    caplog: pytest.LogCaptureFixture,
) -> None:
    pytest.importorskip("av")
    caplog.set_level(logging.DEBUG)
    settings = Config(type="rtsp", url="rtsp://qc:s3cret@127.0.0.1:9/line1?key=s3cret")
    source = settings.open(Clock())
    with pytest.raises(SourceLost) as lost:
        next(source.frames(Heartbeat(Clock())))
    assert str(lost.value) == "rtsp://127.0.0.1:9/line1: Connection refused"
    assert "s3cret" not in f"{settings!r} {settings} {vars(source)} {lost.value!r} {caplog.text}"


def test_a_missing_password_is_named_when_the_line_is_opened() -> None:
    pytest.importorskip("av")
    with pytest.raises(ConfigError, match="environment variable NOT_SET_HERE is not set"):
        config(554, user="qc", password_env="NOT_SET_HERE").open(FakeClock())


def test_without_pyav_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingExtra, match=r"source rtsp needs .*'\.\[rtsp\]'"):
        config(554).open(FakeClock())
