"""The worker that judges: one arrival after the other, from the work queue to its closed record."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from pipeline.contracts.records import Record
from pipeline.daemon.inspection.drift import Drift
from pipeline.daemon.inspection.recorder import Recorder
from pipeline.daemon.inspection.work_queue import Arrival, WorkQueue
from pipeline.daemon.runtime.heartbeat import BEAT_EVERY_S, Heartbeat
from pipeline.daemon.sources import Frame
from pipeline.errors import UnreadableImage
from pipeline.imaging import Pixels
from pipeline.inference.inspector import Inspector

log = logging.getLogger(__name__)

Gate = Callable[[str, Frame, Pixels], str | None]


class ReadyModel(Protocol):
    """A model that is ready to judge."""

    @property
    def inspector(self) -> Inspector: ...

    @property
    def version(self) -> str:
        """`<recipe>/<version>`."""
        ...

    @property
    def since(self) -> datetime: ...


class InspectionWorker:
    """Judges what waits. A hung or dead worker is replaced: `run` is called anew, in a new thread.

    The model is asked for once a frame, so that another takes over between two of them.

    Attributes:
        drift: of the parts that it has judged.
    """

    def __init__(
        self,
        work_queue: WorkQueue,
        recorder: Recorder,
        model: Callable[[], ReadyModel],
        gate: Gate = lambda camera, frame, pixels: None,
    ) -> None:
        """Take what it needs.

        Args:
            work queue: what waits.
            recorder: where records are closed.
            model: the model at work.
            gate: why a camera's frame is not to be inspected at all, or None.
        """
        self._work_queue = work_queue
        self._recorder = recorder
        self._model = model
        self.drift = Drift()
        self._gate = gate
        # More than one only where a worker was given up for hung and is about to wake up.
        self._at_work: dict[str, Arrival] = {}
        self._handing = threading.Lock()

    def run(self, heartbeat: Heartbeat) -> None:
        """Judge until asked to end; the arrival at work is finished first."""
        while not heartbeat.stopping:
            heartbeat.beat()
            arrival = self._work_queue.take(BEAT_EVERY_S)
            if arrival is None:
                continue
            with self._handing:
                self._at_work[arrival.record] = arrival
            record = self._record(arrival)
            heartbeat.beat()
            self._recorder.close(arrival, record, heartbeat)
            with self._handing:
                if self._at_work.pop(arrival.record, None) is None:
                    # Given up for hung meanwhile: the record is closed and another does the work.
                    return
                self._work_queue.done()

    def abandon(self, why: str) -> None:
        """Close the record of the part that a lost worker was at."""
        with self._handing:
            left = list(self._at_work.values())
            self._at_work.clear()
            self._work_queue.done()
        for arrival in left:
            self._recorder.refuse(arrival, f"inspection lost: {why}")

    def _record(self, arrival: Arrival) -> Record:
        refusal = self._recorder.refusal
        frame = arrival.frame
        if frame is None:
            return refusal(arrival, "no frame: nothing came with the trigger")
        if (late := self._recorder.too_late(arrival)) is not None:
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
            log.exception(
                "frame %s was not inspected", arrival.serial, extra={"record": arrival.record}
            )
            told = " ".join(str(error).split())
            return refusal(arrival, f"{type(error).__name__}: {told}")
        decision, bundle = seen.decision, loaded.inspector.bundle
        if arrival.record in self._at_work:  # who was given up for hung may have had another model
            known = bundle.novelty
            self.drift.add(loaded.version, seen, None if known is None else known.median)
        names = bundle.taxonomy.names
        return replace(
            self._recorder.record(arrival, decision.verdict, decision.reason),
            part_class=decision.part_class,
            defect_score=decision.defect_score,
            scores={n: round(float(p), 6) for n, p in zip(names, seen.probabilities, strict=True)},
            model_version=loaded.version,
        )
