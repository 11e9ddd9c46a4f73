"""Evaluate: choose the limits, seal the bundle, measure it on test parts, apply the gate.

Every figure comes from the sealed bundle and the code that the daemon runs, frame by frame, from
the original image files.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field

from pipeline.contracts.evaluation import EVALUATION, Evaluation
from pipeline.contracts.review import ReviewOutlook
from pipeline.datasets import golden
from pipeline.datasets import scores as unseen_scores
from pipeline.datasets.manifest import Manifest
from pipeline.datasets.manifest_reader import read_manifest
from pipeline.datasets.proposals.fit import remarks
from pipeline.errors import DataError
from pipeline.evaluation import lineage, robustness
from pipeline.evaluation.champion import Champion, compare_with_champion, find_champion
from pipeline.evaluation.frame_sizes import add_frame_sizes
from pipeline.evaluation.gate import judge_gate
from pipeline.evaluation.golden import check_golden
from pipeline.evaluation.golden_frame import add_golden_frame
from pipeline.evaluation.limits import choose_limits
from pipeline.evaluation.pictures import explanation, galleries
from pipeline.evaluation.pictures.explanation import ExplanationRules
from pipeline.evaluation.predictions import PartPredictions, Watch, latencies_ms, predict_parts
from pipeline.evaluation.report_metrics import report_metrics
from pipeline.evaluation.robustness import RobustnessRules
from pipeline.evaluation.slices import slice_metrics
from pipeline.files import cache_folder, project, write_json, write_model
from pipeline.inference.inspector import Inspection
from pipeline.metrics import classification as figures
from pipeline.metrics.conformal import Conformal
from pipeline.metrics.fragility import AcceptedRates
from pipeline.metrics.gating import GateRules
from pipeline.metrics.operating_point import Policy, promise
from pipeline.metrics.promises import MaxEscape
from pipeline.metrics.rates import asked, percent
from pipeline.metrics.review.outlook import outlook
from pipeline.plugins import Strict
from pipeline.registry.connection import default_uri
from pipeline.registry.store import Registry
from pipeline.reporting import plots, wording
from pipeline.reporting.evaluation import Page, curves, write_report
from pipeline.reporting.model_card import write_card
from pipeline.stages import Report, progress, run_stage

REPORT, MODEL_CARD = "report.html", "MODEL_CARD.md"


class Config(Strict):
    """`conf/<recipe>/evaluate.yaml`."""

    policy: Policy = Field(MaxEscape(), description="How the limits are chosen.")
    gate: GateRules = Field(
        GateRules(), description="Conditions for a model to be signed off without an override."
    )
    robustness: RobustnessRules = Field(
        RobustnessRules(), description="How strongly the model is tested by changes of the line."
    )
    explanation: ExplanationRules = Field(
        ExplanationRules(), description="For how many verdicts heat maps are drawn."
    )
    shift_parts: int = Field(
        1000, gt=0, description="Parts of one shift, for what the report writes out in parts."
    )
    bootstrap_draws: int = Field(
        500, ge=100, description="Resamples for the intervals of differences from the champion."
    )
    held_out_frames: int = Field(
        1000, ge=0, description="Largest number of test images copied for a replay at a station."
    )


def run(
    config: Config,
    source: Path,
    out: Path,
    *,
    champion: Champion | None = None,
    facts: Mapping[str, str] | None = None,
) -> Report:
    """Write metrics.json, evaluation.json, report.html, MODEL_CARD.md, bundle/ (sealed) and more.

    Args:
        config: what the plant can accept.
        source: the recipe's data folder; `ingest/` and `train/` are read.
        out: an empty folder.
        champion: the champion that is judged on the same parts.
        facts: what made the figures (commit, hashes, packages), for the report.

    Raises:
        DataError: an image changed since it was ingested, or there is no test part.
        BundleError: the trained bundle is incomplete.
    """
    data, trained = read_manifest(source / "ingest"), source / "train"
    rows = np.flatnonzero(data.table["split"] == "test")
    if not len(rows):
        raise DataError(
            f"the test split of {source.name} is empty: nothing can be reported; raise "
            "split.test_fraction in ingest.yaml, or add images to the data set's own test split"
        )
    chosen = choose_limits(config.policy, data, trained, out / "bundle", _watch("val parts"))
    bundle, choice = chosen.bundle, chosen.choice
    test = predict_parts(bundle, data, rows, _watch("test parts"))
    bundle = add_golden_frame(add_frame_sizes(bundle, data), data, test)
    report = json.loads((trained / "report.json").read_bytes())
    measured = report_metrics(test, data, _read_naive(trained))
    latencies = latencies_ms(bundle, data, rows)
    metrics = measured.metrics | {
        "latency_ms_p50": float(np.percentile(latencies, 50)),
        "latency_ms_p99": float(np.percentile(latencies, 99)),
        "operating_point": choice.point.model_dump(),
    }
    promised, something_passes = promise(config.policy, choice), any(data.taxonomy.passing)
    review = None
    if something_passes and isinstance(config.policy, MaxEscape | Conformal):
        review = outlook(config.policy, chosen.parts)
    metrics |= _by_promise(review)
    if chosen.gap:
        metrics |= chosen.gap.metrics
    limits_chosen = something_passes and config.policy.type != "fixed"
    notes = (
        *choice.sentences,
        *([review.limit_group.sentence] if review and review.limit_group else ()),
        *(chosen.basis.notes() if limits_chosen else ()),
        *(chosen.gap.notes() if limits_chosen and chosen.gap else ()),
        *measured.notes,
        *report.get("doubts", []),
        *remarks(
            *(bundle.preprocess, _sizes(data), source.name),
            report.get("larger", {}).get("in_words", ""),
        ),
    )
    tried = robustness.run(
        bundle,
        lambda i: data.pixels(int(rows[i])),
        test.labels,
        test.groups(data),
        config.robustness,
        AcceptedRates.of(promised) if something_passes else AcceptedRates(),
        lambda inspected, total: progress(inspected, "changing the line", total=total),
    )
    listed = source / "ingest" / golden.FILE
    golden_found = check_golden(bundle, data, listed, _watch("golden parts"))
    compared = compare_with_champion(
        champion or Champion(),
        bundle,
        data,
        test,
        config.gate.margins,
        config.bootstrap_draws,
        _watch("parts, champion"),
    )
    selected = galleries.select(test, choice.point)
    explained = explanation.explain(
        trained, data, test, config.explanation, selected, explanation.graph_heat(bundle)
    )
    evaluation = Evaluation(
        gate=judge_gate(
            *(config.gate, data, test, metrics, promised, golden_found, compared),
            split=measured.split,
            commit=(facts or {}).get("git_commit", ""),
        ),
        something_passes=something_passes,
        split=measured.split,
        promise=promised,
        limits_from=chosen.basis.written(),
        notes=notes,
        shift_parts=config.shift_parts,
        slices=slice_metrics(data, test),
        robustness=tried,
        comparison=compared,
        golden=golden_found,
        explained=explained.summary,
        review=review,
        lineage={**(facts or {}), "bundle": bundle.sha256},
    )
    write_json(out / "metrics.json", metrics)
    write_model(out / EVALUATION, evaluation)
    predictions = _predictions(data, test)
    predictions.to_parquet(out / "predictions.parquet", index=False)
    shown = galleries.write(out / "images", data, test, selected, explained.heats)
    page = Page(
        source.name,
        bundle,
        metrics,
        evaluation,
        predictions,
        shown,
        out / "images",
        facts=lineage.facts(data, source / "ingest", bundle),
        title=lineage.title(source.name),
    )
    draw_plots(out / "plots", metrics, test, page)
    write_report(out / REPORT, page)
    write_card(out / MODEL_CARD, page)
    _copy_held_out(out / "held_out", data, test, config.held_out_frames)
    return Report([_headline(source.name, metrics), *_summary(evaluation), *notes])


def _watch(what: str) -> Watch:
    def watch(inspections: Iterable[Inspection], total: int) -> Iterable[Inspection]:
        return progress(inspections, f"inspecting {what}", total=total)

    return watch


def _summary(evaluation: Evaluation) -> list[str]:
    """For the terminal: the gate with every check, then what else a person should know."""
    gate, tried = evaluation.gate, evaluation.robustness
    worst_first = sorted(gate.checks, key=lambda check: -check.state.severity)
    found = [wording.verdict(gate)]
    found += [f"  {check.line}" for check in worst_first]
    found.append(evaluation.slices.weakest)
    found += [tried.first_to_break if tried else ""]
    found += evaluation.review.in_words if evaluation.review else []
    return list(filter(None, found))


def _by_promise(review: ReviewOutlook | None) -> dict[str, Any]:
    """Review share by promise for metrics.json, where the parts prove the promise."""
    found: dict[str, Any] = {}
    for step in review.steps if review else ():
        if step.proven:
            key = f"review_at_{asked(step.max_escape)}_percent_escapes"
            found[key] = step.review.value
            found[f"{key}_ci95"] = [step.review.low, step.review.high]
    return found


def _read_naive(trained: Path) -> dict[str, Any] | None:
    """Figures on the data set's own split, where it leaks and was made again."""
    path = trained / unseen_scores.GIVEN_SPLIT
    return json.loads(path.read_bytes()) if path.is_file() else None


