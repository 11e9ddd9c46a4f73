"""The inspection worker: takes arrivals from the work queue, judges them, closes their records."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from pipeline.contracts.records import Record, RecordKind
from pipeline.daemon.inspection.drift import Drift
from pipeline.daemon.inspection.frame_check import wrong_size
from pipeline.daemon.inspection.recorder import Recorder
from pipeline.daemon.inspection.work_queue import Arrival, WorkQueue
from pipeline.daemon.runtime.heartbeat import BEAT_EVERY_S, Heartbeat
from pipeline.daemon.sources import Frame
from pipeline.errors import ModelWithdrawn, UnreadableImage
from pipeline.imaging import Pixels
from pipeline.inference.inspector import Inspector

log = logging.getLogger(__name__)

Gate = Callable[[str, Frame, Pixels], str | None]


class ReadyModel(Protocol):
    """A loaded model."""

    @property
    def inspector(self) -> Inspector: ...

    @property
    def version(self) -> str:
        """`<recipe>/<version>`."""
        ...

    @property
    def since(self) -> datetime: ...


NO_MODEL = "no signed model"  # kind of reason of parts that come while the model is withdrawn


class InspectionWorker:
    """Judges waiting arrivals. To replace a hung or dead worker, `run` is called in a new thread.

    The model is read once a frame, so that it is swapped between two frames.

    Attributes:
        drift: of the judged parts.
        finish: the judged record of a part of the line as it is to be closed.
    """

    def __init__(
        self,
        work_queue: WorkQueue,
        recorder: Recorder,
        model: Callable[[], ReadyModel],
        gate: Gate = lambda camera, frame, pixels: None,
        size_tolerance: float | None = None,
    ) -> None:
        """Start idle.

        Args:
            work_queue: with the arrivals to judge.
            recorder: closes records.
            model: returns the model at work; raises ModelWithdrawn while there is none.
            gate: the reason why a camera's frame is not to be inspected at all, or None.
            size_tolerance: how far a frame's size may be from those that the model has learned
                from, as a share; None: any size is inspected.
        """
        self._work_queue = work_queue
        self._recorder = recorder
        self._model = model
        self.drift = Drift()
        self.finish: Callable[[Record], Record] = lambda record: record
        self._gate = gate
        self._size_tolerance = size_tolerance
        # More than one only where an abandoned worker is about to wake up.
        self._at_work: dict[str, Arrival] = {}
        self._hand_over = threading.Lock()

    def run(self, heartbeat: Heartbeat) -> None:
        """Judge until asked to stop; the current arrival is finished first."""
        while not heartbeat.stopping:
            heartbeat.beat()
            arrival = self._work_queue.take(BEAT_EVERY_S)
            if arrival is None:
                continue
            with self._hand_over:
                self._at_work[arrival.record] = arrival
            waited_ms = self._recorder.waited_ms(arrival) - arrival.decode_ms
            record = self._record(arrival, max(0.0, waited_ms))
            heartbeat.beat()
            self._recorder.close(arrival, record, heartbeat)
            with self._hand_over:
                if self._at_work.pop(arrival.record, None) is None:
                    # Abandoned meanwhile: the record is closed and a replacement is running.
                    return
                self._work_queue.done()

    def abandon(self, why: str) -> None:
        """Close the record of the part that a lost worker was judging."""
        with self._hand_over:
            left = list(self._at_work.values())
            self._at_work.clear()
            self._work_queue.done()
        for arrival in left:
            self._recorder.refuse(arrival, f"inspection lost: {why}")

    def _record(self, arrival: Arrival, waited_ms: float) -> Record:
        refusal = self._recorder.refusal
        frame = arrival.frame
        if frame is None:
            return refusal(arrival, "no frame: nothing came with the trigger")
        if (late := self._recorder.too_late(arrival)) is not None:
            return refusal(arrival, late)
        try:
            model = self._model()
            arrival = arrival.decoded()
            frame = arrival.frame or frame
            pixels = frame.decoded()
            if (unfit := self._gate(arrival.camera, frame, pixels)) is not None:
                return refusal(arrival, unfit)
            sizes = model.inspector.bundle.frame_sizes
            if wrong := wrong_size(pixels, sizes, self._size_tolerance):
                return refusal(arrival, wrong)
            result = model.inspector.inspect(pixels)
        except ModelWithdrawn as withdrawn:
            return refusal(arrival, f"{NO_MODEL}: {withdrawn.reason}")
        except UnreadableImage as error:
            return refusal(arrival, f"unreadable: {error}")
        except Exception as error:
            # One bad frame must neither stop the line nor go without a record.
            log.exception(
                "frame %s was not inspected", arrival.serial, extra={"record": arrival.record}
            )
            one_line = " ".join(str(error).split())
            return refusal(arrival, f"{type(error).__name__}: {one_line}")
        decision, bundle = result.decision, model.inspector.bundle
        of_line = arrival.kind is RecordKind.PART
        if (
            of_line and arrival.record in self._at_work
        ):  # an abandoned worker may have had another model
            known = bundle.novelty
            self.drift.add(model.version, result, None if known is None else known.median)
        names = bundle.taxonomy.names
        record = replace(
            self._recorder.record(arrival, decision.verdict, decision.reason),
            part_class=decision.part_class,
            defect_score=decision.defect_score,
            scores={
                n: round(float(p), 6) for n, p in zip(names, result.probabilities, strict=True)
            },
            model_version=model.version,
            steps_ms={
                "waited": round(waited_ms, 3),
                "decoded": round(arrival.decode_ms, 3),
                "prepared": round(result.prepare_ms, 3),
                "network": round(result.predict_ms, 3),
            },
        )
        return self.finish(record) if of_line else record
