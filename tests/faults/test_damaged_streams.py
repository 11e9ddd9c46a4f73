"""A camera behind a bad cable: no picture that is damaged is judged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pytest

from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.runtime.heartbeat import Heartbeat
from pipeline.daemon.sources.rtsp import Config
from pipeline.errors import SourceLost
from pipeline.imaging import Pixels
from tests.daemon.servers.clock_picture import BITS, BLOCK, HEIGHT, WIDTH, picture
from tests.daemon.servers.damaging_wire import DamagingWire
from tests.daemon.sources.test_rtsp import RtspCamera, why_not
from tests.faults.conftest import SOAK

pytestmark = pytest.mark.slow

FRAMES = 10_000 if SOAK else 200  # judged or not
FPS, KEY_EVERY = 50, 10
WRONG_GREY, WRONG_BLOCKS = 12, 3
SHARES = {"drop": 0.03, "flip": 0.25}


@dataclass
class Seen:
    """What came through a wire."""

    frames: int = 0
    judged: int = 0
    wrong: int = 0
    damaged_packets: int = 0


def blocks_wrong(pixels: Pixels, codec: str) -> int:
    """How many blocks differ from the picture that was sent, which is known by the time in it."""
    grey = pixels.mean(axis=2)
    middles = grey[BLOCK // 2, BLOCK // 2 :: BLOCK]
    shown = sum(1 << i for i in range(BITS) if middles[i] > 128)
    sent = np.frombuffer(picture(shown), np.uint8).reshape(HEIGHT, WIDTH).astype(float)
    if codec != "jpeg":  # the server leaves grey as it is, of which video shows 16 as black
        sent = np.clip((sent - 16) * 255 / 219, 0, 255)
    blocks = np.abs(grey - sent).reshape(HEIGHT // BLOCK, BLOCK, WIDTH // BLOCK, BLOCK)
    return int((blocks.mean(axis=(1, 3)) > WRONG_GREY).sum())


def watched(port: int, codec: str, seen: Seen) -> Iterator[Seen]:
    """Look at each frame of a camera, and connect again where the stream breaks off."""
    url = f"rtsp://127.0.0.1:{port}/line1"
    source = Config.model_validate({"type": "rtsp", "url": url}).open(Clock())
    while True:
        try:
            for frame in source.frames(Heartbeat(Clock())):
                seen.frames += 1
                if frame.pixels is not None:
                    seen.judged += 1
                    seen.wrong += blocks_wrong(frame.pixels, codec) >= WRONG_BLOCKS
                yield seen
        except SourceLost:
            yield seen


def through(codec: str, how: Literal["drop", "flip"], share: float) -> Seen:
    """What a camera shows through a wire, `FRAMES` of it."""
    pytest.importorskip("av")
    if why_not():
        pytest.skip(why_not())
    camera = RtspCamera(codec, FPS, KEY_EVERY)
    camera.on()
    wire = DamagingWire(camera.port, how, share)
    try:
        for seen in watched(wire.port, codec, Seen()):
            if seen.frames >= FRAMES:
                break
    finally:
        wire.cut()
        camera.off()
    seen.damaged_packets = wire.damaged
    print(f"{codec}, {how} {share:.0%}: {seen}")
    return seen


@pytest.mark.parametrize("codec", ["h264", "h265", "jpeg"])
def test_over_a_good_wire_every_picture_is_judged_and_right(codec: str) -> None:
    seen = through(codec, "drop", 0)
    assert (seen.wrong, seen.damaged_packets) == (0, 0)
    assert seen.judged >= seen.frames - KEY_EVERY


@pytest.mark.parametrize("codec", ["h264", "h265", "jpeg"])
def test_of_lost_packets_no_damaged_picture_is_judged_and_one_group_is_lost_at_most(
    codec: str,
) -> None:
    seen = through(codec, "drop", SHARES["drop"])
    assert seen.damaged_packets > FRAMES / 100  # there was something to notice
    assert seen.wrong == 0
    group = 1 if codec == "jpeg" else KEY_EVERY
    # The fault that is reported at once, where no picture came, is a frame more.
    assert seen.judged >= seen.frames - (group + 1) * seen.damaged_packets - KEY_EVERY


def test_of_flipped_bits_no_damaged_picture_is_judged_in_h264() -> None:
    seen = through("h264", "flip", SHARES["flip"])
    assert seen.damaged_packets > FRAMES / 100  # there was something to notice
    assert seen.wrong == 0


@pytest.mark.parametrize(
    ("codec", "most"),
    [
        # Of few packets the share says little: only in the long form.
        pytest.param("h265", 0.2, marks=pytest.mark.soak),
        ("jpeg", 0.01),
    ],
)
def test_few_damaged_packets_spoil_a_picture_that_is_judged_where_the_coding_hides_some(
    codec: str, most: float
) -> None:
    seen = through(codec, "flip", SHARES["flip"])
    assert seen.damaged_packets > FRAMES / 100  # there was something to notice
    assert seen.wrong <= most * seen.damaged_packets
