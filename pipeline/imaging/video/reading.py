"""Opens videos, streams and devices and decodes their pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.contracts.spec import RawPixels
from pipeline.errors import MissingExtra, SourceLost, UnreadableImage
from pipeline.imaging import Pixels
from pipeline.imaging import codec as image_codec
from pipeline.imaging.raw import to_rgb
from pipeline.imaging.video.damage import Damage, Log
from pipeline.imaging.video.gaps import GAP, packets, with_gaps

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame as DecodedFrame
    from av.video.stream import VideoStream

SUFFIXES = frozenset({".avi", ".m4v", ".mjpeg", ".mkv", ".mov", ".mp4", ".mpg", ".ts", ".webm"})
# Each error ends the decoding of its picture. Concealment stays on because it is how FFmpeg finds
# macroblocks that no slice brought: it marks the picture then, and a marked one is never yielded.
_STRICT = {"err_detect": "crccheck+bitstream+buffer+explode+careful+compliant+aggressive"}
_INTRA_ONLY = frozenset({"dnxhd", "ffv1", "huffyuv", "mjpeg", "prores", "rawvideo"})
# Their packets are numbered, or their times are those of a clock that is not even.
_NUMBERED = frozenset({"rtsp", "sdp", "rtp", "video4linux2,v4l2"})
_INTER = (2, 3, 4)  # AV_PICTURE_TYPE_P, B and S: a key picture by recovery is one of these
# JPEG is decoded by the image codec, which is stricter about the end of the scan, and by FFmpeg,
# which is stricter about the blocks: at an eighth of the size, since that picture is not used.
_JPEG, _JPEG_SCALE = "mjpeg", 8
_JPEG_OPTIONS = {"lowres": "3"}
_GREY_OF_8 = ("gray", "gray8")


@dataclass(frozen=True)
class VideoFrame:
    """One picture of a video, or the reason why there is none.

    Attributes:
        at_s: time since the first picture, in seconds; None where the video has no times.
        pixels: uint8 RGB, height x width x 3; None when it cannot be decoded.
        fault: why not, "" when there are pixels.
    """

    at_s: float | None
    pixels: Pixels | None
    fault: str = ""


def require(needed_by: str) -> None:
    """Raise MissingExtra unless PyAV is installed."""
    try:
        import av  # noqa: F401
    except ImportError:
        raise MissingExtra("av", needed_by, "rtsp") from None


def frames(
    address: str | Path,
    name: str,
    *,
    device: str | None = None,
    options: Mapping[str, str] | None = None,
    open_s: float | None = None,
    read_s: float | None = None,
    raw: RawPixels | None = None,
) -> Iterator[VideoFrame]:
    """Open a video and yield its pictures in the order in which they are shown.

    JPEGs become the pixels that `codec` makes of them. Of other codecs FFmpeg converts the colours;
    a rotation that the file asks for is not applied.

    Args:
        address: path, URL or device.
        name: for messages; `address` is never shown, since it may hold a password.
        device: FFmpeg's name of the kind of device, such as `v4l2`; none: file or URL.
        options: FFmpeg's options.
        open_s: give up when opening takes longer; None: wait indefinitely.
        read_s: give up when a picture takes longer; None: wait indefinitely.
        raw: what a sensor's own values mean (grey of more than 8 bits, or Bayer).

    Raises:
        MissingExtra: PyAV is not installed.
        SourceLost: it cannot be opened, holds no pictures, or broke off.
    """
    require(name)
    import av

    av.logging.set_level(av.logging.DEBUG)  # at which a gap between H.264's frame numbers is logged
    av.logging.set_skip_repeated(False)  # the second lost packet counts, too
    try:
        with av.logging.Capture() as opening:
            container = av.open(
                str(address),
                "r",
                format=device,
                options=dict(options or {}),
                timeout=(open_s, read_s),
            )
        with container:
            if not container.streams.video:
                raise SourceLost(f"{name} holds no pictures")
            stream = container.streams.video[0]
            codec = stream.codec_context
            if codec.width * codec.height > (most := image_codec.most_pixels()):
                raise SourceLost(
                    f"{name} has {codec.width:,} x {codec.height:,} pixels, more than "
                    f"OPENCV_IO_MAX_IMAGE_PIXELS ({most}); if that is right, set that environment "
                    "variable higher"
                )
            codec.thread_count = 1  # FFmpeg drops the errors of slices decoded in threads
            codec.copy_opaque = True
            codec.options = _STRICT | {"max_pixels": str(most)}
            if codec.name == _JPEG:
                codec.options |= _JPEG_OPTIONS
            yield from _decoded(container, stream, name, opening, raw)
    except av.ExitError:
        raise SourceLost(f"{name} does not answer in time") from None
    except (av.FFmpegError, OSError) as error:
        # Its text ends with the address.
        raise SourceLost(f"{name}: {error.strerror or type(error).__name__}") from None


def _decoded(
    container: InputContainer, stream: VideoStream, name: str, opening: Log, raw: RawPixels | None
) -> Iterator[VideoFrame]:
    import av

    first_s: float | None = None
    damage = Damage(intra_only=stream.codec_context.codec.name in _INTRA_ONLY)
    damage.lost(0, opening)
    reads = packets(container, stream)
    if container.format.name not in _NUMBERED:
        reads = with_gaps(reads)
    for number, packet, log, gap in reads:
        damage.lost(number, log)
        if gap >= 0:
            damage.add(gap, GAP)
        damage.begun |= packet.is_keyframe
        if packet.is_corrupt:
            damage.add(number, "the container marks a packet as damaged")
        packet.opaque = number
        decoded: list[DecodedFrame] = []
        with av.logging.Capture() as log:
            try:
                decoded = packet.decode()
            except av.InvalidDataError as error:
                damage.add(number, error.strerror or "invalid data")
        damage.decoded(number, log)
        jpeg: Pixels | None = None
        if decoded and stream.codec_context.name == _JPEG:
            try:
                jpeg = _jpeg(bytes(packet), decoded[0].height, raw)
            except UnreadableImage as error:
                damage.add(number, str(error))
        for frame in decoded:
            first_s = frame.time if first_s is None else first_s
            at_s = None if frame.time is None or first_s is None else frame.time - first_s
            of = frame.opaque if isinstance(frame.opaque, int) else number
            if frame.is_corrupt:  # FFmpeg made up what did not arrive
                damage.add(of, "a part of the picture is missing")
            fault = damage.fault(of, is_key=frame.key_frame and frame.pict_type not in _INTER)
            if damage.unreported:  # no picture came out of what was damaged
                yield VideoFrame(None, None, f"{name}: {damage.report()}")
            if fault:
                damage.report()
                yield VideoFrame(at_s, None, f"{name}: {fault}")
            elif damage.begun:
                yield _converted(frame, at_s, name, raw) if jpeg is None else VideoFrame(at_s, jpeg)
        if not decoded and damage.begun and damage.failed(number):
            yield VideoFrame(None, None, f"{name}: {damage.report()}")


def _jpeg(data: bytes, eighth_px: int, raw: RawPixels | None) -> Pixels:
    pixels = image_codec.decode(data, "the picture", raw)
    if eighth_px != -(-len(pixels) // _JPEG_SCALE):
        raise UnreadableImage(
            "the picture comes in halves (interlaced); set the camera to progressive"
        )
    return pixels


def _converted(
    frame: DecodedFrame, at_s: float | None, name: str, raw: RawPixels | None
) -> VideoFrame:
    try:
        return VideoFrame(at_s, _rgb(frame) if raw is None else _from_sensor(frame, raw))
    except UnreadableImage as error:
        return VideoFrame(at_s, None, f"{name}: {error}")


def _rgb(frame: DecodedFrame) -> Pixels:
    import av

    kind = frame.format.name
    if _is_sensors(frame) and kind not in _GREY_OF_8 and not kind.endswith("8"):
        raise UnreadableImage(
            f"the stream sends {kind}, more than 8 bits a value; set `raw` (bit_depth, black, "
            "white) of the source to your camera's range"
        )
    with av.logging.Capture():  # old JPEG formats are warned of at each conversion
        return np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)


def _is_sensors(frame: DecodedFrame) -> bool:
    """Does a stream bring a sensor's values as they are, grey or behind a Bayer filter?"""
    return frame.format.name.startswith(("gray", "bayer_"))


def _from_sensor(frame: DecodedFrame, raw: RawPixels) -> Pixels:
    kind = frame.format.name
    if not _is_sensors(frame):
        raise UnreadableImage(f"the stream sends {kind}; leave `raw` out: it is in video's levels")
    if kind.startswith("bayer_"):
        # Such as bayer_rggb16le.
        named = kind.removeprefix("bayer_")[:4].upper()
        if named != raw.bayer:
            raise UnreadableImage(f"the stream sends {kind}; set `raw.bayer` to {named}")
    plane = frame.planes[0]
    deep = kind not in _GREY_OF_8 and not kind.endswith("8")
    order = ">u2" if kind.endswith("be") else "<u2"
    rows = np.frombuffer(bytes(plane), order if deep else "u1")
    values = rows.reshape(frame.height, plane.line_size // rows.itemsize)[:, : frame.width]
    return to_rgb(values.astype(np.uint16) if deep else values, raw, "the picture")
