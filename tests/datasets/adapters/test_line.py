"""Reviewed frames of a station as a data set."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from pipeline.contracts.records import Record, Verdict
from pipeline.contracts.sample import Sample
from pipeline.datasets.adapters import line
from pipeline.errors import DataError
from pipeline.imaging.codec import encode_png
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.schema import VERSION
from pipeline.ledger.upkeep.archiving import archive

AT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger.sqlite", "west-1")


def part(ledger: Ledger, serial: str, *reviews: str, kept: bool = True) -> str:
    """A part that the station failed, with its frame and what people said of it."""
    identity = ledger.open_record(AT, serial)
    ledger.close_record(
        Record(identity, "west-1", AT.isoformat(), serial, Verdict.FAIL, "", "defective", 0.9)
    )
    if kept:
        file = ledger.path.parent / "kept/2026-11-22" / f"{identity}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(encode_png(np.full((4, 4, 3), 9, np.uint8)))
        ledger.note_image(identity, f"2026-11-22/{identity}.png")
    with closing(sqlite3.connect(ledger.path)) as db, db:
        db.executemany(
            "INSERT INTO reviews (record, reviewed_at, reviewer, part_class) VALUES (?, ?, ?, ?)",
            [(identity, AT.isoformat(), "A. Weber", name) for name in reviews],
        )
    return identity


def read(folder: Path) -> list[Sample]:
    config = line.Config(type="line", ledger=folder / "ledger.sqlite", images=folder / "kept")
    return line.read(config)


def test_a_data_set_is_the_same_after_the_ledger_was_archived(
    ledger: Ledger, tmp_path: Path
) -> None:
    part(ledger, "SN-17", "defective")
    part(ledger, "SN-18", kept=False)
    before = read(tmp_path)
    (month,) = archive(ledger.path, "west-1", datetime(2027, 1, 1, tzinfo=UTC))
    assert (month.moved, month.left) == (1, 1)
    assert read(tmp_path) == before


def test_the_label_is_the_last_review_and_the_group_the_serial(
    ledger: Ledger, tmp_path: Path
) -> None:
    identity = part(ledger, "SN-17", "defective", "good")
    path = f"2026-11-22/{identity}.png"
    assert read(tmp_path) == [Sample(id=identity, path=path, label="good", group="SN-17")]


def test_what_the_model_answered_is_not_a_truth(ledger: Ledger, tmp_path: Path) -> None:
    part(ledger, "SN-1")
    reviewed = part(ledger, "SN-2", "good")
    assert [s.id for s in read(tmp_path)] == [reviewed]


def test_shots_of_one_part_are_one_group_in_the_order_of_triggers(
    ledger: Ledger, tmp_path: Path
) -> None:
    shots = [part(ledger, "SN-1", "good"), part(ledger, "SN-1", "good")]
    assert [(s.id, s.group) for s in read(tmp_path)] == [(shot, "SN-1") for shot in shots]


def test_a_part_without_a_serial_is_a_group_of_its_own(ledger: Ledger, tmp_path: Path) -> None:
    identity = part(ledger, "", "good")
    assert [s.group for s in read(tmp_path)] == [identity]


def test_a_frame_that_is_no_longer_there_is_left_out_with_a_warning(
    ledger: Ledger, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gone, there = part(ledger, "SN-1", "good"), part(ledger, "SN-2", "good")
    (tmp_path / f"kept/2026-11-22/{gone}.png").unlink()
    assert [s.id for s in read(tmp_path)] == [there]
    assert (
        f"1 of 2 reviewed frames are no longer there, such as 2026-11-22/{gone}.png"
        in (caplog.messages[0])
    )


def test_a_folder_without_any_of_the_frames_is_an_error(ledger: Ledger, tmp_path: Path) -> None:
    part(ledger, "SN-1", "good")
    shutil.rmtree(tmp_path / "kept")
    (tmp_path / "kept").mkdir()
    with pytest.raises(DataError, match=r"kept has none of the 1 reviewed frames.*set source\.im"):
        read(tmp_path)


def test_a_missing_folder_is_named(ledger: Ledger, tmp_path: Path) -> None:
    part(ledger, "SN-1", "good")
    shutil.rmtree(tmp_path / "kept")
    with pytest.raises(DataError, match=r"kept is not a folder \(source\.images in ingest\.yaml"):
        read(tmp_path)


def test_a_ledger_without_reviewed_frames_is_refused_with_how_to_get_some(
    ledger: Ledger, tmp_path: Path
) -> None:
    part(ledger, "SN-1")
    part(ledger, "SN-2", "good", kept=False)
    with pytest.raises(DataError, match="no reviewed part with a kept frame; set `keep` in the"):
        read(tmp_path)


def test_a_missing_ledger_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"ledger\.sqlite is not a file \(source\.ledger in ingest"):
        read(tmp_path)


def test_a_file_that_is_not_a_ledger_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite").write_text("not a database, but long enough\n" * 40)
    with pytest.raises(DataError, match=r"cannot be used as a ledger \(file is not a database"):
        read(tmp_path)


def test_another_sqlite_file_is_refused(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as db:
        db.execute("CREATE TABLE experiments (id INTEGER)")
    with pytest.raises(DataError, match="is a SQLite file but not a ledger"):
        read(tmp_path)


def test_a_ledger_of_an_older_format_asks_for_a_start_of_the_station(
    ledger: Ledger, tmp_path: Path
) -> None:
    ledger.close()
    with closing(sqlite3.connect(ledger.path)) as db:
        db.execute("PRAGMA user_version = 1")
    with pytest.raises(
        DataError, match=f"format 1, data sets need {VERSION}; start the station once"
    ):
        read(tmp_path)


def test_frames_may_lie_in_an_archive(ledger: Ledger, tmp_path: Path) -> None:
    identity = part(ledger, "SN-1", "good")
    packed = shutil.make_archive(str(tmp_path / "kept"), "zip", tmp_path / "kept")
    raw = {"type": "line", "ledger": str(ledger.path), "images": packed}
    config = line.Config.model_validate(raw)
    assert [s.id for s in line.read(config)] == [identity]
    assert json.loads(config.model_dump_json()) == raw
