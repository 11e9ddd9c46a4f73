"""A network camera over RTSP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from pydantic import Field

from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.sources import Frame
from pipeline.daemon.sources._network import NetworkCamera
from pipeline.daemon.sources._url import NetworkCameraConfig
from pipeline.imaging import video


class Config(NetworkCameraConfig):
    """Settings of an RTSP camera."""

    schemes: ClassVar[tuple[str, ...]] = ("rtsp", "rtsps")

    type: Literal["rtsp"] = Field(description="rtsp")
    transport: Literal["tcp", "udp"] = Field(
        "tcp", description="tcp: no packet is lost; udp: for cameras that offer nothing else."
    )

    def open(self, clock: Clock) -> Rtsp:
        """Read the password; connecting is for `frames`."""
        video.require("source rtsp")
        return Rtsp(self, self.camera_url(), clock)


class Rtsp(NetworkCamera[Config]):
    """A stream that is decoded as fast as it comes; each of its pictures is a frame."""

    @property
    def first_s(self) -> float:
        """FFmpeg waits for a response, and as long again for the first key frame."""
        return 2 * self._config.connect_timeout_s

    def _read(self) -> Iterator[Frame]:
        config = self._config
        for picture in video.frames(
            self._url.full,
            self._url.shown,
            raw=config.raw,
            options={
                "rtsp_transport": config.transport,
                # Sound that goes on would hide from FFmpeg that the video has stopped.
                "allowed_media_types": "video",
                "fflags": "nobuffer",
                "flags": "low_delay",
                # Without a queue, FFmpeg's default over TCP, a lost packet is not reported.
                "reorder_queue_size": "2" if config.transport == "tcp" else "500",
            },
            open_s=config.connect_timeout_s,
            read_s=config.read_timeout_s,
        ):
            at, captured_s = self._clock.now(), self._clock.monotonic_s()
            yield Frame(at, captured_s, "", picture.pixels, picture.fault)
