"""ROC, precision-recall, confusion and score plots as PNG, the first three with CSV for DVC.

With several yes/no questions (one a class) the PNG shows each, the CSV their micro average.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.contracts.bundle import OperatingPoint
from pipeline.metrics.classification import Curve

mpl.use("agg")

GOOD, BAD = "#2a7f62", "#c8553d"


def write_curves(out: Path, curves: Sequence[Curve], overall: Curve) -> None:
    """Write roc.csv, pr.csv (the overall curve, for `dvc plots`) and roc.png, pr.png."""
    roc = pd.DataFrame({"fpr": overall.fpr, "tpr": overall.tpr})
    roc.to_csv(out / "roc.csv", index=False, float_format="%.6f")
    pr = pd.DataFrame({"recall": overall.recall, "precision": overall.precision})
    pr.to_csv(out / "pr.csv", index=False, float_format="%.6f")
    _save(out / "roc.png", lambda axes: draw_roc(axes, curves))
    _save(out / "pr.png", lambda axes: draw_pr(axes, curves))


def confusion(
    actual: Sequence[str], predicted: Sequence[str], names: Sequence[str]
) -> pd.DataFrame:
    """Counts by actual (rows) and predicted class, both in the taxonomy's order."""
    counts = pd.crosstab(pd.Series(actual, name="actual"), pd.Series(predicted, name="predicted"))
    return counts.reindex(index=list(names), columns=list(names), fill_value=0)


def write_confusion(
    out: Path, actual: Sequence[str], predicted: Sequence[str], names: Sequence[str]
) -> None:
    """Write confusion.csv (one row a part: actual, predicted) and confusion.png."""
    table = pd.DataFrame({"actual": actual, "predicted": predicted})
    table.to_csv(out / "confusion.csv", index=False)
    counts = confusion(actual, predicted, names)
    _save(out / "confusion.png", lambda axes: draw_confusion(axes, counts))


def write_verdicts(out: Path, actual: Sequence[str], verdicts: Sequence[str]) -> None:
    """Write verdicts.csv: what became of the parts of each class."""
    pd.crosstab(pd.Series(actual, name="class"), pd.Series(verdicts, name="verdict")).to_csv(
        out / "verdicts.csv"
    )


def write_scores(
    out: Path, scores: npt.NDArray[np.float64], bad: npt.NDArray[np.bool_], point: OperatingPoint
) -> None:
    """Write scores.png: defect scores of good and bad parts, with the limits."""
    _save(out / "scores.png", lambda axes: draw_scores(axes, scores, bad, point))


def draw_roc(axes: Axes, curves: Sequence[Curve]) -> None:
    """Draw ROC curves."""
    for c in curves:
        axes.plot(c.fpr, c.tpr, label=c.name)
    axes.plot([0, 1], [0, 1], color="grey", linewidth=0.7, linestyle=":")
    axes.set(xlabel="false alarms (share of the others)", ylabel="found (share of these)")
    axes.set(title="ROC", xlim=(0, 1), ylim=(0, 1.01))
    axes.legend(loc="lower right", fontsize=8)


def draw_pr(axes: Axes, curves: Sequence[Curve]) -> None:
    """Draw precision-recall curves."""
    for c in curves:
        axes.plot(c.recall, c.precision, label=c.name)
    axes.set(xlabel="recall", ylabel="precision", title="Precision and recall")
    axes.set(xlim=(0, 1), ylim=(0, 1.01))
    axes.legend(loc="lower left", fontsize=8)


def draw_confusion(axes: Axes, counts: pd.DataFrame) -> None:
    """Draw a confusion table: counts, shaded by share of the row."""
    numbers = counts.to_numpy()
    shares = numbers / numbers.sum(axis=1, keepdims=True).clip(min=1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), share in np.ndenumerate(shares):
        colour = "white" if share > 0.5 else "black"
        count = int(numbers[row, column])
        text = f"{count}\n{share:.0%}" if count else "0"
        axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=8)
    axes.set_xticks(range(counts.shape[1]), list(counts.columns), rotation=30, ha="right")
    axes.set_yticks(range(counts.shape[0]), list(counts.index))
    axes.tick_params(labelsize=8)
    axes.set(xlabel="predicted", ylabel="actual", title="Confusion (most probable class)")


def draw_scores(
    axes: Axes,
    scores: npt.NDArray[np.float64],
    bad: npt.NDArray[np.bool_],
    point: OperatingPoint,
) -> None:
    """Draw histograms of the defect score with the two limits."""
    bins = np.linspace(0, 1, 41).tolist()
    axes.hist(scores[~bad], bins, color=GOOD, alpha=0.65, label=f"good ({(~bad).sum()})")
    axes.hist(scores[bad], bins, color=BAD, alpha=0.65, label=f"bad ({bad.sum()})")
    axes.axvline(point.pass_below, color="black", linestyle="--", linewidth=1)
    axes.axvline(point.fail_from, color="black", linestyle="-", linewidth=1)
    axes.axvspan(point.pass_below, point.fail_from, color="grey", alpha=0.12, label="review")
    axes.set(xlabel="defect score", ylabel="parts", title="Defect scores and limits", xlim=(0, 1))
    axes.legend(fontsize=8)


def write_overview(
    path: Path,
    title: str,
    curves: Sequence[Curve],
    confusion: pd.DataFrame,
    scores: npt.NDArray[np.float64],
    bad: npt.NDArray[np.bool_],
    point: OperatingPoint,
) -> None:
    """Write the four plots on one page."""
    figure = Figure(figsize=(11, 8.5), layout="constrained")
    (scores_at, confusion_at), (roc_at, pr_at) = figure.subplots(2, 2)
    draw_scores(scores_at, scores, bad, point)
    draw_confusion(confusion_at, confusion)
    draw_roc(roc_at, curves)
    draw_pr(pr_at, curves)
    figure.suptitle(title, fontsize=11)
    figure.savefig(path, dpi=100, metadata={"Software": None})


def _save(path: Path, draw: Callable[[Axes], None]) -> None:
    figure = Figure(figsize=(5.5, 4.5), layout="constrained")
    draw(figure.subplots())
    figure.savefig(path, dpi=110, metadata={"Software": None})
