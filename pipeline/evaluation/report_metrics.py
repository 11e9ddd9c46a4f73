"""The figures of metrics.json, the verdicts on test parts with intervals, and how to read them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.contracts.evaluation import Share, SplitSummary
from pipeline.contracts.records import Verdict
from pipeline.datasets.manifest import Manifest
from pipeline.evaluation.predictions import PartPredictions
from pipeline.metrics import classification as figures
from pipeline.metrics.jackknife import grouped_interval
from pipeline.metrics.rates import grouped_share, percent


@dataclass(frozen=True)
class Measurement:
    """What was measured on test parts.

    Attributes:
        metrics: figures by name, each with `<name>_ci95`; None where one is not defined.
        split: how the data set was split.
        notes: sentences on how to read the figures.
    """

    metrics: dict[str, Any]
    split: SplitSummary
    notes: tuple[str, ...]


def report_metrics(
    test: PartPredictions, data: Manifest, naive: dict[str, Any] | None
) -> Measurement:
    """Measure what the verdicts on test parts are worth.

    Args:
        test: the parts and their predictions.
        data: the data set that they come from.
        naive: figures on the data set's own split, where that leaks and was made again.
    """
    n = len(test.rows)
    groups = data.table["group"].iloc[test.rows].tolist()
    found: dict[str, Any] = {}
    for name, score in _by_ranking(test).items():
        value = score(np.arange(n))
        found[name] = value if math.isfinite(value) else None
        found[f"{name}_ci95"] = grouped_interval(score, groups, _rarest(test, name))
    by_counting = _by_counting(test, np.asarray(groups, dtype=str))
    for name, share in by_counting.items():
        found[name] = share.value
        found[f"{name}_ci95"] = None if share.value is None else [share.low, share.high]
    found |= {
        "ece": figures.expected_calibration_error(test.labels, test.probabilities),
        "n_test": n,
        "n_test_bad": int(test.bad.sum()),
        "per_class_recall": figures.recalls(test.labels, test.predicted, test.taxonomy.names),
    }
    given, n_groups = data.report["split"], len(set(groups))
    split = SplitSummary(
        **{key: given[key] for key in ("by", "n_groups", "leak_checked", "leaky")},
        n_test_groups=n_groups,
        naive=naive,
    )
    return Measurement(found, split, tuple(_notes(test, by_counting, split.leaky, naive, n_groups)))


def _by_ranking(test: PartPredictions) -> dict[str, Callable[[npt.NDArray[np.intp]], float]]:
    labels, predicted, k = test.labels, test.predicted, len(test.taxonomy.names)
    truth, scores = test.questions
    return {
        "auroc": lambda i: figures.auroc(truth[i], scores[i]),
        "average_precision": lambda i: figures.average_precision(truth[i], scores[i]),
        "macro_f1": lambda i: figures.macro_f1(labels[i], predicted[i], k),
    }


def _rarest(test: PartPredictions, figure: str) -> npt.NDArray[np.bool_]:
    """The parts of the rarest class, or of the rarer kind where the figure ranks bad and good."""
    ranks = figure != "macro_f1" and any(test.taxonomy.passing)
    kinds = test.bad.astype(np.intp) if ranks else test.labels
    present, counts = np.unique(kinds, return_counts=True)
    return np.asarray(kinds == present[counts.argmin()], np.bool_)


def _by_counting(test: PartPredictions, groups: npt.NDArray[np.str_]) -> dict[str, Share]:
    bad, verdicts = test.bad, test.verdicts
    return {
        "accuracy": grouped_share(test.predicted == test.labels, groups),
        "escape_rate": grouped_share((verdicts == Verdict.PASS)[bad], groups[bad]),
        "overkill_rate": grouped_share((verdicts == Verdict.FAIL)[~bad], groups[~bad]),
        "review_rate": grouped_share(verdicts == Verdict.REVIEW, groups),
    }


def _notes(
    test: PartPredictions,
    rates: dict[str, Share],
    leaky: bool,
    naive: dict[str, Any] | None,
    n_groups: int,
) -> list[str]:
    notes, n = [], len(test.rows)
    for name, rate in rates.items():
        if rate.value is None:
            kind = "bad" if name == "escape_rate" else "good"
            notes.append(f"the test split has no {kind} part: {name} is not defined")
    there = set(test.labels.tolist())
    absent = [name for c, name in enumerate(test.taxonomy.names) if c not in there]
    if absent:
        notes.append(
            f"the test split has no part of class {', '.join(absent)}: nothing is known of it"
        )
    if leaky:
        notes.append("the split is LEAKY: test parts are known from training, all figures flatter")
    accuracy = rates["accuracy"].value
    if naive is not None and accuracy is not None:
        notes.append(
            "the data set's own split leaks and was made again by group: on it the same method "
            f"would reach accuracy {percent(naive['accuracy'])} % of {naive['n_test']} parts, here "
            f"it is {percent(accuracy)} % of {n}"
        )
    if n_groups < n:
        notes.append(
            f"the {n} test parts come from {n_groups} groups whose parts may be alike: the "
            "intervals of shares count parts by what their groups are worth, those of AUROC, "
            "average precision and F1 leave out whole groups"
        )
    return notes
