"""A camera at the station's own USB port, through Video4Linux.

Tested without a device: what happens when it is missing, and with a video in its place.
`v4l2-ctl --list-formats-ext` lists the sizes and rates that a camera supports.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field

from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.runtime.heartbeat import Heartbeat
from pipeline.daemon.sources import Frame, Source, SourceConfig
from pipeline.daemon.sources._reader_thread import ReaderThread
from pipeline.imaging import video

DEVICE_KIND: str | None = "v4l2"  # tests set None, for a video file in place of the device


class Config(SourceConfig):
    """Settings of a USB camera."""

    type: Literal["usb"] = Field(description="usb")
    device: Path = Field(
        Path("/dev/video0"),
        description="Device file; with several cameras a path below /dev/v4l/by-id, which stays "
        "the same however they are plugged in.",
    )
    width_px: int | None = Field(
        None, ge=1, description="Width of the picture in pixels; none: the camera's default."
    )
    height_px: int | None = Field(
        None, ge=1, description="Height of the picture in pixels; none: the camera's default."
    )
    rate_hz: float | None = Field(
        None, gt=0, le=1000, description="Pictures per second; none: the camera's default."
    )
    pixel_format: str = Field(
        "",
        pattern=r"^[a-z0-9_]*$",
        description="FFmpeg's name of the pixel format, such as mjpeg (most cameras reach their "
        "full rate only with it) or yuyv422; none: the camera's default.",
    )
    read_timeout_s: float = Field(
        1.5,
        gt=0,
        le=600,
        description="Seconds without a picture after which the camera counts as lost.",
    )

    def open(self, clock: Clock) -> Usb:
        """Open nothing yet: the camera may be plugged in later."""
        video.require("source usb")
        return Usb(self, clock)


class Usb(Source):
    """A device that is read as fast as it delivers."""

    def __init__(self, config: Config, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self.loss_unnoticed_s = config.read_timeout_s
        self._thread = ReaderThread(
            *(self._read, str(config.device), clock),
            first_s=5.0,  # cameras adjust their exposure first
            next_s=config.read_timeout_s,
        )

    def frames(self, heartbeat: Heartbeat) -> Iterator[Frame]:
        """Open the device unless it is open, and yield each of its pictures."""
        return self._thread.frames(heartbeat)

    def close(self) -> None:
        """Close the device."""
        self._thread.close()

    def _read(self) -> Iterator[Frame]:
        for picture in video.frames(
            self._config.device,
            str(self._config.device),
            device=DEVICE_KIND,
            options=self.options(),
            raw=self._config.raw,
        ):
            at, captured_s = self._clock.now(), self._clock.monotonic_s()
            yield Frame(at, captured_s, "", picture.pixels, picture.fault)

    def options(self) -> dict[str, str]:
        """The settings as FFmpeg's v4l2 reads them."""
        config, options = self._config, {}
        if config.width_px and config.height_px:
            options["video_size"] = f"{config.width_px}x{config.height_px}"
        if config.rate_hz:
            options["framerate"] = f"{config.rate_hz:g}"
        if config.pixel_format:
            options["input_format"] = config.pixel_format
        return options
