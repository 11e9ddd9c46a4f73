"""Figures in the words of a person who signs for them."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.contracts.bundle import OperatingPoint
from pipeline.contracts.evaluation import (
    LESS_IS_BETTER,
    CheckState,
    Comparison,
    Difference,
    Evaluation,
    Gate,
    Share,
    SplitSummary,
)
from pipeline.metrics import rates

NBSP = "\u00a0"
MINUS = "\u2212"

TITLES = {
    "escape_rate": "Escapes",
    "overkill_rate": "Overkill",
    "review_rate": "Review",
    "accuracy": "Accuracy",
    "auroc": "AUROC",
}
MARKS = {
    CheckState.PASSED: "✓",
    CheckState.FAILED: "✗",
    CheckState.NOT_PROVEN: "?",
    CheckState.NOT_CHECKED: "○",
    CheckState.ATTENTION: "!",
}
TONES = {  # classes of the style sheet
    CheckState.PASSED: "yes",
    CheckState.FAILED: "no",
    CheckState.NOT_PROVEN: "amber",
    CheckState.NOT_CHECKED: "muted",
    CheckState.ATTENTION: "amber",
}


@dataclass(frozen=True)
class ReportFigure:
    """One of the figures that a manager reads.

    Attributes:
        key: its name in metrics.json.
        title: its name on the page.
        number: the value, "not defined" where it is not.
        sentence: what was counted, without a full stop.
        interval: the 95 % interval, "" where there is none.
        value, low, high: the same as numbers.
        allowed: the share that the plant accepts, where there is a promise.
    """

    key: str
    title: str
    number: str
    sentence: str
    interval: str
    value: float | None
    low: float | None = None
    high: float | None = None
    allowed: float | None = None

    @property
    def line(self) -> str:
        """All of it: "Of 171 bad parts 9 pass: 5.3 %, 2.4 to 9.8 %"."""
        if self.value is None:
            return f"{self.sentence}: {self.number}"
        return f"{self.sentence}: {self.number}" + (f", {self.interval}" if self.interval else "")


def percent(share: float) -> str:
    """A share as `5.3 %`, rounded as in every sentence (`metrics.rates.percent`)."""
    return f"{rates.percent(share)}{NBSP}%"


def asked(share: float) -> str:
    """A share from the settings, without trailing zeros: `10 %`."""
    return f"{rates.asked(share)}{NBSP}%"


def interval(low: float, high: float) -> str:
    """`2.4 to 9.8 %`."""
    return f"{rates.percent(low)} to {percent(high)}"


def share(found: Share) -> str:
    """`9 of 171: 5.3 % (2.4 to 9.8 %)`."""
    if found.value is None:
        return "none to count"
    text = f"{found.k} of {found.n}: {percent(found.value)}"
    if found.low is None or found.high is None:
        return text
    return f"{text} ({interval(found.low, found.high)})"


def five(metrics: Mapping[str, Any], evaluation: Evaluation) -> tuple[ReportFigure, ...]:
    """The five figures of the first page, from metrics.json; those that matter most come first."""
    n, n_bad = metrics["n_test"], metrics["n_test_bad"]
    allowed: Mapping[str, Any] = evaluation.promise
    escapes = _rate(metrics, "escape_rate", n_bad, "bad", "pass", allowed.get("max_escape"))
    overkill = _rate(
        metrics, "overkill_rate", n - n_bad, "good", "are rejected", allowed.get("max_overkill")
    )
    review = _rate(metrics, "review_rate", n, "", "go to a person", allowed.get("max_review"))
    accuracy = _rate(metrics, "accuracy", n, "", "are given the right class")
    auroc = _auroc(metrics, evaluation.something_passes)
    if not evaluation.something_passes:
        return accuracy, auroc, review, escapes, overkill
    return escapes, overkill, review, accuracy, auroc


def limits(point: OperatingPoint, evaluation: Evaluation) -> tuple[str, ...]:
    """What the two limits do to a part, and what they were chosen for: sentences."""
    if not evaluation.something_passes:
        return (
            "No class of this recipe passes: every part is judged bad, none can escape.",
            "What the model decides is which defect it is; read accuracy first.",
        )
    text = [
        f"A part whose defect score is below {point.pass_below:.4f} passes."
        if point.pass_below > 0
        else "No score is low enough to pass.",
        f"From {point.fail_from:.4f} on it fails."
        if point.fail_from <= 1
        else "No score is high enough to fail.",
    ]
    if point.pass_below < point.fail_from:
        text.append("In between a person looks at it.")
    promise: Mapping[str, Any] = evaluation.promise
    text.append(_chosen(promise))
    if promise["policy"] != "fixed":
        text.append(str(evaluation.limits_from["said"]))
        if not promise["supported"]:
            text.append(
                "That promise is not proven, since there were too few of them; see the warnings."
            )
    elif not promise["supported"]:
        text.append("Too few parts show what they do; see the warnings.")
    return tuple(text)


def verdict(gate: Gate) -> str:
    """The first line of every report."""
    counts = ((len(gate.in_state(state)), state) for state in reversed(CheckState))
    listed = ", ".join(f"{n} {state}" for n, state in counts if n)
    state = "passed, needs attention" if gate.state is CheckState.ATTENTION else gate.state
    return f"Gate {state}: {listed or 'no check'}"


def leakage(split: SplitSummary) -> str:
    """What is known of test parts that training has seen."""
    if split.leaky:
        return "The split is LEAKY: test parts are known from training, and all figures flatter."
    if not split.leak_checked:
        return "It was not checked whether training has seen test parts."
    return (
        f"The split is by {split.by}: no group has parts on two sides, and no copy or "
        "near-duplicate of a test part was found in training."
    )


def compared(comparison: Comparison) -> str:
    """The champion in one sentence."""
    if not comparison.champion:
        return comparison.not_run or "No champion is signed off yet."
    if comparison.not_run:
        return f"The champion {comparison.champion} was not run: {comparison.not_run}."
    return comparison.sentence


def figure(key: str, value: float | None) -> str:
    """A figure of the comparison: shares in per cent, areas as they are."""
    if value is None:
        return "not defined"
    return f"{value:.3f}" if key == "auroc" else percent(value)


def difference(key: str, found: Difference) -> str:
    """`-1.2 points (-3.0 to 0.6)`: challenger minus champion."""
    if found.value is None:
        return "not defined"
    scale, unit = (1.0, "") if key == "auroc" else (100.0, f"{NBSP}points")
    digits = 3 if key == "auroc" else 1
    text = f"{_signed(found.value * scale, digits)}{unit}"
    if found.low is None or found.high is None:
        return text
    low, high = (_signed(x * scale, digits) for x in (found.low, found.high))
    return f"{text} ({low} to {high})"


def better(key: str, found: Difference) -> str:
    """Whether the interval of a difference lies on one side of nothing."""
    if found.low is None or found.high is None:
        return ""
    if found.low <= 0 <= found.high:
        return "no significant difference"
    return "better" if (found.high < 0) == (key in LESS_IS_BETTER) else "worse"


def promote(recipe: str, gate: Gate, version: int | None = None) -> str:
    """The command that signs a version off, with what the gate wants accepted by name."""
    which = f"--version {version or 'N'}"
    text = f"lineside models promote {shlex.quote(recipe)} {which} --reviewer NAME --reason TEXT"
    accepted = "".join(f" --accept {check.title}" for check in gate.in_state(CheckState.NOT_PROVEN))
    return text + accepted + (" --override WHY" if gate.in_state(CheckState.FAILED) else "")


def _chosen(promise: Mapping[str, Any]) -> str:
    """How the limits came to be, from the policy that `promise` of evaluation.json names."""
    if promise["policy"] == "fixed":
        return "The limits were given by hand, in evaluate.yaml; nothing was chosen."
    if promise["policy"] == "cost":
        costs = ", ".join(f"{key} {promise[key]:g}" for key in ("escape", "reject", "review"))
        return f"The limits were chosen for the least cost a part ({costs})."
    shares = [
        f"at most {asked(promise[key])} of the {what}"
        for key, what in (
            ("max_escape", "bad parts pass"),
            ("max_overkill", "good parts are rejected"),
        )
        if key in promise
    ]
    sure = "on average"
    if "confidence" in promise:
        together = {"each": "each ", "both": "both together "}
        which = together.get(promise.get("confidence_for", ""), "")
        sure = f"{which}with {asked(promise['confidence'])} confidence"
    return f"The limits were chosen so that {' and '.join(shares)}, {sure}."


def _rate(
    metrics: Mapping[str, Any],
    key: str,
    n: int,
    kind: str,
    happens: str,
    allowed: float | None = None,
) -> ReportFigure:
    value, ci95 = metrics[key], metrics[f"{key}_ci95"]
    parts = f"{kind} parts" if kind else "parts"
    if value is None:
        return ReportFigure(key, TITLES[key], "not defined", f"The test has no {parts}", "", None)
    sentence = f"Of {n} {parts} {round(value * n)} {happens}"
    low, high = ci95
    return ReportFigure(
        key, TITLES[key], percent(value), sentence, interval(low, high), value, low, high, allowed
    )


def _auroc(metrics: Mapping[str, Any], something_passes: bool) -> ReportFigure:
    value, ci95 = metrics["auroc"], metrics["auroc_ci95"]
    if value is None:
        sentence = "Needs parts of both kinds, or of every class"
        return ReportFigure("auroc", "AUROC", "not defined", sentence, "", None)
    sentence = f"{round(value * 100)} of 100 pairs of a good and a bad part are ranked right"
    if not something_passes:
        sentence = "Pairs of a part of a class and another that are ranked right, mean of classes"
    if ci95 is None:
        return ReportFigure("auroc", "AUROC", f"{value:.3f}", sentence, "", value)
    text = f"{ci95[0]:.3f} to {ci95[1]:.3f}"
    return ReportFigure("auroc", "AUROC", f"{value:.3f}", sentence, text, value, ci95[0], ci95[1])


def _signed(value: float, digits: int) -> str:
    text = f"{abs(value):.{digits}f}"
    if not float(text):
        return text
    return f"{MINUS if value < 0 else '+'}{text}"
