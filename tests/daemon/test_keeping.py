"""Frames that the station keeps."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from pipeline.contracts.bundle import Bundle
from pipeline.contracts.records import Record, Verdict
from pipeline.daemon.clock import FakeClock
from pipeline.daemon.keeping import BACKLOG, Keeper
from pipeline.daemon.ledger import Ledger
from pipeline.daemon.line import Keep, Line
from pipeline.daemon.loop import Station, assembled
from pipeline.daemon.sources import FakeSource, Frame
from pipeline.files import write_whole
from pipeline.imaging import Pixels, codec
from pipeline.inference.inspector import Inspector
from pipeline.registry.store import Registry
from tests.daemon.conftest import picture

AT = datetime(2026, 11, 22, 23, 59, tzinfo=UTC)
PATIENCE_S = 10  # of tests that would otherwise hang when they fail


def record(verdict: Verdict, identity: str = "0199-a") -> Record:
    return Record(identity, "west-1", AT.isoformat(), "part-1", verdict, "")


def run(line: Line, keep: Keep) -> list[Record]:
    """Inspect the four parts; returns the ledger's records."""
    with assembled(line.model_copy(update={"keep": keep})) as station:
        station.run(threading.Event())
    ledger = Ledger(line.ledger, "west-1")
    found = list(ledger.records())
    ledger.close()
    return found


def test_failed_and_doubtful_frames_are_kept_bit_for_bit_and_named_in_their_records(
    line: Line, parts: Path, champion: Registry, tmp_path: Path
) -> None:
    good, bad, damaged, doubt = run(line, Keep(folder=tmp_path / "kept"))
    assert (good.image, damaged.image) == ("", "")
    for kept, name in ((bad, "b_bad.png"), (doubt, "tray/d_doubt.png")):
        assert kept.image == f"{kept.captured_at[:10]}/{kept.id}.png"
        assert (tmp_path / "kept" / kept.image).read_bytes() == (parts / name).read_bytes()
    assert len([p for p in (tmp_path / "kept").rglob("*") if p.is_file()]) == 2


def test_damaged_file_is_kept_as_it_came_where_that_is_wanted(
    line: Line, parts: Path, champion: Registry, tmp_path: Path
) -> None:
    keep = Keep(folder=tmp_path / "kept", verdicts=("NOT_INSPECTED",))
    (image,) = [r.image for r in run(line, keep) if r.image]
    assert (tmp_path / "kept" / image).read_bytes() == (parts / "c_damaged.png").read_bytes()


def test_no_frame_is_kept_where_nobody_asked(line: Line, champion: Registry) -> None:
    with assembled(line) as station:
        station.run(threading.Event())
        assert {r.image for r in station.ledger.records()} == {""}


def test_folder_that_cannot_be_written_does_not_stop_the_line(
    line: Line, champion: Registry, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "kept").write_text("a file in the way")
    records = run(line, Keep(folder=tmp_path / "kept"))
    assert [r.verdict for r in records] == ["PASS", "FAIL", "NOT_INSPECTED", "REVIEW"]
    assert {r.image for r in records} == {""}
    assert [m for m in caplog.messages if f"the frame of {records[1].id} was not kept" in m]


def test_verdict_is_in_the_ledger_before_the_frame_is_written(
    line: Line, champion: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, str]] = []

    def look(path: Path, _: bytes) -> None:
        with closing(sqlite3.connect(line.ledger)) as db:
            row = "SELECT verdict, image FROM records WHERE id = ?"
            seen.append(db.execute(row, (path.stem,)).fetchone())

    monkeypatch.setattr("pipeline.daemon.keeping.write_whole", look)
    run(line, Keep(folder=tmp_path / "kept"))
    assert seen == [("FAIL", ""), ("REVIEW", "")]


