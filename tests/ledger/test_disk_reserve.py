"""Space set aside for the ledger, and a disk that is full."""

from __future__ import annotations

import errno
import logging
import os
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.contracts.records import Record, Verdict
from pipeline.errors import LedgerError
from pipeline.ledger.disk_reserve import DiskReserve, disk_full
from pipeline.ledger.ledger import Ledger
from pipeline.testing import FakeClock
from tests.daemon.disk import fill, small_disk

pytestmark = pytest.mark.slow

AT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
SCORES = {f"class-{i}": 0.123456 for i in range(6)}
MB = 2**20


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """24 MB."""
    with small_disk(tmp_path / "disk", 24 * MB) as path:
        yield path


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(AT)


def inspect(ledger: Ledger) -> None:
    """Open and close one record, as large as they are."""
    identity = ledger.open_record(AT, "part-0123456789")
    ledger.close_record(
        Record(
            id=identity,
            station=ledger.station,
            captured_at=AT.isoformat(timespec="microseconds"),
            serial="part-0123456789",
            verdict=Verdict.FAIL,
            reason="crack: 0.97 is above the limit of 0.80",
            part_class="crack",
            defect_score=0.97,
            scores=SCORES,
            model_version="cells/12",
            latency_ms=12.345,
        )
    )


def test_a_folder_that_may_not_be_written_is_reported_and_nothing_worse(
    tmp_path: Path, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_bytes(b"")
    reserve = DiskReserve(tmp_path / "file" / "ledger.sqlite", clock.monotonic_s, MB)
    assert not reserve.restore()
    assert "can be set aside for the ledger" in caplog.text


def test_space_is_really_taken_and_given_back(tmp_path: Path, clock: FakeClock) -> None:
    reserve = DiskReserve(tmp_path / "ledger.sqlite", clock.monotonic_s, MB)
    assert reserve.restore()
    assert reserve.path == tmp_path / "ledger.sqlite.reserve"
    assert reserve.path.stat().st_blocks * 512 >= MB
    assert reserve.release()
    assert not reserve.path.exists()


def test_without_a_reserve_there_is_nothing_to_release(tmp_path: Path, clock: FakeClock) -> None:
    assert not DiskReserve(tmp_path / "ledger.sqlite", clock.monotonic_s, MB).release()


def test_on_a_full_disk_thousands_of_records_are_written_once_the_reserve_is_released(
    disk: Path, clock: FakeClock
) -> None:
    reserve = DiskReserve(disk / "ledger.sqlite", clock.monotonic_s, 6 * MB)
    assert reserve.restore()
    ledger = Ledger(disk / "ledger.sqlite", "west-1")
    inspect(ledger)
    fill(disk / "others")
    with pytest.raises(LedgerError) as raised:
        inspect(ledger)
    assert disk_full(raised.value)
    assert reserve.release()
    for _ in range(2000):
        inspect(ledger)
    ledger.close()


def test_reserve_is_made_again_once_as_much_again_would_stay_free(
    disk: Path, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    reserve = DiskReserve(disk / "ledger.sqlite", clock.monotonic_s, MB)
    assert reserve.restore()
    fill(disk / "others")
    assert reserve.release()
    for _ in range(3):
        clock.advance(60)
        assert not reserve.restore()
    assert not reserve.path.exists()
    (disk / "others").unlink()
    clock.advance(60)
    assert reserve.restore()
    assert [m.split(":")[0] for m in caplog.messages] == [
        "the ledger's disk is full",
        "there is room for the ledger again",
    ]


def test_station_without_room_for_a_reserve_logs_it_once(
    disk: Path, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    fill(disk / "others")
    reserve = DiskReserve(disk / "ledger.sqlite", clock.monotonic_s, MB)
    for _ in range(3):
        assert not reserve.restore()
        clock.advance(60)
    assert len(caplog.messages) == 1
    assert "no 1 MB can be set aside for the ledger (No space left on device)" in caplog.text


def test_released_reserve_is_not_taken_back_at_once(tmp_path: Path, clock: FakeClock) -> None:
    reserve = DiskReserve(tmp_path / "ledger.sqlite", clock.monotonic_s, MB)
    clock.advance(60)
    reserve.restore()
    clock.advance(60)
    reserve.release()
    assert not reserve.restore()
    clock.advance(60)
    assert reserve.restore()


def test_reserve_cut_short_by_a_crash_is_made_whole(tmp_path: Path, clock: FakeClock) -> None:
    reserve = DiskReserve(tmp_path / "ledger.sqlite", clock.monotonic_s, MB)
    reserve.path.write_bytes(b"half of it")
    assert not reserve.held
    assert reserve.restore()
    assert reserve.held


def test_ledger_that_fails_for_another_reason_is_not_a_full_disk() -> None:
    error = LedgerError("locked")
    error.__cause__ = sqlite3.OperationalError("database is locked")
    assert not disk_full(error)
    assert not disk_full(LedgerError("never opened"))


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.EINVAL])
def test_a_file_system_that_sets_no_space_aside_has_it_written(
    tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refused(handle: int, start: int, size: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("os.posix_fallocate", refused)
    reserve = DiskReserve(tmp_path / "ledger.sqlite", clock.monotonic_s, MB)
    assert reserve.restore()
    assert reserve.path.stat().st_blocks * 512 >= MB
