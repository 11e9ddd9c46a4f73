"""The gate refuses what the test parts contradict, and names what they do not prove."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from pipeline.contracts.evaluation import (
    CheckState,
    Comparison,
    Difference,
    Gate,
    Golden,
    GoldenMiss,
)
from pipeline.metrics import classification as figures
from pipeline.metrics.champion.comparison import not_compared
from pipeline.metrics.costs import Cost
from pipeline.metrics.gating import GateRules, Measured, gate
from pipeline.metrics.jackknife import grouped_interval
from pipeline.metrics.operating_point import choose, promise
from pipeline.metrics.promises import MaxEscape

PROMISE: dict[str, Any] = {
    "policy": "max_escape",
    "max_escape": 0.1,
    "max_overkill": 0.1,
    "confidence": 0.95,
    "supported": True,
    "said": "at most 10 % escapes and 10 % overkill at 95 % confidence",
}
NOBODY = not_compared("", "the registry has no champion yet")
UNGROUPED = [str(i) for i in range(200)]


def found(
    escapes: int = 3,
    overkills: int = 3,
    auroc: float | None = 0.9,
    groups: list[str] = UNGROUPED,
    reviewed: int = 0,
) -> Measured:
    """100 bad test parts, of which some pass, and 100 good ones, of which some fail or wait."""
    bad = np.arange(200) < 100
    verdicts = np.where(bad, "FAIL", "PASS").astype("U6")
    verdicts[:escapes], verdicts[100 : 100 + overkills] = "PASS", "FAIL"
    verdicts[200 - reviewed :] = "REVIEW"
    interval = None if auroc is None else [auroc - 0.05, auroc + 0.05]
    return Measured(bad, verdicts, groups, auroc, interval)


def verdict(
    result: Measured | None = None,
    rules: GateRules | None = None,
    promised: dict[str, Any] | None = PROMISE,
    *,
    leak: str | None = "clean",
    golden: Golden | None = None,
    comparison: Comparison = NOBODY,
    **other: Any,
) -> Gate:
    """The gate of a model that is fine but for what is given."""
    return gate(
        rules or GateRules(),
        result or found(),
        promised,
        leak=leak,
        golden=golden,
        comparison=comparison,
        **other,
    )


def in_state(given: Gate, state: str) -> dict[str, str]:
    """The sentence of each check in that state."""
    assert all(check.sentence for check in given.checks)
    return {c.name: c.line.split(": ", 1)[1] for c in given.in_state(CheckState(state))}


def refusals(given: Gate) -> dict[str, str]:
    """What each failed check says; the gate must agree with its checks."""
    failed = in_state(given, "failed")
    assert (given.state is CheckState.FAILED) == bool(failed)
    return failed


def unproven(given: Gate) -> dict[str, str]:
    return in_state(given, "not proven")


def test_two_shares_that_hold_together_are_judged_more_surely() -> None:
    """At 90 % for both, each is judged at 95 %."""
    together = verdict(found(8), promised=PROMISE | {"confidence": 0.9, "confidence_for": "both"})
    assert together.checks[0] == verdict(found(8)).checks[0]
    assert together.checks[0] != verdict(found(8), promised=PROMISE | {"confidence": 0.9}).checks[0]


def test_a_model_that_keeps_its_promises_passes_and_what_was_not_checked_is_named() -> None:
    given = verdict(doubts=[], commit="c2a64a5")
    assert given.passed
    assert {check.name: check.state for check in given.checks} == {
        "escapes": "passed",
        "overkill": "passed",
        "promise": "passed",
        "review": "passed",
        "ranking": "passed",
        "leak": "passed",
        "data": "passed",
        "commit": "passed",
        "golden": "not checked",
        "champion": "not checked",
    }
    nobody_looked = verdict(leak=None)
    assert {*in_state(nobody_looked, "not checked")} == {
        *("leak", "data", "commit", "golden", "champion"),
    }
    assert nobody_looked.passed


def test_escapes_that_contradict_the_promise_are_refused_with_both_figures() -> None:
    assert refusals(verdict(found(escapes=30))) == {
        "escapes": "30 of 100 bad test parts pass (30.0 %), with 95 % confidence at least 22.5 %: "
        "contradicts the promise of at most 10 %"
    }


def test_overkill_that_contradicts_the_promise_is_refused() -> None:
    assert set(refusals(verdict(found(overkills=30)))) == {"overkill"}


def test_a_promise_that_the_test_keeps_is_confirmed_with_its_bound() -> None:
    assert in_state(verdict(), "passed")["escapes"] == (
        "3 of 100 bad test parts pass (3.0 %), with 95 % confidence at most 7.6 %: keeps the "
        "promise of at most 10 %"
    )


@pytest.mark.parametrize(
    ("result", "name"), [(found(escapes=6), "bad"), (found(overkills=6), "good")]
)
def test_what_may_be_chance_is_not_proven_and_the_missing_parts_are_counted(
    result: Measured, name: str
) -> None:
    given = verdict(result)
    (said,) = unproven(given).values()
    assert not given.passed
    assert said.endswith(
        f"neither proves nor contradicts the promise of at most 10 %; 65 more {name} test parts "
        "like these would prove it"
    )


def test_a_share_beyond_the_promise_that_may_be_chance_is_not_proven_either() -> None:
    (said,) = unproven(verdict(found(escapes=15))).values()
    assert said.endswith("no number of parts like these would prove it")


def test_the_groups_that_are_missing_are_counted() -> None:
    alike = [f"g{i // 10}" for i in range(200)]
    said = unproven(verdict(found(escapes=1, groups=alike)))["escapes"]
    assert said.endswith("40 more bad test parts in 4 more groups like these would prove it")


def test_escapes_of_one_module_contradict_less_than_escapes_of_many() -> None:
    alike = [f"g{i // 20}" for i in range(200)]
    assert set(refusals(verdict(found(escapes=20)))) == {"escapes"}
    assert set(unproven(verdict(found(escapes=20, groups=alike)))) == {"escapes", "overkill"}


@pytest.mark.parametrize(
    ("kind", "name", "missing"), [(True, "overkill", "good"), (False, "escapes", "bad")]
)
def test_a_figure_that_cannot_be_measured_is_not_proven(
    kind: bool, name: str, missing: str
) -> None:
    bad = np.full(50, kind)
    given = verdict(Measured(bad, np.where(bad, "FAIL", "PASS"), UNGROUPED[:50], None, None))
    assert set(unproven(given)) == {name, "ranking"}
    assert unproven(given)[name] == (
        f"the test split has no {missing} part: {name} cannot be measured; 29 {missing} test "
        "parts without a miss would prove at most 10 %"
    )
    assert "a class does not occur" in unproven(given)["ranking"]


@pytest.mark.parametrize("max_escape", [0.1, None], ids=["promised", "not promised"])
def test_where_no_bad_part_is_known_escapes_are_never_passed_in_silence(
    max_escape: float | None,
) -> None:
    good = np.zeros(50, bool)
    promised = {**PROMISE, "supported": False, "bad_known": False, "max_escape": max_escape}
    result = Measured(good, np.full(50, "PASS"), UNGROUPED[:50], None, None)
    given = verdict(result, promised=promised)
    assert not given.passed
    assert unproven(given)["escapes"].startswith("no bad part is known")
    assert "bad test parts" in unproven(given)["escapes"]


def test_a_policy_without_promise_is_measured_and_not_held_to_one() -> None:
    policy = Cost(type="cost", escape=10, reject=1, review=1)
    choice = choose(policy, np.linspace(0, 1, 100), np.arange(100) > 50)
    given = verdict(found(escapes=90), promised=promise(policy, choice))
    assert given.passed
    assert in_state(given, "not checked")["escapes"].endswith("no limit was promised")
    assert in_state(given, "not checked")["promise"].startswith("the policy promises no share")


def test_a_recipe_in_which_no_class_passes_promises_nothing() -> None:
    bad = np.ones(50, bool)
    result = Measured(bad, np.full(50, "FAIL"), UNGROUPED[:50], 0.9, [0.8, 0.95])
    given = verdict(result, promised=None)
    assert given.passed
    assert "no class of this recipe passes" in in_state(given, "not checked")["promise"]


def test_a_promise_that_validation_does_not_prove_is_not_proven_and_refused_when_asked() -> None:
    missing = PROMISE | {"supported": False, "missing_bad": 504, "missing_good": 20}
    assert unproven(verdict(promised=missing)) == {
        "promise": "the validation parts do not prove at most 10 % escapes and 10 % overkill at 95 "
        "% confidence; 504 more bad parts and 20 more good parts to train and choose on, like "
        "these, would prove it"
    }
    strict = GateRules(require_supported=True)
    assert set(refusals(verdict(rules=strict, promised=missing))) == {"promise"}
    assert verdict(rules=strict).passed


def test_too_few_validation_parts_are_counted_for_the_gate() -> None:
    policy = MaxEscape(max_escape=0.1, max_overkill=0.1)
    choice = choose(policy, np.linspace(0, 1, 60), np.arange(60) >= 50)
    said = unproven(verdict(promised=promise(policy, choice)))
    assert "19 more bad parts to train and choose on" in said["promise"]


def test_more_review_than_the_plant_has_people_for_asks_for_attention() -> None:
    given = verdict(found(reviewed=30))
    assert given.state is CheckState.ATTENTION
    assert given.passed
    (said,) = in_state(given, "attention").values()
    assert said == (
        "a person sees 30 of 200 test parts (15.0 %, 10.4 to 20.7 %) and 30 of 100 good ones "
        "(30.0 %, 21.2 to 40.0 %); max_review is 25 %"
    )
    assert verdict(found(reviewed=30), max_review=0.3).state is CheckState.PASSED
    strict = GateRules(require_max_review=True)
    assert set(refusals(verdict(found(reviewed=30), strict))) == {"review"}


def test_a_leaky_split_is_refused_unless_allowed() -> None:
    assert set(refusals(verdict(leak="leaky"))) == {"leak"}
    allowed = verdict(rules=GateRules(allow_leaky=True), leak="leaky")
    assert allowed.passed
    assert "all figures flatter" in in_state(allowed, "attention")["leak"]


def test_doubts_about_the_test_data_ask_for_attention() -> None:
    given = verdict(doubts=["2 test parts have a nearly black picture", "1 label is wrong"])
    assert in_state(given, "attention") == {
        "data": "2 test parts have a nearly black picture; 1 label is wrong"
    }


def test_code_that_no_commit_holds_asks_for_attention() -> None:
    said = in_state(verdict(commit="c2a64a5-dirty"), "attention")["commit"]
    assert said.startswith("code or settings differed from commit c2a64a5: nobody can make")


def test_one_golden_part_judged_wrong_is_refused_by_name() -> None:
    miss = GoldenMiss(sample_id="a/7.png", wanted="FAIL", verdict="PASS", reason="score 0.1")
    assert refusals(verdict(golden=Golden(n=40, misses=(miss,)))) == {
        "golden": "1 of 40 golden parts judged wrong: a/7.png (PASS, wanted FAIL); none is allowed"
    }
    assert "and 2 more" in refusals(verdict(golden=Golden(n=40, misses=(miss,) * 5)))["golden"]
    assert verdict(golden=Golden(n=40, misses=())).passed


def test_a_challenger_with_more_escapes_than_the_champion_is_refused() -> None:
    def against(low: float) -> Comparison:
        escape = Difference(champion=0.02, challenger=0.1, value=0.08, low=low, high=0.12)
        return Comparison(
            champion="cell/3", n=200, figures={"escape_rate": escape}, sentence="escapes: see"
        )

    assert set(refusals(verdict(comparison=against(0.04)))) == {"champion"}
    assert verdict(comparison=against(-0.01)).passed


def test_more_review_than_the_champions_is_named_before_everything_else() -> None:
    more = Difference(champion=0.2, challenger=0.5, value=0.3, low=0.2, high=0.4)
    alike = Difference(champion=0.02, challenger=0.02, value=0.0, low=-0.01, high=0.01)
    figures = {"escape_rate": alike, "review_rate": more}
    comparison = Comparison(champion="cell/3", n=200, figures=figures, sentence="review 50 %")
    given = verdict(comparison=comparison)
    assert in_state(given, "attention") == {
        "champion": "worse than the champion in review: review 50 %"
    }


def test_a_champion_that_could_not_be_run_is_reported() -> None:
    given = verdict(comparison=not_compared("cell/3", "it knows other classes"))
    assert given.passed
    assert in_state(given, "not checked")["champion"] == (
        "not compared with champion cell/3: it knows other classes"
    )


def test_a_required_auroc_must_be_reached() -> None:
    rules = GateRules(min_auroc=0.85)
    assert verdict(rules=rules).passed
    failed = refusals(verdict(found(auroc=0.84), rules))
    assert failed == {
        "ranking": "AUROC 0.840 (0.790 to 0.890): better than chance, 0.5; misses min_auroc 0.850"
    }


def test_an_auroc_without_interval_is_not_proven() -> None:
    assert set(unproven(verdict(replace(found(), auroc_ci95=None)))) == {"ranking"}


def test_a_challenger_trained_on_shuffled_labels_is_refused() -> None:
    """It knows nothing, so its limits send nearly all to review: ranking alone gives it away."""
    rng = np.random.default_rng(0)
    bad = rng.random(300) < 0.4
    scores, groups = rng.beta(2, 3, 300), [f"g{i // 3}" for i in range(300)]
    policy = MaxEscape(max_escape=0.1, max_overkill=0.1)
    point = choose(policy, rng.beta(2, 3, 900), rng.random(900) < 0.4).point
    verdicts = np.where(
        scores < point.pass_below, "PASS", np.where(scores < point.fail_from, "REVIEW", "FAIL")
    )

    def ranking(rows: npt.NDArray[np.intp]) -> float:
        return figures.auroc(bad[rows, None], scores[rows, None])

    interval = grouped_interval(ranking, groups, bad)
    result = Measured(bad, verdicts, groups, ranking(np.arange(300)), interval)
    failed = refusals(verdict(result))
    assert "cannot be distinguished from chance" in failed["ranking"]


def test_parts_of_a_single_group_contradict_nothing_and_prove_nothing() -> None:
    one = ["module"] * 100 + [str(i) for i in range(100)]
    for escapes in (0, 100):
        assert "escapes" in unproven(verdict(found(escapes=escapes, groups=one)))


def test_a_champion_out_of_reach_is_not_an_excuse() -> None:
    away = not_compared("", "nobody answers").model_copy(update={"out_of_reach": True})
    given = verdict(comparison=away)
    assert not given.passed
    assert "nobody answers" in unproven(given)["champion"]


def test_where_nothing_can_escape_less_accuracy_than_the_champions_is_refused() -> None:
    lost = Difference(champion=0.98, challenger=0.53, value=-0.45, low=-0.5, high=-0.4)
    comparison = Comparison(champion="steel/1", n=272, figures={"accuracy": lost}, sentence="worse")
    assert "less accuracy" in refusals(verdict(promised=None, comparison=comparison))["champion"]


def test_limits_that_decide_nothing_are_refused() -> None:
    said = refusals(verdict(promised={**PROMISE, "decides": False}))
    assert "every part goes to review" in said["promise"]


def test_golden_parts_that_training_has_seen_are_reported_as_such() -> None:
    golden = Golden(n=12, misses=(), splits={"train": 9, "val": 1, "test": 2})
    said = next(c.sentence for c in verdict(golden=golden).checks if c.name == "golden")
    assert said.endswith("(9 of them training parts, known to the model)")
    assert golden.origin == "9 training, 1 validation and 2 test parts"
