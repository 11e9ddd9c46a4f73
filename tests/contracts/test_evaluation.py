"""What evaluation.json says, in the words of those who read it."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from pipeline.contracts.evaluation import Check, Gate, Golden


def test_a_check_keeps_its_key_in_evaluation_json() -> None:
    check = Check(name="promise", passed=True, sentence="0 of 100 escaped")
    written = check.model_dump_json(by_alias=True)
    assert written == '{"name":"promise","passed":true,"said":"0 of 100 escaped"}'
    assert Check.model_validate_json(written) == check


def test_the_check_that_is_called_supported_there_is_shown_as_proven() -> None:
    checks = [Check(name=name, passed=True, sentence="") for name in ("supported", "golden")]
    assert [check.title for check in checks] == ["proven", "golden"]


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
