"""What must be found of a known part."""

from __future__ import annotations

import pytest

from pipeline.contracts.challenge import KnownPart
from pipeline.contracts.records import Record, Verdict


def found(verdict: Verdict, part_class: str = "") -> Record:
    return Record("1", "west-1", "2026-11-28T06:00:00+00:00", "RR-1", verdict, "", part_class)


@pytest.mark.parametrize(
    ("part", "verdict", "part_class", "met"),
    [
        (KnownPart("RR-1", Verdict.FAIL), Verdict.FAIL, "crack", True),
        (KnownPart("RR-1", Verdict.FAIL), Verdict.REVIEW, "crack", False),
        (KnownPart("RR-1", Verdict.FAIL, "crack"), Verdict.FAIL, "dent", False),
        (KnownPart("RR-1", None, "crack"), Verdict.REVIEW, "crack", True),
        (KnownPart("RR-1", None, "crack"), Verdict.PASS, "crack", False),
        (KnownPart("G-1", Verdict.PASS), Verdict.PASS, "good", True),
        (KnownPart("G-1", Verdict.PASS), Verdict.NOT_INSPECTED, "", False),
    ],
)
def test_a_known_part_is_found_by_its_verdict_and_its_class(
    part: KnownPart, verdict: Verdict, part_class: str, met: bool
) -> None:
    assert part.met_by(found(verdict, part_class)) is met


def test_what_is_expected_is_named_in_words() -> None:
    assert KnownPart("RR-1", Verdict.FAIL, "crack").expected == "FAIL crack"
    assert KnownPart("RR-1", None, "crack").expected == "FAIL or REVIEW crack"
