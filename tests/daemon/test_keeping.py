"""Frames that the station keeps."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import ValidationError

from pipeline.contracts.records import Record, Verdict
from pipeline.daemon.keeping import Keeper
from pipeline.daemon.ledger import Ledger
from pipeline.daemon.line import Keep, Line
from pipeline.daemon.loop import assembled
from pipeline.daemon.sources import Frame
from pipeline.imaging import codec
from pipeline.registry.store import Registry
from tests.daemon.conftest import picture

AT = datetime(2026, 11, 22, 23, 59, tzinfo=UTC)


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
    seen: list[tuple[Verdict, str]] = []
    with assembled(line.model_copy(update={"keep": Keep(folder=tmp_path / "kept")})) as station:

        def last(_: object) -> None:
            latest = list(station.ledger.records())[-1]
            seen.append((latest.verdict, latest.image))

        monkeypatch.setattr("pipeline.daemon.keeping.write_whole", lambda *_: last(None))
        station.run(threading.Event(), last)
    assert seen == [
        *(("PASS", ""), ("FAIL", ""), ("FAIL", "")),
        *(("NOT_INSPECTED", ""), ("REVIEW", ""), ("REVIEW", "")),
    ]


def test_pixels_without_a_file_become_a_png_that_loses_nothing(tmp_path: Path) -> None:
    pixels = picture(50)
    pixels[3, 5] = (1, 2, 3)
    frame = Frame(AT, 0.0, "part-1", pixels)
    path = Keeper(Keep(folder=tmp_path)).keep(frame, record(Verdict.FAIL))
    assert path == "2026-11-22/0199-a.png"
    assert (codec.read(tmp_path / path) == pixels).all()


def test_frame_without_pixels_and_file_leaves_nothing(tmp_path: Path) -> None:
    keeper = Keeper(Keep(folder=tmp_path, verdicts=("NOT_INSPECTED",)))
    frame = Frame(AT, 0.0, "part-1", None, "the camera is away")
    assert keeper.keep(frame, record(Verdict.NOT_INSPECTED)) == ""
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
