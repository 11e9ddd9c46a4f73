"""A share and a figure with their intervals."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.plugins import Strict


class Share(Strict):
    """k of n with its 95 % interval; all None where n is 0.

    Clopper and Pearson's; where parts come in groups, on as many parts as these are worth.
    """

    k: int
    n: int
    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Figure:
    """A number of the evaluation with its 95 % interval, None where it has none."""

    value: float
    low: float | None = None
    high: float | None = None
