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
from pipeline.metrics.operating_point import ABOVE_ALL


@dataclass(frozen=True)
class Unseen:
    """Parts that no limit was chosen on yet; one row a part.

    Attributes:
        scores: defect scores, float64 N.
        bad: whether each is really bad, bool N.
        groups: which of them belong together, N.
    """

    scores: npt.NDArray[np.float64]
    bad: npt.NDArray[np.bool_]
    groups: Sequence[str]


def unseen(data: Manifest, trained: Path, sealed: Path, watch: Watch) -> Unseen:
    """Judge validation parts with limits that let everything through to review.

    With them come the out-of-fold scores of the training parts, where training wrote them: more
    groups, so that one odd module does not set the limits of a plant.

    Args:
        data: the data set.
        trained: the bundle that training wrote, without limits.
        sealed: where it is copied to.
        watch: passes the inspections on.

    Raises:
        BundleError: the trained bundle is incomplete.
    """
    shutil.copytree(trained, sealed)
    undecided = OperatingPoint(pass_below=0.0, fail_from=ABOVE_ALL)
    validation = judge(
        decide_on(sealed, undecided), data, np.flatnonzero(data.table["split"] == "val"), watch
    )
    ids, probabilities = out_of_fold.read(trained.parent / out_of_fold.OUT_OF_FOLD)
    by_id = data.table.set_index("sample_id")
    labels = [data.taxonomy.names.index(name) for name in by_id["label"].loc[ids]]
    bad = (~np.array(data.taxonomy.passing))[np.array(labels, np.intp)]
    scores = [validation.scores]
    if ids:
        scores.append(defect_scores(probabilities, data.taxonomy))
    groups = data.table["group"]
    return Unseen(
        scores=np.concatenate(scores),
        bad=np.concatenate([validation.bad, bad]),
        groups=[*groups.iloc[validation.rows], *by_id["group"].loc[ids]],
    )


def decide_on(sealed: Path, point: OperatingPoint) -> Bundle:
    """Write the limits into the bundle's folder and seal it."""
    write_model(sealed / "operating_point.json", point)
    return open_bundle(sealed, expected_sha256=seal(sealed))
