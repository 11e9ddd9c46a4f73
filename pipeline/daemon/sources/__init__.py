"""Sources of frames, one file each: a camera, or what stands in for one.

A module here has a `Config(SourceConfig)` whose `type` is the file's name and whose `open` returns
a `Source`. May call `imaging`, `contracts` and `daemon.clock`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from pipeline.daemon.clock import Clock
from pipeline.imaging import Pixels
from pipeline.plugins import PluginConfig


@dataclass(frozen=True)
class Frame:
    """One trigger: a picture, or the reason why there is none.

    Attributes:
        captured_at: time of capture, in UTC.
        triggered_s: the same moment on the clock's monotonic scale; latency counts from it.
        serial: part serial, or the file name in a replay.
        pixels: uint8 RGB, height x width x 3; None when the picture could not be decoded. Nobody
            writes to them after the frame was yielded: it may be waiting to be kept.
        fault: why there are no pixels, "" when there are.
        data: the camera's own file, where there is one.
        ending: of that file's name.
    """

    captured_at: datetime
    triggered_s: float
    serial: str
    pixels: Pixels | None
    fault: str = ""
    data: bytes | None = None
    ending: str = ".png"


class Source(Protocol):
    """An opened source."""

    def frames(self, stop: threading.Event) -> Iterator[Frame]:
        """Yield one frame a trigger, good or not, until the source ends or `stop` is set."""
        ...


class SourceConfig(PluginConfig):
    """What every source's `Config` starts from."""

    def open(self, clock: Clock) -> Source:
        """Open the source, which fails here rather than at the first frame.

        Raises:
            DataError: there is nothing to read from.
        """
        raise NotImplementedError(f"source {self.type} has no open()")


class FakeSource:
    """Yields the pictures it was given, 10 ms apart on a fake clock; an exception is a bad one."""

    def __init__(self, pictures: Sequence[Pixels | Exception], clock: Clock) -> None:
        self._pictures = pictures
        self._clock = clock

    def frames(self, stop: threading.Event) -> Iterator[Frame]:
        for i, picture in enumerate(self._pictures):
            if stop.is_set():
                return
            self._clock.wait(stop, 0.01)
            at, triggered_s = self._clock.now(), self._clock.monotonic_s()
            if isinstance(picture, Exception):
                yield Frame(at, triggered_s, f"part-{i}", None, str(picture))
            else:
                yield Frame(at, triggered_s, f"part-{i}", picture)
