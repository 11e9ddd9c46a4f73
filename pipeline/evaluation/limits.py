"""The operating point: chosen on parts that training has not seen, and sealed into the bundle."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline.contracts.bundle import Bundle, OperatingPoint, open_bundle, seal
from pipeline.datasets import scores as out_of_fold
from pipeline.datasets.manifest import Manifest
from pipeline.evaluation.judging import Watch, judge
from pipeline.files import write_model
from pipeline.inference.decide import defect_scores
from pipeline.metrics.operating_point import ABOVE_ALL, Choice, Policy, choose, nothing_passes


@dataclass(frozen=True)
class _Unseen:
    """Parts that no limit was chosen on yet; one row a part.

    Attributes:
        scores: defect scores, float64 N.
        bad: whether each is really bad, bool N.
        groups: which of them belong together, N.
    """

    scores: npt.NDArray[np.float64]
    bad: npt.NDArray[np.bool_]
    groups: Sequence[str]


def choose_limits(
    policy: Policy, data: Manifest, trained: Path, sealed: Path, watch: Watch
) -> tuple[Bundle, Choice]:
    """Seal the trained bundle with the limits that the policy asks for.

    Args:
        policy: what the plant can accept.
        data: the data set.
        trained: the folder that training wrote; its `bundle/` has no limits yet.
        sealed: where the bundle goes.
        watch: passes the inspections on.

    Raises:
        BundleError: the trained bundle is incomplete.
        DataError: an image changed since it was ingested.
    """
    shutil.copytree(trained / "bundle", sealed)
    known = _unseen(data, trained, sealed, watch)
    if any(data.taxonomy.passing):
        choice = choose(policy, known.scores, known.bad, known.groups)
    else:
        choice = nothing_passes()
    return _sealed(sealed, choice.point), choice


def _sealed(folder: Path, point: OperatingPoint) -> Bundle:
    """Write the limits into the bundle's folder and seal it."""
    write_model(folder / "operating_point.json", point)
    return open_bundle(folder, expected_sha256=seal(folder))


def _unseen(data: Manifest, trained: Path, sealed: Path, watch: Watch) -> _Unseen:
    """Judge validation parts with limits that let everything through to review.

    Of several tiles the highest score counts, as in every figure of the report. By it the station
    lets no part pass that is counted as kept here, and fails none that is counted as let through:
    complaints of a picture and classes that people look at only ever turn a PASS or a FAIL into a
    REVIEW. So escapes and overkill are what is promised or less; there is more to review.

    With them come the out-of-fold scores of the training parts, where training wrote them: more
    groups, so that one odd module does not set the limits of a plant.
    """
    undecided = OperatingPoint(pass_below=0.0, fail_from=ABOVE_ALL)
    validation = judge(
        _sealed(sealed, undecided), data, np.flatnonzero(data.table["split"] == "val"), watch
    )
    ids, probabilities = out_of_fold.read(trained / out_of_fold.OUT_OF_FOLD)
    by_id = data.table.set_index("sample_id")
    labels = [data.taxonomy.names.index(name) for name in by_id["label"].loc[ids]]
    bad = (~np.array(data.taxonomy.passing))[np.array(labels, np.intp)]
    scores = [validation.scores]
    if ids:
        scores.append(defect_scores(probabilities, data.taxonomy))
    groups = data.table["group"]
    return _Unseen(
        scores=np.concatenate(scores),
        bad=np.concatenate([validation.bad, bad]),
        groups=[*groups.iloc[validation.rows], *by_id["group"].loc[ids]],
    )
