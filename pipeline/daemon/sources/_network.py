"""What network cameras share: a URL, timeouts, a stream read in its own thread."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import Generic, TypeVar

from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.runtime.heartbeat import Heartbeat
from pipeline.daemon.sources import Frame, Source
from pipeline.daemon.sources._reader_thread import ReaderThread
from pipeline.daemon.sources._url import CameraUrl, NetworkCameraConfig

C = TypeVar("C", bound=NetworkCameraConfig)


class NetworkCamera(Source, Generic[C]):
    """A camera whose stream is read in its own thread, so that a hung one is noticed."""

    def __init__(self, config: C, url: CameraUrl, clock: Clock) -> None:
        self._config = config
        self._url = url
        self._clock = clock
        self.loss_unnoticed_s = config.read_timeout_s
        self._thread = ReaderThread(
            *(self._read, url.shown, clock), first_s=self.first_s, next_s=config.read_timeout_s
        )

    @property
    @abstractmethod
    def first_s(self) -> float:
        """Seconds that the first picture may take."""

    @abstractmethod
    def _read(self) -> Iterator[Frame]:
        """Connect and yield frames; called in its own thread."""

    def frames(self, heartbeat: Heartbeat) -> Iterator[Frame]:
        """Connect unless connected, and yield frames.

        A camera that was killed ends the stream, one that hangs sends nothing.
        """
        return self._thread.frames(heartbeat)

    def close(self) -> None:
        """End the connection."""
        self._thread.close()
