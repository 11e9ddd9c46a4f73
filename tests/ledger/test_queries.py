"""Queries that several readers share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from pipeline.contracts.records import Record, Verdict
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.queries import (
    RecordFilter,
    closed_record,
    closed_records_of_serial,
    latest,
    period,
    reviewed_parts,
    reviews_of,
    rows_of_serial,
    search,
    verdicts_by_minute,
)
from pipeline.ledger.review.reviews import opened

AT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with closing(Ledger(tmp_path / "ledger.sqlite", "west-1")) as opened_ledger:
        yield opened_ledger


def judge(ledger: Ledger, serial: str, verdict: Verdict = Verdict.FAIL) -> str:
    identity = ledger.open_record(AT, serial)
    scores = {"good": 0.1, "scratch": 0.9}
    record = Record(identity, "west-1", AT.isoformat(), serial, verdict, "", scores=scores)
    ledger.close_record(record)
    return identity


def test_a_record_is_found_by_its_id_once_it_is_closed(ledger: Ledger) -> None:
    still_open, closed = ledger.open_record(AT, "a"), judge(ledger, "a")
    with ledger.reading() as db:
        assert closed_record(db, still_open, "west-1") is None
        found = closed_record(db, closed, "west-1")
    assert found is not None
    assert (found.id, found.verdict, found.station) == (closed, Verdict.FAIL, "west-1")


def test_records_of_a_part_come_newest_first_and_not_too_many(ledger: Ledger) -> None:
    made = [judge(ledger, "a") for _ in range(3)]
    judge(ledger, "b")
    with ledger.reading() as db:
        found = closed_records_of_serial(db, "a", "west-1", 2)
    assert [r.id for r in found] == [made[2], made[1]]


def test_all_rows_of_a_part_show_an_open_one_without_a_verdict(ledger: Ledger) -> None:
    judge(ledger, "a")
    ledger.open_record(AT, "a")
    with ledger.reading() as db:
        assert [row["verdict"] for row in rows_of_serial(db, "a")] == ["FAIL", None]


def test_a_reviewed_part_bears_its_last_review(ledger: Ledger) -> None:
    judge(ledger, "not reviewed")
    identity = judge(ledger, "a")
    with opened(ledger.path, "west-1") as reviews:
        reviews.add(identity, "good", "A. Weber", "", AT)
        reviews.add(identity, "scratch", "B. Kim", "", AT)
    with ledger.reading() as db:
        found = [(row["id"], row["part_class"]) for row in reviewed_parts(db)]
    assert found == [(identity, "scratch")]


def test_the_last_records_come_oldest_first(ledger: Ledger) -> None:
    made = [judge(ledger, "a", v) for v in (Verdict.FAIL, Verdict.PASS, Verdict.FAIL)]
    ledger.open_record(AT, "still open")
    with ledger.reading() as db:
        assert [r.id for r in latest(db, "west-1", 2)] == made[1:]
        assert [r.id for r in latest(db, "west-1", 9, Verdict.FAIL)] == [made[0], made[2]]
        assert [r.id for r in latest(db, "west-1", 9, Verdict.PASS)] == [made[1]]


@pytest.mark.parametrize("verdict", [Verdict.FAIL, Verdict.REVIEW, Verdict.NOT_INSPECTED])
def test_the_few_among_the_many_are_found_by_their_index(ledger: Ledger, verdict: Verdict) -> None:
    asked = list[str]()
    with ledger.reading() as db:
        db.set_trace_callback(asked.append)
        latest(db, "west-1", 10, verdict)
        db.set_trace_callback(None)
        plan = [row["detail"] for row in db.execute(f"EXPLAIN QUERY PLAN {asked[0]}")]
    assert plan == ["SEARCH records USING INDEX records_not_passed (verdict=?)"]


def test_verdicts_are_counted_by_minute_up_to_a_number(ledger: Ledger) -> None:
    for verdict in (Verdict.FAIL, Verdict.PASS, Verdict.PASS, Verdict.REVIEW):
        judge(ledger, "a", verdict)
    ledger.open_record(AT, "still open")
    with ledger.reading() as db:
        found = verdicts_by_minute(db, AT, 3)
        assert verdicts_by_minute(db, AT + timedelta(minutes=1), 3) == []
    minute = "2026-11-22T12:00"
    assert sorted(found) == [(minute, Verdict.FAIL, 1), (minute, Verdict.PASS, 2)]


def test_the_ends_of_a_period_are_in_utc_and_sort_around_all_times_where_it_has_none() -> None:
    east = AT.astimezone(timezone(timedelta(hours=5)))
    assert period(east, None)["since"] == "2026-11-22T12:00:00.000"
    ends = period(None, None)
    assert ends["since"] < "2026-11-22T12:00:00.000" < ends["until"]


def test_reviews_of_a_record_come_in_their_order(ledger: Ledger, tmp_path: Path) -> None:
    identity = judge(ledger, "a")
    with opened(tmp_path / "ledger.sqlite", "west-1") as reviews:
        reviews.add(identity, "scratch", "A. Weber", "", AT)
        reviews.add(identity, "good", "B. Sato", "dust", AT)
    with ledger.reading() as db:
        found = reviews_of(db, identity)
    assert [(r["reviewer"], r["part_class"], r["comment"]) for r in found] == [
        ("A. Weber", "scratch", ""),
        ("B. Sato", "good", "dust"),
    ]


@pytest.fixture
def year(ledger: Ledger) -> Ledger:
    """Some records in each month of a year: a quarter FAIL, two cameras, with gaps between."""
    n = 0
    for month in range(1, 13):
        for second in range(20):
            at = datetime(2026, month, 3, 6, 0, second, tzinfo=UTC)
            verdict = Verdict.FAIL if n % 4 == 0 else Verdict.PASS
            fault = "crack" if n % 8 == 0 else "scratch"
            name = fault if verdict is Verdict.FAIL else "good"
            camera, reason = f"cam{n % 2}", f"{name}: 50% of it_"
            identity = ledger.open_record(at, f"SN-{n % 60}", camera)
            record = Record(identity, "west-1", at.isoformat(), "", verdict, reason, name)
            ledger.close_record(record)
            n += 1
    ledger.open_record(datetime(2026, 12, 31, tzinfo=UTC), "still open")
    return ledger


def everything(ledger: Ledger, wanted: RecordFilter, limit: int = 7) -> list[Record]:
    """All that a filter finds, a page at a time."""
    found: list[Record] = []
    before = ""
    with ledger.reading() as db:
        while True:
            result = search(db, "west-1", wanted, limit, before)
            assert len(result.records) <= limit
            found += result.records
            before = result.before
            if not before:
                return found


FILTERS = [
    RecordFilter(),
    RecordFilter(verdict=Verdict.FAIL),
    RecordFilter(verdict=Verdict.PASS),
    RecordFilter(verdict=Verdict.REVIEW),
    RecordFilter(part_class="crack"),
    RecordFilter(verdict=Verdict.PASS, part_class="crack"),
    RecordFilter(camera="cam1"),
    RecordFilter(serial="SN-8"),
    RecordFilter(serial="SN-8", verdict=Verdict.FAIL),
    RecordFilter(reason="CRACK: 50%"),
    RecordFilter(reason="it_"),
    RecordFilter(reason="5_%"),
    RecordFilter(since=datetime(2026, 4, 3, 6, 0, 5, tzinfo=UTC)),
    RecordFilter(until=datetime(2026, 4, 3, 6, 0, 5, tzinfo=UTC)),
    RecordFilter(
        verdict=Verdict.FAIL,
        since=datetime(2026, 3, 1, tzinfo=UTC),
        until=datetime(2026, 9, 3, 8, 0, 4, tzinfo=timezone(timedelta(hours=2))),
    ),
    RecordFilter(since=datetime(2027, 1, 1, tzinfo=UTC)),
    RecordFilter(until=datetime(2020, 1, 1, tzinfo=UTC)),
]


@pytest.mark.parametrize("wanted", FILTERS, ids=str)
def test_a_search_finds_what_a_look_at_every_record_finds(
    year: Ledger, wanted: RecordFilter
) -> None:
    def fits(r: Record) -> bool:
        at = datetime.fromisoformat(r.captured_at)
        return (
            wanted.verdict in (None, r.verdict)
            and wanted.part_class in ("", r.part_class)
            and wanted.camera in ("", r.camera)
            and wanted.serial in ("", r.serial)
            and wanted.reason.lower() in r.reason.lower()
            and (wanted.since is None or at >= wanted.since)
            and (wanted.until is None or at < wanted.until)
        )

    expected = [r.id for r in year.records() if fits(r)][::-1]
    assert [r.id for r in everything(year, wanted)] == expected


def test_a_search_may_begin_before_a_record(year: Ledger) -> None:
    newest = everything(year, RecordFilter())
    with year.reading() as db:
        found = search(db, "west-1", RecordFilter(), 3, newest[4].id)
    assert [r.id for r in found.records] == [r.id for r in newest[5:8]]


@pytest.mark.parametrize("before", ["unknown", "~", "nonsense~5", f"{AT.isoformat()}~-1", "a~1~"])
def test_a_search_that_begins_nowhere_is_refused(year: Ledger, before: str) -> None:
    with year.reading() as db, pytest.raises(ValueError):  # noqa: PT011
        search(db, "west-1", RecordFilter(), 3, before)


def test_a_search_whose_time_is_up_names_how_far_it_came_and_goes_on(year: Ledger) -> None:
    wanted = RecordFilter(reason="no record has this")
    before, places = "", list[str]()
    with year.reading() as db:
        for _ in range(5):
            result = search(db, "west-1", wanted, 5, before, within_s=0)
            assert result.records == []
            places.append(result.searched_to)
            before = result.before
        last = search(db, "west-1", wanted, 5, before)
    assert len(set(places)) == 5
    assert places == sorted(places, reverse=True)
    assert (last.records, last.before) == ([], "")


def test_a_ledger_without_records_has_nothing_to_find(ledger: Ledger) -> None:
    assert everything(ledger, RecordFilter(verdict=Verdict.FAIL)) == []


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        (RecordFilter(), "records_captured"),
        (RecordFilter(verdict=Verdict.PASS, part_class="crack"), "records_captured"),
        (RecordFilter(verdict=Verdict.FAIL, camera="cam1"), "records_not_passed"),
        (RecordFilter(serial="SN-8", verdict=Verdict.FAIL), "records_serial"),
    ],
)
def test_a_search_reads_from_an_index_in_the_order_that_is_wanted(
    year: Ledger, wanted: RecordFilter, index: str
) -> None:
    asked = list[str]()
    with year.reading() as db:
        db.set_trace_callback(asked.append)
        search(db, "west-1", wanted, 5)
        db.set_trace_callback(None)
        plan = [row["detail"] for row in db.execute(f"EXPLAIN QUERY PLAN {asked[1]}")]
        ends = [row["detail"] for row in db.execute(f"EXPLAIN QUERY PLAN {asked[0]}")]
    assert [line for line in ends if "SCAN records" in line] == []
    assert plan[0].startswith(f"SEARCH records USING INDEX {index} (")
    assert (len(plan) == 1) == (index != "records_serial")  # a serial's few records are sorted
