"""The evaluation report in one file: a page for the reviewer, details for the engineer.

It opens from disk, fetches nothing, prints, and works without its script but for the limits that
can be moved.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes

from pipeline.contracts.bundle import Bundle
from pipeline.contracts.evaluation import Evaluation, Robustness, Slice, Slices
from pipeline.contracts.gallery import Galleries
from pipeline.contracts.review import ReviewOutlook
from pipeline.files import write_whole
from pipeline.metrics import classification
from pipeline.metrics.classification import Curve
from pipeline.metrics.pareto import DefectClass, pareto
from pipeline.reporting import identity, plots, shift, tradeoff, wording
from pipeline.reporting.gallery import views
from pipeline.reporting.svg import drawing
from pipeline.reporting.template import fill_html
from pipeline.reporting.tradeoff import Tradeoff
from pipeline.reporting.trend import VersionFigures, trend

TEMPLATE = "evaluation.html.j2"
SLICES = 40  # of one kind; the worst of them
MISSES = 8
COSTS = {"escape": 100, "reject": 10, "review": 1}
NONE_SHOWN = Galleries()


@dataclass(frozen=True)
class Page:
    """All that a report, a model card or a description shows of one evaluation.

    Attributes:
        recipe: its name.
        bundle: what was evaluated: classes, limits, where the network comes from, identity.
        metrics: the content of metrics.json.
        evaluation: the content of evaluation.json.
        predictions: a test part a row: sample_id, label, group, variant, verdict; defect_score,
            failing_score and complained as `inference.inspector` has them; `complaint` ("" for
            none) and p_<class> for each class, of the tile that decides.
        galleries: parts to look at.
        images: the folder with their pictures; not read where there is no part.
        facts: what else should be known of the data: source, licence, parts on each side, ...
        title: what the product is called; the recipe's name if empty.
        version: under which it is registered, None before that.
        versions: figures of those before it and its own, in their order; empty before that.
    """

    recipe: str
    bundle: Bundle
    metrics: Mapping[str, Any]
    evaluation: Evaluation
    predictions: pd.DataFrame
    galleries: Galleries = NONE_SHOWN
    images: Path = Path()
    facts: Mapping[str, str] = field(default_factory=dict)
    title: str = ""
    version: int | None = None
    versions: Sequence[VersionFigures] = ()

    @property
    def name(self) -> str:
        """The title, else the recipe's name."""
        return self.title or self.recipe


@dataclass(frozen=True)
class Plot:
    """A drawing with its caption."""

    svg: Markup
    caption: str


def write_report(path: Path, page: Page) -> None:
    """Write the report as one file that is whole or not there."""
    write_whole(path, render(page))


def render(page: Page) -> bytes:
    """Make the report: HTML that needs nothing beside itself; the same page is the same bytes.

    Raises:
        DataError: predictions, bundle and metrics are not of one evaluation.
    """
    evaluation, taxonomy = page.evaluation, page.bundle.taxonomy
    parts = tradeoff.of(page.predictions, taxonomy, page.bundle.operating_point)
    labels = list(page.predictions["label"])
    chances = tradeoff.probabilities(page.predictions, taxonomy.names)
    predicted = [taxonomy.names[i] for i in chances.argmax(axis=1)]
    defects = pareto(labels, list(page.predictions["verdict"]), taxonomy)
    shown = views(page.galleries.galleries, page.images)
    return fill_html(
        TEMPLATE,
        page=page,
        gate=evaluation.gate,
        verdict=wording.verdict(evaluation.gate),
        about=identity.strip(
            *(page.recipe, page.version, page.bundle.sha256, page.facts, evaluation.lineage)
        ),
        figures=wording.five(page.metrics, evaluation),
        shift=shift.sentences(
            *(parts, page.predictions["group"].tolist(), evaluation.shift_parts, evaluation.promise)
        ),
        limits=wording.limits(page.bundle.operating_point, evaluation),
        notes=[capital(note) for note in evaluation.notes],
        comparison=evaluation.comparison,
        compared=capital(wording.compared(evaluation.comparison)),
        golden=evaluation.golden,
        misses=MISSES,
        promote=wording.promote(page.recipe, evaluation.gate, page.version),
        leakage=wording.leakage(evaluation.split),
        wording=wording,
        capital=capital,
        parts=parts,
        movable=bool(taxonomy.good) and len(parts.scores) > 0,
        tallest=max((max(b.good, b.bad) for b in parts.bars()), default=0),
        costs=_costs(page.metrics, evaluation.promise),
        plots=list(_plots(page, parts)),
        trend=trend(page.versions),
        pareto=defects,
        pareto_plot=_pareto_plot(defects),
        confusion=plots.confusion(labels, predicted, taxonomy.names),
        galleries=[view for view in shown if view.gallery.kind != "limit"],
        limit_samples=[view for view in shown if view.gallery.kind == "limit"],
        explained=evaluation.explained,
        slices=_worst_slices(evaluation.slices),
        robustness=evaluation.robustness,
        changes=_change_plots(evaluation.robustness),
        review=evaluation.review,
        review_plot=_review_plot(evaluation.review),
        all_figures=list(flat(page.metrics)),
    )


