"""How far the reviews are enough for the next training."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.contracts.records import Verdict
from pipeline.ledger.database import connected
from pipeline.ledger.review.progress import (
    CORRECTED,
    FEWEST,
    ClassProgress,
    most_helpful,
    progress,
)
from tests.ledger.review.ledgers import Judged

CLASSES = ("good", "scratch", "dent")


@pytest.fixture
def judged(tmp_path: Path) -> Judged:
    found = Judged(tmp_path / "ledger.sqlite")
    found.part("fail", Verdict.FAIL, "scratch", 0.1, 0.8, 0.1)
    found.part("pass", Verdict.PASS, "good", 0.9, 0.1, 0)
    found.part("doubt", Verdict.REVIEW, "scratch", 0.5, 0.5, 0)
    found.part("not kept", Verdict.PASS, "good", 0.9, 0.1, 0, kept=False)
    return found


def of(judged: Judged, enough: int = 2) -> dict[str, ClassProgress]:
    with connected(judged.path, "tests") as db:
        return {one.name: one for one in progress(db, CLASSES, enough, {"scratch": 7})}


def test_each_part_counts_once_with_the_review_that_counts(judged: Judged) -> None:
    judged.review("fail", "anna", "scratch")
    judged.review("fail", "kim", "good")
    judged.review("pass", "anna", "good")
    assert of(judged)["good"] == ClassProgress("good", 2, 1, 0, 0)
    assert of(judged)["scratch"] == ClassProgress("scratch", 0, 0, 7, 2)


def test_a_withdrawn_review_and_a_part_without_a_frame_do_not_count(judged: Judged) -> None:
    judged.review("fail", "anna", "dent")
    judged.review("fail", "anna", "")
    judged.review("not kept", "anna", "good")
    assert [one.reviewed for one in of(judged).values()] == [0, 0, 0]


def test_a_part_in_doubt_was_not_corrected(judged: Judged) -> None:
    judged.review("doubt", "anna", "good")
    judged.review("fail", "anna", "good")
    assert (of(judged)["good"].reviewed, of(judged)["good"].corrected) == (2, 1)


def test_a_class_of_a_former_model_is_shown_behind_and_lacks_nothing(judged: Judged) -> None:
    judged.review("fail", "anna", "dent")
    with connected(judged.path, "tests") as db:
        *_, former = progress(db, ("good", "scratch"), 2, {})
    assert (former.name, former.known, former.reviewed, former.lacking) == ("dent", False, 1, 0)


def test_the_class_that_lacks_most_would_help_most(judged: Judged) -> None:
    judged.review("fail", "anna", "scratch")
    judged.review("pass", "anna", "good")
    assert most_helpful(list(of(judged).values())) == ("dent", FEWEST)


def test_where_all_have_enough_the_one_that_was_corrected_most_often_would_help_most() -> None:
    found = [ClassProgress("good", 60, 6, 0, 0), ClassProgress("dent", 50, 10, 0, 0)]
    assert most_helpful(found) == ("dent", CORRECTED)


def test_where_all_have_enough_and_nothing_was_corrected_none_stands_out() -> None:
    assert most_helpful([ClassProgress("good", 60, 0, 0, 0)]) == ("", "")
    assert most_helpful([ClassProgress("old", 1, 1, 0, 0, known=False)]) == ("", "")
