"""Drift of defect score and novelty since the model was swapped in: two weighted means."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from pipeline.inference.inspector import Inspection

PARTS = 200  # a part's weight falls to 37 % after so many more; as many make up the baseline


@dataclass(frozen=True)
class Level:
    """Level of one figure over the parts that a model has judged.

    Attributes:
        now: its exponentially weighted mean; None before the first part.
        first: its plain mean over the first parts (`drift.PARTS`); None until they came.
    """

    now: float | None = None
    first: float | None = None


@dataclass(frozen=True)
class DriftStatus:
    """Drift of the model at work since it was swapped in.

    A bundle does not contain the scores to expect on this line, so the first parts after the swap
    are the baseline: drift before or during them does not show in the scores. For the novelty the
    bundle has one: 1 is the median of the parts that evaluation judged.

    Attributes:
        parts: judged by this model.
        defect_score: 0 to 1.
        novelty: distance to the nearest training example, in medians of evaluation; None where the
            bundle has no examples.
    """

    parts: int = 0
    defect_score: Level = Level()
    novelty: Level = Level()


class Drift:
    """Follows the parts of one model after the other. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._version = ""
        self._status = DriftStatus()

    def add(self, version: str, result: Inspection, median: float | None) -> None:
        """Add a judged part; the first one of another model starts again from zero.

        Args:
            version: of the model that judged it.
            result: of the inspection.
            median: of the novelty in evaluation; None or 0 where it is not known.
        """
        with self._lock:
            if version != self._version:
                self._version, self._status = version, DriftStatus()
            parts, known = self._status.parts + 1, self._status
            novelty = known.novelty
            if result.novelty is not None and median:
                novelty = _moved(novelty, result.novelty / median, parts)
            self._status = DriftStatus(
                parts, _moved(known.defect_score, result.defect_score, parts), novelty
            )

    def of(self, version: str) -> DriftStatus:
        """Drift of a model; all empty where it has not judged a part yet."""
        with self._lock:
            return self._status if version == self._version else DriftStatus()


def _moved(level: Level, value: float, parts: int) -> Level:
    """The level after one more part, the `parts`-th.

    The weight of the newest is 1/n while there are few, which gives their plain mean, and 1/`PARTS`
    from then on: exponentially weighted moving average, Roberts, "Control Chart Tests Based on
    Geometric Moving Averages", Technometrics 1959.
    """
    before = 0.0 if level.now is None else level.now
    now = before + (value - before) / min(parts, PARTS)
    return Level(now, now if parts == PARTS else level.first)
