"""The archives of a ledger, read beside it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from pipeline.errors import LedgerError
from pipeline.ledger.database import connect
from pipeline.ledger.upkeep.archives import with_archives
from pipeline.ledger.upkeep.archiving import archive
from tests.ledger.test_ledger import path
from tests.ledger.upkeep.test_archiving import NOW, archives, fill

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
        with_archives(db, path),
    ):
        pass