def _headline(recipe: str, metrics: dict[str, Any]) -> str:
    def share(name: str) -> str:
        value, interval = metrics[name], metrics[f"{name}_ci95"]
        if value is None:
            return "not defined"
        return f"{percent(value)} % ({percent(interval[0])} to {percent(interval[1])} %)"

    auroc = "not defined" if metrics["auroc"] is None else f"{metrics['auroc']:.3f}"
    return (
        f"{recipe}, {metrics['n_test']} test parts: accuracy {share('accuracy')}, AUROC {auroc}\n"
        f"escapes {share('escape_rate')}, overkill {share('overkill_rate')}, "
        f"review {share('review_rate')}"
    )


def draw_plots(out: Path, metrics: dict[str, Any], test: PartPredictions, page: Page) -> None:
    """The plots as PNG, and as CSV for `dvc plots`."""
    out.mkdir()
    taxonomy, point, drawn = test.taxonomy, page.bundle.operating_point, curves(page)
    truth, scores = test.questions
    names = np.array(taxonomy.names)
    actual, predicted = names[test.labels].tolist(), names[test.predicted].tolist()
    one_kind = truth.all() or not truth.any()
    overall = (
        figures.Curve("all", *[np.empty(0)] * 4)
        if one_kind
        else figures.curve("all", truth, scores)
    )
    plots.write_curves(out, drawn, overall)
    plots.write_confusion(out, actual, predicted, taxonomy.names)
    plots.write_verdicts(out, actual, test.verdicts.tolist())
    plots.write_scores(out, test.scores, test.bad, point)
    plots.write_review(out, page.evaluation.review)
    plots.write_overview(
        out / "overview.png",
        _headline(page.recipe, metrics),
        drawn,
        plots.confusion(actual, predicted, taxonomy.names),
        test.scores,
        test.bad,
        point,
    )