def capital(text: str) -> str:
    """A note as a sentence; nothing of nothing."""
    text = text.strip()
    if not text:
        return ""
    return f"{text[:1].upper()}{text[1:]}{'' if text[-1:] in '.!?' else '.'}"


def flat(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """(dotted key, value to five digits) of all leaves of a JSON value; short lists on one line."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from flat(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list | tuple) and any(isinstance(v, Mapping | list) for v in value):
        for i, inner in enumerate(value):
            yield from flat(inner, f"{name}.{i}")
    elif isinstance(value, list | tuple):
        yield name, ", ".join(map(_written, value))
    else:
        yield name, _written(value)


def _written(value: Any) -> str:
    """A figure to five digits, which is finer than any interval is narrow."""
    if value is None:
        return "not defined"
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def curves(page: Page) -> list[Curve]:
    """A curve for each yes/no question of the recipe that the test parts can answer."""
    taxonomy = page.bundle.taxonomy
    labels = np.array([taxonomy.names.index(name) for name in page.predictions["label"]], np.intp)
    chances = tradeoff.probabilities(page.predictions, taxonomy.names)
    truth, scores = classification.questions(labels, chances, taxonomy.passing)
    titles = list(taxonomy.names)
    if any(taxonomy.passing):
        titles, scores = ["bad part"], page.predictions[["defect_score"]].to_numpy()
    return [
        classification.curve(title, truth[:, q], scores[:, q])
        for q, title in enumerate(titles)
        if truth[:, q].any() and not truth[:, q].all()
    ]


def _costs(metrics: Mapping[str, Any], promise: Mapping[str, Any]) -> dict[str, Any]:
    """What the page starts with: the costs of the policy, or examples."""
    n = max(metrics["n_test"], 1)
    known = promise["policy"] == "cost"
    found = {key: promise[key] for key in COSTS} if known else COSTS
    share = promise.get("bad_share")
    bad_share = metrics["n_test_bad"] / n if share is None else share
    return {**found, "known": known, "bad_share": bad_share}


def _plots(page: Page, parts: Tradeoff) -> Iterator[Plot]:
    drawn = curves(page)
    auroc = wording.figure("auroc", page.metrics["auroc"])
    if drawn:
        for name, draw, caption in (
            ("roc", plots.draw_roc, f"ROC curve; the area under it (AUROC) is {auroc}"),
            ("pr", plots.draw_pr, "Precision over recall"),
            ("det", plots.draw_det, "Missed parts over false alarms, on normal deviates"),
        ):
            yield Plot(drawing(name, partial(draw, curves=drawn), alt_text=caption), f"{caption}.")
    yield from _reliability(page, parts)
    if page.bundle.taxonomy.good and drawn:
        caption = (
            "Share of bad parts that pass over the pass limit, of good parts rejected over the "
        )
        caption += "fail limit"
        yield Plot(drawing("limits", _tradeoff_drawer(parts), alt_text=caption), f"{caption}.")


def _reliability(page: Page, parts: Tradeoff) -> Iterator[Plot]:
    ece = f"{page.metrics['ece']:.3f}"
    if page.bundle.taxonomy.good:
        predicted, true, what, counted = (
            parts.scores,
            parts.bad,
            "defect score",
            "share of bad parts",
        )
        words = "Share of bad parts over the defect score: calibrated on the dotted line"
        aside = f" The calibration error ECE, {ece}, asks another question: how far the class that "
        aside += "is most probable is as probable as it is right."
    else:
        names = np.array(page.bundle.taxonomy.names)
        chances = tradeoff.probabilities(page.predictions, page.bundle.taxonomy.names)
        predicted, what = chances.max(axis=1), "probability of the likeliest class"
        true = names[chances.argmax(axis=1)] == page.predictions["label"].to_numpy(str)
        counted, words = "share of right classes", "How often the likeliest class is right, over "
        words += "how probable the model calls it: calibrated on the dotted line"
        aside = f" The distance from that line, in 15 bins, is the ECE: {ece}."
    if len(predicted):
        groups = page.predictions["group"].tolist()
        draw = partial(
            plots.draw_reliability,
            predicted=predicted,
            true=true,
            what=what,
            found=counted,
            groups=groups,
        )
        yield Plot(drawing("reliability", draw, alt_text=words), f"{words}.{aside}")


def _tradeoff_drawer(parts: Tradeoff) -> Callable[[Axes], None]:
    grid = np.linspace(0, 1, 201)
    at = [parts.verdicts(limit, limit) for limit in grid]
    escapes = np.array([(v[parts.bad] == "PASS").mean() for v in at])
    overkill = np.array([(v[~parts.bad] == "FAIL").mean() for v in at])
    return partial(
        plots.draw_tradeoff, escapes=escapes, overkill=overkill, grid=grid, point=parts.point
    )


def _review_plot(review: ReviewOutlook | None) -> Markup:
    """Empty where no share is promised."""
    if review is None:
        return Markup()
    text = "Share of parts that a person sees over the promised escapes, with 95 % intervals"
    return drawing("review", partial(plots.draw_review, review=review), alt_text=text)


def _pareto_plot(defects: Sequence[DefectClass]) -> Markup:
    """Empty where there is nothing to compare."""
    if len(defects) < 2:
        return Markup()
    return drawing(
        "pareto",
        partial(plots.draw_pareto, classes=defects),
        alt_text="Bad test parts by defect class, the most frequent first, and their verdicts",
    )


def _change_plots(robustness: Robustness | None) -> list[Markup]:
    """Escapes and overkill over the strength of each change, a small drawing each."""
    if robustness is None:
        return []
    found = []
    for i, (_, steps) in enumerate(groupby(robustness.changes, lambda c: c.change)):
        listed = list(steps)
        base = {"change": listed[0].change, "unit": "", "strength": 0.0}
        still = robustness.unchanged.model_copy(update=base)
        ordered = sorted([still, *listed], key=lambda c: c.strength)
        text = f"Escapes and overkill over the strength of {listed[0].change}"
        draw = partial(plots.draw_change, steps=ordered)
        found.append(drawing(f"robustness-{i}", draw, alt_text=text, size=(3.2, 2.3)))
    return found


def _worst_slices(slices: Slices) -> list[tuple[str, str, list[Slice]]]:
    """(kind, which of them, those shown) for each kind; of many only the least accurate."""
    found = []
    for kind in ("class", "variant", "source", "group"):
        these = [s for s in slices.slices if s.by == kind]
        worst = sorted(these, key=lambda s: -1.0 if s.accuracy.value is None else s.accuracy.value)
        if these:
            shown, there = worst[:SLICES], slices.counts.get(kind, len(these))
            which = ""
            if len(shown) < there:
                listed = "all" if len(these) == there else f"the {len(these)} that misjudge most"
                which = f": the {len(shown)} least accurate of {there}, {listed} in evaluation.json"
            found.append((kind, which, [s for s in these if s in shown]))
    return found
