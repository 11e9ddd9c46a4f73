"""Plots: as PNG files with CSV for DVC, and what the pages draw themselves.

With several yes/no questions (one a class) a plot shows each, the CSV their micro average.
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
from scipy.stats import norm

from pipeline.contracts.bundle import OperatingPoint
from pipeline.contracts.evaluation import Changed, Share
from pipeline.contracts.review import ReviewOutlook
from pipeline.metrics.classification import Curve
from pipeline.metrics.pareto import DefectClass
from pipeline.metrics.rates import asked, grouped_share, percent

mpl.use("agg")
mpl.rcParams["text.parse_math"] = False  # a class may be called $x$

# What changes, by the sign of its strength.
DIRECTIONS = {
    ("brightness", -1): "less light",
    ("brightness", 1): "more light",
    ("contrast", -1): "less contrast",
    ("contrast", 1): "more contrast",
    ("blur", 1): "out of focus",
    ("noise", 1): "more noise",
    ("jpeg", 1): "more compression",
    ("shift", 1): "part shifted",
    ("rotation", 1): "part rotated",
}
GOOD, BAD, CALM, AMBER = "#2a8a68", "#d1603f", "#3f86b8", "#d9a441"


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
    """Write verdicts.csv: verdicts on the parts of each class."""
    pd.crosstab(pd.Series(actual, name="class"), pd.Series(verdicts, name="verdict")).to_csv(
        out / "verdicts.csv"
    )


def write_scores(
    out: Path, scores: npt.NDArray[np.float64], bad: npt.NDArray[np.bool_], point: OperatingPoint
) -> None:
    """Write scores.png: defect scores of good and bad parts, with the limits."""
    _save(out / "scores.png", lambda axes: draw_scores(axes, scores, bad, point))


def write_review(out: Path, review: ReviewOutlook | None) -> None:
    """Write review.png: the review share against the promise, or that none is promised."""
    _save(out / "review.png", lambda axes: draw_review(axes, review))


def draw_roc(axes: Axes, curves: Sequence[Curve]) -> None:
    """Draw ROC curves."""
    for c in curves:
        axes.plot(c.fpr, c.tpr, label=c.name)
    axes.plot([0, 1], [0, 1], color="grey", linewidth=0.7, linestyle=":")
    axes.set(xlabel="false alarms (share of the others)", ylabel="found (share of these)")
    axes.set(title="ROC", xlim=(0, 1), ylim=(0, 1.01))
    if curves:
        axes.legend(loc="lower right", fontsize=8)


def draw_pr(axes: Axes, curves: Sequence[Curve]) -> None:
    """Draw precision-recall curves."""
    for c in curves:
        axes.plot(c.recall, c.precision, label=c.name)
    axes.set(xlabel="recall", ylabel="precision", title="Precision and recall")
    axes.set(xlim=(0, 1), ylim=(0, 1.01))
    if curves:
        axes.legend(loc="lower left", fontsize=8)


def draw_confusion(axes: Axes, counts: pd.DataFrame) -> None:
    """Draw a confusion table: counts, shaded by share of the row."""
    numbers = counts.to_numpy()
    shares = numbers / numbers.sum(axis=1, keepdims=True).clip(min=1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), share in np.ndenumerate(shares):
        colour = "white" if share > 0.5 else "black"
        count = int(numbers[row, column])
        text = f"{count}\n{percent(float(share))} %" if count else "0"
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


def draw_det(axes: Axes, curves: Sequence[Curve]) -> None:
    """Draw detection error trade-off curves on normal deviates (Martin et al., Eurospeech 1997)."""
    ticks = np.array([0.001, 0.01, 0.05, 0.2, 0.5, 0.8, 0.95])
    for c in curves:
        within = (c.fpr > 0) & (c.fpr < 1) & (c.tpr > 0) & (c.tpr < 1)
        axes.plot(norm.ppf(c.fpr[within]), norm.ppf(1 - c.tpr[within]), label=c.name)
    names = [f"{tick:g}" for tick in ticks]
    axes.set_xticks(norm.ppf(ticks), names)
    axes.set_yticks(norm.ppf(ticks), names)
    ends = norm.ppf([0.0005, 0.97])
    axes.set(xlim=ends, ylim=ends, title="DET: both kinds of error")
    axes.set(xlabel="false alarms (share of the others)", ylabel="missed (share of these)")
    axes.legend(loc="upper right", fontsize=8)


def draw_reliability(
    axes: Axes,
    predicted: npt.NDArray[np.floating],
    true: npt.NDArray[np.bool_],
    *,
    what: str,
    found: str,
    groups: Sequence[str],
    bins: int = 10,
) -> None:
    """Draw observed frequency against predicted probability, with 95 % intervals.

    Args:
        axes: where.
        predicted: a probability from the model, float N.
        true: whether it is so, bool N.
        what: the probability in words.
        found: what is counted, in words.
        groups: group of each part, for the intervals.
        bins: of the probability, of equal width.
    """
    named = np.asarray(groups, dtype=str)
    bin_of = np.minimum((predicted * bins).astype(int), bins - 1)
    axes.plot([0, 1], [0, 1], color="grey", linewidth=0.7, linestyle=":")
    filled = [b for b in range(bins) if (bin_of == b).any()]
    for b in filled:
        inside = bin_of == b
        rate, mean = grouped_share(true[inside], named[inside]), float(predicted[inside].mean())
        assert rate.value is not None
        assert rate.low is not None
        assert rate.high is not None
        axes.plot([mean, mean], [rate.low, rate.high], color=CALM, linewidth=1.4)
        axes.plot([mean], [rate.value], "o", color=CALM, markersize=4)
        axes.annotate(str(rate.n), (mean, rate.high), fontsize=7, ha="center", va="bottom")
    axes.set(xlabel=f"predicted: {what}", ylabel=f"observed: {found}", xlim=(-0.03, 1.03))
    axes.set(ylim=(-0.03, 1.1), title="Reliability (with the number of parts)")


def draw_tradeoff(
    axes: Axes,
    escapes: npt.NDArray[np.float64],
    overkill: npt.NDArray[np.float64],
    grid: npt.NDArray[np.float64],
    point: OperatingPoint,
) -> None:
    """Draw escapes over the pass limit and overkill over the fail limit, NaN left out.

    Args:
        axes: where.
        escapes: share of the bad parts that pass with the pass limit at each of `grid`.
        overkill: share of the good parts that fail with the fail limit there.
        grid: limits, 0 to 1.
        point: the limits that were chosen.
    """
    axes.plot(grid, escapes, color=BAD, label="escapes, by pass limit")
    axes.plot(grid, overkill, color=GOOD, label="overkill, by fail limit")
    axes.axvline(point.pass_below, color=BAD, linestyle="--", linewidth=1)
    axes.axvline(point.fail_from, color=GOOD, linestyle="--", linewidth=1)
    axes.set(xlabel="limit on the defect score", ylabel="share of those parts", xlim=(0, 1))
    axes.set(ylim=(-0.01, 1.01), title="Trade-off (dashed: the chosen limits)")
    axes.legend(fontsize=8, loc="upper center")


def draw_review(axes: Axes, review: ReviewOutlook | None) -> None:
    """Draw the review share over the promised escapes, hollow where the promise is not proven."""
    steps = review.steps if review else ()
    at = np.arange(len(steps))
    for x, step in zip(at, steps, strict=True):
        shares = (step.review.low or 0.0, step.review.high or 0.0)
        axes.plot([x, x], [100 * share for share in shares], color=CALM, linewidth=2)
        value, filled = 100 * (step.review.value or 0.0), CALM if step.proven else "white"
        axes.plot([x], [value], "o", color=CALM, markerfacecolor=filled, markersize=7)
        text = f"{percent(step.review.value or 0.0)} %"
        axes.annotate(text, (x, value), (9, 0), textcoords="offset points", va="center", fontsize=8)
    axes.set_xticks(at, [asked(step.max_escape) for step in steps])
    axes.set(xlabel="promised: bad parts that pass, at most %", ylabel="parts a person sees, %")
    axes.set(xlim=(-0.4, max(len(at), 1) - 0.3), ylim=(0, 102))
    axes.set(title="Review against promise" if steps else "No share of parts is promised")


def draw_change(axes: Axes, steps: Sequence[Changed]) -> None:
    """Draw escapes and overkill over the strength of one change, with 95 % intervals."""
    strength = [s.strength for s in steps]
    for title, colour, marker, shares in (
        ("escapes", BAD, "o", [s.escape for s in steps]),
        ("overkill", GOOD, "s", [s.overkill for s in steps]),
    ):
        value, low, high = (_column(shares, name) for name in ("value", "low", "high"))
        axes.fill_between(strength, low, high, color=colour, alpha=0.18, linewidth=0)
        axes.plot(strength, value, marker=marker, markersize=3, color=colour, label=title)
    named = max(steps, key=lambda s: abs(s.strength))
    title = DIRECTIONS.get((named.change, -1 if named.strength < 0 else 1), named.change)
    axes.set(title=title, xlabel=named.unit, ylabel="share of those parts", ylim=(-0.02, 1.02))


def draw_trend(
    axes: Axes,
    versions: Sequence[int],
    figures: Sequence[tuple[float, float | None, float | None]],
    same_parts: Sequence[bool],
    *,
    title: str,
    share: bool,
) -> None:
    """Draw a figure over versions with its 95 % intervals.

    Args:
        axes: where.
        versions: their numbers, V; the last one is marked.
        figures: value and interval of each, V.
        same_parts: V; those measured on another data set than the last one are hollow.
        title: what the figure is called.
        share: in per cent, else as it is.
    """
    scale = 100.0 if share else 1.0
    at = np.arange(len(versions))
    axes.plot(at, [scale * value for value, _, _ in figures], color=CALM, linewidth=0.8)
    for x, (value, low, high), same in zip(at, figures, same_parts, strict=True):
        colour = BAD if x == at[-1] else CALM
        if low is not None and high is not None:
            axes.plot([x, x], [scale * low, scale * high], color=colour, linewidth=1.4)
        filled = colour if same else "white"
        axes.plot([x], [scale * value], "o", color=colour, markerfacecolor=filled, markersize=5)
    axes.set_xticks(at, [str(version) for version in versions])
    axes.set(title=title, xlabel="version", ylabel="per cent" if share else title)
    if share:
        axes.set_ylim(bottom=0)


def draw_pareto(axes: Axes, classes: Sequence[DefectClass]) -> None:
    """Draw defect classes by their parts, stacked by verdict, with the cumulative share."""
    at = np.arange(len(classes))
    below = np.zeros(len(classes))
    for title, colour, counts in (
        ("passed", BAD, [c.passed for c in classes]),
        ("looked at", AMBER, [c.looked_at for c in classes]),
        ("failed", GOOD, [c.failed for c in classes]),
    ):
        axes.bar(at, counts, bottom=below, color=colour, label=title, width=0.7)
        below += counts
    axes.set_xticks(at, [c.name for c in classes], rotation=30, ha="right")
    axes.set(ylabel="test parts", title="Defect classes, the most frequent first")
    axes.set_ylim(0, below.sum())
    axes.legend(fontsize=8, loc="center right")
    shares = axes.twinx()
    shares.plot(at, [100 * c.cumulative for c in classes], color=CALM, marker="o", markersize=3)
    shares.set(ylim=(0, 100), ylabel="cumulative, % of bad parts")


def _column(shares: Sequence[Share], name: str) -> npt.NDArray[np.float64]:
    """One number of each share, NaN where it is not defined."""
    return np.array([getattr(s, name) for s in shares], float)


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
