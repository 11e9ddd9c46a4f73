"""The operating point: chosen on parts that training has not seen, and sealed into the bundle."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.contracts.bundle import (
    Bundle,
    OperatingPoint,
    Provenance,
    open_bundle,
    read_part,
    seal,
)
from pipeline.datasets import scores as out_of_fold
from pipeline.datasets.manifest import Manifest
from pipeline.evaluation import novelty
from pipeline.evaluation.doubts import contradicted
from pipeline.evaluation.predictions import PartPredictions, Watch, predict_parts
from pipeline.files import write_model
from pipeline.inference.decide import defect_scores
from pipeline.metrics.choice import Parts
from pipeline.metrics.operating_point import ABOVE_ALL, Choice, Policy, nothing_passes
from pipeline.metrics.rates import percent
from pipeline.metrics.review.outlook import ScoredParts

WIDE = 0.01  # difference of rates that is worth a warning; as a rule it is 0.005 at most


@dataclass(frozen=True)
class Basis:
    """What limits were chosen on, and what else these parts have chosen before.

    Attributes:
        n_validation: validation parts.
        n_out_of_fold: training parts, judged by heads that had not seen their group.
        n_kept_out: validation parts that chose something in training and therefore no limit.
        by_validation: what validation parts chose: those kept out or, without any, all of them.
        by_out_of_fold: what the training parts chose.
    """

    n_validation: int
    n_out_of_fold: int
    n_kept_out: int
    by_validation: tuple[str, ...]
    by_out_of_fold: tuple[str, ...]

    @property
    def reused(self) -> bool:
        """The same validation parts chose something in training and then the limits."""
        return bool(self.by_validation) and not self.n_kept_out and self.n_validation > 0

    @property
    def sentence(self) -> str:
        """In words, for people."""
        text = f"They were chosen on {self.n_validation} validation parts"
        if self.n_kept_out:
            text += f" that have chosen nothing else; {self.n_kept_out} others had chosen the "
            text += _listed(self.by_validation)
        elif self.reused:
            text += f", which had chosen the {_listed(self.by_validation)} too"
        if self.n_out_of_fold:
            text += f". With them went {self.n_out_of_fold} training parts, each judged by a model "
            text += "that had not seen its group"
            if self.by_out_of_fold:
                text += f"; these had chosen the {_listed(self.by_out_of_fold)} too"
        return f"{text}. No test part was among them."

    def written(self) -> dict[str, Any]:
        """For evaluation.json."""
        return {**asdict(self), "said": self.sentence}

    def notes(self) -> Iterator[str]:
        """Warnings."""
        if self.reused:
            yield (
                f"the {self.n_validation} validation parts that the limits were chosen on had "
                f"chosen the {_listed(self.by_validation)} of the model before: escapes and "
                "overkill may be higher than promised; more validation parts would be parted"
            )


@dataclass(frozen=True)
class JudgedParts:
    """Parts with their defect scores.

    Attributes:
        ids: str N.
        scores: float64 N.
        bad: whether each part is really bad, bool N.
    """

    ids: npt.NDArray[np.str_]
    scores: npt.NDArray[np.float64]
    bad: npt.NDArray[np.bool_]

    def only(self, ids: npt.NDArray[np.str_]) -> JudgedParts:
        """Those among `ids`."""
        there = np.isin(self.ids, ids)
        return JudgedParts(self.ids[there], self.scores[there], self.bad[there])

    def rates(self, point: OperatingPoint) -> tuple[float, float]:
        """Escapes and overkill by the limits, as shares of the bad and of the good parts."""
        passed, failed = Parts(self.scores, self.bad).judged(point)
        return float(passed[self.bad].mean()), float(failed[~self.bad].mean())


@dataclass(frozen=True)
class Gap:
    """Escapes and overkill on the validation parts, by the limits, as shares.

    Attributes:
        final: by the head in the bundle, which has learned from all training parts.
        folds: by the heads of the folds, on average, which gave the out-of-fold scores.
    """

    final: tuple[float, float]
    folds: tuple[float, float]

    @property
    def metrics(self) -> dict[str, float]:
        """For metrics.json."""
        escapes, overkill = np.subtract(self.final, self.folds)
        return {
            "val_escapes_beyond_folds": float(escapes),
            "val_overkill_beyond_folds": float(overkill),
        }

    def notes(self) -> Iterator[str]:
        """Warnings: out-of-fold scores choose limits for a head that is not theirs."""
        names = ("escapes", "overkill")
        for name, final, folds in zip(names, self.final, self.folds, strict=True):
            if abs(final - folds) > WIDE:
                worth = "more" if final > folds else "fewer"
                yield (
                    f"on the validation parts the model has {percent(final)} % {name}, the models "
                    f"of the folds, whose scores chose the limits too, {percent(folds)} %: "
                    f"at the line there may be {worth} {name} than the out-of-fold scores promise"
                )


@dataclass(frozen=True)
class Chosen:
    """The limits, and what they were chosen on.

    Attributes:
        bundle: sealed with them.
        choice: the limits.
        basis: where the parts come from.
        parts: out-of-fold and validation parts with their scores.
        gap: how the heads behind the out-of-fold scores differ from the final one; None where
            training wrote no scores of them, or validation has no bad parts, or no good ones.
    """

    bundle: Bundle
    choice: Choice
    basis: Basis
    parts: ScoredParts
    gap: Gap | None = None


def choose_limits(
    policy: Policy, data: Manifest, trained: Path, sealed: Path, watch: Watch
) -> Chosen:
    """Seal the trained bundle with the limits that the policy asks for, and the limit on novelty.

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
    parts, basis, validation = _unseen(data, trained, sealed, watch)
    if any(data.taxonomy.passing):
        from_good = read_part(sealed, "provenance.json", Provenance).method == "normal"
        parts = replace(parts, from_good=from_good)
        choice = parts.chosen(policy)
    else:
        choice = nothing_passes()
    gap = _gap(data, trained, validation, choice.point)
    return Chosen(_sealed(sealed, choice.point), choice, basis, parts, gap)


