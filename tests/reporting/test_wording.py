"""Figures in words, as somebody reads them who signs for them."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.contracts.bundle import OperatingPoint
from pipeline.contracts.evaluation import Check, CheckState, Comparison, Difference, Gate, Share
from pipeline.reporting import wording
from pipeline.reporting.evaluation import Page


def plain(text: str) -> str:
    return text.replace(wording.NBSP, " ")


@pytest.mark.parametrize(
    ("share", "said"),
    [
        (0.0526, "5.3 %"),
        (1 / 16, "6.3 %"),  # a half is rounded up, as a browser does
        (0.0034, "0.34 %"),
        (0.0, "0 %"),
        (1.0, "100 %"),
        (0.9996, "100.0 %"),  # not all of them
    ],
)
def test_a_share_is_written_as_finely_as_it_matters(share: float, said: str) -> None:
    assert plain(wording.percent(share)) == said


def test_a_share_that_was_set_has_no_needless_noughts() -> None:
    assert [plain(wording.asked(x)) for x in (0.1, 0.95, 0.005)] == ["10 %", "95 %", "0.5 %"]


def test_escapes_are_written_as_counts_share_and_interval(page: Page) -> None:
    metrics: dict[str, Any] = {
        "n_test": 525,
        "n_test_bad": 171,
        "operating_point": {"pass_below": 0.2, "fail_from": 0.8},
        "auroc": None,
        "auroc_ci95": None,
    }
    for key in ("escape_rate", "overkill_rate", "review_rate", "accuracy"):
        metrics |= {key: 9 / 171, f"{key}_ci95": [0.0243, 0.0976]}
    escapes, *_, auroc = wording.five(metrics, page.evaluation)
    assert plain(escapes.line) == "Of 171 bad parts 9 pass: 5.3 %, 2.4 to 9.8 %"
    assert escapes.allowed == 0.1
    assert auroc.number == "not defined"


def test_where_nothing_passes_accuracy_comes_first(page: Page) -> None:
    nothing = page.evaluation.model_copy(update={"something_passes": False})
    assert wording.five(page.metrics, page.evaluation)[0].key == "escape_rate"
    assert [f.key for f in wording.five(page.metrics, nothing)][:2] == ["accuracy", "auroc"]


def test_every_figure_repeats_its_entry_of_the_metrics(page: Page) -> None:
    for figure in wording.five(page.metrics, page.evaluation):
        assert figure.value == page.metrics[figure.key]
        assert [figure.low, figure.high] == page.metrics[f"{figure.key}_ci95"]


def test_a_share_of_nothing_is_none_to_count() -> None:
    assert wording.share(Share(k=0, n=0, value=None, low=None, high=None)) == "none to count"


def gate(*states: CheckState) -> Gate:
    return Gate.of(Check(name=f"check{i}", state=s, sentence="") for i, s in enumerate(states))


@pytest.mark.parametrize(
    ("states", "verdict"),
    [
        ([], "Gate passed: 2 passed"),
        (["not checked"], "Gate passed: 2 passed, 1 not checked"),
        (["attention"], "Gate passed, needs attention: 1 attention, 2 passed"),
        (["not proven", "attention"], "Gate not proven: 1 not proven, 1 attention, 2 passed"),
        (["failed", "not proven"], "Gate failed: 1 failed, 1 not proven, 2 passed"),
    ],
)
def test_the_verdict_counts_the_checks_of_each_state_the_worst_first(
    states: list[str], verdict: str
) -> None:
    given = [CheckState.PASSED, CheckState.PASSED, *map(CheckState, states)]
    assert wording.verdict(gate(*given)) == verdict


@pytest.mark.parametrize(
    ("key", "low", "high", "word"),
    [
        ("escape_rate", -0.04, -0.01, "better"),
        ("escape_rate", 0.01, 0.04, "worse"),
        ("accuracy", 0.01, 0.04, "better"),
        ("auroc", -0.04, -0.01, "worse"),
        ("auroc", -0.01, 0.02, "no significant difference"),
        ("overkill_rate", 0.0, 0.02, "no significant difference"),
    ],
)
def test_a_difference_is_reported_only_where_its_interval_is_on_one_side(
    key: str, low: float, high: float, word: str
) -> None:
    found = Difference(champion=0.1, challenger=0.1, value=0.0, low=low, high=high)
    assert wording.better(key, found) == word


def test_differences_of_shares_are_points_and_have_a_sign() -> None:
    found = Difference(champion=0.08, challenger=0.04, value=-0.04, low=-0.0804, high=0.0051)
    assert plain(wording.difference("escape_rate", found)) == "−4.0 points (−8.0 to +0.5)"  # noqa: RUF001
    assert wording.difference("auroc", found) == "−0.040 (−0.080 to +0.005)"  # noqa: RUF001


def test_a_champion_that_was_not_run_is_reported_with_the_reason() -> None:
    none = Comparison(champion="")
    gone = Comparison(champion="cells/3", not_run="its classes are others")
    assert wording.compared(none) == "No champion is signed off yet."
    assert wording.compared(gone) == ("The champion cells/3 was not run: its classes are others.")


def test_limits_of_a_recipe_that_passes_nothing_name_no_number(page: Page) -> None:
    nothing = page.evaluation.model_copy(update={"something_passes": False})
    said = wording.limits(OperatingPoint(pass_below=0, fail_from=0), nothing)
    assert said[0] == "No class of this recipe passes: every part is judged bad, none can escape."


def test_limits_that_no_score_reaches_are_reported_as_such(page: Page) -> None:
    said = wording.limits(OperatingPoint(pass_below=0, fail_from=1.1), page.evaluation)
    assert said[:3] == (
        "No score is low enough to pass.",
        "No score is high enough to fail.",
        "In between a person looks at it.",
    )


def test_a_promise_that_is_not_proven_is_reported_beside_the_limits(page: Page) -> None:
    promise = {**page.evaluation.promise, "supported": False}
    evaluation = page.evaluation.model_copy(update={"promise": promise})
    said = wording.limits(page.bundle.operating_point, evaluation)
    assert said[-1].startswith("That promise is not proven, since there were too few of them")


LIMITS_FROM = "They were chosen on 540 validation parts. No test part was among them."


@pytest.mark.parametrize(
    ("promise", "said"),
    [
        (
            {"policy": "max_escape", "max_escape": 0.1, "max_overkill": 0.05, "confidence": 0.95},
            "at most 10 % of the bad parts pass and at most 5 % of the good parts are rejected, "
            "with 95 % confidence.",
        ),
        (
            {
                **{"policy": "max_escape", "max_escape": 0.1, "max_overkill": 0.05},
                **{"confidence": 0.8, "confidence_for": "both"},
            },
            "so that at most 10 % of the bad parts pass and at most 5 % of the good parts are "
            "rejected, both together with 80 % confidence.",
        ),
        (
            {"policy": "max_overkill", "max_overkill": 0.05, "confidence": 0.9},
            "so that at most 5 % of the good parts are rejected, with 90 % confidence.",
        ),
        (
            {"policy": "conformal", "max_escape": 0.1, "max_overkill": 0.05},
            "of the good parts are rejected, on average.",
        ),
        (
            {"policy": "cost", "escape": 250.0, "reject": 8.0, "review": 0.5},
            "for the least cost a part (escape 250, reject 8, review 0.5).",
        ),
        ({"policy": "fixed"}, "given by hand, in evaluate.yaml; nothing was chosen."),
    ],
)
def test_every_policy_is_written_in_words(page: Page, promise: dict[str, Any], said: str) -> None:
    made = {"promise": {**promise, "supported": True}}
    evaluation = page.evaluation.model_copy(update=made)
    text = wording.limits(page.bundle.operating_point, evaluation)[3:]
    assert plain(text[0]).endswith(said)
    assert list(text[1:]) == ([] if promise["policy"] == "fixed" else [LIMITS_FROM])
    assert wording.five(page.metrics, evaluation)[0].allowed == promise.get("max_escape")


def test_a_leak_is_written_in_capitals_and_an_unchecked_split_as_such(page: Page) -> None:
    split = page.evaluation.split
    assert "LEAKY" in wording.leakage(split.model_copy(update={"leaky": True}))
    unchecked = split.model_copy(update={"leak_checked": False})
    assert "It was not checked" in wording.leakage(unchecked)
    assert "by module" in wording.leakage(split)


def test_the_command_to_sign_off_quotes_the_recipe_and_asks_for_an_override() -> None:
    said = wording.promote("solar cell; rm -rf", gate(CheckState.FAILED))
    assert said.startswith("lineside models promote 'solar cell; rm -rf' --version N")
    assert said.endswith("--override WHY")
    assert "--override" not in wording.promote("solar-cell", gate(CheckState.ATTENTION))


def test_the_command_to_sign_off_names_a_registered_version() -> None:
    assert "cells --version 3 " in wording.promote("cells", gate(CheckState.PASSED), 3)


def test_the_command_to_sign_off_accepts_what_is_not_proven_by_name() -> None:
    said = wording.promote("cells", gate(CheckState.NOT_PROVEN, *[CheckState.PASSED] * 3))
    assert said.endswith("--reason TEXT --accept check0")
