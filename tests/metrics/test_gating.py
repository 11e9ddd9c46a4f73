"""The gate refuses what the test parts contradict, and says in words why."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from pipeline.contracts.evaluation import Comparison, Difference, Gate, Golden, GoldenMiss
from pipeline.metrics import classification as figures
from pipeline.metrics.comparison import not_compared
from pipeline.metrics.costs import Cost
from pipeline.metrics.gating import GateRules, Measured, gate, measured
from pipeline.metrics.operating_point import choose, promise
from pipeline.metrics.promises import MaxEscape
from pipeline.metrics.rates import grouped_bootstrap

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
    escapes: int = 5, overkills: int = 5, auroc: float | None = 0.9, groups: list[str] = UNGROUPED
) -> Measured:
    """100 bad test parts, of which some pass, and 100 good ones, of which some fail."""
    bad = np.arange(200) < 100
    verdicts = np.where(bad, "FAIL", "PASS")
    verdicts[:escapes], verdicts[100 : 100 + overkills] = "PASS", "FAIL"
    interval = None if auroc is None else [auroc - 0.05, auroc + 0.05]
    return measured(bad, verdicts, groups, auroc, interval)


def verdict(
    result: Measured | None = None,
    rules: GateRules | None = None,
    promised: dict[str, Any] | None = PROMISE,
    *,
    leaky: bool = False,
    golden: Golden | None = None,
    comparison: Comparison = NOBODY,
) -> Gate:
    """The gate of a model that is fine but for what is given."""
    return gate(
        rules or GateRules(),
        result or found(),
        promised,
        leaky=leaky,
        golden=golden,
        comparison=comparison,
    )


def refusals(given: Gate) -> dict[str, str]:
    """What each failed check says; the gate must agree with its checks."""
    failed = {check.name: check.sentence for check in given.checks if not check.passed}
    assert given.passed == (not failed)
    assert all(check.sentence for check in given.checks)
    return failed


def test_a_model_that_keeps_its_promises_passes() -> None:
    assert verdict().passed
    assert [check.name for check in verdict().checks] == [
        "escapes",
        "overkill",
        "supported",
        "ranking",
        "leak",
        "golden",
        "champion",
    ]


def test_escapes_that_contradict_the_promise_are_refused_with_both_figures() -> None:
    assert refusals(verdict(found(escapes=30))) == {
        "escapes": "30 of 100 bad test parts pass (30.0 %, 21.2 to 40.0 %): contradicts the "
        "promise of at most 10 %"
    }


def test_overkill_that_contradicts_the_promise_is_refused() -> None:
    assert set(refusals(verdict(found(overkills=30)))) == {"overkill"}


def test_more_escapes_than_promised_that_may_be_chance_are_not_refused() -> None:
    given = verdict(found(escapes=15))
    assert given.passed
    assert "does not contradict the promise of at most 10 %" in given.checks[0].sentence


def test_escapes_of_one_module_contradict_less_than_escapes_of_many() -> None:
    alike = [f"g{i // 20}" for i in range(200)]
    assert not verdict(found(escapes=20)).passed
    assert verdict(found(escapes=20, groups=alike)).passed


@pytest.mark.parametrize(("kind", "name"), [(True, "overkill"), (False, "escapes")])
def test_a_figure_that_cannot_be_measured_is_refused(kind: bool, name: str) -> None:
    bad = np.full(50, kind)
    result = measured(bad, np.where(bad, "FAIL", "PASS"), UNGROUPED[:50], None, None)
    failed = refusals(verdict(result))
    assert set(failed) == {name, "ranking"}
    assert "cannot be measured" in failed[name]
    assert "a class does not occur" in failed["ranking"]


def test_a_policy_without_promise_is_measured_and_not_held_to_one() -> None:
    policy = Cost(type="cost", escape=10, reject=1, review=1)
    choice = choose(policy, np.linspace(0, 1, 100), np.arange(100) > 50)
    given = verdict(found(escapes=90), promised=promise(policy, choice))
    assert given.passed
    assert given.checks[0].sentence.endswith("no limit was promised")


def test_a_recipe_in_which_no_class_passes_promises_nothing() -> None:
    bad = np.ones(50, bool)
    result = measured(bad, np.full(50, "FAIL"), UNGROUPED[:50], 0.9, [0.8, 0.95])
    given = verdict(result, promised=None)
    assert given.passed
    assert given.checks[0].sentence.startswith("no class of this recipe passes")


def test_a_promise_that_is_not_proven_is_reported_and_refused_only_when_asked() -> None:
    unproven = PROMISE | {"supported": False}
    sentences = {c.name: c.sentence for c in verdict(promised=unproven).checks}["supported"]
    assert verdict(promised=unproven).passed
    assert sentences == (
        "the validation parts do not prove the promise (at most 10 % escapes and 10 % overkill "
        "at 95 % confidence)"
    )
    strict = GateRules(require_supported=True)
    assert set(refusals(verdict(rules=strict, promised=unproven))) == {"supported"}
    assert verdict(rules=strict).passed


def test_a_leaky_split_is_refused_unless_allowed() -> None:
    assert set(refusals(verdict(leaky=True))) == {"leak"}
    assert verdict(rules=GateRules(allow_leaky=True), leaky=True).passed


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


def test_a_champion_that_could_not_be_run_is_reported() -> None:
    given = verdict(comparison=not_compared("cell/3", "it knows other classes"))
    assert given.passed
    assert given.checks[-1].sentence == "not compared with champion cell/3: it knows other classes"


def test_a_required_auroc_must_be_reached() -> None:
    rules = GateRules(min_auroc=0.85)
    assert verdict(rules=rules).passed
    failed = refusals(verdict(found(auroc=0.84), rules))
    assert failed == {
        "ranking": "AUROC 0.840 (0.790 to 0.890): better than chance, 0.5; misses min_auroc 0.850"
    }


def test_an_auroc_without_interval_is_refused() -> None:
    assert set(refusals(verdict(replace(found(), auroc_ci95=None)))) == {"ranking"}


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

    interval = grouped_bootstrap(ranking, groups, draws=200, seed=0)
    result = measured(bad, verdicts, groups, ranking(np.arange(300)), interval)
    failed = refusals(verdict(result))
    assert set(failed) == {"ranking"}
    assert "cannot be distinguished from chance" in failed["ranking"]


def test_parts_of_a_single_group_contradict_nothing_and_so_prove_nothing() -> None:
    one = ["module"] * 100 + [str(i) for i in range(100)]
    said = refusals(verdict(found(escapes=100, groups=one)))
    assert "too few groups" in said["escapes"]


def test_a_champion_out_of_reach_is_not_an_excuse() -> None:
    away = not_compared("", "nobody answers").model_copy(update={"out_of_reach": True})
    assert "nobody answers" in refusals(verdict(comparison=away))["champion"]


def test_where_nothing_can_escape_less_accuracy_than_the_champions_is_refused() -> None:
    lost = Difference(champion=0.98, challenger=0.53, value=-0.45, low=-0.5, high=-0.4)
    comparison = Comparison(champion="steel/1", n=272, figures={"accuracy": lost}, sentence="worse")
    assert "less accuracy" in refusals(verdict(promised=None, comparison=comparison))["champion"]


def test_limits_that_decide_nothing_are_refused() -> None:
    said = refusals(verdict(promised={**PROMISE, "decides": False}))
    assert "every part goes to review" in said["supported"]


def test_golden_parts_that_training_has_seen_are_reported_as_such() -> None:
    golden = Golden(n=12, misses=(), splits={"train": 9, "val": 1, "test": 2})
    said = next(c.sentence for c in verdict(golden=golden).checks if c.name == "golden")
    assert said.endswith("(9 of them training parts, known to the model)")
    assert golden.origin == "9 training, 1 validation and 2 test parts"
