"""Video files, streams and devices to RGB pixels, by FFmpeg through PyAV.

PyAV and not `cv2.VideoCapture`: that one waits 90 s for a camera that hangs, and cannot distinguish
a damaged picture from the end.

Pictures are differences to earlier ones, so damage is inherited up to the next key picture. After a
lost packet or an error of the decoder, each picture has a fault until a key picture has come in
whole and was decoded without an error. Not seen: bit errors that make another valid stream (often
so in JPEG), and a picture that is missing from a file whose times are not even.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.errors import MissingExtra, SourceLost
from pipeline.imaging import Pixels

if TYPE_CHECKING:
    from av import Packet
    from av.container import InputContainer
    from av.video.frame import VideoFrame as DecodedFrame
    from av.video.stream import VideoStream

_Log = list[tuple[int, str, str]]

SUFFIXES = frozenset({".avi", ".m4v", ".mjpeg", ".mkv", ".mov", ".mp4", ".mpg", ".ts", ".webm"})
# Each error ends the decoding of its picture. Concealment stays on because it is how FFmpeg finds
# macroblocks that no slice brought: it marks the picture then, and a marked one is never yielded.
_STRICT = {"err_detect": "crccheck+bitstream+buffer+explode+careful+compliant+aggressive"}
_INTRA_ONLY = frozenset({"dnxhd", "ffv1", "huffyuv", "mjpeg", "prores", "rawvideo"})
# Their packets are numbered, or their times are those of a clock that is not even.
_NUMBERED = frozenset({"rtsp", "sdp", "rtp", "video4linux2,v4l2"})
_INTER = (2, 3, 4)  # AV_PICTURE_TYPE_P, B and S: a key picture by recovery is one of these
_ERROR = 16  # AV_LOG_ERROR
# What FFmpeg warns of but goes on after, and a part of a picture is missing all the same.
_MISSING = ("missed", "jitter buffer full", "EOI missing", "overread", "packet", "dropping")
_UNTIL = "nothing is judged until a clean key picture"


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


@dataclass
class _Damage:
    """Which pictures a damaged packet spoils: those from it up to the next clean key picture."""

    intra_only: bool
    begun: bool = False  # a key picture has been sent: what comes before it is not a loss
    unreported: str = ""
    _key: int = -1  # the packet with the last clean key picture
    _errors: dict[int, str] = field(default_factory=dict)

    def add(self, number: int, why: str) -> None:
        """The packet with this number is damaged."""
        if number not in self._errors:
            self._errors[number] = why
            if self.begun:
                self.unreported = self.unreported or why

    def lost(self, number: int, log: _Log) -> None:
        """Look for losses in the messages logged while this packet was read."""
        why = _reason(log)
        if why:
            self.add(number, why)
            if not self.intra_only:
                # A packet ends where the next begins: what was lost may be the next one's start.
                self._errors.setdefault(number + 1, why)

    def decoded(self, number: int, log: _Log) -> None:
        """Look for errors in the messages logged while this packet was decoded."""
        if why := _reason(log):
            self.add(number, why)

    def failed(self, number: int) -> bool:
        """Is this packet damaged, and was that not reported with a picture yet?"""
        return bool(self.unreported) and number in self._errors

    def report(self) -> str:
        """Why nothing is judged; from now on it counts as reported."""
        why, self.unreported = self.unreported, ""
        return f"stream damaged: {why}; {_UNTIL}"

    def fault(self, number: int, *, is_key: bool) -> str:
        """Why the picture of this packet is not to be judged, "" when it is."""
        if is_key and number not in self._errors:
            self.begun, self._key = True, number
            self._errors = {n: why for n, why in self._errors.items() if n > number}
            return ""
        for at, why in self._errors.items():
            if at <= number:
                return f"stream damaged: {why}; {_UNTIL}"
        return "" if self._key >= 0 else f"stream damaged: no clean key picture yet; {_UNTIL}"


def _gap(before: Packet[Any] | None, packet: Packet[Any]) -> bool:
    """Is the time between two packets longer than the first was to last, by half or more?"""
    if before is None or before.dts is None or packet.dts is None or not before.duration:
        return False
    return packet.dts - before.dts > 1.5 * before.duration


def _reason(log: _Log) -> str:
    for level, _, text in log:
        if level <= _ERROR or any(word in text for word in _MISSING):
            return text.strip()
    return ""


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
) -> Iterator[VideoFrame]:
    """Open a video and yield its pictures in the order in which they are shown.

    Colours are converted as FFmpeg does, which differs by a few grey levels from what `codec` makes
    of the same picture stored as JPEG; a rotation that the file asks for is not applied.

    Args:
        address: path, URL or device.
        name: for messages; `address` is never shown, since it may hold a password.
        device: FFmpeg's name of the kind of device, such as `v4l2`; none: file or URL.
        options: FFmpeg's options.
        open_s: give up when opening takes longer; None: wait indefinitely.
        read_s: give up when a picture takes longer; None: wait indefinitely.

    Raises:
        MissingExtra: PyAV is not installed.
        SourceLost: it cannot be opened, holds no pictures, or broke off.
    """
    require(name)
    import av

    av.logging.set_level(av.logging.WARNING)
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
            codec.thread_count = 1  # FFmpeg drops the errors of slices decoded in threads
            codec.copy_opaque = True
            codec.options = dict(_STRICT)
            yield from _decoded(container, stream, name, opening)
    except av.ExitError:
        raise SourceLost(f"{name} does not answer in time") from None
    except (av.FFmpegError, OSError) as error:
        # Its text ends with the address.
        raise SourceLost(f"{name}: {error.strerror or type(error).__name__}") from None


def _decoded(
    container: InputContainer, stream: VideoStream, name: str, opening: _Log
) -> Iterator[VideoFrame]:
    import av

    first_s: float | None = None
    damage = _Damage(intra_only=stream.codec_context.codec.name in _INTRA_ONLY)
    damage.lost(0, opening)
    before: Packet[Any] | None = None
    packets = container.demux(stream)
    for number in count():
        with av.logging.Capture() as log:
            packet = next(packets, None)
        if packet is None:
            break
        damage.lost(number, log)
        if container.format.name not in _NUMBERED and _gap(before, packet):
            damage.add(number, "a picture is missing, by the times of the others")
        before = packet
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
                with av.logging.Capture():  # old JPEG formats are warned of at each conversion
                    pixels = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
                yield VideoFrame(at_s, pixels)
        if not decoded and damage.begun and damage.failed(number):
            yield VideoFrame(None, None, f"{name}: {damage.report()}")
