"""What cameras on the network share: an address, limits, a stream that is connected anew."""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Iterator
from typing import Generic, TypeVar

from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.runtime.heartbeat import Heartbeat
from pipeline.daemon.sources import Frame, Source
from pipeline.daemon.sources._reader_thread import grabbed
from pipeline.daemon.sources._url import Address, AddressConfig

C = TypeVar("C", bound=AddressConfig)


class NetworkCamera(Source, Generic[C]):
    """A camera whose stream is read in a thread of its own, so that one that hangs is noticed."""

    def __init__(self, config: C, address: Address, clock: Clock) -> None:
        self._config = config
        self._address = address
        self._clock = clock
        self._threads: list[threading.Thread] = []

    @property
    @abstractmethod
    def first_s(self) -> float:
        """How long the first picture may take."""

    @abstractmethod
    def _read(self) -> Iterator[Frame]:
        """Connect and yield what comes; called in a thread of its own."""

    def frames(self, heartbeat: Heartbeat) -> Iterator[Frame]:
        """Connect and yield; a killed camera ends the stream, a hung one sends nothing."""
        return grabbed(
            self._read,
            self._address.shown,
            heartbeat,
            self._clock,
            first_s=self.first_s,
            next_s=self._config.read_timeout_s,
            threads=self._threads,
        )
