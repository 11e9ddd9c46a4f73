"""The markdown that a reviewer reads on the version's page in MLflow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.contracts.bundle import Bundle
from pipeline.contracts.evaluation import Check, CheckState, Comparison, Evaluation, Gate
from pipeline.reporting import wording
from pipeline.reporting.template import markdown

REPORT = "evaluate/report.html"
LENGTH = 5000  # of a version's description in MLflow's database
SENTENCE = 300  # of a check, a warning, a reason: the report has all of it
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
    """The gate's verdict, what speaks against the model, its numbers, and what to do next.

    Never longer than `LENGTH`: verdict, failed checks, tables and the command always stay; of the
    warnings as many as there is room for, the most important first, and how many were left out.
    """
    provenance, point, gate = bundle.provenance, bundle.operating_point, evaluation.gate
    promise, split = evaluation.promise, evaluation.split
    before = [
        f"**{wording.verdict(gate)}.**",
        *(f"- {_short(check.line)}" for check in _noteworthy(gate)),
        "",
        f"**{markdown(provenance.recipe)}**: {markdown(provenance.architecture)}, weights "
        f"{markdown(provenance.weights)}, method {markdown(provenance.method)}, "
        f"{provenance.n_train} training images, {metrics['n_test']} test parts. Splits by "
        f"{markdown(split.by)}, {split.n_groups} groups.",
        "",
        "| on test parts | value | 95 % interval |",
        "|---|---|---|",
        *_figures(metrics),
        "",
        *_champion(evaluation.comparison),
        "",
    ]
    after = [
        f"Limits: below {point.pass_below:.4f} PASS, from {point.fail_from:.4f} FAIL, between "
        f"REVIEW; chosen for {_short(str(promise['said']))}"
        f"{'' if promise['supported'] else ', which the data do not prove'}.",
        "",
        f"The report with plots and pictures is the artifact `{REPORT}` of the run that this "
        "version comes from.",
        "",
        f"Bundle `{bundle.sha256}`. Sign off with `{wording.promote(provenance.recipe, gate)}`.",
    ]
    room = LENGTH - len("\n".join([*before, *after]))
    return "\n".join([*before, *_fitting(_weaknesses(evaluation), room), *after])


def _noteworthy(gate: Gate) -> list[Check]:
    """What a signer must know, the worst first: all checks but those that passed."""
    found = [c for c in gate.checks if c.state is not CheckState.PASSED]
    return sorted(found, key=lambda check: -check.state.severity)


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
    yield _short(wording.compared(comparison))
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


def _weaknesses(evaluation: Evaluation) -> list[str]:
    """The warnings, the most important first: what makes all figures wrong, then what limits them.

    A leaky split flatters every figure, so it comes before all that was measured on it.
    """
    robustness = evaluation.robustness
    notes = sorted(evaluation.notes, key=lambda note: "LEAKY" not in note)
    texts = [
        *notes,
        evaluation.slices.weakest,
        robustness.first_to_break if robustness is not None else "",
    ]
    return [_short(text) for text in texts if text]


def _fitting(warnings: list[str], room: int) -> Iterator[str]:
    """As many warnings as fit in `room` characters, and how many do not.

    The first that does not fit ends the list: a less important one never stands in its place.
    """
    lines = [f"> {text}" for text in warnings]
    whole = sum(len(line) + 2 for line in lines) <= room
    left = room if whole else room - len(_left_out(len(lines))) - 2
    shown = 0
    for line in lines:
        left -= len(line) + 2  # with its line break and that of the empty line below
        if left < 0:
            break
        shown += 1
        yield line
        yield ""
    if shown < len(lines):
        yield _left_out(len(lines) - shown)
        yield ""


def _left_out(n: int) -> str:
    more = "1 more warning stands" if n == 1 else f"{n} more warnings stand"
    return f"> **{more} in the report, `{REPORT}`.**"


def _short(text: str) -> str:
    """One line of Markdown that is never longer than `SENTENCE`."""
    line = markdown(text)
    if len(line) <= SENTENCE:
        return line
    plain = " ".join(text.split())
    while len(line := markdown(plain)) > SENTENCE - 2:
        plain = plain[: len(plain) - max(1, (len(line) - SENTENCE) // 5)]
    return f"{line} …"
