"""Evaluate: choose the limits on validation parts, seal the bundle, and measure it on test parts.

Every figure comes from the sealed bundle and the code that the daemon runs, frame by frame, from
the original image files.
"""

from __future__ import annotations

import json
import math
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from pipeline.contracts.bundle import Bundle, OperatingPoint, open_bundle, seal
from pipeline.contracts.records import Verdict
from pipeline.datasets import manifest
from pipeline.datasets import scores as out_of_fold
from pipeline.datasets.manifest import Manifest
from pipeline.files import write_json, write_model
from pipeline.inference.decide import defect_scores
from pipeline.inference.inspector import Inspection, Inspector
from pipeline.metrics import classification as figures
from pipeline.metrics.operating_point import (
    ABOVE_ALL,
    Choice,
    Policy,
    choose,
    nothing_passes,
    promise,
)
from pipeline.metrics.promises import MaxEscape
from pipeline.metrics.rates import Rate, grouped_bootstrap
from pipeline.plugins import Strict
from pipeline.reporting import plots
from pipeline.reporting.gallery import write_gallery
from pipeline.stages import Report, progress, run_stage


class Config(Strict):
    """`conf/<recipe>/evaluate.yaml`."""

    policy: Policy = Field(MaxEscape(), description="How the limits are chosen.")
    bootstrap_draws: int = Field(500, ge=100, description="Resamples for intervals of AUROC etc.")
    held_out_frames: int = Field(
        1000, ge=0, description="Test images copied for replay at a station, at most."
    )


@dataclass(frozen=True)
class Judged:
    """Parts of one split as the station would judge them; arrays have one row a part."""

    rows: npt.NDArray[np.intp]
    labels: npt.NDArray[np.intp]
    probabilities: npt.NDArray[np.float32]
    inspections: list[Inspection]

    @property
    def predicted(self) -> npt.NDArray[np.intp]:
        """Most probable class of each part."""
        likeliest: npt.NDArray[np.intp] = self.probabilities.argmax(axis=1)
        return likeliest


def run(config: Config, source: Path, out: Path) -> Report:
    """Write metrics.json, bundle/ (sealed), plots/, images/, held_out/ and predictions.parquet.

    Args:
        config: what the plant can accept.
        source: the recipe's data folder; `ingest/` and `train/bundle/` are read.
        out: an empty folder.

    Raises:
        DataError: an image changed since it was ingested.
        BundleError: the trained bundle is incomplete.
    """
    data = manifest.read(source / "ingest")
    taxonomy = data.taxonomy
    bundle, choice = _choose_limits(config, data, source / "train" / "bundle", out / "bundle")
    test = _judge(bundle, data, "test")

    bad_class = ~np.array(taxonomy.passing)
    bad = bad_class[test.labels]
    verdicts = np.array([i.decision.verdict for i in test.inspections])
    naive = _read_naive(source / "train")
    metrics = _metrics(config, data, test, bad, verdicts, choice, naive)
    metrics["notes"] += json.loads((source / "train" / "report.json").read_bytes()).get(
        "doubts", []
    )
    write_json(out / "metrics.json", metrics)

    names = np.array(taxonomy.names)
    scores = defect_scores(test.probabilities, taxonomy)
    truth, question_scores = figures.questions(test.labels, test.probabilities, taxonomy.passing)
    titles = ["bad part"] if any(taxonomy.passing) else list(taxonomy.names)
    curves = [
        figures.curve(title, truth[:, q], question_scores[:, q])
        for q, title in enumerate(titles)
        if truth[:, q].any() and not truth[:, q].all()
    ]
    actual, predicted = names[test.labels].tolist(), names[test.predicted].tolist()
    drawn = out / "plots"
    drawn.mkdir()
    plots.write_curves(drawn, curves, figures.curve("all", truth, question_scores))
    plots.write_confusion(drawn, actual, predicted, taxonomy.names)
    plots.write_verdicts(drawn, actual, verdicts.tolist())
    plots.write_scores(drawn, scores, bad, bundle.operating_point)
    plots.write_overview(
        drawn / "overview.png",
        _headline(source.name, metrics),
        curves,
        plots.confusion(actual, predicted, taxonomy.names),
        scores,
        bad,
        bundle.operating_point,
    )
    _write_galleries(out / "images", data, test, bad, verdicts, scores)
    _write_predictions(out, data, test, verdicts, scores)
    _copy_held_out(out / "held_out", data, test, config.held_out_frames)
    return Report([_headline(source.name, metrics), *metrics["notes"]])


