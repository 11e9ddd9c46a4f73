"""The golden frame: one test part, sealed into the bundle with the prediction made here.

A station judges it before it takes a bundle to work (`inference.trial`). So the part must
distinguish machines (one that the network is certain of hides every difference) and must not show
the
same machine apart from itself: the bundle's identity hangs on the figures, rounded.
"""

from __future__ import annotations

from pathlib import PurePosixPath

import numpy as np
import numpy.typing as npt

from pipeline.contracts.bundle import GOLDEN, Bundle, GoldenFrame, open_bundle, seal
from pipeline.contracts.records import Verdict
from pipeline.datasets.manifest import Manifest
from pipeline.evaluation.predictions import PartPredictions
from pipeline.files import write_model
from pipeline.imaging.codec import SUFFIXES
from pipeline.inference.inspector import Inspection

LARGEST_BYTES = 2_000_000  # the bundle travels to every station
DECIMALS = 4
# How far a figure stays from where it would be rounded to another: thousands of times the noise
# that another number of threads makes in float32.
CLEAR_OF_ROUNDING = 0.2 * 10**-DECIMALS
CLEAR_OF_LIMITS = 0.02  # of the defect score, and between the two likeliest classes
INFORMATIVE = (
    0.9  # the likeliest class's probability where a difference shows and is not exaggerated
)


def add_golden_frame(bundle: Bundle, data: Manifest, test: PartPredictions) -> Bundle:
    """Seal the bundle again with a golden frame, or return it as it is where no part is fit.

    Fit is a part that was judged right on a faultless picture, whose file is small, and whose
    figures lie clear of the limits and of where they are rounded. Of those it is the one whose
    likeliest class comes nearest to `INFORMATIVE`.

    Raises:
        DataError: the image has changed since it was ingested.
    """
    right = (test.predicted == test.labels) & _no_mistake(test)
    ids: list[str] = data.table["sample_id"].tolist()

    def distance_from_informative(i: int) -> tuple[float, str]:
        return abs(float(test.inspections[i].probabilities.max()) - INFORMATIVE), ids[test.rows[i]]

    fit = [
        i
        for i in np.flatnonzero(right).tolist()
        if _is_clear(bundle, test.inspections[i]) and _is_small(data, int(test.rows[i]))
    ]
    if not fit:
        return bundle
    chosen = min(fit, key=distance_from_informative)
    row, seen = int(test.rows[chosen]), test.inspections[chosen]
    file = f"golden-frame{_ending(data, row)}"
    (bundle.folder / file).write_bytes(data.image(row))
    golden = GoldenFrame(
        file=file,
        sample_id=ids[row],
        probabilities={
            name: round(float(p), DECIMALS)
            for name, p in zip(bundle.taxonomy.names, seen.probabilities, strict=True)
        },
        verdict=seen.decision.verdict,
    )
    write_model(bundle.folder / GOLDEN, golden)
    return open_bundle(bundle.folder, expected_sha256=seal(bundle.folder))


def _no_mistake(test: PartPredictions) -> npt.NDArray[np.bool_]:
    """Which parts are neither escapes nor overkill, bool N; where no class passes, all fail."""
    if not any(test.taxonomy.passing):
        return np.ones(len(test.rows), np.bool_)
    wrong = np.where(test.bad, str(Verdict.PASS), str(Verdict.FAIL))
    right: npt.NDArray[np.bool_] = test.verdicts != wrong
    return right


def _is_small(data: Manifest, row: int) -> bool:
    size = int(data.table["bytes"].to_numpy()[row])
    return size <= LARGEST_BYTES and _ending(data, row) in SUFFIXES


def _is_clear(bundle: Bundle, seen: Inspection) -> bool:
    """Is nothing wrong with the picture, and would a little noise change nothing that is kept?"""
    exact = seen.probabilities.astype(np.float64)
    from_rounding = 0.5 * 10**-DECIMALS - np.abs(exact - exact.round(DECIMALS))
    second, first = np.sort(exact)[-2:]
    point, score = bundle.operating_point, seen.decision.defect_score
    from_limits = min(abs(score - point.pass_below), abs(score - point.fail_from))
    return bool(
        seen.image_reason is None
        and from_rounding.min() >= CLEAR_OF_ROUNDING
        and min(from_limits, first - second) >= CLEAR_OF_LIMITS
    )


def _ending(data: Manifest, row: int) -> str:
    return PurePosixPath(str(data.table["path"].iat[row])).suffix.lower()
