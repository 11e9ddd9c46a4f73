"""The station as an appraiser: which of its records are answers."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pipeline.contracts.records import Verdict
from pipeline.contracts.study import Study
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.studies.presented import presented
from tests.contracts.test_study import plan
from tests.ledger.studies.conftest import AT, record


@pytest.fixture
def study() -> Study:
    """Parts SN-1 and SN-2, two trials, made an hour before `AT`."""
    return plan(n=2, trials=2)


def test_records_of_the_parts_since_the_study_began_are_the_stations_answers(
    ledger: Ledger, study: Study
) -> None:
    record(ledger, "SN-1", at=AT - timedelta(hours=2))
    made = [record(ledger, "SN-1", score=0.1 + i / 100) for i in range(3)]
    record(ledger, "another part")
    bad = record(ledger, "SN-2", Verdict.FAIL, 0.9)
    doubtful = record(ledger, "SN-2", Verdict.REVIEW, 0.5)
    with ledger.reading() as db:
        found = presented(db, study)
    answers = [(a.part, a.trial, a.judgement, a.by) for a in found.appraisals]
    assert answers == [
        (1, 1, "good", made[0]),
        (1, 2, "good", made[1]),
        (2, 1, "bad", bad),
        (2, 2, "undecided", doubtful),
    ]
    assert (found.complete, found.models, found.same_pictures) == (True, ("cells/3",), False)


def test_what_is_still_to_be_presented_is_counted(ledger: Ledger, study: Study) -> None:
    record(ledger, "SN-1")
    record(ledger, "SN-1", Verdict.NOT_INSPECTED, None)
    with ledger.reading() as db:
        found = presented(db, study)
    assert found.missing == {1: 1, 2: 2}
    assert (found.not_inspected, found.complete) == (1, False)


def test_a_part_without_a_serial_cannot_be_recognised(ledger: Ledger) -> None:
    first, second = plan(n=2).parts
    study = plan(n=2, trials=1, parts=(first, second.model_copy(update={"serial": ""})))
    record(ledger, "SN-1")
    record(ledger, "")
    with ledger.reading() as db:
        found = presented(db, study)
    assert (found.without_serial, found.missing, found.complete) == ((2,), {}, False)


def test_the_same_scores_in_every_image_are_the_same_pictures(ledger: Ledger, study: Study) -> None:
    for serial, score in (("SN-1", 0.125), ("SN-2", 0.875)):
        for _ in range(2):
            record(ledger, serial, score=score)
    with ledger.reading() as db:
        assert presented(db, study).same_pictures
    with ledger.reading() as db:
        assert not presented(db, plan(n=2, trials=1)).same_pictures


def test_answers_whose_records_were_archived_meanwhile_stay(ledger: Ledger, study: Study) -> None:
    made = record(ledger, "SN-1")
    with ledger.reading() as db:
        before = presented(db, study).appraisals
    with ledger.writing() as db:
        db.execute("DELETE FROM records WHERE id = ?", (made,))
    later = record(ledger, "SN-1", score=0.2)
    with ledger.reading() as db:
        found = presented(db, study, before)
    assert [(a.trial, a.by) for a in found.appraisals] == [(1, made), (2, later)]


def test_the_record_that_a_parts_picture_comes_from_is_not_a_new_image(
    ledger: Ledger, study: Study
) -> None:
    identity = record(ledger, "SN-1")
    parts = (study.parts[0].model_copy(update={"record": identity}), study.parts[1])
    with ledger.reading() as db:
        assert presented(db, study.model_copy(update={"parts": parts})).appraisals == ()