def _choose_limits(
    config: Config, data: Manifest, trained: Path, sealed: Path
) -> tuple[Bundle, Choice]:
    """Seal the trained bundle with limits chosen on parts that its training has not seen.

    These are the validation parts and, where training wrote them, the out-of-fold scores of the
    training parts: more groups, so that one odd module does not set the limits of a plant.
    """
    shutil.copytree(trained, sealed)
    undecided = OperatingPoint(pass_below=0.0, fail_from=ABOVE_ALL)
    write_model(sealed / "operating_point.json", undecided)
    seal(sealed)
    validation = _judge(open_bundle(sealed), data, "val")
    probabilities, labels = validation.probabilities, validation.labels
    groups = data.table["group"].iloc[validation.rows].tolist()
    ids, unseen = out_of_fold.read(trained.parent / out_of_fold.OUT_OF_FOLD)
    if ids:
        known = data.table.set_index("sample_id").loc[ids]
        names = [data.taxonomy.names.index(name) for name in known["label"]]
        labels = np.concatenate([labels, np.array(names)])
        groups += known["group"].tolist()
        probabilities = np.concatenate([probabilities, unseen])
    if any(data.taxonomy.passing):
        bad = (~np.array(data.taxonomy.passing))[labels]
        scores = defect_scores(probabilities, data.taxonomy)
        choice = choose(config.policy, scores, bad, groups)
    else:
        choice = nothing_passes()
    write_model(sealed / "operating_point.json", choice.point)
    return open_bundle(sealed, expected_sha256=seal(sealed)), choice


def _judge(bundle: Bundle, data: Manifest, split: str) -> Judged:
    """Inspect every part of a split as the station does."""
    inspector = Inspector(bundle)
    rows = np.flatnonzero(data.table["split"] == split)
    inspections = [
        inspector.inspect(data.pixels(int(row)))
        for row in progress(rows, f"inspecting {split} parts", total=len(rows))
    ]
    labels = [data.taxonomy.names.index(name) for name in data.table["label"].iloc[rows]]
    probabilities = np.stack([i.probabilities for i in inspections])
    return Judged(rows, np.array(labels), probabilities, inspections)


def _metrics(
    config: Config,
    data: Manifest,
    test: Judged,
    bad: npt.NDArray[np.bool_],
    verdicts: npt.NDArray[np.str_],
    choice: Choice,
    naive: dict[str, Any] | None,
) -> dict[str, Any]:
    taxonomy, n = data.taxonomy, len(test.rows)
    truth, scores = figures.questions(test.labels, test.probabilities, taxonomy.passing)
    groups = data.table["group"].iloc[test.rows].tolist()
    by_ranking: dict[str, Callable[[npt.NDArray[np.intp]], float]] = {
        "auroc": lambda i: figures.auroc(truth[i], scores[i]),
        "average_precision": lambda i: figures.average_precision(truth[i], scores[i]),
        "macro_f1": lambda i: figures.macro_f1(
            test.labels[i], test.predicted[i], len(taxonomy.names)
        ),
    }
    by_counting = {
        "accuracy": Rate(int((test.predicted == test.labels).sum()), n),
        "escape_rate": Rate(int((bad & (verdicts == Verdict.PASS)).sum()), int(bad.sum())),
        "overkill_rate": Rate(int((~bad & (verdicts == Verdict.FAIL)).sum()), int((~bad).sum())),
        "review_rate": Rate(int((verdicts == Verdict.REVIEW).sum()), n),
    }
    found: dict[str, Any] = {}
    everything = np.arange(n)
    for name, score in by_ranking.items():
        value = score(everything)
        found[name] = value if math.isfinite(value) else None
        found[f"{name}_ci95"] = grouped_bootstrap(
            score, groups, draws=config.bootstrap_draws, seed=0
        )
    for name, rate in by_counting.items():
        found[name], found[f"{name}_ci95"] = rate.value, rate.ci95
    latencies = [i.total_ms for i in test.inspections]
    notes = list(choice.sentences)
    for name, rate in by_counting.items():
        if rate.value is None:
            kind = "bad" if name == "escape_rate" else "good"
            notes.append(f"the test split has no {kind} part: {name} is not defined")
    split, n_groups = data.report["split"], len(set(groups))
    if split["leaky"]:
        notes.append("the split is LEAKY: test parts are known from training, all figures flatter")
    if naive is not None:
        notes.append(
            "the data set's own split leaks and was made anew by group: on it the same method "
            f"would say accuracy {naive['accuracy']:.1%} of {naive['n_test']} parts, here it is "
            f"{by_counting['accuracy'].value:.1%} of {n}"
        )
    if n_groups < n:
        notes.append(
            f"the {n} test parts come from {n_groups} groups; the intervals of shares take parts "
            "for independent, those of AUROC, average precision and F1 draw whole groups"
        )
    return {
        **found,
        "ece": figures.expected_calibration_error(test.labels, test.probabilities),
        "latency_ms_p50": float(np.percentile(latencies, 50)),
        "latency_ms_p99": float(np.percentile(latencies, 99)),
        "n_test": n,
        "n_test_bad": int(bad.sum()),
        "per_class_recall": figures.recalls(test.labels, test.predicted, taxonomy.names),
        "operating_point": choice.point.model_dump(),
        "promise": promise(config.policy, choice),
        "split": {k: split[k] for k in ("by", "n_groups", "leak_checked", "leaky")}
        | {"n_test_groups": n_groups, "naive": naive},
        "notes": notes,
    }


