"""Pictures of a damaged stream: none is yielded that inherits damage."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import SourceLost
from pipeline.imaging import Pixels, codec, video

N, KEY_EVERY, BLOCK_PX = 120, 12, 16
Damage = Callable[[random.Random, bytes], bytes]
KINDS = {
    "h264 in slices": ("libx264", {"tune": "zerolatency", "preset": "ultrafast", "slices": "4"}),
    "h264 with B pictures": ("libx264", {"bf": "2", "preset": "veryfast"}),
    "h265": ("libx265", {"preset": "ultrafast", "x265-params": "log-level=none"}),
    "h264 with B pictures that others refer to": (
        "libx264",
        {"bf": "4", "preset": "medium", "x264-params": "b-pyramid=normal:scenecut=0"},
    ),
    "mpeg4": ("mpeg4", {}),
    "mjpeg": ("mjpeg", {}),
}


def encode(
    path: Path, kind: str, damage: Damage | None = None, at: frozenset[int] = frozenset()
) -> Path:
    """Write a moving pattern; the packets with these numbers are damaged or, as b"", dropped."""
    av = pytest.importorskip("av")
    codec, options = KINDS[kind]
    if codec not in av.codecs_available:
        pytest.skip(f"FFmpeg has no encoder {codec} here")
    y, x = np.mgrid[:96, :128]
    rng, packets = random.Random(7), []
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.width, stream.height = 128, 96
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.gop_size = KEY_EVERY
        for i in range(N):
            grey = 128 + 100 * np.sin((x + 3 * i) / 9) * np.cos((y + i) / 7)
            rgb = np.repeat(grey.astype(np.uint8)[..., None], 3, 2)
            packets += stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24"))
        packets += stream.encode()
        for i, packet in enumerate(packets):
            if damage and i in at:
                data = damage(rng, bytes(packet))
                if not data:
                    continue
                hurt = av.Packet(data)
                hurt.pts, hurt.dts, hurt.time_base = packet.pts, packet.dts, packet.time_base
                hurt.is_keyframe, hurt.stream = packet.is_keyframe, stream
                container.mux(hurt)
            else:
                container.mux(packet)
    return path


def drop(_: random.Random, data: bytes) -> bytes:
    return b""


def cut(rng: random.Random, data: bytes) -> bytes:
    return data[: max(8, len(data) // 2)]


def blocks_wrong(a: Pixels, b: Pixels | None) -> int:
    assert b is not None
    difference = np.abs(a.astype(float) - b).mean(2)
    tiles = difference.reshape(96 // BLOCK_PX, BLOCK_PX, 128 // BLOCK_PX, BLOCK_PX)
    return int((tiles.mean((1, 3)) > 12).sum())


def index(frame: video.VideoFrame) -> int:
    assert frame.at_s is not None
    return round(frame.at_s * 25)


@pytest.mark.parametrize("kind", KINDS)
def test_a_clean_stream_has_no_fault(tmp_path: Path, kind: str) -> None:
    frames = list(video.frames(encode(tmp_path / "clip.mkv", kind), "clip"))
    assert (len(frames), [s.fault for s in frames if s.fault]) == (N, [])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("damage", [drop, cut])
def test_damage_is_reported_and_ends_with_the_next_clean_key_picture(
    tmp_path: Path, kind: str, damage: Damage
) -> None:
    clean = {index(s): s.pixels for s in video.frames(encode(tmp_path / "a.mkv", kind), "clip")}
    for at in (KEY_EVERY * 3 + 4, KEY_EVERY * 5):
        hurt = encode(tmp_path / "b.mkv", kind, damage, frozenset({at}))
        frames = list(video.frames(hurt, "clip"))
        judged = {index(s): s.pixels for s in frames if s.pixels is not None}
        wrong = [i for i, rgb in judged.items() if blocks_wrong(rgb, clean[i]) >= 3]
        assert wrong == []
        assert any("stream damaged" in s.fault for s in frames)
        assert len(judged) >= N - 2 * KEY_EVERY
        assert max(judged) == N - 1


def test_a_lost_picture_is_noticed_in_a_file_whose_times_hide_it(tmp_path: Path) -> None:
    kind = "h264 in slices"
    clean = {index(s): s.pixels for s in video.frames(encode(tmp_path / "a.mp4", kind), "clip")}
    # Here each picture lasts until the next one, so that no time is missing.
    hurt = encode(tmp_path / "b.mp4", kind, drop, frozenset({KEY_EVERY * 3 + 4}))
    frames = list(video.frames(hurt, "clip"))
    judged = {index(s): s.pixels for s in frames if s.pixels is not None}
    assert [i for i, rgb in judged.items() if blocks_wrong(rgb, clean[i]) >= 3] == []
    assert any("Frame num gap" in s.fault for s in frames)


def test_a_jpeg_has_the_pixels_that_the_image_codec_makes_of_it(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    clip = encode(tmp_path / "clip.mkv", "mjpeg")
    with av.open(str(clip)) as container:
        files = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    frames = list(video.frames(clip, "clip"))
    for frame, data in zip(frames, files, strict=True):
        assert frame.pixels is not None
        assert np.array_equal(frame.pixels, codec.decode(data))


def test_a_video_larger_than_the_limit_of_pixels_is_not_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = encode(tmp_path / "clip.mkv", "h264 in slices")
    monkeypatch.setenv("OPENCV_IO_MAX_IMAGE_PIXELS", str(128 * 96 - 1))
    with pytest.raises(SourceLost, match=r"^clip has 128 x 96 pixels, more than OPENCV_IO_MAX"):
        next(video.frames(clip, "clip"))
