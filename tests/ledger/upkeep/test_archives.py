"""The archives of a ledger, read beside it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from pipeline.errors import LedgerError
from pipeline.files import sha256
from pipeline.ledger.database import connect
from pipeline.ledger.queries import closed_records_of_serial
from pipeline.ledger.upkeep import archives as archives_module
from pipeline.ledger.upkeep.archives import (
    archived_record,
    archived_records_of_serial,
    with_archives,
)
from pipeline.ledger.upkeep.archiving import archive
from tests.ledger.test_ledger import path
from tests.ledger.upkeep.test_archiving import NOW, archives, fill, hurt

__all__ = ["path"]


def test_only_archives_with_later_records_are_opened(path: Path) -> None:
    fill(path)
    archive(path, "west-1", NOW)
    with closing(connect(path)) as db:
        for after, n_files in ((0, 3), (5, 2), (39, 1)):
            with with_archives(db, path, after) as files:
                assert len(files) == n_files


def test_another_file_of_an_archives_name_is_refused(path: Path) -> None:
    fill(path)
    archive(path, "west-1", NOW)
    archives(path)[0].write_bytes(b"")
    with (
        closing(connect(path)) as db,
        pytest.raises(LedgerError, match="not a ledger"),
        with_archives(db, path, whole=False),
    ):
        pass


def test_a_damaged_archive_is_named_with_what_is_wrong_and_what_to_do(path: Path) -> None:
    fill(path)
    archive(path, "west-1", NOW)
    hurt(archives(path)[1])
    with closing(connect(path)) as db:
        with with_archives(db, path, 39):  # which needs none of them
            pass
        with (
            pytest.raises(LedgerError, match="put a copy from a backup in its place") as refusal,
            with_archives(db, path),
        ):
            pass
    assert str(archives(path)[1]) in str(refusal.value)
    assert "somebody changed it" not in str(refusal.value)


def test_a_copy_from_a_backup_makes_a_damaged_archive_whole_again(path: Path) -> None:
    fill(path)
    archive(path, "west-1", NOW)
    file = archives(path)[0]
    backup = file.read_bytes()
    hurt(file)
    with closing(connect(path)) as db:
        with pytest.raises(LedgerError), with_archives(db, path):
            pass
        file.write_bytes(backup)
        with with_archives(db, path) as files:
            assert len(files) == 3


def test_a_whole_archive_is_read_once_for_many_requests(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(path)
    archive(path, "west-1", NOW)
    read = list[Path]()

    def noted(file: Path) -> str:
        read.append(file)
        return sha256(file)

    monkeypatch.setattr(archives_module, "sha256", noted)
    with closing(connect(path)) as db:
        for _ in range(3):
            with with_archives(db, path):
                pass
    assert read == archives(path)


def test_an_archived_record_is_found_by_its_id_and_by_its_serial(path: Path) -> None:
    fill(path)
    with closing(connect(path)) as db:
        wanted = closed_records_of_serial(db, "part-1", "west-1", 100)
    archive(path, "west-1", NOW)
    with closing(connect(path)) as db:
        there = closed_records_of_serial(db, "part-1", "west-1", 100)
        moved = archived_records_of_serial(db, path, "part-1", "west-1", 100)
        assert there + moved == wanted
        assert len(moved) > 3
        assert archived_records_of_serial(db, path, "part-1", "west-1", 2) == moved[:2]
        assert archived_records_of_serial(db, path, "part-1", "west-1", 0) == []
        for record in moved:
            found = archived_record(db, path, record.id, "west-1")
            assert found is not None
            assert found[0] == record
            assert record.captured_at[:7] in found[1].name
        assert archived_record(db, path, "0", "west-1") is None