def _read_naive(trained: Path) -> dict[str, Any] | None:
    """Figures on the data set's own split, where it leaks and was made anew."""
    path = trained / out_of_fold.GIVEN_SPLIT
    return json.loads(path.read_bytes()) if path.is_file() else None


def _headline(recipe: str, metrics: dict[str, Any]) -> str:
    def share(name: str) -> str:
        value, interval = metrics[name], metrics[f"{name}_ci95"]
        if value is None:
            return "not defined"
        return f"{value:.1%} ({interval[0]:.1%} to {interval[1]:.1%})"

    auroc = "not defined" if metrics["auroc"] is None else f"{metrics['auroc']:.3f}"
    return (
        f"{recipe}, {metrics['n_test']} test parts: accuracy {share('accuracy')}, AUROC {auroc}\n"
        f"escapes {share('escape_rate')}, overkill {share('overkill_rate')}, "
        f"review {share('review_rate')}"
    )


def _write_galleries(
    out: Path,
    data: Manifest,
    test: Judged,
    bad: npt.NDArray[np.bool_],
    verdicts: npt.NDArray[np.str_],
    scores: npt.NDArray[np.float64],
) -> None:
    """Escapes with the lowest score first, overkills with the highest, and all of a wrong class."""
    out.mkdir()
    ids, names = data.table["sample_id"], data.taxonomy.names
    for name, mask, order in (
        ("escapes", bad & (verdicts == Verdict.PASS), scores),
        ("overkills", ~bad & (verdicts == Verdict.FAIL), -scores),
    ):
        worst = np.flatnonzero(mask)[np.argsort(order[mask], kind="stable")]
        rows = test.rows[worst]
        captions = [f"{scores[i]:.2f} {ids.iat[row]}" for i, row in zip(worst, rows, strict=True)]
        write_gallery(out / f"{name}.png", data, rows, captions)
    confused = np.flatnonzero(test.predicted != test.labels)
    captions = [f"{names[test.labels[i]]}? {names[test.predicted[i]]}" for i in confused]
    write_gallery(out / "confused.png", data, test.rows[confused], captions)


def _write_predictions(
    out: Path,
    data: Manifest,
    test: Judged,
    verdicts: npt.NDArray[np.str_],
    scores: npt.NDArray[np.float64],
) -> None:
    table = data.table.iloc[test.rows][["sample_id", "label", "group", "variant"]]
    table = table.reset_index(drop=True).assign(verdict=verdicts, defect_score=scores)
    for c, name in enumerate(data.taxonomy.names):
        table[f"p_{name}"] = test.probabilities[:, c]
    table.to_parquet(out / "predictions.parquet", index=False)


def _copy_held_out(out: Path, data: Manifest, test: Judged, most: int) -> None:
    """The test images as a camera would have written them, for replay; evenly thinned to `most`."""
    out.mkdir()
    rows = test.rows
    if len(rows) > most:
        rows = rows[np.linspace(0, len(rows) - 1, most).astype(int)] if most else rows[:0]
    for row in rows:
        copy = out / str(data.table["path"].iat[row])
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(data.image(int(row)))


def main(argv: Sequence[str] = sys.argv) -> None:
    """`python -m pipeline.stages.evaluate RECIPE`."""
    run_stage("evaluate", Config, run, argv)


if __name__ == "__main__":
    main()
