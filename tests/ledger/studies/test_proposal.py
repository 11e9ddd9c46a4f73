"""Which parts are proposed for a study."""

from __future__ import annotations

import math
from collections import Counter

import pytest

from pipeline.contracts.records import Record, RecordKind, Verdict
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.studies.proposal import distance, is_near, kept_parts, propose
from tests.ledger.studies.conftest import AT, record

LIMITS = (0.3, 0.7)


def of_scores(*scores: float, serial: str = "SN-{}", part_class: str = "") -> list[Record]:
    return [
        Record(
            id=f"{serial}{i}{score}",
            station="west-1",
            captured_at=AT.isoformat(),
            serial=serial.format(i),
            verdict=Verdict.PASS if score < LIMITS[0] else Verdict.FAIL,
            reason="",
            part_class=part_class or ("good" if score < LIMITS[0] else "defective"),
            defect_score=score,
        )
        for i, score in enumerate(scores)
    ]


def test_between_the_limits_and_close_to_one_of_them_is_near() -> None:
    assert [distance(score, *LIMITS) for score in (0.3, 0.5, 0.69)] == [0, 0, 0]
    # Odds of 0.3 are 3 in 7: a third of that is 1 in 7, a score of 0.125.
    assert is_near(0.126, *LIMITS)
    assert not is_near(0.124, *LIMITS)
    assert is_near(0.874, *LIMITS)
    assert not is_near(0.99, *LIMITS)


def test_with_one_limit_alone_what_lies_around_it_is_near() -> None:
    assert is_near(0.45, 0.5, 0.5)
    assert not is_near(0.01, 0.5, 0.5)
    # No score passes and none fails: all that is judged goes to a person.
    assert is_near(0.5, 0.0, 1.1)
    assert distance(0.5, 0.0, 0.0) == math.inf


def test_the_asked_share_is_near_and_the_rest_good_and_bad_by_halves() -> None:
    candidates = of_scores(*[0.01] * 60, *[0.5] * 60, *[0.99] * 60)
    found = propose(candidates, *LIMITS, asked=50, asked_near=0.4, seed=1)
    scores = Counter(part.defect_score for part in found.parts)
    assert scores == {0.5: 20, 0.01: 15, 0.99: 15}
    assert (found.near, found.candidates, found.candidates_near) == (20, 180, 60)
    assert (found.clearly_good, found.clearly_bad) == (15, 15)
    assert len({part.id for part in found.parts}) == 50


def test_where_one_kind_is_short_the_others_make_up_for_it_and_the_count_is_honest() -> None:
    candidates = of_scores(*[0.01] * 60, *[0.5] * 5, *[0.99] * 3)
    found = propose(candidates, *LIMITS, asked=50, asked_near=0.4, seed=1)
    assert Counter(part.defect_score for part in found.parts) == {0.5: 5, 0.99: 3, 0.01: 42}
    assert found.near == 5
    few_clear = propose(of_scores(*[0.5] * 60, 0.01), *LIMITS, asked=50, asked_near=0.4, seed=1)
    assert (len(few_clear.parts), few_clear.near) == (50, 49)


def test_fewer_parts_than_asked_are_all_proposed() -> None:
    found = propose(of_scores(0.01, 0.5, 0.99), *LIMITS, asked=50, asked_near=0.4, seed=1)
    assert len(found.parts) == 3


def test_bad_parts_come_from_all_classes_in_turn() -> None:
    candidates = [
        *of_scores(*[0.99] * 40, part_class="scratch"),
        *of_scores(*[0.99] * 2, part_class="crack", serial="C-{}"),
    ]
    found = propose(candidates, *LIMITS, asked=6, asked_near=0, seed=1)
    assert Counter(part.part_class for part in found.parts) == {"scratch": 4, "crack": 2}


def test_parts_with_a_serial_come_before_those_that_cannot_be_recognised() -> None:
    candidates = [*of_scores(*[0.5] * 9, serial=""), *of_scores(*[0.5] * 3)]
    found = propose(candidates, *LIMITS, asked=5, asked_near=1, seed=1)
    assert sum(part.serial != "" for part in found.parts) == 3
    assert found.without_serial == 2


@pytest.mark.parametrize("seed", [1, 2])
def test_the_choice_comes_from_the_seed(seed: int) -> None:
    candidates = of_scores(*[0.01] * 60, *[0.5] * 60, *[0.99] * 60)

    def chosen(with_seed: int) -> list[str]:
        found = propose(candidates, *LIMITS, asked=10, asked_near=0.4, seed=with_seed)
        return [part.id for part in found.parts]

    assert chosen(seed) == chosen(seed)
    assert chosen(seed) != chosen(seed + 1)


def test_only_judged_parts_whose_frame_is_still_there_are_candidates(ledger: Ledger) -> None:
    record(ledger, "no frame")
    record(ledger, "gone", image="gone.png")
    record(ledger, "old", image="old.png", model_version="cells/2")
    record(ledger, "known", image="known.png", kind=RecordKind.CHALLENGE)
    record(ledger, "dark", Verdict.NOT_INSPECTED, None, image="dark.png")
    record(ledger, "SN-1", score=0.2, image="first.png")
    last = record(ledger, "SN-1", score=0.4, image="second.png")
    nameless = [record(ledger, "", image=f"{i}.png") for i in range(2)]
    with ledger.reading() as db:
        found = kept_parts(db, "west-1", "cells/3", lambda image: image != "gone.png")
    assert [r.id for r in found] == [*reversed(nameless), last]
