"""Parts of which people think differently."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.contracts.records import Verdict
from pipeline.ledger.database import connected
from pipeline.ledger.review.disagreements import Disagreement, disagreements
from tests.ledger.review.ledgers import STATION, Judged


@pytest.fixture
def judged(tmp_path: Path) -> Judged:
    found = Judged(tmp_path / "ledger.sqlite")
    found.part("a", Verdict.REVIEW, "scratch", 0.2, 0.7, 0.1)
    found.part("b", Verdict.REVIEW, "scratch", 0.2, 0.7, 0.1)
    return found


def of(judged: Judged) -> list[Disagreement]:
    with connected(judged.path, "tests") as db:
        return disagreements(db, STATION)


def test_two_people_who_think_differently_are_listed_with_their_answers_the_latest_first(
    judged: Judged,
) -> None:
    for serial in ("a", "b"):
        judged.review(serial, "anna", "good")
        judged.review(serial, "kim", "dent")
    first, second = of(judged)
    assert (first.record.serial, second.record.serial) == ("b", "a")
    assert [(r.reviewer, r.part_class) for r in first.reviews] == [
        ("anna", "good"),
        ("kim", "dent"),
    ]


def test_one_person_who_has_changed_an_answer_disagrees_with_nobody(judged: Judged) -> None:
    judged.review("a", "anna", "good")
    judged.review("a", "anna", "dent")
    assert of(judged) == []


def test_a_disagreement_is_settled_by_a_third_person_or_by_one_who_gives_way(
    judged: Judged,
) -> None:
    for serial in ("a", "b"):
        judged.review(serial, "anna", "good")
        judged.review(serial, "kim", "dent")
    judged.review("a", "olga", "good")
    judged.review("b", "anna", "dent")
    assert of(judged) == []


def test_a_third_opinion_settles_nothing(judged: Judged) -> None:
    for person, part_class in (("anna", "good"), ("kim", "dent"), ("olga", "scratch")):
        judged.review("a", person, part_class)
    assert len(of(judged)) == 1


def test_a_withdrawn_review_disagrees_with_nobody(judged: Judged) -> None:
    judged.review("a", "anna", "good")
    judged.review("a", "kim", "dent")
    judged.review("a", "kim", "")
    assert of(judged) == []
