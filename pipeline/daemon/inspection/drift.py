"""Do parts look to the model as they did when it took over? Two weighted means that move slowly."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from pipeline.inference.inspector import Inspection

PARTS = 200  # a part's weight has fallen to 37 % after so many more; so many make up what is usual


@dataclass(frozen=True)
class Level:
    """One figure of the parts that a model has judged.

    Attributes:
        now: its exponentially weighted mean; None before the first part.
        first: its plain mean over the first parts (`drift.PARTS`); None until they came.
    """

    now: float | None = None
    first: float | None = None


@dataclass(frozen=True)
class DriftStatus:
    """What the model at work has seen since it took over.

    A bundle does not say what scores to expect of this line, so the first parts after a model took
    over stand for what is usual: drift before that, or during it, does not show in the scores. For
    the novelty the bundle says it: 1 is the median of the parts that evaluation judged.

    Attributes:
        parts: judged by it.
        defect_score: 0 to 1.
        novelty: distance to the nearest training example, in medians of evaluation; without values
            where the bundle has no examples.
    """

    parts: int = 0
    defect_score: Level = Level()
    novelty: Level = Level()


class Drift:
    """Follows the parts of one model after the other. May be used from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._version = ""
        self._state = DriftStatus()

    def add(self, version: str, seen: Inspection, median: float | None) -> None:
        """Take a judged part in; the first one of another model begins anew.

        Args:
            version: of the model that judged it.
            seen: what it saw.
            median: of the novelty in evaluation; None or 0 where nobody knows.
        """
        with self._lock:
            if version != self._version:
                self._version, self._state = version, DriftStatus()
            parts, known = self._state.parts + 1, self._state
            novelty = known.novelty
            if seen.novelty is not None and median:
                novelty = _moved(novelty, seen.novelty / median, parts)
            self._state = DriftStatus(
                parts, _moved(known.defect_score, seen.defect_score, parts), novelty
            )

    def of(self, version: str) -> DriftStatus:
        """What a model has seen; nothing yet where it has not judged a part."""
        with self._lock:
            return self._state if version == self._version else DriftStatus()


def _moved(level: Level, value: float, parts: int) -> Level:
    """The level after one more part, the `parts`-th.

    The weight of the newest is 1/n while there are few, which gives their plain mean, and 1/`PARTS`
    from then on: exponentially weighted moving average, Roberts, "Control Chart Tests Based on
    Geometric Moving Averages", Technometrics 1959.
    """
    before = 0.0 if level.now is None else level.now
    now = before + (value - before) / min(parts, PARTS)
    return Level(now, now if parts == PARTS else level.first)
