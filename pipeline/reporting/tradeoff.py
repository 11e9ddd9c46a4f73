"""Verdicts on the same test parts at other limits, for the movable limits of a page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from markupsafe import Markup

from pipeline.contracts.bundle import OperatingPoint
from pipeline.contracts.records import Verdict
from pipeline.contracts.taxonomy import Taxonomy
from pipeline.errors import DataError
from pipeline.metrics.choice import ABOVE_ALL

STEPS = 2000
BINS = 40

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Bar:
    """Parts of one bin of the score, good ones upwards, bad ones downwards."""

    good: int
    bad: int


@dataclass(frozen=True)
class Tradeoff:
    """The facts of each test part that a verdict depends on, whatever the limits; N parts.

    Attributes:
        scores: float64 N, defect scores; of several tiles the highest.
        failing: float64 N; that of what looks like a class that fails, -1 where nothing does: a
            part that looks like a class that people look at never fails.
        bad: bool N, really bad.
        complained: bool N; the picture is unlike any that was learned from, so it never passes.
        point: the limits of the bundle.
    """

    scores: npt.NDArray[np.float64]
    failing: npt.NDArray[np.float64]
    bad: Bools
    complained: Bools
    point: OperatingPoint

    def verdicts(self, pass_below: float, fail_from: float) -> npt.NDArray[np.str_]:
        """The verdict of the station on each part, in one tile or many.

        The rule of `inference.inspector.Inspection` stands here again, and once more in the page's
        script, because a page asks it for any limits; `of` compares its answers at the bundle's
        limits with the verdicts of the station's code.
        """
        passes = (self.scores < pass_below) & ~self.complained
        fails = self.failing >= fail_from
        return np.where(passes, Verdict.PASS, np.where(fails, Verdict.FAIL, Verdict.REVIEW))

    def limits(self) -> list[float]:
        """Limits worth trying, in order: every score, both ends and the two that were chosen.

        From one to the next a single part changes sides, until there are more than `STEPS`.
        """
        tried = np.unique([*self.scores, *self.failing[self.failing >= 0]])
        if len(tried) > STEPS:
            tried = tried[np.linspace(0, len(tried) - 1, STEPS).astype(int)]
        ends = (0.0, ABOVE_ALL, self.point.pass_below, self.point.fail_from)
        return sorted({*tried.tolist(), *ends})

    def bars(self) -> list[Bar]:
        """The histogram of the scores."""
        edges = np.linspace(0, 1, BINS + 1)
        good, bad = (
            np.histogram(self.scores[who], edges)[0].tolist() for who in (~self.bad, self.bad)
        )
        return [Bar(g, b) for g, b in zip(good, bad, strict=True)]

    def json(self) -> Markup:
        """All of it for a script element of type application/json."""
        limits = self.limits()
        return as_json(
            {
                "scores": self.scores.tolist(),
                "bad": self.bad.astype(int).tolist(),
                "failing": self.failing.tolist(),
                "complained": self.complained.astype(int).tolist(),
                "limits": limits,
                "pass_at": limits.index(self.point.pass_below),
                "fail_at": limits.index(self.point.fail_from),
            }
        )


def of(predictions: pd.DataFrame, taxonomy: Taxonomy, point: OperatingPoint) -> Tradeoff:
    """Read the facts from the table of predictions.

    Args:
        predictions: label, verdict, defect_score, failing_score and complained, a part a row.
        taxonomy: the classes of the bundle.
        point: its limits.

    Raises:
        DataError: the verdicts are not those that these limits give.
    """
    passing = np.array(taxonomy.passing)
    labels = [taxonomy.names.index(name) for name in predictions["label"]]
    found = Tradeoff(
        scores=predictions["defect_score"].to_numpy(np.float64),
        failing=predictions["failing_score"].to_numpy(np.float64),
        bad=~passing[labels],
        complained=predictions["complained"].to_numpy(bool),
        point=point,
    )
    given = predictions["verdict"].to_numpy(str)
    ours = found.verdicts(point.pass_below, point.fail_from)
    if (ours != given).any():
        row = int(np.flatnonzero(ours != given)[0])
        raise DataError(
            f"predictions: {predictions['sample_id'].iat[row]} has the verdict {given[row]}, but "
            f"its score {found.scores[row]} and the bundle's limits give {ours[row]}; they are not "
            "of one evaluation: run `dvc repro evaluate`"
        )
    return found


def probabilities(predictions: pd.DataFrame, names: Sequence[str]) -> npt.NDArray[np.floating]:
    """float N,K: the columns p_<class> in the taxonomy's order."""
    return predictions[[f"p_{name}" for name in names]].to_numpy()


def as_json(value: Any) -> Markup:
    """JSON that cannot end the script element it stands in."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))
