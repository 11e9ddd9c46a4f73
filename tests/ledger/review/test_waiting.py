"""Which parts wait for a person, and in which order."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.contracts.records import Verdict
from pipeline.ledger.database import connected
from pipeline.ledger.review.waiting import (
    ReviewOrder,
    doubt_of,
    in_order,
    second_is_due,
    waiting_parts,
    waiting_record,
)
from tests.ledger.review.ledgers import STATION, Judged

CLASSES = ("good", "scratch", "dent")


@pytest.fixture
def judged(tmp_path: Path) -> Judged:
    found = Judged(tmp_path / "ledger.sqlite")
    found.part("sure", Verdict.FAIL, "dent", 0.01, 0.01, 0.98)
    found.part("none", Verdict.NOT_INSPECTED)
    found.part("close", Verdict.PASS, "good", 0.5, 0.45, 0.05)
    found.part("disputed", Verdict.FAIL, "scratch", 0.1, 0.8, 0.1, shadow=(Verdict.PASS, "good"))
    found.part("doubt", Verdict.REVIEW, "scratch", 0.2, 0.7, 0.1)
    found.part("not kept", Verdict.REVIEW, "scratch", 0.5, 0.5, 0, kept=False)
    return found


def serials(judged: Judged, order: ReviewOrder, second_share: float = 0.0) -> list[str]:
    names = {identity: serial for serial, identity in judged.ids.items()}
    with connected(judged.path, "tests") as db:
        found = in_order(waiting_parts(db, second_share), order, CLASSES)
    return [names[part.id] for part in found]


def waits_for(judged: Judged, serial: str, person: str, second_share: float = 0.0) -> bool:
    with connected(judged.path, "tests") as db:
        found = waiting_record(db, STATION, judged.ids[serial], person, second_share)
    return found is not None


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (ReviewOrder.DOUBT, ["doubt", "close", "disputed", "sure", "none"]),
        (ReviewOrder.AGE, ["sure", "none", "close", "disputed", "doubt"]),
        (ReviewOrder.CLASS, ["close", "doubt", "disputed", "sure", "none"]),
        (ReviewOrder.DISAGREEMENT, ["disputed", "doubt", "close", "sure", "none"]),
    ],
)
def test_parts_with_a_kept_frame_come_in_the_order_that_was_asked_for(
    judged: Judged, order: ReviewOrder, expected: list[str]
) -> None:
    assert serials(judged, order) == expected


def test_a_challenger_that_named_another_class_disputes_a_part_one_that_failed_does_not(
    tmp_path: Path,
) -> None:
    judged = Judged(tmp_path / "ledger.sqlite")
    judged.part("failed", Verdict.FAIL, "dent", 0, 0, 1, shadow=(Verdict.NOT_INSPECTED, ""))
    judged.part("class", Verdict.FAIL, "dent", 0, 0, 1, shadow=(Verdict.FAIL, "scratch"))
    judged.part("same", Verdict.FAIL, "dent", 0, 0, 1, shadow=(Verdict.FAIL, "dent"))
    with connected(judged.path, "tests") as db:
        assert [part.disputed for part in waiting_parts(db, oldest=True)] == [False, True, False]


def test_a_reviewed_part_waits_again_once_its_review_is_withdrawn(judged: Judged) -> None:
    judged.review("doubt", "anna", "dent")
    assert "doubt" not in serials(judged, ReviewOrder.DOUBT)
    judged.review("doubt", "anna", "")
    assert serials(judged, ReviewOrder.DOUBT)[0] == "doubt"
    assert waits_for(judged, "doubt", "anna")


def test_a_second_person_is_asked_of_the_share_and_never_the_same_one(judged: Judged) -> None:
    judged.review("doubt", "anna", "dent")
    assert "doubt" in serials(judged, ReviewOrder.DOUBT, second_share=1)
    assert not waits_for(judged, "doubt", "anna", second_share=1)
    assert waits_for(judged, "doubt", "kim", second_share=1)
    assert not waits_for(judged, "doubt", "kim", second_share=0)


def test_no_third_person_is_asked(judged: Judged) -> None:
    judged.review("doubt", "anna", "dent")
    judged.review("doubt", "kim", "scratch")
    assert "doubt" not in serials(judged, ReviewOrder.DOUBT, second_share=1)
    assert not waits_for(judged, "doubt", "olga", second_share=1)


def test_a_part_whose_frame_was_removed_waits_no_longer(judged: Judged) -> None:
    with connected(judged.path, "tests", write=True) as db:
        db.execute("UPDATE records SET image = '' WHERE id = ?", (judged.ids["doubt"],))
    assert "doubt" not in serials(judged, ReviewOrder.DOUBT)
    assert not waits_for(judged, "doubt", "anna")


def test_of_many_parts_the_last_are_put_in_order_by_age_the_first(judged: Judged) -> None:
    with connected(judged.path, "tests") as db:
        assert [part.seq for part in waiting_parts(db, most=2)] == [5, 4]
        assert [part.seq for part in waiting_parts(db, oldest=True, most=2)] == [1, 2]


def test_doubt_is_how_close_the_two_highest_probabilities_are() -> None:
    assert doubt_of([0.1, 0.5, 0.4]) == pytest.approx(0.9)
    assert doubt_of([]) == doubt_of([0.7]) == 0


def test_the_share_of_which_a_second_person_is_asked_is_kept_and_always_the_same_parts() -> None:
    identities = [str(n) for n in range(2000)]
    due = [identity for identity in identities if second_is_due(identity, 0.1)]
    assert 150 < len(due) < 250
    assert due == [identity for identity in identities if second_is_due(identity, 0.1)]
