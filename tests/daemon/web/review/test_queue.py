"""Parts are handed out and answers are taken, whatever happens in between."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pipeline.contracts.records import Verdict
from pipeline.contracts.taxonomy import Disposition, PartClass, Taxonomy
from pipeline.daemon.settings.http import ReviewSettings
from pipeline.daemon.station import Station
from pipeline.daemon.web.records import KeptRecords
from pipeline.daemon.web.review.queue import LISTED_S, ReviewQueue, Taken, Wish
from pipeline.errors import DataError, LedgerError, ModelWithdrawn
from pipeline.ledger.review.reviews import NotReviewable, opened
from pipeline.ledger.review.waiting import ReviewOrder
from pipeline.testing import FakeClock
from tests.daemon.web.review.conftest import AT, add_part

LEASE_S = 60.0


@dataclass
class Queue:
    """A queue and its station, which does not run."""

    queue: ReviewQueue
    station: Station
    clock: FakeClock
    frames: Path

    def part(self, serial: str, verdict: Verdict = Verdict.REVIEW, bad: float = 0.6) -> str:
        return add_part(self.station.ledger, self.frames, serial, verdict, bad)

    def next(self, person: str, most: int = 1, **wish: Any) -> list[str]:
        """Serials of what a person gets."""
        return [record.serial for record in self.queue.next(person, Wish(most=most, **wish)).parts]

    def later(self) -> None:
        """What waits is listed again."""
        self.clock.advance(LISTED_S + 1)

    def reviews(self, identity: str) -> list[tuple[str, str]]:
        ledger = self.station.ledger
        with opened(ledger.path, ledger.station) as reviews:
            return [(r.reviewer, r.part_class) for r in reviews.of(identity)]


@pytest.fixture
def queue(station: Station, tmp_path: Path) -> Queue:
    return made(station, tmp_path)


def made(station: Station, tmp_path: Path, **settings: Any) -> Queue:
    clock, frames = FakeClock(AT), tmp_path / "kept"
    ledger = station.ledger
    archive = KeptRecords(ledger.path, ledger.station, frames)
    queue = ReviewQueue(station, archive, ReviewSettings(**settings), clock, LEASE_S)
    return Queue(queue, station, clock, frames)


def test_each_part_is_in_one_persons_hand_and_the_page_gets_its_own_again(queue: Queue) -> None:
    ids = {serial: queue.part(serial) for serial in "abcd"}
    assert queue.next("anna", 2) == ["a", "b"]
    assert queue.next("kim", 3) == ["c", "d"]
    assert queue.next("anna", 2) == ["a", "b"]  # a page that was opened again
    assert queue.next("anna", 2, held=[ids["a"], ids["b"]]) == []


def test_what_a_closed_page_had_comes_to_others_after_a_while(queue: Queue) -> None:
    a, b = queue.part("a"), queue.part("b")
    queue.next("anna", 2)
    queue.clock.advance(LEASE_S - 1)
    queue.queue.next("anna", Wish(held=[a], most=0))  # a sign of life for one of the two
    queue.clock.advance(2)
    assert queue.next("kim", 2) == ["b"]
    queue.queue.release([a, b], "anna")
    assert queue.next("olga", 2) == ["a"]


def test_an_answered_part_comes_to_nobody_again(queue: Queue) -> None:
    identity = queue.part("a")
    queue.next("anna")
    review, record = queue.queue.answer(identity, "good", "anna", " dust ")
    assert (review.part_class, review.comment, record.serial) == ("good", "dust", "a")
    assert queue.next("anna") == queue.next("kim") == []
    assert queue.reviews(identity) == [("anna", "good")]


def test_a_part_that_the_command_line_answered_meanwhile_is_not_given(queue: Queue) -> None:
    identity = queue.part("a")
    queue.part("b")
    queue.next("anna", 0)
    ledger = queue.station.ledger
    with opened(ledger.path, ledger.station) as reviews:
        reviews.add(identity, "good", "A. Weber", "", AT)
    assert queue.next("kim", 2) == ["b"]


def test_the_same_answer_twice_is_one_review(queue: Queue) -> None:
    identity = queue.part("a")
    for _ in range(2):
        queue.queue.answer(identity, "good", "anna", "dust")
    assert queue.reviews(identity) == [("anna", "good")]


def test_an_answer_after_the_lease_has_ended_is_kept_beside_that_of_the_next_person(
    queue: Queue,
) -> None:
    identity = queue.part("a")
    queue.next("anna")
    queue.clock.advance(LEASE_S + 1)
    assert queue.next("kim") == ["a"]
    queue.queue.answer(identity, "good", "anna", "")
    queue.queue.answer(identity, "defective", "kim", "")
    assert queue.reviews(identity) == [("anna", "good"), ("kim", "defective")]
    assert [one.record.serial for one in queue.queue.disagreements()] == ["a"]


def test_an_undone_answer_does_not_count_and_the_part_is_in_hand_again(queue: Queue) -> None:
    identity = queue.part("a")
    queue.queue.answer(identity, "good", "anna", "")
    assert queue.queue.undo(identity, "anna").serial == "a"
    assert queue.next("kim") == []
    assert queue.next("anna") == ["a"]
    assert queue.reviews(identity) == [("anna", "good"), ("anna", "")]


def test_a_skipped_part_comes_to_others_and_to_this_person_when_wished(queue: Queue) -> None:
    identity = queue.part("a")
    queue.next("anna")
    queue.queue.skip(identity, "anna")
    assert queue.next("anna") == []
    assert queue.queue.next("anna", Wish()).skipped == 1
    assert queue.next("kim") == ["a"]
    queue.queue.release([identity], "kim")
    assert queue.next("anna", again=True) == ["a"]


def test_parts_come_as_wished(queue: Queue) -> None:
    queue.part("passed", Verdict.PASS, bad=0.45)
    queue.part("failed", Verdict.FAIL, bad=0.9)
    queue.part("doubt", Verdict.REVIEW)
    assert queue.next("anna", 3) == ["doubt", "passed", "failed"]
    assert queue.next("anna", 3, order=ReviewOrder.AGE) == ["doubt", "passed", "failed"]  # in hand
    assert queue.next("kim", 3) == []
    queue.clock.advance(LEASE_S + 1)
    assert queue.next("kim", 3, order=ReviewOrder.AGE) == ["passed", "failed", "doubt"]
    queue.clock.advance(LEASE_S + 1)
    assert queue.next("olga", 3, part_class="good") == ["passed"]


def test_a_second_person_is_asked_and_the_first_one_is_not(
    station: Station, tmp_path: Path
) -> None:
    queue = made(station, tmp_path, second_share=1)
    identity = queue.part("a")
    queue.queue.answer(identity, "good", "anna", "")
    assert queue.next("anna") == []
    assert queue.queue.progress().second == 1
    assert queue.next("kim") == ["a"]
    queue.queue.answer(identity, "defective", "kim", "")
    queue.later()
    assert queue.next("olga") == []
    assert queue.queue.progress().disagreements == 1


def test_a_part_whose_frame_was_removed_or_whose_file_is_gone_is_not_given(queue: Queue) -> None:
    forgotten, gone = queue.part("forgotten"), queue.part("gone")
    queue.part("there")
    queue.next("anna", 0)
    with queue.station.ledger.writing() as db:
        db.execute("UPDATE records SET image = '' WHERE id = ?", (forgotten,))
    next(queue.frames.rglob(f"{gone}*")).unlink()
    assert queue.next("anna", 3) == ["there"]
    assert queue.next("kim", 3) == []


def test_an_answer_to_a_part_whose_frame_was_removed_meanwhile_is_kept(queue: Queue) -> None:
    identity = queue.part("a")
    queue.next("anna")
    with queue.station.ledger.writing() as db:
        db.execute("UPDATE records SET image = '' WHERE id = ?", (identity,))
    _, record = queue.queue.answer(identity, "good", "anna", "")
    assert record.image == ""
    assert queue.reviews(identity) == [("anna", "good")]


def test_a_record_that_is_gone_is_refused_with_the_reason(queue: Queue) -> None:
    for act in (
        lambda: queue.queue.answer("unknown", "good", "anna", ""),
        lambda: queue.queue.undo("unknown", "anna"),
        lambda: queue.queue.open("unknown", "anna"),
    ):
        with pytest.raises(NotReviewable, match="no closed record unknown"):
            act()


def test_a_class_that_the_model_has_no_more_is_refused_with_those_that_it_has(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = queue.part("a")
    assert queue.queue.next("anna", Wish()).classes == ("good", "defective")
    swapped = Taxonomy(
        classes=(
            PartClass(name="good", disposition=Disposition.PASS),
            PartClass(name="scratch", disposition=Disposition.SCRAP),
        )
    )
    monkeypatch.setattr(ReviewQueue, "taxonomy", lambda self: swapped)
    with pytest.raises(DataError, match=r'class "defective" is not .* choose good, scratch'):
        queue.queue.answer(identity, "defective", "anna", "")
    assert queue.queue.next("anna", Wish()).classes == ("good", "scratch")
    assert queue.reviews(identity) == []


def test_where_the_model_was_withdrawn_the_classes_are_those_of_the_last_judged_part(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Withdrawn:
        @property
        def current(self) -> object:
            raise ModelWithdrawn("withdrawn by A. Weber", "withdrawn")

    queue.part("a")
    monkeypatch.setattr(queue.station, "model", Withdrawn())
    assert queue.queue.next("anna", Wish()).classes == ("good", "defective")


def test_a_certain_part_is_opened_for_one_person_with_what_people_think(queue: Queue) -> None:
    identity = queue.part("a")
    queue.queue.answer(identity, "good", "anna", "")
    record, reviews = queue.queue.open(identity, "kim")
    assert (record.serial, [r.reviewer for r in reviews]) == ("a", ["anna"])
    with pytest.raises(Taken, match="kim has this part in hand"):
        queue.queue.open(identity, "olga")


def test_progress_counts_what_people_found_and_names_the_class_that_would_help_most(
    station: Station, tmp_path: Path
) -> None:
    queue = made(station, tmp_path, enough=2)
    for serial in "ab":
        queue.queue.answer(queue.part(serial), "good", "anna", "")
    queue.part("c", Verdict.FAIL, bad=0.9)
    found = queue.queue.progress()
    assert (found.helps, found.rule, found.waiting) == ("defective", "fewest", 1)
    counted = {one.name: (one.reviewed, one.lacking, one.waiting) for one in found.classes}
    assert counted == {"good": (2, 0, 0), "defective": (0, 2, 1)}


def test_a_ledger_of_another_format_is_named(queue: Queue) -> None:
    queue.part("a")
    with queue.station.ledger.writing() as db:
        db.execute("PRAGMA user_version = 1")
    with pytest.raises(LedgerError, match="has ledger format 1, reviews need"):
        queue.queue.next("anna", Wish())


def test_an_answer_is_written_between_two_verdicts_and_a_refused_one_leaves_nothing_open(
    queue: Queue,
) -> None:
    identity, ledger = queue.part("a"), queue.station.ledger
    with pytest.raises(DataError, match='class "scratch" is not'):
        queue.queue.answer(identity, "scratch", "anna", "")
    with ledger.writing() as db:  # the station is at work on a verdict
        answering = threading.Thread(
            target=queue.queue.answer, args=(identity, "good", "anna", ""), daemon=True
        )
        answering.start()
        db.execute("INSERT INTO events (at, kind, detail) VALUES ('', 'a verdict', '')")
        assert queue.reviews(identity) == []
    answering.join(30)
    assert queue.reviews(identity) == [("anna", "good")]
