"""A new ledger in place of a damaged one: what can be read goes on, what is missing is shown."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from pipeline.errors import LedgerError
from pipeline.ledger.audit import audit
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.outbox import Outbox
from pipeline.ledger.upkeep.integrity import made_beside
from pipeline.ledger.upkeep.recovery import recover
from tests.ledger.test_ledger import AT, closed, path
from tests.ledger.upkeep.test_integrity import (
    N_RECORDS,
    end_cut_off,
    fill,
    first_leaf_of_records,
    root_of_an_index,
)

__all__ = ["path"]


def test_records_of_a_lost_page_are_missing_and_all_others_are_there(path: Path) -> None:
    fill(path)
    first_leaf_of_records(path)
    done = recover(path, "west-1", AT)
    found = audit(path, "west-1", None, None)
    assert found.triggers == N_RECORDS
    assert 0 < found.missing < 100
    assert not found.balances
    assert f"copied of it: {N_RECORDS - found.missing} records" in done.detail


def test_numbers_go_on_after_the_last_one_of_the_damaged_ledger(path: Path) -> None:
    fill(path)
    first_leaf_of_records(path)
    recover(path, "west-1", AT)
    with closing(Ledger(path, "west-1")) as ledger:
        assert ledger.started_after == N_RECORDS
        ledger.close_record(closed(ledger.open_record(AT, "next")))
    assert audit(path, "west-1", None, None).triggers == N_RECORDS + 1


def test_a_lost_index_costs_no_record(path: Path) -> None:
    fill(path)
    root_of_an_index(path)
    recover(path, "west-1", AT)
    assert audit(path, "west-1", None, None).balances


def test_what_was_undelivered_is_delivered_from_the_new_ledger(path: Path) -> None:
    fill(path)
    root_of_an_index(path)
    recover(path, "west-1", AT)
    with closing(Ledger(path, "west-1")) as ledger:
        assert Outbox(ledger, "mes").depth() == (N_RECORDS, 0)


def test_a_ledger_cut_off_in_the_middle_is_recovered(path: Path) -> None:
    fill(path)
    end_cut_off(path)
    recover(path, "west-1", AT)
    with closing(Ledger(path, "west-1")) as ledger:
        assert ledger.started_after == N_RECORDS


def test_the_damaged_file_is_kept_and_named_in_an_event(path: Path) -> None:
    fill(path)
    first_leaf_of_records(path)
    before = path.read_bytes()
    recover(path, "west-1", AT)
    (kept,) = path.parent.glob("*.damaged-*")
    assert kept.read_bytes() == before
    event = audit(path, "west-1", None, None).events[-1]
    assert event.kind == "ledger recovered"
    assert event.detail.startswith(f"{kept.name} is kept; copied of it: ")


def test_what_only_the_write_ahead_log_has_is_copied_too(path: Path) -> None:
    fill(path)
    first_leaf_of_records(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA wal_autocheckpoint = 0")
        db.execute("INSERT INTO events (at, kind, detail) VALUES ('2026', 'only in the log', '')")
        log = path.with_name(f"{path.name}-wal").read_bytes()
        data = path.read_bytes()
    path.write_bytes(data)
    path.with_name(f"{path.name}-wal").write_bytes(log)
    recover(path, "west-1", AT)
    assert [e.kind for e in audit(path, "west-1", None, None).events] == [
        "only in the log",
        "ledger recovered",
    ]


def test_a_file_of_which_nothing_can_be_read_is_kept_beside_an_empty_ledger(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\xa5" * 8192)
    recover(path, "west-1", AT)
    assert audit(path, "west-1", None, None).triggers == 0
    (kept,) = path.parent.glob("*.damaged-*")
    assert kept.read_bytes() == b"\xa5" * 8192


def test_a_whole_ledger_is_left_as_it_is(path: Path) -> None:
    fill(path, 10)
    with pytest.raises(LedgerError, match="is not damaged"):
        recover(path, "west-1", AT)
    assert [p.name for p in path.parent.glob("*.damaged-*")] == []


def test_the_ledger_of_another_station_is_left_as_it_is(path: Path) -> None:
    fill(path)
    first_leaf_of_records(path)
    with pytest.raises(LedgerError, match='is the ledger of station "west-1", not "east-1"'):
        recover(path, "east-1", AT)


def test_a_ledger_at_work_is_not_recovered(path: Path) -> None:
    with (
        closing(Ledger(path, "west-1")),
        pytest.raises(LedgerError, match="in use by another `lineside run`"),
    ):
        recover(path, "west-1", AT)


@pytest.mark.parametrize("step", ["hardlink_to", "rename", "unlink", "replace"])
def test_a_recovery_that_was_cut_off_is_finished_by_the_next(
    path: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(path)
    first_leaf_of_records(path)
    with monkeypatch.context() as patch:
        cut_off(patch, path, step)
        with pytest.raises(PowerCut):
            recover(path, "west-1", AT)
    if made_beside(path).exists():
        with pytest.raises(LedgerError, match="waits to take the place"):
            Ledger(path, "west-1")
    recover(path, "west-1", AT)
    assert audit(path, "west-1", None, None).triggers == N_RECORDS
    Ledger(path, "west-1").close()


class PowerCut(BaseException):
    """The process ends here."""


def cut_off(patch: pytest.MonkeyPatch, ledger: Path, step: str) -> None:
    """End the process at one step of a recovery."""
    does = {name: getattr(Path, name) for name in ("hardlink_to", "unlink", "replace")}

    def hardlink_to(self: Path, other: Path) -> None:
        raise PowerCut

    def unlink(self: Path, missing_ok: bool = False) -> None:
        if self.name == f"{ledger.name}-wal":
            raise PowerCut
        does["unlink"](self, missing_ok)

    def replace(self: Path, to: Path) -> Path:
        if (to == ledger) == (step == "replace"):
            raise PowerCut
        return Path(does["replace"](self, to))

    name = "replace" if step == "rename" else step
    patch.setattr(Path, name, {"hardlink_to": hardlink_to, "unlink": unlink}.get(step, replace))