def test_frame_is_named_in_its_record_once_its_file_is_there(
    line: Line, champion: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there: list[bool] = []
    note = Ledger.note_image

    def look(ledger: Ledger, identity: str, path: str) -> None:
        there.append((tmp_path / "kept" / path).is_file())
        note(ledger, identity, path)

    monkeypatch.setattr(Ledger, "note_image", look)
    run(line, Keep(folder=tmp_path / "kept"))
    assert there == [True, True]


class SlowDisk:
    """Writes nothing until it is `released`, and says when it was `reached`."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.released = threading.Event()
        self.in_time = True

    def write(self, path: Path, data: bytes) -> None:
        self.reached.set()
        self.in_time &= self.released.wait(PATIENCE_S)
        write_whole(path, data)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> SlowDisk:
    """Let the keeper write to a slow disk."""
    slow = SlowDisk()
    monkeypatch.setattr("pipeline.daemon.keeping.write_whole", slow.write)
    return slow


def test_no_verdict_waits_for_the_frame_before_it_and_in_the_end_each_is_named(
    line: Line, champion: Registry, tmp_path: Path, disk: SlowDisk
) -> None:
    keep = Keep(folder=tmp_path / "kept", pass_share=1)
    closed: list[Record] = []

    def watch(record: Record) -> None:
        closed.append(record)
        if len(closed) == 2:
            assert disk.reached.wait(PATIENCE_S)
            disk.released.set()

    with assembled(line.model_copy(update={"keep": keep})) as station:
        station.run(threading.Event(), watch)
        images = [r.image for r in station.ledger.records()]
    assert disk.in_time, "the second record was closed only after the first frame was written"
    assert [bool(image) for image in images] == [True, True, False, True]
    assert all((keep.folder / image).is_file() for image in images if image)


def test_frames_that_wait_when_the_station_fails_are_written_and_named(
    line: Line, champion: Registry, tmp_path: Path, disk: SlowDisk
) -> None:
    def fail(record: Record) -> None:
        if record.verdict is Verdict.NOT_INSPECTED:
            disk.released.set()
            raise RuntimeError("the display is gone")

    keep = Keep(folder=tmp_path / "kept", pass_share=1)
    with assembled(line.model_copy(update={"keep": keep})) as station:
        with pytest.raises(RuntimeError, match="the display is gone"):
            station.run(threading.Event(), fail)
        images = [r.image for r in station.ledger.records()]
    assert [(keep.folder / i).is_file() for i in images if i] == [True, True]


def test_frame_that_comes_while_too_many_wait_is_not_kept_which_is_counted(
    tmp_path: Path, disk: SlowDisk, caplog: pytest.LogCaptureFixture
) -> None:
    keeper = Keeper(Keep(folder=tmp_path))
    frame = Frame(AT, 0.0, "part-1", None, data=b"an image")
    with keeper:
        keeper.offer(frame, record(Verdict.FAIL, "first"))
        assert disk.reached.wait(PATIENCE_S)
        for i in range(BACKLOG + 2):
            keeper.offer(frame, record(Verdict.FAIL, f"next-{i}"))
        disk.released.set()
    assert [i for i, _ in keeper.kept()] == ["first", *(f"next-{i}" for i in range(BACKLOG))]
    assert keeper.left_out == 2
    assert [m.partition(" was not kept: ")[::2] for m in caplog.messages] == [
        ("the frame of next-64", "64 others wait to be written (1 left out so far)"),
        ("the frame of next-65", "64 others wait to be written (2 left out so far)"),
    ]


def kept(keeper: Keeper, frame: Frame, verdict: Verdict) -> Sequence[tuple[str, str]]:
    """Offer one frame; returns what was written by the end."""
    with keeper:
        keeper.offer(frame, record(verdict))
    return list(keeper.kept())


def test_pixels_without_a_file_become_a_png_that_loses_nothing(tmp_path: Path) -> None:
    pixels = picture(50)
    pixels[3, 5] = (1, 2, 3)
    frame = Frame(AT, 0.0, "part-1", pixels)
    written = kept(Keeper(Keep(folder=tmp_path)), frame, Verdict.FAIL)
    assert written == [("0199-a", "2026-11-22/0199-a.png")]
    assert (codec.read(tmp_path / "2026-11-22/0199-a.png") == pixels).all()


@pytest.mark.parametrize("shape", [(20, 24), (20, 24, 2), (20, 24, 5), (0, 0, 3)])
def test_frame_that_cannot_be_encoded_does_not_stop_the_line(
    shape: tuple[int, ...],
    sealed_bundle: Bundle,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    odd: Pixels = np.zeros(shape, np.uint8)
    clock, ledger = FakeClock(), Ledger(tmp_path / "ledger.sqlite", "west-1")
    keeper = Keeper(Keep(folder=tmp_path / "kept", verdicts=("FAIL", "NOT_INSPECTED")))
    source = FakeSource([odd, picture(50)], clock)
    inspector = Inspector(sealed_bundle, threads=1)
    Station(source, inspector, "cells/1", ledger, clock, keeper).run(threading.Event())
    first, second = ledger.records()
    assert (first.verdict, first.image) == (Verdict.NOT_INSPECTED, "")
    assert f"the frame of {first.id} was not kept" in caplog.text
    assert (tmp_path / "kept" / second.image).is_file()


def test_frame_without_pixels_and_file_leaves_nothing(tmp_path: Path) -> None:
    keeper = Keeper(Keep(folder=tmp_path, verdicts=("NOT_INSPECTED",)))
    frame = Frame(AT, 0.0, "part-1", None, "the camera is away")
    assert kept(keeper, frame, Verdict.NOT_INSPECTED) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("share", "low", "high"), [(0, 0, 0), (0.25, 200, 300), (1, 1000, 1000)])
def test_a_share_of_good_parts_is_kept(tmp_path: Path, share: float, low: int, high: int) -> None:
    keeper = Keeper(Keep(folder=tmp_path, pass_share=share))
    wanted = sum(keeper.wants(record(Verdict.PASS, f"0199-{i}")) for i in range(1000))
    assert low <= wanted <= high


def test_the_share_always_picks_the_same_records(tmp_path: Path) -> None:
    keeper = Keeper(Keep(folder=tmp_path, pass_share=0.5))
    records = [record(Verdict.PASS, f"0199-{i}") for i in range(100)]
    picked = [keeper.wants(r) for r in records]
    assert {True, False} == set(picked)
    assert [keeper.wants(replace(r, serial="x")) for r in records] == picked


def test_good_parts_are_asked_for_by_their_share_only(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="'FAIL', 'REVIEW' or 'NOT_INSPECTED'"):
        Keep.model_validate({"folder": tmp_path, "verdicts": ["PASS"]})
