"""A damaged ledger is noticed at the start, not at the first part."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from pipeline.contracts.records import Verdict
from pipeline.errors import LedgerError
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.upkeep.integrity import IntegrityCheck
from tests.ledger.test_ledger import AT, closed, path

__all__ = ["path"]

N_RECORDS = 600


def fill(path: Path, n: int = N_RECORDS) -> None:
    """A ledger of closed records, all of them due for a sink."""
    with closing(Ledger(path, "west-1", {"mes": tuple(Verdict)})) as ledger:
        for i in range(n):
            at = AT + timedelta(seconds=i)
            ledger.close_record(closed(ledger.open_record(at, f"part-{i}")))


def pages_of(path: Path, name: str) -> list[int]:
    """The numbers of the pages of a table or index, its root first."""
    with closing(sqlite3.connect(path)) as db:
        (root,) = db.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = ?", (name,)
        ).fetchone()
        size = db.execute("PRAGMA page_size").fetchone()[0]
    data, found = path.read_bytes(), [root]
    page = data[(root - 1) * size : root * size]
    if page[0] in (2, 5):  # an inner page: pointers to its children
        n_cells = int.from_bytes(page[3:5], "big")
        cells = (int.from_bytes(page[12 + 2 * i : 14 + 2 * i], "big") for i in range(n_cells))
        found += [int.from_bytes(page[c : c + 4], "big") for c in cells]
        found.append(int.from_bytes(page[8:12], "big"))
    return found


def overwrite(path: Path, page: int) -> None:
    """What a disk that lost a write may leave: a page of something else."""
    with path.open("r+b") as file:
        size = int.from_bytes(path.read_bytes()[16:18], "big")
        file.seek((page - 1) * size)
        file.write(b"\xa5" * size)


def first_leaf_of_records(path: Path) -> None:
    overwrite(path, pages_of(path, "records")[1])


def root_of_an_index(path: Path) -> None:
    overwrite(path, pages_of(path, "records_serial")[0])


def end_cut_off(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2 // 4096 * 4096)


@pytest.mark.parametrize("damage", [first_leaf_of_records, root_of_an_index, end_cut_off])
def test_a_damaged_ledger_is_refused_at_the_start_with_what_to_do(
    path: Path, damage: Callable[[Path], None]
) -> None:
    fill(path)
    damage(path)
    with pytest.raises(LedgerError, match="lineside ledger recover"):
        Ledger(path, "west-1")


def test_a_large_ledger_is_checked_while_the_station_works(path: Path) -> None:
    fill(path)
    first_leaf_of_records(path)
    check = IntegrityCheck(path)
    check.start()
    check.wait()
    assert "is damaged" in check.damage
    assert "lineside ledger recover" in check.damage
    with closing(Ledger(path, "west-1", check_at_once_bytes=0)) as ledger:
        ledger.open_record(AT, "part")


def test_a_whole_ledger_raises_no_alarm(path: Path) -> None:
    fill(path, 10)
    check = IntegrityCheck(path)
    check.start()
    check.wait()
    assert check.damage == ""


def test_a_check_that_was_ended_found_nothing(path: Path) -> None:
    fill(path, 10)
    check = IntegrityCheck(path)
    check.stop()
    check.start()
    check.wait()
    assert check.damage == ""


def test_the_check_begins_once_the_ledger_has_its_write_ahead_log(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader keeps SQLite from beginning one, as in a file that was recovered."""
    fill(path, 10)
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode = DELETE")
    modes = []

    def start(check: IntegrityCheck) -> None:
        with closing(sqlite3.connect(path)) as db:
            modes.append(db.execute("PRAGMA journal_mode").fetchone()[0])

    monkeypatch.setattr(IntegrityCheck, "start", start)
    Ledger(path, "west-1", check_at_once_bytes=0).close()
    assert modes == ["wal"]
