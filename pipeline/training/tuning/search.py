"""Which trials are surely better than the settings as they are, alone and together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pipeline.errors import LinesideError
from pipeline.training.tuning.figures import Estimate
from pipeline.training.tuning.probe import MeasuredTrial
from pipeline.training.tuning.trials import Axis, Trial, together

ALIKE = 0.002  # gains that differ by less are alike: then the quicker one is chosen


@dataclass(frozen=True)
class Tried:
    """A trial and what came of it.

    Attributes:
        measured: None where it could not be tried.
        gain: of the objective, over the settings as they are; None of these themselves.
        reason: why it could not be tried, "" where it was.
    """

    trial: Trial
    measured: MeasuredTrial | None = None
    gain: Estimate | None = None
    reason: str = ""

    @property
    def verdict(self) -> str:
        """In a word."""
        if self.measured is None:
            return "not tried"
        if self.gain is None:
            return ""
        if self.gain.low > 0:
            return "better"
        return "worse" if self.gain.high < 0 else "no difference shown"


@dataclass(frozen=True)
class TuningResult:
    """All trials, the first of them the settings as they are, and the one to take."""

    tried: Sequence[Tried]
    chosen: Tried | None

    @property
    def now(self) -> Tried:
        """The settings as they are."""
        return self.tried[0]


def search(tried: Sequence[Trial], measure: Callable[[Trial], MeasuredTrial]) -> TuningResult:
    """Measure every trial, then all that helped together.

    Args:
        tried: the settings as they are, then changes.
        measure: as `Probe.measure`.

    Raises:
        LinesideError: the settings as they are cannot be measured.
    """
    first, *others = tried
    now = measure(first)
    rows = [Tried(first, now)]
    rows += [_tried(trial, measure, now) for trial in others]
    best: dict[Axis, Tried] = {}
    for row in rows:
        held = best.get(row.trial.axis)
        if row.verdict == "better" and (held is None or _gain(row) > _gain(held)):
            best[row.trial.axis] = row
    if len(best) > 1:
        both = together(first, {axis: row.trial for axis, row in best.items()})
        rows.append(_tried(both, measure, now))
    return TuningResult(rows, _chosen(rows))


def _tried(trial: Trial, measure: Callable[[Trial], MeasuredTrial], now: MeasuredTrial) -> Tried:
    try:
        found = measure(trial)
    except LinesideError as error:
        return Tried(trial, reason=str(error))
    return Tried(trial, found, found.scores.gain_over(now.scores))


def _chosen(rows: Sequence[Tried]) -> Tried | None:
    better = [row for row in rows if row.verdict == "better"]
    if not better:
        return None
    most = max(map(_gain, better))
    return min((row for row in better if _gain(row) >= most - ALIKE), key=_ms)


def _gain(row: Tried) -> float:
    return row.gain.value if row.gain else 0.0


def _ms(row: Tried) -> float:
    return row.measured.ms if row.measured else 0.0
