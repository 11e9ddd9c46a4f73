"""Brightness, contrast and sharpness of the images of each class, and the outliers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from pipeline.imaging.quality import Quality

Values = npt.NDArray[np.float64]
Ranges = dict[str, dict[str, list[float]]]

MEASURES = ("brightness", "contrast", "sharpness")
QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
# Iglewicz and Hoaglin (1993) take 3.5; brightness is seldom normal, so that would name 84 of 1,360
# ordinary steel strips and 14 of 2,624 solar cells, this 66 and 5, and a black frame in each.
FAR = 5.0

# A data set of one exposure has next to no spread; below these steps a difference cannot be seen.
_STEP = {"brightness": 1.0, "contrast": 0.05, "sharpness": 0.1}


@dataclass(frozen=True)
class Outlier:
    """An image far from the rest of the data set and from its own class.

    Attributes:
        row: which image.
        measure: brightness, contrast or sharpness.
        value: its own; `median` that of all images.
        z: robust distance (0.6745 times the distance from the median, by the median distance),
            the smaller of that from all and that from the class; of contrast and sharpness, in
            which halves count like doubles, that of the logarithm.
    """

    row: int
    measure: str
    value: float
    median: float
    z: float


def ranges(qualities: Sequence[Quality], labels: Sequence[str]) -> Ranges:
    """Quantiles (`QUANTILES`) of each measure, by class."""
    table, names = _table(qualities), np.asarray(labels)
    return {
        name: {
            measure: np.quantile(values[names == name], QUANTILES).round(2).tolist()
            for measure, values in table.items()
        }
        for name in sorted(set(labels))
    }


def outliers(qualities: Sequence[Quality], labels: Sequence[str]) -> list[Outlier]:
    """Images with a measure farther than `FAR` from the others, the farthest first, each once."""
    if not qualities:
        return []
    worst: dict[int, Outlier] = {}
    names = np.asarray(labels)
    for measure, values in _table(qualities).items():
        scale = values if measure == "brightness" else np.log1p(values)
        z = _distance(scale, _STEP[measure])
        for name in set(labels):
            its = names == name
            own = _distance(scale[its], _STEP[measure])
            z[its] = np.where(np.abs(own) < np.abs(z[its]), own, z[its])
        for row in np.flatnonzero(np.abs(z) > FAR).tolist():
            found = Outlier(
                row, measure, float(values[row]), float(np.median(values)), float(z[row])
            )
            if row not in worst or abs(found.z) > abs(worst[row].z):
                worst[row] = found
    return sorted(worst.values(), key=lambda o: (-abs(o.z), o.row))


def _distance(values: Values, step: float) -> Values:
    away = values - np.median(values)
    distance: Values = 0.6745 * away / max(float(np.median(np.abs(away))), step)
    return distance


def _table(qualities: Sequence[Quality]) -> dict[str, Values]:
    rows = [asdict(q) for q in qualities]
    return {m: np.array([row[m] for row in rows], np.float64) for m in MEASURES}
