"""What evaluation.json says, in the words of those who read it."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from pipeline.contracts.evaluation import Check, CheckState, Gate, Golden


def check(state: str, name: str = "escapes", remedy: str = "") -> Check:
    return Check(name=name, state=CheckState(state), sentence="0 of 9 pass", remedy=remedy)


def test_a_check_keeps_its_key_in_evaluation_json() -> None:
    written = check("not proven", remedy="7 more").model_dump_json(by_alias=True)
    assert written == (
        '{"name":"escapes","state":"not proven","said":"0 of 9 pass","remedy":"7 more"}'
    )
    assert Check.model_validate_json(written).line == "escapes not proven: 0 of 9 pass; 7 more"


def test_an_evaluation_of_an_older_lineside_is_read() -> None:
    file = """{"passed": false, "checks": [
        {"name": "supported", "passed": true, "said": "the validation parts prove it"},
        {"name": "escapes", "passed": false, "said": "30 of 100 pass"}]}"""
    gate = Gate.model_validate_json(file)
    assert gate.state is CheckState.FAILED
    assert [c.line for c in gate.checks] == [
        "promise passed: the validation parts prove it",
        "escapes failed: 30 of 100 pass",
    ]
    assert Gate.model_validate_json(gate.model_dump_json(by_alias=True)) == gate


@pytest.mark.parametrize(
    ("states", "state", "passed"),
    [
        (["passed", "not checked"], "passed", True),
        (["attention", "passed"], "attention", True),
        (["not proven", "attention"], "not proven", False),
        (["not proven", "failed", "passed"], "failed", False),
    ],
)
def test_a_gate_is_as_good_as_its_worst_check(states: list[str], state: str, passed: bool) -> None:
    gate = Gate.of(map(check, states))
    assert (gate.state, gate.passed) == (state, passed)


def test_a_gate_that_checked_nothing_is_not_made() -> None:
    with pytest.raises(ValueError, match="nothing to check"):
        Gate.of([check("not checked")])


def test_a_gate_whose_state_was_changed_by_hand_is_refused() -> None:
    with pytest.raises(ValidationError, match="passed is True and state is failed"):
        Gate.model_validate({"passed": True, "state": "failed", "checks": []})


def test_an_unknown_key_is_refused() -> None:
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        Gate.model_validate({"passed": True, "checks": [], "mood": "good"})


@pytest.mark.parametrize(
    ("splits", "words"),
    [
        ({"train": 3, "val": 1, "test": 2}, "3 training, 1 validation and 2 test parts"),
        ({"test": 2, "train": 3}, "3 training and 2 test parts"),
        ({"train": 0, "test": 2}, "2 test parts"),
        ({}, "unknown parts"),
    ],
)
def test_the_origin_of_golden_parts_is_named_by_split(splits: dict[str, int], words: str) -> None:
    assert Golden(n=6, misses=(), splits=splits).origin == words
