"""Pictures of a damaged stream: none is yielded that inherits damage."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from pipeline.contracts.spec import RawPixels
from pipeline.errors import SourceLost
from pipeline.imaging import Pixels, codec, video
from pipeline.imaging.raw import to_rgb

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


def deep_clip(path: Path, pix_fmt: str, values: npt.NDArray[Any]) -> Path:
    """A clip without loss whose pictures are these values."""
    av = pytest.importorskip("av")
    codec = "rawvideo" if pix_fmt.startswith("bayer") else "ffv1"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width, stream.pix_fmt = *values.shape, pix_fmt
        frame = av.VideoFrame(values.shape[1], values.shape[0], pix_fmt)
        plane = frame.planes[0]
        rows = np.zeros((values.shape[0], plane.line_size), np.uint8)
        rows[:, : values.shape[1] * values.itemsize] = values.view(np.uint8)
        plane.update(rows.tobytes())
        for i in range(3):
            frame.pts = i
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


TWELVE = (np.arange(64 * 48, dtype=np.uint16) % 4096).reshape(48, 64)


@pytest.mark.parametrize(
    ("pix_fmt", "bits"), [("gray12le", 12), ("gray10le", 10), ("gray16le", 12)]
)
def test_grey_of_more_than_eight_bits_is_scaled_by_the_settings(
    tmp_path: Path, pix_fmt: str, bits: int
) -> None:
    raw, values = RawPixels(bit_depth=bits), TWELVE % (1 << bits)
    frames = list(video.frames(deep_clip(tmp_path / "a.mkv", pix_fmt, values), "clip", raw=raw))
    assert [f.fault for f in frames] == [""] * 3
    assert frames[1].pixels is not None
    assert np.array_equal(frames[1].pixels, to_rgb(values, raw, "x"))


def test_grey_of_more_than_eight_bits_without_the_settings_is_a_fault_that_names_them(
    tmp_path: Path,
) -> None:
    (frame, *_) = video.frames(deep_clip(tmp_path / "a.mkv", "gray12le", TWELVE), "clip")
    assert frame.pixels is None
    assert (
        "the stream sends gray12le, more than 8 bits a value; set `raw` (bit_depth" in frame.fault
    )


def test_settings_for_a_sensor_do_not_go_with_videos_own_levels(tmp_path: Path) -> None:
    clip = encode(tmp_path / "a.mkv", "mpeg4")
    (frame, *_) = video.frames(clip, "clip", raw=RawPixels(bit_depth=12))
    assert "the stream sends yuv420p; leave `raw` out" in frame.fault


def test_a_bayer_stream_is_named_and_scaled(tmp_path: Path) -> None:
    clip = deep_clip(tmp_path / "a.nut", "bayer_rggb16le", TWELVE)
    raw = RawPixels(bit_depth=12, bayer="RGGB")
    (frame, *_) = video.frames(clip, "clip", raw=raw)
    assert frame.pixels is not None
    assert np.array_equal(frame.pixels, to_rgb(TWELVE, raw, "x"))
    (other, *_) = video.frames(clip, "clip", raw=RawPixels(bit_depth=12, bayer="BGGR"))
    assert "the stream sends bayer_rggb16le; set `raw.bayer` to RGGB" in other.fault
    (none, *_) = video.frames(clip, "clip")
    assert "more than 8 bits a value" in none.fault
