"""Sources of frames, one file each: a camera, or a substitute for one.

A module here has a `Config(SourceConfig)` whose `type` is the file's name and whose `open` returns
a `Source`. May call `imaging`, `contracts`, `daemon.clock` and `daemon.heartbeat`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from pydantic import Field

from pipeline.contracts.records import Record
from pipeline.contracts.spec import RawPixels
from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.runtime.heartbeat import Heartbeat
from pipeline.errors import UnreadableImage
from pipeline.imaging import Pixels, codec
from pipeline.plugins import PluginConfig

# What a plugin may rely on.
__all__ = ["Frame", "Source", "SourceConfig"]

Answer = Callable[[Record | None], None]  # None: the ledger cannot be written


@dataclass(frozen=True)
class Frame:
    """A picture, or the reason why there is none.

    Attributes:
        captured_at: time of capture, in UTC.
        captured_s: the same moment on the clock's monotonic scale; latency and age count from it.
        serial: part serial, or the file name in a replay; "" where it is unknown.
        pixels: uint8 RGB, height x width x 3; None while it is not decoded, or cannot be. Not
            written to after the frame was yielded: it may be waiting to be kept.
        fault: why there is no picture, "" when there is.
        data: the camera's own file, where there is one; decoded after the record was opened.
        ending: of that file's name.
        raw: what that file's values mean, where they are a sensor's own.
        answer: is called with the record once it is closed, where a client waits for the verdict.
    """

    captured_at: datetime
    captured_s: float
    serial: str
    pixels: Pixels | None
    fault: str = ""
    data: bytes | None = None
    ending: str = ".png"
    answer: Answer | None = None
    raw: RawPixels | None = None

    def decoded(self) -> Pixels:
        """The picture, uint8 RGB, height x width x 3.

        Raises:
            UnreadableImage: there is none, or it cannot be decoded.
        """
        if self.pixels is not None:
            return self.pixels
        if self.fault or self.data is None:
            raise UnreadableImage(self.fault or "the source gave no picture")
        return codec.decode(self.data, self.serial or "the frame", self.raw)


class Source(ABC):
    """An opened source.

    Attributes:
        live: does it go on whether or not frames are read, as a camera does? Then frames that come
            too fast are recorded as overload; a source that is not live waits until there is room.
        connected: could a frame come now? `frames` sets it where that is known before the first
            frame, as of a watched folder; the first frame sets it anyway, SourceLost unsets it.
        kept_on_reload: may it stay open for the next station when the line file is reloaded? Not
            where callers wait for answers, which the station that ends has to give.
        recognised: frames left out since the start because they were inspected before.
        loss_unnoticed_s: how long `connected` may be wrong after the connection was lost.
    """

    live = True
    connected = False
    kept_on_reload = True
    recognised = 0
    loss_unnoticed_s = 0.0

    @abstractmethod
    def frames(self, heartbeat: Heartbeat) -> Iterator[Frame]:
        """Connect, then yield frames as they come, good or bad, until `heartbeat.stopping`.

        It may be called again after it has ended or raised, to connect again. It beats at
        least every second and returns soon when asked to stop. To return without being asked means
        that there will never be another frame (a replay's end).

        Raises:
            SourceLost: there is no connection, or it was lost; the station retries indefinitely.
        """

    def close(self) -> None:  # noqa: B027  # most sources have nothing left to let go of
        """Release what `open` acquired, once no thread reads any more."""


class SourceConfig(PluginConfig):
    """Base class of every source's `Config`."""

    raw: RawPixels | None = Field(
        None,
        description="What the values of the camera's pictures mean, where they have more than 8 "
        "bits or stand behind a Bayer filter; as in ingest.yaml. None: 8 bits, grey or colour.",
    )

    @property
    def live(self) -> bool:
        """Does an opened source go on whether or not frames are read? See `Source.live`."""
        return True

    def open(self, clock: Clock) -> Source:
        """Check the settings and return quickly: connecting is for `frames`.

        A camera that is switched off at the start of the shift must not keep the station from
        starting.

        Raises:
            DataError: settings that can never work, such as a folder that is not there.
            MissingExtra: the source's package is not installed.
        """
        raise NotImplementedError(f"source {self.type} has no open()")
