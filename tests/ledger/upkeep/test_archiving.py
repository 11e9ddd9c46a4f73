"""Past months in files of their own: nothing is lost at any step, audits answer as before."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipeline.contracts.records import Verdict
from pipeline.errors import LedgerError
from pipeline.files import sha256
from pipeline.ledger.audit import Audit, audit, of_part
from pipeline.ledger.database import connect
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.listening import ListeningRows
from pipeline.ledger.outbox import Outbox
from pipeline.ledger.review.reviews import opened
from pipeline.ledger.upkeep import archiving
from pipeline.ledger.upkeep.archiving import archive
from tests.ledger.test_ledger import closed, path

__all__ = ["path"]

SEPTEMBER = datetime(2026, 9, 30, 23, 0, tzinfo=UTC)
NOW = datetime(2026, 11, 2, 6, 0, tzinfo=UTC)
N_PARTS = 40  # a part each 20 hours: September, October and November


def fill(path: Path) -> None:
    with closing(Ledger(path, "west-1")) as ledger:
        for i in range(N_PARTS):
            at = SEPTEMBER + timedelta(hours=20 * i)
            identity = ledger.open_record(at, f"part-{i % 7}", "top")
            verdict = Verdict.NOT_INSPECTED if i % 5 == 0 else Verdict.PASS
            ledger.close_record(replace(closed(identity), verdict=verdict, reason=f"late: {i}"))
            if i == 3:
                rows = ListeningRows(ledger)
                rows.end(rows.begin("top", at), at + timedelta(hours=1), "the station stopped")


def audited(path: Path, since: datetime | None = None, until: datetime | None = None) -> Audit:
    return replace(audit(path, "west-1", since, until, now=NOW), events=())


def numbers_in(path: Path) -> set[int]:
    with closing(sqlite3.connect(path)) as db:
        return {seq for (seq,) in db.execute("SELECT seq FROM records")}


def archives(path: Path) -> list[Path]:
    return sorted(path.parent.glob("ledger-*.sqlite"))


PERIODS = [
    (None, None),
    (datetime(2026, 10, 3, tzinfo=UTC), None),
    (None, datetime(2026, 10, 20, tzinfo=UTC)),
    (datetime(2026, 10, 30, tzinfo=UTC), datetime(2026, 11, 2, tzinfo=UTC)),
]


@pytest.mark.parametrize(("since", "until"), PERIODS)
def test_the_audit_of_any_period_is_the_same_before_and_after(
    path: Path, since: datetime | None, until: datetime | None
) -> None:
    fill(path)
    before = audited(path, since, until)
    assert before.triggers > 0
    archive(path, "west-1", NOW)
    assert audited(path, since, until) == before


def test_past_months_have_a_file_each_and_the_present_one_stays(path: Path) -> None:
    fill(path)
    done = archive(path, "west-1", NOW)
    assert [(m.month, m.left) for m in done] == [("2026-09", 0), ("2026-10", 0)]
    assert [file.name for file in archives(path)] == [
        "ledger-2026-09.sqlite",
        "ledger-2026-10.sqlite",
    ]
    moved = [numbers_in(file) for file in archives(path)]
    assert sum(len(m) for m in moved) == sum(m.moved for m in done)
    assert set[int]().union(*moved, numbers_in(path)) == set(range(1, N_PARTS + 1))
    assert set[int]().union(*moved).isdisjoint(numbers_in(path))


def test_records_of_a_part_are_found_in_all_files(path: Path) -> None:
    fill(path)
    before = of_part(path, "west-1", "part-1")
    archive(path, "west-1", NOW)
    assert of_part(path, "west-1", "part-1") == before
    assert len(before) > 3


def test_what_an_outbox_an_image_or_a_review_needs_stays_until_they_let_go(path: Path) -> None:
    with closing(Ledger(path, "west-1", {"mes": (Verdict.FAIL,)})) as ledger:
        ids = [ledger.open_record(SEPTEMBER + timedelta(minutes=i), f"part-{i}") for i in range(4)]
        ledger.close_record(replace(closed(ids[0]), verdict=Verdict.FAIL))
        for identity in ids[1:]:
            ledger.close_record(replace(closed(identity), scores={"good": 1.0}))
        ledger.note_image(ids[1], "a.png")
        with opened(path, "west-1") as reviews:
            reviews.add(ids[2], "good", "R. Viewer", "", NOW)
        (month,) = archive(path, "west-1", NOW)
        assert (month.moved, month.left) == (1, 3)
        outbox = Outbox(ledger, "mes")
        assert [entry.record.id for entry in outbox.due(10)] == [ids[0]]
        outbox.delivered(outbox.due(10))
        ledger.note_image(ids[1], "")
        (month,) = archive(path, "west-1", NOW)
        assert (month.moved, month.left) == (2, 1)
    assert audited(path).balances


def test_a_station_at_work_is_not_disturbed_and_its_account_balances(path: Path) -> None:
    with closing(Ledger(path, "west-1")) as ledger:
        for i in range(20):
            at = SEPTEMBER + timedelta(minutes=i)
            ledger.close_record(closed(ledger.open_record(at, f"part-{i}")))
        at_work = ledger.open_record(NOW, "next")
        archive(path, "west-1", NOW)
        ledger.close_record(closed(at_work))
        account = ledger.account(ledger.started_after)
    assert (account.triggers, account.balances) == (21, True)


def test_an_open_record_of_a_past_month_stays(path: Path) -> None:
    with closing(Ledger(path, "west-1")) as ledger:
        ledger.open_record(SEPTEMBER, "part")
        (month,) = archive(path, "west-1", NOW)
    assert (month.moved, month.left, archives(path)) == (0, 1, [])


def test_ids_grow_though_all_records_are_archived_and_the_clock_is_set_back(path: Path) -> None:
    fill(path)
    archive(path, "west-1", datetime(2027, 1, 1, tzinfo=UTC))
    assert numbers_in(path) == set()
    with closing(Ledger(path, "west-1")) as ledger:
        identity = ledger.open_record(SEPTEMBER, "next")
        ledger.close_record(closed(identity))
    assert identity > max(
        row["id"] for i in range(7) for row in of_part(path, "west-1", f"part-{i}")
    )
    assert numbers_in(path) == {N_PARTS + 1}


def test_a_missing_archive_is_reported_not_counted_as_missing_records(path: Path) -> None:
    fill(path)
    archive(path, "west-1", NOW)
    archives(path)[0].unlink()
    with pytest.raises(LedgerError, match=r"ledger-2026-09\.sqlite is missing"):
        audited(path)


def test_a_record_that_is_removed_from_an_archive_is_noticed(path: Path) -> None:
    fill(path)
    archive(path, "west-1", NOW)
    with closing(sqlite3.connect(archives(path)[1], isolation_level=None)) as db:
        db.execute("DELETE FROM records WHERE seq = 10")
    changed = (
        r"ledger-2026-10\.sqlite is not what was archived: .*somebody changed it\); put a copy"
    )
    with pytest.raises(LedgerError, match=changed):
        audited(path)
    with pytest.raises(LedgerError, match=changed):
        archive(path, "west-1", NOW)


def test_a_record_that_is_removed_from_an_archive_without_a_hash_is_missing(path: Path) -> None:
    fill(path)
    archive(path, "west-1", NOW)
    with closing(sqlite3.connect(archives(path)[1], isolation_level=None)) as db:
        db.execute("DELETE FROM records WHERE seq = 10")
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE archives SET sha256 = ''")
    assert (audited(path).gaps, audited(path).balances) == (((10, 10),), False)


def test_each_archive_is_sealed_with_the_hash_of_its_file_also_one_that_grows(path: Path) -> None:
    fill(path)
    with closing(Ledger(path, "west-1")) as ledger:
        late = ledger.open_record(SEPTEMBER, "late")
        ledger.close_record(closed(late))
        ledger.note_image(late, "a.png")
        archive(path, "west-1", NOW)
        first = sealed(path)
        ledger.note_image(late, "")
        archive(path, "west-1", NOW)
    assert first["ledger-2026-09.sqlite"] != sealed(path)["ledger-2026-09.sqlite"]
    assert sealed(path) == {file.name: sha256(file) for file in archives(path)}
    assert audited(path).balances


def test_archives_of_before_get_their_hash_at_the_next_call(path: Path) -> None:
    fill(path)
    archive(path, "west-1", NOW)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE archives SET sha256 = ''")
    assert archive(path, "west-1", NOW) == []
    assert sealed(path) == {file.name: sha256(file) for file in archives(path)}


def test_a_damaged_archive_never_gets_a_hash_and_does_not_grow(path: Path) -> None:
    fill(path)
    archive(path, "west-1", NOW)
    hurt(archives(path)[0])
    with closing(Ledger(path, "west-1")) as ledger:
        ledger.close_record(closed(ledger.open_record(SEPTEMBER, "late")))
    with pytest.raises(LedgerError, match=r"ledger-2026-09\.sqlite is not what was archived"):
        archive(path, "west-1", NOW)
    assert N_PARTS + 1 in numbers_in(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE archives SET sha256 = ''")
        db.execute("DELETE FROM records WHERE serial = 'late'")
    with pytest.raises(LedgerError, match=r"ledger-2026-09\.sqlite"):
        archive(path, "west-1", NOW)
    assert sealed(path)["ledger-2026-09.sqlite"] == ""
    assert sealed(path)["ledger-2026-10.sqlite"] == sha256(archives(path)[1])


def sealed(path: Path) -> dict[str, str]:
    """The hashes of the archives, as the ledger has them."""
    with closing(sqlite3.connect(path)) as db:
        return dict(db.execute("SELECT name, sha256 FROM archives"))


def hurt(file: Path) -> None:
    """Zeros where a page of a table was, as from a bad disk."""
    content = bytearray(file.read_bytes())
    content[4096:] = bytes(len(content) - 4096)
    file.write_bytes(content)


def test_a_copy_that_is_not_what_was_copied_is_noticed_and_nothing_removed(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(path)

    def altered(file: Path, **options: bool) -> sqlite3.Connection:
        if file.name == "ledger-2026-10.sqlite" and not options:
            with closing(sqlite3.connect(file, isolation_level=None)) as db:
                db.execute("DROP TRIGGER records_are_final")
                db.execute("UPDATE records SET reason = 'altered' WHERE seq = 12")
        return connect(file, **options)

    monkeypatch.setattr("pipeline.ledger.upkeep.archiving.connect", altered)
    with pytest.raises(LedgerError, match="has other records than the ledger"):
        archive(path, "west-1", NOW)
    assert 12 in numbers_in(path)


class PowerCut(BaseException):
    """The process ends here."""


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.ledger.upkeep.archiving.COPIED_AT_ONCE", 3)
    monkeypatch.setattr("pipeline.ledger.upkeep.archiving.REMOVED_AT_ONCE", 2)


@pytest.mark.usefixtures("small_steps")
@pytest.mark.parametrize("commits", range(1, 30, 2))
def test_a_crash_at_any_step_loses_no_record_and_the_next_call_goes_on(
    path: Path, commits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(path)
    before = audited(path)
    left = iter(range(commits))

    class Cut(sqlite3.Connection):
        def execute(self, *arguments: object) -> sqlite3.Cursor:
            if arguments[0] == "COMMIT" and next(left, None) is None:
                raise PowerCut
            return super().execute(*arguments)  # type: ignore[arg-type]

    real = sqlite3.connect
    with monkeypatch.context() as patch:
        patch.setattr("sqlite3.connect", lambda *a, **k: real(*a, **k, factory=Cut))
        with pytest.raises(PowerCut):
            archive(path, "west-1", NOW)
    assert audited(path) == before
    archive(path, "west-1", NOW)
    assert audited(path) == before
    moved = [numbers_in(file) for file in archives(path)]
    assert numbers_in(path).isdisjoint(set[int]().union(*moved))


def test_two_calls_at_once_are_one(path: Path) -> None:
    fill(path)
    refused = []

    def again(month: archiving.ArchivedMonth) -> None:
        with pytest.raises(LedgerError, match="another `lineside ledger archive` is at work"):
            archive(path, "west-1", NOW)
        refused.append(month)

    archive(path, "west-1", NOW, again)
    assert len(refused) == 2


def test_shadow_verdicts_move_with_their_records(path: Path) -> None:
    fill(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(
            "INSERT INTO shadows SELECT id, 'cells/2', 'FAIL', '', '', 0.5 FROM records "
            "WHERE seq IN (3, 39)"
        )
    before = audited(path)
    assert before.shadowed[0].frames == 2
    archive(path, "west-1", NOW)
    assert audited(path) == before
