"""Video files, streams and devices to RGB pixels, by FFmpeg through PyAV.

PyAV and not `cv2.VideoCapture`: that one waits 90 s for a camera that hangs, and cannot tell a
damaged picture from the end.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.errors import MissingExtra, SourceLost
from pipeline.imaging import Pixels

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

SUFFIXES = frozenset({".avi", ".m4v", ".mjpeg", ".mkv", ".mov", ".mp4", ".mpg", ".ts", ".webm"})


@dataclass(frozen=True)
class Shot:
    """One picture of a video, or the reason why there is none.

    Attributes:
        at_s: since the first picture, in seconds; None where the video has no times.
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


def shots(
    address: str | Path,
    name: str,
    *,
    device: str | None = None,
    options: Mapping[str, str] | None = None,
    open_s: float | None = None,
    read_s: float | None = None,
) -> Iterator[Shot]:
    """Open a video and yield its pictures in the order in which they are shown.

    Colours are converted as FFmpeg does, which differs by a few grey levels from what `codec` makes
    of the same picture stored as JPEG; a rotation that the file asks for is not applied.

    Args:
        address: path, URL or device.
        name: what messages call it; `address` is never told, since it may hold a password.
        device: FFmpeg's name of the kind of device, such as `v4l2`; none: file or URL.
        options: FFmpeg's options.
        open_s: give up when opening takes longer; none: wait for ever.
        read_s: give up when a picture takes longer; none: wait for ever.

    Raises:
        MissingExtra: PyAV is not installed.
        SourceLost: it cannot be opened, holds no pictures, or broke off.
    """
    require(name)
    import av

    try:
        with av.open(
            str(address), "r", format=device, options=dict(options or {}), timeout=(open_s, read_s)
        ) as container:
            if not container.streams.video:
                raise SourceLost(f"{name} holds no pictures")
            stream = container.streams.video[0]
            stream.thread_type = "SLICE"  # threads by frame would hold back as many frames
            yield from _decoded(container, stream, name)
    except av.ExitError:
        raise SourceLost(f"{name} does not answer in time") from None
    except (av.FFmpegError, OSError) as error:
        # Its text ends with the address.
        raise SourceLost(f"{name}: {error.strerror or type(error).__name__}") from None


def _decoded(container: InputContainer, stream: VideoStream, name: str) -> Iterator[Shot]:
    import av

    first_s: float | None = None
    begun = False
    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except av.InvalidDataError as error:
            # Whoever joins a stream between two key pictures gets differences to nothing at first.
            if begun:
                yield Shot(None, None, f"{name} cannot be decoded: {error.strerror}")
            continue
        for frame in frames:
            begun = True
            first_s = frame.time if first_s is None else first_s
            at_s = None if frame.time is None or first_s is None else frame.time - first_s
            if frame.is_corrupt:  # FFmpeg made up what did not arrive
                yield Shot(at_s, None, f"{name}: a part of the picture is missing")
            else:
                yield Shot(at_s, np.asarray(frame.to_ndarray(format="rgb24"), np.uint8))
