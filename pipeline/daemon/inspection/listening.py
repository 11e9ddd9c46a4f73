"""Notes in the ledger when each camera can receive triggers, and when and why it cannot."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from datetime import timedelta

from pipeline.daemon.inspection.camera import Camera
from pipeline.daemon.runtime.clock import Clock
from pipeline.errors import LedgerError
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.listening import STAMP_EVERY_S, ListeningRows

STARTING = "the station was starting"

log = logging.getLogger(__name__)


class ListeningLog:
    """Watches the cameras of a station; `step` is called often, from one thread.

    While the ledger cannot be written the rows are not stamped, and the audit shows that.
    """

    def __init__(
        self, ledger: Ledger, cameras: Sequence[Camera], clock: Clock, kept: Collection[str] = ()
    ) -> None:
        """Start to watch.

        Args:
            ledger: of the station.
            cameras: to watch.
            clock: of the station.
            kept: names of cameras that have gone on listening through a reload.
        """
        self._rows = ListeningRows(ledger)
        self._cameras = cameras
        self._clock = clock
        self._kept = kept
        self._open: dict[str, int] = {}
        self._stamped_s = float("-inf")
        self._started = False

    def step(self) -> None:
        """Note what has changed, and every few seconds that nothing has."""
        try:
            if not self._started:
                self._start()
            for camera in self._cameras:
                self._watch(camera)
            if self._clock.monotonic_s() - self._stamped_s >= STAMP_EVERY_S:
                self._rows.still(self._open.values(), self._clock.now())
                self._stamped_s = self._clock.monotonic_s()
        except LedgerError as error:
            log.debug("listening was not noted: %s", error)

    def end(self, why: str, kept: Collection[str] = ()) -> None:
        """Nobody listens any more, but for the cameras in `kept`."""
        for name, row in self._open.items():
            try:
                if name in kept:
                    self._rows.still([row], self._clock.now())
                else:
                    self._rows.end(row, self._clock.now(), why)
            except LedgerError as error:
                log.warning("the end of listening (%s) was not noted: %s", name, error)
        self._open.clear()

    def _start(self) -> None:
        for camera in self._cameras:
            row = self._rows.last(camera.name) if camera.name in self._kept else None
            if row is not None:
                self._open[camera.name] = row
            else:
                now = self._clock.now()
                self._rows.end(self._rows.begin(camera.name, now), now, STARTING)
        self._started = True

    def _watch(self, camera: Camera) -> None:
        row, why = self._open.get(camera.name), camera.not_listening
        if row is None and not why:
            began = camera.resumed
            self._open[camera.name] = self._rows.begin(camera.name, self._clock.now(), began)
        elif row is not None and why:
            noticed_late = timedelta(seconds=camera.loss_unnoticed_s)
            self._rows.end(row, self._clock.now() - noticed_late, why)
            del self._open[camera.name]
