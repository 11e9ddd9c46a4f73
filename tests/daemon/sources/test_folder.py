"""A folder that something writes images to."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, cast

import pytest
from pydantic import ValidationError

from pipeline.contracts.records import Record, Verdict
from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.runtime.heartbeat import Heartbeat
from pipeline.daemon.sources.folder import SEEN
from pipeline.errors import DataError, SourceLost
from pipeline.testing import FakeClock
from tests.daemon.sources.conftest import PICTURE, RECORD, Polled, config, serials, taken, write


def test_files_that_are_there_already_come_once_oldest_first(watched: Path) -> None:
    for name, seconds in [("b.png", 1), ("a.png", 3), ("tray/c.png", 2)]:
        write(watched / name, seconds)
    assert serials(taken(Polled(watched))) == ["b.png", "tray/c.png", "a.png"]


def test_a_frame_holds_the_file_as_it_is(watched: Path) -> None:
    write(watched / "a.png")
    (frame,) = taken(Polled(watched))
    assert (frame.data, frame.ending) == (PICTURE, ".png")
    assert frame.decoded().shape == (20, 24, 3)


def test_a_restart_repeats_nothing_and_skips_nothing(watched: Path) -> None:
    write(watched / "a.png", 1)
    assert serials(taken(Polled(watched))) == ["a.png"]
    write(watched / "b.png", 2)
    assert serials(taken(Polled(watched))) == ["b.png"]
    assert serials(taken(Polled(watched))) == []


def test_a_file_whose_record_was_not_closed_comes_again_after_a_restart(watched: Path) -> None:
    write(watched / "a.png")
    assert serials(taken(Polled(watched), answer=False)) == ["a.png"]
    assert serials(taken(Polled(watched))) == ["a.png"]


def test_a_file_whose_record_cannot_be_written_comes_again(watched: Path) -> None:
    write(watched / "a.png")
    source = Polled(watched)
    (frame,) = taken(source, answer=False)
    cast(Any, frame.answer)(None)
    assert serials(taken(source)) == ["a.png"]


def test_a_file_that_waited_when_the_station_ended_comes_again(watched: Path) -> None:
    write(watched / "a.png")
    source = Polled(watched)
    (frame,) = taken(source, answer=False)
    why = "station stopped: the part was still waiting"
    ended = Record("0199-a", "west-1", "2026-11-23", "a.png", Verdict.NOT_INSPECTED, why)
    cast(Any, frame.answer)(ended)
    source.close()
    assert serials(taken(Polled(watched))) == ["a.png"]


def test_it_is_connected_before_the_first_file_comes(watched: Path) -> None:
    source = Polled(watched)
    assert taken(source) == []
    assert source.connected


def test_a_file_in_work_does_not_come_a_second_time(watched: Path) -> None:
    write(watched / "a.png")
    source = Polled(watched)
    assert serials(taken(source, answer=False)) == ["a.png"]
    assert serials(taken(source)) == []


def test_a_record_that_is_closed_after_the_source_still_counts(watched: Path) -> None:
    write(watched / "a.png")
    source = Polled(watched)
    (frame,) = taken(source, answer=False)
    source.close()
    assert frame.answer is not None
    frame.answer(RECORD)
    assert serials(taken(Polled(watched))) == []


def test_a_file_that_is_written_again_is_a_new_part(watched: Path) -> None:
    write(watched / "a.png", 1)
    source = Polled(watched)
    assert serials(taken(source)) == ["a.png"]
    write(watched / "a.png", 2)
    assert serials(taken(source)) == ["a.png"]


def test_the_memory_forgets_files_that_are_gone(watched: Path) -> None:
    write(watched / "a.png")
    write(watched / "b.png")
    taken(Polled(watched))
    (watched / "a.png").unlink()
    later = FakeClock()
    later.advance(25 * 3600)
    taken(Polled(watched, later))
    assert b"a.png" not in (watched / SEEN).read_bytes()
    assert b"b.png" in (watched / SEEN).read_bytes()


def test_a_share_that_was_not_mounted_yet_makes_nothing_forgotten(
    watched: Path, tmp_path: Path
) -> None:
    seen = tmp_path / "seen"
    write(watched / "a.png")
    taken(Polled(watched, seen=seen))
    watched.rename(tmp_path / "share")
    watched.mkdir()
    taken(Polled(watched, seen=seen))
    watched.rmdir()
    (tmp_path / "share").rename(watched)
    assert serials(taken(Polled(watched, seen=seen))) == []


def test_moved_files_keep_their_place_and_overwrite_nothing(watched: Path, tmp_path: Path) -> None:
    done = tmp_path / "done"
    for content in (PICTURE, PICTURE + b"2", PICTURE + b"3"):
        write(watched / "tray" / "a.png", data=content)
        assert len(taken(Polled(watched, after="move", done=done))) == 1
    assert list(watched.rglob("*.png")) == []
    assert sorted(p.name for p in (done / "tray").iterdir()) == ["a-2.png", "a-3.png", "a.png"]
    assert (done / "tray" / "a-3.png").read_bytes() == PICTURE + b"3"


def test_a_file_moves_after_its_record_is_closed_and_not_before(
    watched: Path, tmp_path: Path
) -> None:
    path = write(watched / "a.png")
    source = Polled(watched, after="move", done=tmp_path / "done")
    (frame,) = taken(source, answer=False)
    assert path.exists()
    assert frame.answer is not None
    frame.answer(RECORD)
    source.close()
    assert not path.exists()


def test_done_may_lie_inside_the_folder(watched: Path) -> None:
    write(watched / "a.png")
    source = Polled(watched, after="move", done=watched / "done")
    assert serials(taken(source)) == ["a.png"]
    assert serials(taken(source)) == []
    assert (watched / "done" / "a.png").exists()


def test_without_links_a_file_is_copied_and_overwrites_nothing(
    watched: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: object, **__: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", no_links)
    for _ in range(2):
        write(watched / "a.png")
        taken(Polled(watched, after="move", done=tmp_path / "done"))
    assert sorted(p.name for p in (tmp_path / "done").iterdir()) == ["a-2.png", "a.png"]
    assert not (watched / "a.png").exists()


def test_deleted_files_are_gone(watched: Path) -> None:
    write(watched / "a.png")
    taken(Polled(watched, after="delete"))
    assert list(watched.iterdir()) == []


def test_a_newer_file_of_the_same_name_is_not_taken_away(watched: Path) -> None:
    write(watched / "a.png", 1)
    source = Polled(watched, after="delete")
    (frame,) = taken(source, answer=False)
    write(watched / "a.png", 2, PICTURE + b"2")
    assert frame.answer is not None
    frame.answer(RECORD)
    assert [f.data for f in taken(source)] == [PICTURE + b"2"]


def test_a_file_that_cannot_be_taken_away_is_logged_and_not_repeated(
    watched: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(self: Path) -> None:
        raise PermissionError(1, "Operation not permitted")

    write(watched / "a.png")
    source = Polled(watched, after="delete")
    monkeypatch.setattr(Path, "unlink", refuse)
    assert serials(taken(source)) == ["a.png"]
    assert "a.png is inspected, but cannot be removed" in caplog.text
    assert serials(taken(source)) == []


def test_a_name_that_is_not_utf_8_gets_its_frame_and_is_remembered(watched: Path) -> None:
    write(Path(os.fsdecode(os.fsencode(watched) + b"/\xfc.png")))
    (frame,) = taken(Polled(watched))
    assert frame.serial.encode() == b"\\udcfc.png"
    assert frame.data == PICTURE
    assert taken(Polled(watched)) == []


def test_a_file_that_vanishes_before_it_is_read_is_a_frame_with_a_fault(watched: Path) -> None:
    write(watched / "a.png", 1)
    write(watched / "b.png", 2)
    source = Polled(watched)
    frames = source.frames(Heartbeat(source.clock))
    assert next(frames).serial == "a.png"
    (watched / "b.png").unlink()
    assert "b.png cannot be read: No such file" in next(frames).fault


def test_a_pipe_is_a_frame_with_a_fault(watched: Path) -> None:
    os.mkfifo(watched / "a.png")
    (frame,) = taken(Polled(watched))
    assert "pipe" in frame.fault


def test_an_empty_file_is_a_frame_that_cannot_be_decoded(watched: Path) -> None:
    write(watched / "a.png", data=b"")
    (frame,) = taken(Polled(watched))
    with pytest.raises(DataError, match="is empty"):
        frame.decoded()


def test_a_folder_that_is_taken_away_is_lost_and_comes_back(watched: Path) -> None:
    source = Polled(watched)
    frames = source.frames(Heartbeat(source.clock))
    (watched / SEEN).unlink()
    watched.rmdir()
    with pytest.raises(SourceLost, match="is not there"):
        next(frames)
    write(watched / "a.png")
    assert serials(taken(source)) == ["a.png"]


def test_a_closed_file_is_a_frame_without_polling(watched: Path) -> None:
    frames = config(watched, stable_ms=0).open(Clock()).frames(Heartbeat(Clock()))
    write(watched / "a.png")
    assert next(frames).serial == "a.png"
    write(watched / "b.png", data=PICTURE + b"2")
    assert next(frames).data == PICTURE + b"2"


def test_a_closed_file_that_somebody_takes_away_is_a_frame_with_a_fault(watched: Path) -> None:
    frames = config(watched, stable_ms=0).open(Clock()).frames(Heartbeat(Clock()))
    write(watched / "a.png")
    assert next(frames).serial == "a.png"
    write(watched / "b.png").unlink()
    assert "b.png cannot be read: No such file" in next(frames).fault


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere is not a folder"):
        Polled(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"after": "move"}, "`done` belongs to"),
        ({"done": "done"}, "`done` belongs to"),
        ({"after": "move", "done": "."}, "must be another folder"),
        ({"after": "delete", "seen": "seen"}, "`seen` belongs to"),
    ],
)
def test_settings_that_do_not_fit_are_refused(
    settings: dict[str, Any], reason: str, watched: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(watched)
    with pytest.raises(ValidationError, match=reason):
        Polled(watched, **settings)
