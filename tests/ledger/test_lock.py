"""Two stations never work on one ledger, by whatever name each reaches it."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from pipeline.errors import LedgerError
from pipeline.ledger.audit import audit
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.lock import in_use, lock_file
from tests.ledger.test_ledger import AT, closed, path

__all__ = ["path"]

OPEN = """
import sys
from pathlib import Path
from pipeline.ledger.ledger import Ledger
Ledger(Path(sys.argv[1]), "west-1")
"""


def symbolic_link(path: Path) -> Path:
    link = path.with_name("link.sqlite")
    link.symlink_to(path)
    return link


def link_in_another_folder(path: Path) -> Path:
    folder = path.parent.parent / "another"
    folder.mkdir()
    (folder / "ledger.sqlite").symlink_to(path)
    return folder / "ledger.sqlite"


def linked_folder(path: Path) -> Path:
    folder = path.parent.parent / "linked"
    folder.symlink_to(path.parent)
    return folder / path.name


def hard_link(path: Path) -> Path:
    link = path.with_name("hard.sqlite")
    link.hardlink_to(path)
    return link


def after_its_lock_file_was_removed(path: Path) -> Path:
    lock_file(path).unlink()
    return path


def after_its_lock_file_was_replaced(path: Path) -> Path:
    lock_file(path).unlink()
    lock_file(path).touch()
    return path


WAYS = (
    symbolic_link,
    link_in_another_folder,
    linked_folder,
    hard_link,
    after_its_lock_file_was_removed,
    after_its_lock_file_was_replaced,
)


@pytest.mark.parametrize("way", WAYS)
def test_a_second_station_is_refused_whatever_name_it_uses(
    path: Path, way: Callable[[Path], Path]
) -> None:
    with closing(Ledger(path, "west-1")) as ledger:
        identity = ledger.open_record(AT, "part-1")
        with pytest.raises(LedgerError, match="in use by another `lineside run`"):
            Ledger(way(path), "west-1")
        ledger.close_record(closed(identity))


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_a_second_process_is_refused_and_the_open_record_stays_open(
    path: Path, way: Callable[[Path], Path]
) -> None:
    with closing(Ledger(path, "west-1")) as ledger:
        identity = ledger.open_record(AT, "part-1")
        command = [sys.executable, "-c", OPEN, str(way(path))]
        second = subprocess.run(command, capture_output=True, text=True, check=False)
        assert "in use by another `lineside run`" in second.stderr
        ledger.close_record(closed(identity))


@pytest.mark.parametrize("way", WAYS)
def test_the_ledger_is_free_once_the_station_has_ended(
    path: Path, way: Callable[[Path], Path]
) -> None:
    Ledger(path, "west-1").close()
    Ledger(way(path), "west-1").close()


@pytest.mark.parametrize("way", WAYS[-2:])
def test_a_station_makes_its_lock_file_again_and_notes_that(
    path: Path, way: Callable[[Path], Path], caplog: pytest.LogCaptureFixture
) -> None:
    with closing(Ledger(path, "west-1")) as ledger:
        way(path)
        assert not in_use(path)
        ledger.check_lock(AT)
        ledger.check_lock(AT)
        assert in_use(path)
        (event,) = audit(path, "west-1", None, None).events
    assert event.kind == "lock file replaced"
    assert caplog.text.count("ledger.sqlite.lock was removed or replaced") == 1


def test_a_lock_file_that_others_hold_is_taken_once_they_let_go(path: Path) -> None:
    with closing(Ledger(path, "west-1")) as ledger:
        after_its_lock_file_was_replaced(path)
        with lock_file(path).open("rb") as reader:
            fcntl.flock(reader, fcntl.LOCK_SH)
            ledger.check_lock(AT)
        assert not in_use(path)
        ledger.check_lock(AT)
        assert in_use(path)


@pytest.mark.parametrize("way", WAYS[:3])
def test_a_reader_sees_through_a_link_that_a_station_is_at_work(
    path: Path, way: Callable[[Path], Path]
) -> None:
    with closing(Ledger(path, "west-1")):
        assert in_use(way(path))
    assert not in_use(path)


def test_a_file_system_without_locks_on_files_is_reported(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def unsupported(handle: object, command: int, argument: bytes) -> bytes:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    caplog.set_level(logging.WARNING)
    monkeypatch.setattr("fcntl.fcntl", unsupported)
    with (
        closing(Ledger(path, "west-1")),
        pytest.raises(LedgerError, match="in use by another"),
    ):
        Ledger(path, "west-1")
    assert "a second station is only kept out by ledger.sqlite.lock" in caplog.text


def test_the_size_of_a_ledger_behind_a_link_counts_its_write_ahead_log(path: Path) -> None:
    with closing(Ledger(path, "west-1")):
        pass
    with closing(Ledger(link_in_another_folder(path), "west-1")) as ledger:
        ledger.open_record(AT, "part-1")
        log_bytes = path.with_name(f"{path.name}-wal").stat().st_size
        assert log_bytes > 0
        assert ledger.status.size_bytes == path.stat().st_size + log_bytes