def _sealed(folder: Path, point: OperatingPoint) -> Bundle:
    """Write the limits into the bundle's folder and seal it."""
    write_model(folder / "operating_point.json", point)
    return open_bundle(folder, expected_sha256=seal(folder))


def _unseen(
    data: Manifest, trained: Path, sealed: Path, watch: Watch
) -> tuple[ScoredParts, Basis, PartPredictions]:
    """Judge validation parts with limits that let everything through to review.

    Of several tiles the highest score counts, as in every figure of the report. By it the station
    lets no part pass that is counted as kept here, and fails none that is counted as let through:
    a fault of the picture and classes that people look at only ever turn a PASS or a FAIL into a
    REVIEW. So escapes and overkill are what is promised or less; there is more to review.

    With them come the out-of-fold scores of the training parts, where training wrote them: more
    groups, so that one odd module does not set the limits of a plant. Validation parts that chose
    something in training are left out where training has set others aside.
    """
    undecided = OperatingPoint(pass_below=0.0, fail_from=ABOVE_ALL)
    consulted = out_of_fold.Consulted.read(trained / out_of_fold.CONSULTED)
    held = (data.table["split"] == "val").to_numpy()
    apart = held & data.table["sample_id"].isin(consulted.set_aside).to_numpy()
    asked = apart if consulted.by_validation and apart.any() else held
    novelty.add_examples(_sealed(sealed, undecided), data)
    validation = predict_parts(_sealed(sealed, undecided), data, np.flatnonzero(asked), watch)
    novelty.choose_limit(sealed, validation)
    ids, probabilities = out_of_fold.read(trained / out_of_fold.OUT_OF_FOLD)
    row_of = pd.Series(np.arange(len(data.table)), index=data.table["sample_id"])
    rows = row_of.loc[ids].to_numpy(np.intp)
    labels = [data.taxonomy.names.index(name) for name in data.table["label"].iloc[rows]]
    bad = (~np.array(data.taxonomy.passing))[np.array(labels, np.intp)]
    scores = [validation.scores]
    if ids:
        scores.append(defect_scores(probabilities, data.taxonomy))
    every = np.concatenate([validation.rows, rows])
    parts = ScoredParts(
        scores=np.concatenate(scores),
        bad=np.concatenate([validation.bad, bad]),
        groups=data.table["group"].iloc[every].to_numpy(dtype=str),
        doubted=np.concatenate(
            [
                contradicted(data, validation.rows, validation.probabilities),
                contradicted(data, rows, probabilities),
            ]
        ),
    )
    basis = Basis(
        n_validation=len(validation.rows),
        n_out_of_fold=len(ids),
        n_kept_out=int((held & ~asked).sum()),
        by_validation=consulted.by_validation,
        by_out_of_fold=consulted.by_out_of_fold,
    )
    return parts, basis, validation


def measure_gap(final: JudgedParts, folds: JudgedParts, point: OperatingPoint) -> Gap | None:
    """Compare two judgements of the same parts by the limits; None where they share too little.

    Args:
        final: of validation parts by the head in the bundle.
        folds: by the heads of the folds, each part once a fold; parts that are not in `final` do
            not count, nor the other way round.
        point: the limits.
    """
    final, folds = final.only(folds.ids), folds.only(final.ids)
    if not len(final.ids) or final.bad.all() or not final.bad.any():
        return None
    return Gap(final.rates(point), folds.rates(point))


def _gap(
    data: Manifest, trained: Path, validation: PartPredictions, point: OperatingPoint
) -> Gap | None:
    ids, probabilities = out_of_fold.read(trained / out_of_fold.FOLD_HEADS)
    if not ids:
        return None
    named = data.table["sample_id"].iloc[validation.rows].to_numpy(str)
    bad = pd.Series(validation.bad, index=named)
    theirs = JudgedParts(
        *(np.array(ids), defect_scores(probabilities, data.taxonomy)),
        bad.reindex(ids, fill_value=False).to_numpy(bool),
    )
    return measure_gap(JudgedParts(named, validation.scores, validation.bad), theirs, point)


def _listed(chosen: Sequence[str]) -> str:
    *most, last = chosen
    return f"{', '.join(most)} and {last}" if most else last
