"""Reviews of judged parts, and the command that takes them."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.contracts.bundle import Bundle
from pipeline.contracts.records import Verdict
from pipeline.daemon.build import assembled
from pipeline.daemon.model.cache import cached_taxonomy
from pipeline.daemon.settings.line import Keep, Line
from pipeline.errors import DataError, LedgerError
from pipeline.ledger.database import connected
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.queries import reviewed_parts
from pipeline.ledger.review.reviews import NotReviewable, PartReview, opened
from pipeline.ledger.schema import VERSION
from pipeline.ledger.upkeep.archiving import archive

AT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.fixture
def judged(line: Line, kept_model: Bundle, tmp_path: Path) -> Line:
    """A line whose station has judged four parts and kept the failed and the doubtful one."""
    line = line.model_copy(update={"keep": Keep(folder=tmp_path / "kept")})
    with assembled(line) as station:
        station.run(threading.Event())
    return line


def ids(line: Line) -> dict[str, str]:
    """Record ids by serial."""
    with closing(sqlite3.connect(line.ledger)) as db:
        return dict(db.execute("SELECT serial, id FROM records"))


def test_every_part_with_a_frame_waits_the_doubtful_first_then_the_oldest(
    line: Line, kept_model: Bundle, tmp_path: Path
) -> None:
    keep = Keep(
        folder=tmp_path / "kept", verdicts=("FAIL", "REVIEW", "NOT_INSPECTED"), pass_share=1
    )
    line = line.model_copy(update={"keep": keep})
    for _ in range(2):
        with assembled(line) as station:
            station.run(threading.Event())
    with opened(line.ledger, line.station) as reviews:
        waiting = reviews.waiting()
    order = [Verdict.REVIEW, Verdict.FAIL, Verdict.PASS, Verdict.NOT_INSPECTED]
    assert [r.verdict for r in waiting] == [v for v in order for _ in range(2)]
    assert all(old.id < new.id for old, new in zip(waiting[::2], waiting[1::2], strict=True))


def test_a_review_of_an_archived_part_is_refused_with_where_it_is(judged: Line) -> None:
    before = ids(judged)
    archive(judged.ledger, judged.station, datetime(2099, 1, 1, tzinfo=UTC))
    identity = next(i for i in before.values() if i not in ids(judged).values())
    with (
        opened(judged.ledger, judged.station) as reviews,
        pytest.raises(DataError, match=rf"{identity} .* is archived in .*no frame of it is kept"),
    ):
        reviews.add(identity, "good", "A. Weber", "", AT)


def test_part_without_a_frame_does_not_wait(judged: Line) -> None:
    with opened(judged.ledger, judged.station) as reviews:
        waiting = [r.serial for r in reviews.waiting()]
    assert waiting == ["tray/d_doubt.png", "b_bad.png"]


def test_reviewed_part_waits_no_longer(judged: Line) -> None:
    with opened(judged.ledger, judged.station) as reviews:
        reviews.add(ids(judged)["b_bad.png"], "good", "A. Weber", "a shadow", AT)
        assert [r.serial for r in reviews.waiting()] == ["tray/d_doubt.png"]


def test_every_review_stays_in_order(judged: Line) -> None:
    part = ids(judged)["b_bad.png"]
    with opened(judged.ledger, judged.station) as reviews:
        reviews.add(part, "good", "A. Weber", "", AT)
        reviews.add(part, "defective", "B. Kim", "seen under the lamp", AT)
    with opened(judged.ledger, judged.station) as reviews:
        assert reviews.of(part) == [
            PartReview(part, "2026-11-22T12:00:00+00:00", "A. Weber", "good"),
            PartReview(
                part, "2026-11-22T12:00:00+00:00", "B. Kim", "defective", "seen under the lamp"
            ),
        ]


@pytest.mark.parametrize("act", ["UPDATE reviews SET part_class = 'good'", "DELETE FROM reviews"])
def test_review_can_neither_be_changed_nor_removed(judged: Line, act: str) -> None:
    with opened(judged.ledger, judged.station) as reviews:
        reviews.add(ids(judged)["b_bad.png"], "defective", "A. Weber", "", AT)
    with (
        closing(sqlite3.connect(judged.ledger)) as db,
        pytest.raises(sqlite3.Error, match="add another"),
    ):
        db.execute(act)


def test_review_changes_no_record(judged: Line) -> None:
    ledger = Ledger(judged.ledger, "west-1")
    before = list(ledger.records())
    with opened(judged.ledger, judged.station) as reviews:
        reviews.add(before[1].id, "good", "A. Weber", "", AT)
    assert list(ledger.records()) == before


def test_part_is_reviewed_while_the_station_works(judged: Line) -> None:
    station = Ledger(judged.ledger, "west-1")
    part = station.open_record(AT, "part-9")
    with opened(judged.ledger, judged.station) as reviews:
        reviews.add(ids(judged)["b_bad.png"], "good", "A. Weber", "", AT)
        with pytest.raises(DataError, match=f"no closed record {part}"):
            reviews.add(part, "good", "A. Weber", "", AT)
    assert station.account().triggers == 5


def test_class_must_be_one_of_the_stations_model(judged: Line) -> None:
    with (
        opened(judged.ledger, judged.station) as reviews,
        pytest.raises(DataError, match=r'class "defectiv" is not .*did you mean "defective"'),
    ):
        reviews.add(
            *(ids(judged)["b_bad.png"], "defectiv", "A. Weber", "", AT), cached_taxonomy(judged)
        )
    with opened(judged.ledger, judged.station) as reviews:
        assert reviews.of(ids(judged)["b_bad.png"]) == []


def test_without_a_cached_model_the_ledger_names_the_classes(judged: Line) -> None:
    shutil.rmtree(judged.model.cache)
    with opened(judged.ledger, judged.station) as reviews:
        reviews.add(ids(judged)["b_bad.png"], "good", "A. Weber", "", AT)
        with pytest.raises(DataError, match=r'class "scratch" is not .*choose defective, good'):
            reviews.add(ids(judged)["b_bad.png"], "scratch", "A. Weber", "", AT)


def test_nothing_is_taken_for_a_class_where_nothing_names_the_classes(
    line: Line, tmp_path: Path
) -> None:
    Ledger(line.ledger, "west-1").open_record(AT, "part-1")
    Ledger(line.ledger, "west-1").close()  # closes the record, which was never judged
    with (
        opened(line.ledger, line.station) as reviews,
        pytest.raises(DataError, match="the classes are not known"),
    ):
        reviews.add(ids(line)["part-1"], "good", "A. Weber", "", AT)


def test_reviewer_must_have_a_name(judged: Line) -> None:
    with (
        opened(judged.ledger, judged.station) as reviews,
        pytest.raises(DataError, match="--reviewer is empty"),
    ):
        reviews.add(ids(judged)["b_bad.png"], "good", "  ", "", AT)


def test_missing_ledger_is_not_made(line: Line) -> None:
    with (
        pytest.raises(LedgerError, match="is missing; `lineside run` makes it"),
        opened(line.ledger, line.station),
    ):
        pass
    assert not line.ledger.exists()


def test_ledger_of_an_older_format_asks_for_a_start(judged: Line) -> None:
    with closing(sqlite3.connect(judged.ledger)) as db:
        db.execute("PRAGMA user_version = 1")
    with (
        pytest.raises(LedgerError, match=f"format 1, reviews need {VERSION}; start"),
        opened(judged.ledger, judged.station),
    ):
        pass


def test_ledger_of_another_station_is_refused(judged: Line) -> None:
    other = judged.model_copy(update={"station": "east-2"})
    with (
        pytest.raises(LedgerError, match='of station "west-1", not "east-2"'),
        opened(other.ledger, other.station),
    ):
        pass


def test_file_that_is_not_a_ledger_is_refused(line: Line) -> None:
    line.ledger.parent.mkdir(parents=True)
    line.ledger.write_text("not a database, but long enough to look at\n" * 20)
    with pytest.raises(LedgerError, match="not a database"), opened(line.ledger, line.station):
        pass


def test_the_same_answer_again_adds_no_review(judged: Line) -> None:
    part = ids(judged)["b_bad.png"]
    with opened(judged.ledger, judged.station) as reviews:
        first, _ = reviews.add_once(part, "good", "anna", " dust ", AT)
        again, record = reviews.add_once(part, "good", "anna", "dust", datetime.now(UTC))
        assert (again, record.id, len(reviews.of(part))) == (first, part, 1)
        reviews.add_once(part, "good", "kim", "dust", AT)
        reviews.add_once(part, "defective", "anna", "dust", AT)
        assert [r.part_class for r in reviews.standing(part)] == ["good", "defective"]


def test_an_answer_that_is_refused_leaves_the_ledger_free_for_others(judged: Line) -> None:
    part = ids(judged)["b_bad.png"]
    with opened(judged.ledger, judged.station) as reviews:
        with pytest.raises(DataError, match='class "scratch" is not'):
            reviews.add_once(part, "scratch", "anna", "", AT)
        with pytest.raises(NotReviewable, match="no closed record unknown"):
            reviews.withdraw("unknown", "anna", AT)
        with opened(judged.ledger, judged.station) as others:
            others.add(part, "good", "kim", "", AT)


def test_a_withdrawn_review_does_not_count_and_stays_in_the_ledger(judged: Line) -> None:
    part = ids(judged)["b_bad.png"]
    with opened(judged.ledger, judged.station) as reviews:
        reviews.add(part, "good", "anna", "", AT)
        reviews.add(part, "defective", "kim", "", AT)
        assert reviews.withdraw(part, "kim", AT).id == part
        assert [r.reviewer for r in reviews.standing(part)] == ["anna"]
        assert [r.part_class for r in reviews.of(part)] == ["good", "defective", ""]
        reviews.withdraw(part, "kim", AT)
        assert len(reviews.of(part)) == 3
    with connected(judged.ledger, "tests") as db:
        assert [row["part_class"] for row in reviewed_parts(db)] == ["good"]


def test_the_classes_are_those_of_the_model_or_else_of_the_last_judged_part(judged: Line) -> None:
    taxonomy = cached_taxonomy(judged)
    assert taxonomy is not None
    with opened(judged.ledger, judged.station) as reviews:
        assert reviews.classes(taxonomy) == taxonomy.names
        assert sorted(reviews.classes(None)) == ["defective", "good"]
