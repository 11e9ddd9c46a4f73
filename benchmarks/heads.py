"""`make bench-heads`: the shipped head beside plain ones, on the same features.

Features of every development set are computed once by the shipped backbone and settings. Then, for
each seed, five folds by group: every method learns from the images of four (as they are, and
augmented views where the recipe has such) and judges those of the fifth, as they are. Whatever a
method chooses, it chooses on its four folds.

- lineside: the recipe's head, its choices and its temperature by inner folds.
- LR: `LogisticRegression(class_weight="balanced")` on standardised features.
- SVM: `SVC(probability=True)`, Gaussian kernel, on the same.

Both see the 512 leading principal components (or all there are). Few shots: so many images of each
class of X-SDD to learn from, all others to judge, but none of a group that was learned from.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score, log_loss, roc_auc_score
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.svm import SVC

from benchmarks import development_sets
from benchmarks.development_sets import DevelopmentSet, Floats, Rows
from pipeline.datasets.splits import assign_folds
from pipeline.files import write_json
from pipeline.training.heads import fitting, logistic
from pipeline.training.heads.calibration import cool, temperature
from pipeline.training.heads.out_of_fold import Folds
from pipeline.training.heads.principal import Principal
from pipeline.training.heads.search import search

FOLDS = 5
COMPONENTS = 512
OVERKILL = 0.05
SHOTS = (5, 10, 20)
FIGURES = ("accuracy", "macro_f1", "auroc", "escapes", "log_loss")
Method = Callable[[DevelopmentSet, Rows, Rows, int], Floats]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--sets", nargs="+", default=development_sets.SETS)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--shots", nargs="*", type=int, default=SHOTS, help="of X-SDD")
    parser.add_argument("--features", type=Path, help="folder that keeps the features")
    parser.add_argument("--json", type=Path, help="write the figures there")
    args = parser.parse_args()
    found: dict[str, dict[str, Any]] = {}
    for name in args.sets:
        data = development_sets.load(name, args.features)
        title = f"{name}: {len(data.labels)} images, {len(set(data.groups))} groups"
        found[name] = _compare(title, data, args.methods, range(args.seeds), in_folds)
        if name == "X-SDD":
            for n in args.shots:
                protocol = _Shots(n)
                of = f"X-SDD, {n} shots"
                found[of] = _compare(of, data, args.methods, range(args.seeds), protocol)
        if args.json:
            write_json(args.json, found)


def _compare(
    title: str,
    data: DevelopmentSet,
    methods: Sequence[str],
    seeds: Sequence[int],
    protocol: Callable[[Method, DevelopmentSet, int], tuple[Rows, Floats]],
) -> dict[str, Any]:
    table = Table(title=f"{title}; mean of seeds {', '.join(map(str, seeds))}")
    for column in (
        "method",
        "accuracy",
        "macro-F1",
        "AUROC",
        "escapes at 5 % overkill",
        "log loss",
    ):
        table.add_column(column, justify="left" if column == "method" else "right")
    table.add_column("CPU s", justify="right")
    written: dict[str, Any] = {}
    for name in methods:
        started = time.process_time()
        rows = []
        for seed in seeds:
            judged, probabilities = protocol(METHODS[name], data, seed)
            rows.append(figures(data.labels[judged], probabilities, data.passing))
        spent = time.process_time() - started
        written[name] = {"seeds": rows, "cpu_s": spent}
        means = [np.mean([row[figure] for row in rows]) for figure in FIGURES]
        table.add_row(name, *("" if np.isnan(m) else f"{m:.4f}" for m in means), f"{spent:.0f}")
    Console().print(table)
    return written


def in_folds(method: Method, data: DevelopmentSet, seed: int) -> tuple[Rows, Floats]:
    """Every image by a method that did not see its group."""
    names = [str(label) for label in data.labels]
    folds = np.array(assign_folds(names, data.groups, FOLDS, seed))
    probabilities = np.empty((len(folds), len(data.passing)), np.float32)
    for fold in range(folds.max() + 1):
        known, judged = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        probabilities[judged] = method(data, known, judged, seed)
    return np.arange(len(folds)), probabilities


class _Shots:
    """So many images of each class to learn from."""

    def __init__(self, n: int) -> None:
        self._n = n

    def __call__(self, method: Method, data: DevelopmentSet, seed: int) -> tuple[Rows, Floats]:
        rng, groups = np.random.default_rng(seed), np.array(data.groups)
        classes = range(len(data.passing))
        of = [rng.permutation(np.flatnonzero(data.labels == c))[: self._n] for c in classes]
        known = np.sort(np.concatenate(of))
        judged = np.flatnonzero(~np.isin(groups, groups[known]))
        return judged, method(data, known, judged, seed)


def figures(truth: Rows, probabilities: Floats, passing: tuple[bool, ...]) -> dict[str, float]:
    """All `FIGURES`; AUROC and escapes are of bad against good parts, nan where none is good."""
    chances = probabilities / probabilities.sum(axis=1, keepdims=True)
    found = {
        "accuracy": accuracy_score(truth, chances.argmax(1)),
        "macro_f1": f1_score(truth, chances.argmax(1), average="macro"),
        "log_loss": log_loss(truth, chances.clip(1e-7), labels=range(len(passing))),
        "auroc": np.nan,
        "escapes": np.nan,
    }
    good = np.array(passing)
    if good.any():
        bad, score = ~good[truth], chances[:, ~good].sum(axis=1)
        limit = np.quantile(score[~bad], 1 - OVERKILL)
        found["auroc"] = roc_auc_score(bad, score)
        found["escapes"] = float((score[bad] <= limit).mean())
    return {name: float(value) for name, value in found.items()}


def lineside(data: DevelopmentSet, known: Rows, judged: Rows, seed: int) -> Floats:
    """The recipe's head."""
    rows = _rows(data, known)
    image_of = np.searchsorted(known, data.image_of[rows])
    targets = np.eye(len(data.passing), dtype=np.float32)[data.labels[known]]
    groups = [data.groups[i] for i in known]
    names = [str(label) for label in data.labels[known]]
    folds = np.array(assign_folds(names, groups, FOLDS, seed))
    values, config = data.values[rows], data.settings.head
    found = search(Folds(values, image_of, targets, folds, config, seed), data.passing)
    head, _ = fitting.fit(values, targets[image_of], config, seed, found.choice)
    print(*found.lines(), sep="\n")
    cool(head, temperature(found.logits, targets))
    return logistic.predict(head, data.values[judged])