def _predictions(data: Manifest, test: PartPredictions) -> pd.DataFrame:
    table = data.table.iloc[test.rows][["sample_id", "label", "group", "variant"]]
    table = table.reset_index(drop=True).assign(
        verdict=test.verdicts,
        defect_score=[i.defect_score for i in test.inspections],
        failing_score=[i.failing_score for i in test.inspections],
        complained=[i.complained for i in test.inspections],
        complaint=[i.image_reason or "" for i in test.inspections],
    )
    for c, name in enumerate(data.taxonomy.names):
        table[f"p_{name}"] = test.probabilities[:, c]
    return table


def _copy_held_out(out: Path, data: Manifest, test: PartPredictions, most: int) -> None:
    """The test images as a camera would have written them, for replay; evenly thinned to `most`."""
    out.mkdir()
    rows = test.rows
    if len(rows) > most:
        rows = rows[np.linspace(0, len(rows) - 1, most).astype(int)] if most else rows[:0]
    for row in rows:
        copy = out / str(data.table["path"].iat[row])
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(data.image(int(row)))


def _sizes(data: Manifest) -> list[tuple[int, int]]:
    """Width and height of every picture."""
    return list(zip(data.table["width_px"].tolist(), data.table["height_px"].tolist(), strict=True))


def main(argv: Sequence[str] = sys.argv) -> None:
    """`python -m pipeline.stages.evaluate RECIPE`."""

    def stage(config: Config, source: Path, out: Path) -> Report:
        registry = Registry(default_uri(Path.cwd()))
        champion = find_champion(registry, source.name, cache_folder("champions"))
        return run(
            config, source, out, champion=champion, facts=lineage.lineage(project(), source.name)
        )

    run_stage("evaluate", Config, stage, argv)


if __name__ == "__main__":
    main()
