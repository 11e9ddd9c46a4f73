"""The worker that judges: one arrival after the other, from the intake to its closed record."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from pipeline.contracts.records import Record
from pipeline.daemon.books import Books
from pipeline.daemon.intake import Arrival, Intake
from pipeline.daemon.pulse import BEAT_EVERY_S, Pulse
from pipeline.daemon.sources import Frame
from pipeline.errors import UnreadableImage
from pipeline.imaging import Pixels
from pipeline.inference.inspector import Inspector

log = logging.getLogger(__name__)

Gate = Callable[[str, Frame, Pixels], str | None]


class Loaded(Protocol):
    """A model that is ready to judge."""

    @property
    def inspector(self) -> Inspector: ...

    @property
    def version(self) -> str:
        """`<recipe>/<version>`."""
        ...

    @property
    def since(self) -> datetime: ...


class Inspection:
    """Judges what waits. A hung or dead worker is replaced: `run` is called anew, in a new thread.

    The model is asked for once a frame, so that another takes over between two of them.
    """

    def __init__(
        self,
        intake: Intake,
        books: Books,
        model: Callable[[], Loaded],
        gate: Gate = lambda camera, frame, pixels: None,
    ) -> None:
        """Take what it needs.

        Args:
            intake: what waits.
            books: where records are closed.
            model: the model at work.
            gate: why a camera's frame is not to be inspected at all, or None.
        """
        self._intake = intake
        self._books = books
        self._model = model
        self._gate = gate
        self._at_work: Arrival | None = None
        self._handing_over = threading.Lock()

    def run(self, pulse: Pulse) -> None:
        """Judge until asked to end; the arrival at work is finished first."""
        while not pulse.stopping:
            pulse.beat()
            arrival = self._intake.take(BEAT_EVERY_S)
            if arrival is None:
                continue
            self._at_work = arrival
            record = self._record(arrival)
            if self._at_work is not arrival:
                # Given up for hung meanwhile: the record is closed and another does the work.
                return
            pulse.beat()
            self._books.close(arrival, record, pulse)
            with self._handing_over:
                if self._at_work is not arrival:
                    # Given up while the disk stood still: what is at work is another's.
                    return
                self._at_work = None
                self._intake.done()

    def abandon(self, why: str) -> None:
        """Close the record of the part that a lost worker was at."""
        with self._handing_over:
            arrival, self._at_work = self._at_work, None
            self._intake.done()
        if arrival is not None:
            self._books.refuse(arrival, f"inspection lost: {why}")

    def _record(self, arrival: Arrival) -> Record:
        refusal = self._books.refusal
        frame = arrival.frame
        if frame is None:
            return refusal(arrival, "no frame: nothing came with the trigger")
        if (late := self._books.too_late(arrival)) is not None:
            return refusal(arrival, late)
        try:
            pixels = frame.decoded()
            if (unfit := self._gate(arrival.camera, frame, pixels)) is not None:
                return refusal(arrival, unfit)
            loaded = self._model()
            seen = loaded.inspector.inspect(pixels)
        except UnreadableImage as error:
            return refusal(arrival, f"unreadable: {error}")
        except Exception as error:
            # One bad frame must neither stop the line nor go without a record.
            log.exception("frame %s was not inspected", arrival.serial)
            told = " ".join(str(error).split())
            return refusal(arrival, f"{type(error).__name__}: {told}")
        decision = seen.decision
        names = loaded.inspector.bundle.taxonomy.names
        return replace(
            self._books.record(arrival, decision.verdict, decision.reason),
            part_class=decision.part_class,
            defect_score=decision.defect_score,
            scores={n: round(float(p), 6) for n, p in zip(names, seen.probabilities, strict=True)},
            model_version=loaded.version,
        )
