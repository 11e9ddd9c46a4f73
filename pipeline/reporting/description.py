"""The markdown that a reviewer reads on the version's page in MLflow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.contracts.bundle import Bundle

ROWS = (
    ("escape_rate", "Escapes (bad parts passed)"),
    ("overkill_rate", "Overkill (good parts failed)"),
    ("review_rate", "Sent to review"),
    ("accuracy", "Accuracy"),
    ("macro_f1", "Macro F1"),
    ("auroc", "AUROC"),
    ("average_precision", "Average precision"),
)


def describe(bundle: Bundle, metrics: Mapping[str, Any]) -> str:
    """Numbers with intervals, the promise behind the limits, and what to do next."""
    provenance, point = bundle.provenance, bundle.operating_point
    lines = [
        f"**{provenance.recipe}**: {provenance.architecture}, weights {provenance.weights}, "
        f"method {provenance.method}, {provenance.n_train} training images, "
        f"{metrics['n_test']} test parts. Splits by {metrics['split']['by']}, "
        f"{metrics['split']['n_groups']} groups.",
        "",
        "| on test parts | value | 95 % interval |",
        "|---|---|---|",
    ]
    for key, title in ROWS:
        value, interval = metrics[key], metrics[f"{key}_ci95"]
        number = "not defined" if value is None else f"{value:.4f}"
        between = "" if interval is None else f"{interval[0]:.4f} to {interval[1]:.4f}"
        lines.append(f"| {title} | {number} | {between} |")
    promise = metrics["promise"]
    lines += [
        f"| Calibration error (ECE) | {metrics['ece']:.4f} | |",
        f"| Latency p50 / p99 | {metrics['latency_ms_p50']:.1f} / "
        f"{metrics['latency_ms_p99']:.1f} ms | |",
        "",
        f"Limits: below {point.pass_below:.4f} PASS, from {point.fail_from:.4f} FAIL, between "
        f"REVIEW; chosen for at most {promise['max_escape']:.1%} escapes and "
        f"{promise['max_overkill']:.1%} overkill at {promise['confidence']:.0%} confidence"
        f"{'' if promise['supported'] else ', which the data cannot support'}.",
        *(f"\n> {note}" for note in metrics["notes"]),
        "",
        f"Bundle `{bundle.sha256}`. Sign off with `lineside models promote {provenance.recipe} "
        "--version N --reviewer NAME --reason TEXT`.",
    ]
    return "\n".join(lines)
