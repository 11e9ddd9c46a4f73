"""The markdown that a reviewer reads on the version's page in MLflow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.contracts.bundle import Bundle
from pipeline.contracts.evaluation import Comparison, Evaluation
from pipeline.reporting import wording
from pipeline.reporting.template import markdown

REPORT = "evaluate/report.html"
ROWS = (
    ("escape_rate", "Escapes (bad parts passed)"),
    ("overkill_rate", "Overkill (good parts failed)"),
    ("review_rate", "Sent to review"),
    ("accuracy", "Accuracy"),
    ("macro_f1", "Macro F1"),
    ("auroc", "AUROC"),
    ("average_precision", "Average precision"),
)


def describe(bundle: Bundle, metrics: Mapping[str, Any], evaluation: Evaluation) -> str:
    """The gate's verdict, what speaks against the model, its numbers, and what to do next."""
    provenance, point, gate = bundle.provenance, bundle.operating_point, evaluation.gate
    promise = metrics["promise"]
    lines = [
        f"**{wording.verdict(gate)}.**",
        *(f"- {markdown(c.name)}: {markdown(c.said)}" for c in gate.checks if not c.passed),
        "",
        f"**{markdown(provenance.recipe)}**: {markdown(provenance.architecture)}, weights "
        f"{markdown(provenance.weights)}, method {markdown(provenance.method)}, "
        f"{provenance.n_train} training images, {metrics['n_test']} test parts. Splits by "
        f"{markdown(metrics['split']['by'])}, {metrics['split']['n_groups']} groups.",
        "",
        "| on test parts | value | 95 % interval |",
        "|---|---|---|",
        *_figures(metrics),
        "",
        *_champion(evaluation.comparison),
        "",
        *_weaknesses(metrics, evaluation),
        f"Limits: below {point.pass_below:.4f} PASS, from {point.fail_from:.4f} FAIL, between "
        f"REVIEW; chosen for {markdown(promise['said'])}"
        f"{'' if promise['supported'] else ', which the data cannot support'}.",
        "",
        f"The report with plots and pictures is the artifact `{REPORT}` of the run that this "
        "version comes from.",
        "",
        f"Bundle `{bundle.sha256}`. Sign off with "
        f"`{wording.promote(provenance.recipe, passed=gate.passed)}`.",
    ]
    return "\n".join(lines)


def _figures(metrics: Mapping[str, Any]) -> Iterator[str]:
    for key, title in ROWS:
        value, interval = metrics[key], metrics[f"{key}_ci95"]
        number = "not defined" if value is None else f"{value:.4f}"
        between = "" if interval is None else f"{interval[0]:.4f} to {interval[1]:.4f}"
        yield f"| {title} | {number} | {between} |"
    yield f"| Calibration error (ECE) | {metrics['ece']:.4f} | |"
    p50, p99 = metrics["latency_ms_p50"], metrics["latency_ms_p99"]
    yield f"| Latency p50 / p99 | {p50:.1f} / {p99:.1f} ms | |"


def _champion(comparison: Comparison) -> Iterator[str]:
    yield markdown(wording.compared(comparison))
    if comparison.figures:
        yield ""
        columns = "challenger | champion | difference | in short"
        yield f"| on the same {comparison.n} parts | {columns} |"
        yield "|---|---|---|---|---|"
    for key, found in comparison.figures.items():
        yield (
            f"| {markdown(wording.TITLES.get(key, key))} | {wording.figure(key, found.challenger)} "
            f"| {wording.figure(key, found.champion)} | {wording.difference(key, found)} "
            f"| {wording.better(key, found)} |"
        )


def _weaknesses(metrics: Mapping[str, Any], evaluation: Evaluation) -> Iterator[str]:
    robustness = evaluation.robustness
    for said in (
        *metrics["notes"],
        evaluation.slices.worst,
        robustness.first_to_break if robustness is not None else "",
    ):
        if said:
            yield f"> {markdown(said)}"
            yield ""