def balanced_lr(data: DevelopmentSet, known: Rows, judged: Rows, seed: int) -> Floats:
    """Logistic regression, scikit-learn's."""
    x, labels, asked = _seen(data, known, judged, seed)
    # C is of a unit that a rotation leaves alone: as on all the standardised features.
    fitted = LogisticRegression(class_weight="balanced", max_iter=2000).fit(x, labels)
    return _all_classes(fitted, asked, len(data.passing))


def rbf_svm(data: DevelopmentSet, known: Rows, judged: Rows, seed: int) -> Floats:
    """Support vector machine, scikit-learn's, with Platt's probabilities."""
    x, labels, asked = _seen(data, known, judged, seed)
    gamma = 1 / (x.shape[1] * x.var())  # "scale"
    fitted = SVC(kernel="precomputed", probability=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        fitted.fit(rbf_kernel(x, x, gamma), labels)
    return _all_classes(fitted, rbf_kernel(asked, x, gamma), len(data.passing))


METHODS: dict[str, Method] = {"lineside": lineside, "LR": balanced_lr, "SVM": rbf_svm}


def _rows(data: DevelopmentSet, images: Rows) -> Rows:
    return np.flatnonzero(np.isin(data.image_of, images))


def _seen(
    data: DevelopmentSet, known: Rows, judged: Rows, seed: int
) -> tuple[Floats, Rows, Floats]:
    """Standardised principal components and labels to learn from, and components to judge."""
    rows = _rows(data, known)
    principal = Principal.of(data.values[rows], COMPONENTS, seed)
    # Back to standardised features, whose rows have a length of their number: C has its usual unit.
    unit = data.values.shape[1] ** 0.5
    x, asked = principal.x.numpy() * unit, principal.seen(data.values[judged]).numpy() * unit
    return x, data.labels[data.image_of[rows]], asked


def _all_classes(fitted: Any, x: npt.NDArray[Any], classes: int) -> Floats:
    probabilities = np.zeros((len(x), classes), np.float32)
    probabilities[:, fitted.classes_] = fitted.predict_proba(x)
    return probabilities


if __name__ == "__main__":
    main()
