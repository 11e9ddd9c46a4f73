"""A folder that something writes images to."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import pytest
from pydantic import ValidationError
from watchdog.observers.inotify import InotifyObserver

from pipeline.contracts.records import Record, Verdict
from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.runtime.heartbeat import Heartbeat
from pipeline.daemon.sources import Frame, _seen_files
from pipeline.daemon.sources.folder import SEEN, Config, Folder
from pipeline.errors import DataError, SourceLost
from pipeline.files import whole_file
from pipeline.imaging import codec
from pipeline.testing import FakeClock

PICTURE = codec.encode_png(np.full((20, 24, 3), 200, np.uint8))
RECORD = Record("1", "west-1", "2026-01-01T00:00:00+00:00", "a.png", Verdict.PASS, "fine")
DEADLINE_S = 10.0


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


def write(path: Path, seconds: int = 0, data: bytes = PICTURE) -> Path:
    """A file that was written so many seconds after 2026 began."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    at_s = 1_767_225_600 + seconds
    os.utime(path, (at_s, at_s))
    return path


def polled(folder: Path, **settings: object) -> Folder:
    """A source that looks each second of a clock of its own, which takes no time."""
    return opened(folder, FakeClock(), polling_s=1, **settings)


def opened(folder: Path, clock: Clock, **settings: object) -> Folder:
    return Config.model_validate({"type": "folder", "path": folder} | settings).open(clock)


def taken(source: Folder, n: int = 99, *, answer: bool = True, looks: int = 5) -> list[Frame]:
    """Up to `n` frames, all that come within a few looks, each one's record closed at once."""
    clock, frames = source._clock, []
    heartbeat = Heartbeat(clock)
    until_s = clock.monotonic_s() + looks

    def wait(stop: threading.Event, seconds: float) -> None:
        clock.advance(seconds)  # type: ignore[attr-defined]
        if clock.monotonic_s() > until_s:
            heartbeat.stop()

    clock.wait = wait  # type: ignore[method-assign]
    for frame in source.frames(heartbeat):
        frames.append(frame)
        if answer and frame.answer is not None:
            frame.answer(RECORD)
        if len(frames) == n:
            heartbeat.stop()
    return frames


def serials(frames: list[Frame]) -> list[str]:
    return [f.serial for f in frames]


class Watching:
    """A source with the system's notices, read in a thread; every record is closed at once."""

    def __init__(self, source: Folder) -> None:
        self.frames: list[Frame] = []
        self.error: Exception | None = None
        self._heartbeat = Heartbeat(Clock())
        self._source = source
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Watching:
        self._thread.start()
        # Files that come before the first look is over are found by that, later ones by notice.
        self.wait_for(lambda: self._source._watcher.uses_notices)
        return self

    def __exit__(self, *_: object) -> None:
        self._heartbeat.stop()
        self._thread.join(DEADLINE_S)
        self._source.close()

    def wait_for(self, condition: Callable[[], object]) -> None:
        until_s = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < until_s, serials(self.frames)
            time.sleep(0.01)

    def _read(self) -> None:
        try:
            for frame in self._source.frames(self._heartbeat):
                self.frames.append(frame)
                assert frame.answer is not None
                frame.answer(RECORD)
        except Exception as error:
            self.error = error


@pytest.fixture
def watching(inbox: Path) -> Iterator[Watching]:
    with Watching(opened(inbox, Clock(), stable_ms=100)) as it:
        yield it


def test_files_that_are_there_already_come_once_oldest_first(inbox: Path) -> None:
    for name, seconds in [("b.png", 1), ("a.png", 3), ("tray/c.png", 2)]:
        write(inbox / name, seconds)
    assert serials(taken(polled(inbox))) == ["b.png", "tray/c.png", "a.png"]


def test_a_frame_holds_the_file_as_it_is(inbox: Path) -> None:
    write(inbox / "a.png")
    (frame,) = taken(polled(inbox))
    assert (frame.data, frame.ending) == (PICTURE, ".png")
    assert frame.decoded().shape == (20, 24, 3)


def test_a_restart_repeats_nothing_and_skips_nothing(inbox: Path) -> None:
    write(inbox / "a.png", 1)
    assert serials(taken(polled(inbox))) == ["a.png"]
    write(inbox / "b.png", 2)
    assert serials(taken(polled(inbox))) == ["b.png"]
    assert serials(taken(polled(inbox))) == []


def test_a_file_whose_record_was_not_closed_comes_again_after_a_restart(inbox: Path) -> None:
    write(inbox / "a.png")
    assert serials(taken(polled(inbox), answer=False)) == ["a.png"]
    assert serials(taken(polled(inbox))) == ["a.png"]


def test_a_file_whose_record_cannot_be_written_comes_again(inbox: Path) -> None:
    write(inbox / "a.png")
    source = polled(inbox)
    (frame,) = taken(source, answer=False)
    cast(Any, frame.answer)(None)
    assert serials(taken(source)) == ["a.png"]


def test_a_file_that_waited_when_the_station_ended_comes_again(inbox: Path) -> None:
    write(inbox / "a.png")
    source = polled(inbox)
    (frame,) = taken(source, answer=False)
    why = "station stopped: the part was still waiting"
    ended = Record("0199-a", "west-1", "2026-11-23", "a.png", Verdict.NOT_INSPECTED, why)
    cast(Any, frame.answer)(ended)
    source.close()
    assert serials(taken(polled(inbox))) == ["a.png"]


def test_it_is_connected_before_the_first_file_comes(inbox: Path) -> None:
    source = polled(inbox)
    assert taken(source) == []
    assert source.connected


def test_a_file_in_work_does_not_come_a_second_time(inbox: Path) -> None:
    write(inbox / "a.png")
    source = polled(inbox)
    assert serials(taken(source, answer=False)) == ["a.png"]
    assert serials(taken(source)) == []


def test_a_record_that_is_closed_after_the_source_still_counts(inbox: Path) -> None:
    write(inbox / "a.png")
    source = polled(inbox)
    (frame,) = taken(source, answer=False)
    source.close()
    assert frame.answer is not None
    frame.answer(RECORD)
    assert serials(taken(polled(inbox))) == []


def test_a_file_that_is_written_anew_is_a_new_part(inbox: Path) -> None:
    write(inbox / "a.png", 1)
    source = polled(inbox)
    assert serials(taken(source)) == ["a.png"]
    write(inbox / "a.png", 2)
    assert serials(taken(source)) == ["a.png"]


def test_a_damaged_line_of_the_memory_repeats_its_file_only(inbox: Path) -> None:
    for i in range(3):
        write(inbox / f"{i}.png", i)
    taken(polled(inbox))
    lines = (inbox / SEEN).read_bytes().splitlines(keepends=True)
    (inbox / SEEN).write_bytes(b"".join([lines[0], lines[1], lines[2][:9]]))
    assert serials(taken(polled(inbox))) == ["2.png"]


def test_the_memory_forgets_files_that_are_gone(inbox: Path) -> None:
    write(inbox / "a.png")
    write(inbox / "b.png")
    taken(polled(inbox))
    (inbox / "a.png").unlink()
    taken(polled(inbox))
    assert b"a.png" not in (inbox / SEEN).read_bytes()
    assert b"b.png" in (inbox / SEEN).read_bytes()


def test_a_source_that_is_opened_for_a_check_loses_nothing_that_the_first_remembers(
    inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(inbox / "a.png", 1)
    first = polled(inbox)
    assert serials(taken(first)) == ["a.png"]
    write(inbox / "b.png", 2)

    @contextmanager
    def at_the_same_time(path: Path) -> Iterator[IO[bytes]]:
        with whole_file(path) as handle:
            yield handle
            taken(first)

    with monkeypatch.context() as patch:
        patch.setattr(_seen_files, "whole_file", at_the_same_time)
        polled(inbox).close()
    taken(first)
    assert serials(taken(polled(inbox))) == []


def test_opening_leaves_the_memory_as_it_is(inbox: Path) -> None:
    write(inbox / "a.png")
    write(inbox / "b.png")
    taken(polled(inbox))
    (inbox / "a.png").unlink()
    before = (inbox / SEEN).stat().st_ino, (inbox / SEEN).read_bytes()
    polled(inbox).close()
    assert ((inbox / SEEN).stat().st_ino, (inbox / SEEN).read_bytes()) == before


def test_a_memory_that_cannot_be_written_is_told_before_the_station_starts(inbox: Path) -> None:
    (inbox / SEEN).mkdir()
    with pytest.raises(DataError, match=r"\.lineside-seen cannot be written \(Is a directory\)"):
        polled(inbox)


def test_a_share_that_was_not_mounted_yet_makes_nothing_forgotten(
    inbox: Path, tmp_path: Path
) -> None:
    seen = tmp_path / "seen"
    write(inbox / "a.png")
    taken(polled(inbox, seen=seen))
    inbox.rename(tmp_path / "share")
    inbox.mkdir()
    taken(polled(inbox, seen=seen))
    inbox.rmdir()
    (tmp_path / "share").rename(inbox)
    assert serials(taken(polled(inbox, seen=seen))) == []


def test_a_station_at_work_for_long_forgets_files_that_are_gone(
    inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_seen_files, "GROWTH", 3)
    source = polled(inbox)
    for i in range(40):
        write(inbox / f"{i}.png", i)
        assert serials(taken(source)) == [f"{i}.png"]
        if i:
            (inbox / f"{i - 1}.png").unlink()
    assert len((inbox / SEEN).read_bytes().splitlines()) < 10
    assert source._seen is not None
    assert len(source._seen._stamps) < 10


def test_moved_files_keep_their_place_and_overwrite_nothing(inbox: Path, tmp_path: Path) -> None:
    done = tmp_path / "done"
    for content in (PICTURE, PICTURE + b"2", PICTURE + b"3"):
        write(inbox / "tray" / "a.png", data=content)
        assert len(taken(polled(inbox, after="move", done=done))) == 1
    assert list(inbox.rglob("*.png")) == []
    assert sorted(p.name for p in (done / "tray").iterdir()) == ["a-2.png", "a-3.png", "a.png"]
    assert (done / "tray" / "a-3.png").read_bytes() == PICTURE + b"3"


def test_a_file_moves_after_its_record_is_closed_and_not_before(
    inbox: Path, tmp_path: Path
) -> None:
    path = write(inbox / "a.png")
    source = polled(inbox, after="move", done=tmp_path / "done")
    (frame,) = taken(source, answer=False)
    assert path.exists()
    assert frame.answer is not None
    frame.answer(RECORD)
    source.close()
    assert not path.exists()


def test_done_may_lie_inside_the_folder(inbox: Path) -> None:
    write(inbox / "a.png")
    source = polled(inbox, after="move", done=inbox / "done")
    assert serials(taken(source)) == ["a.png"]
    assert serials(taken(source)) == []
    assert (inbox / "done" / "a.png").exists()


def test_without_links_a_file_is_copied_and_overwrites_nothing(
    inbox: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: object, **__: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", no_links)
    for _ in range(2):
        write(inbox / "a.png")
        taken(polled(inbox, after="move", done=tmp_path / "done"))
    assert sorted(p.name for p in (tmp_path / "done").iterdir()) == ["a-2.png", "a.png"]
    assert not (inbox / "a.png").exists()


def test_deleted_files_are_gone(inbox: Path) -> None:
    write(inbox / "a.png")
    taken(polled(inbox, after="delete"))
    assert list(inbox.iterdir()) == []


def test_a_newer_file_of_the_same_name_is_not_taken_away(inbox: Path) -> None:
    write(inbox / "a.png", 1)
    source = polled(inbox, after="delete")
    (frame,) = taken(source, answer=False)
    write(inbox / "a.png", 2, PICTURE + b"2")
    assert frame.answer is not None
    frame.answer(RECORD)
    assert [f.data for f in taken(source)] == [PICTURE + b"2"]


def test_a_file_that_cannot_be_taken_away_is_told_of_and_not_repeated(
    inbox: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(self: Path) -> None:
        raise PermissionError(1, "Operation not permitted")

    write(inbox / "a.png")
    source = polled(inbox, after="delete")
    monkeypatch.setattr(Path, "unlink", refuse)
    assert serials(taken(source)) == ["a.png"]
    assert "a.png is inspected, but cannot be removed" in caplog.text
    assert serials(taken(source)) == []


def test_a_file_that_grows_waits_until_it_has_stayed_the_same(inbox: Path) -> None:
    path = inbox / "a.png"
    path.write_bytes(PICTURE[:20])
    source = polled(inbox, stable_ms=3000)
    assert taken(source, looks=2) == []
    path.write_bytes(PICTURE)
    assert taken(source, looks=2) == []
    (frame,) = taken(source, looks=9)
    assert frame.data == PICTURE


def test_hidden_temporary_and_foreign_files_are_left_alone(inbox: Path) -> None:
    for name in (".a.png", "b.tmp.png", "c.png.part", "d.txt", ".git/e.png", "f~.png"):
        write(inbox / name)
    assert taken(polled(inbox)) == []


def test_a_name_that_is_not_utf_8_gets_its_frame_and_is_remembered(inbox: Path) -> None:
    write(Path(os.fsdecode(os.fsencode(inbox) + b"/\xfc.png")))
    (frame,) = taken(polled(inbox))
    assert frame.serial.encode() == b"\\udcfc.png"
    assert frame.data == PICTURE
    assert taken(polled(inbox)) == []


def test_a_file_that_vanishes_before_it_is_read_is_a_frame_with_a_fault(inbox: Path) -> None:
    write(inbox / "a.png", 1)
    write(inbox / "b.png", 2)
    source = polled(inbox)
    clock = source._clock
    frames = source.frames(Heartbeat(clock))
    assert next(frames).serial == "a.png"
    (inbox / "b.png").unlink()
    assert "b.png cannot be read: No such file" in next(frames).fault


def test_a_pipe_is_a_frame_with_a_fault(inbox: Path) -> None:
    os.mkfifo(inbox / "a.png")
    (frame,) = taken(polled(inbox))
    assert "pipe" in frame.fault


def test_an_empty_file_is_a_frame_that_cannot_be_decoded(inbox: Path) -> None:
    write(inbox / "a.png", data=b"")
    (frame,) = taken(polled(inbox))
    with pytest.raises(DataError, match="is empty"):
        frame.decoded()


def test_a_folder_that_is_taken_away_is_lost_and_comes_back(inbox: Path) -> None:
    source = polled(inbox)
    frames = source.frames(Heartbeat(source._clock))
    (inbox / SEEN).unlink()
    inbox.rmdir()
    with pytest.raises(SourceLost, match="is not there"):
        next(frames)
    write(inbox / "a.png")
    assert serials(taken(source)) == ["a.png"]


def test_a_closed_file_is_noticed(inbox: Path, watching: Watching) -> None:
    (inbox / "a.png").write_bytes(PICTURE)
    watching.wait_for(lambda: watching.frames)
    assert watching.frames[0].data == PICTURE


def test_a_half_written_file_waits_for_its_writer(inbox: Path, watching: Watching) -> None:
    with (inbox / "a.png").open("wb") as handle:
        handle.write(PICTURE[:20])
        handle.flush()
        (inbox / "b.png").write_bytes(PICTURE)
        watching.wait_for(lambda: watching.frames)
        handle.write(PICTURE[20:])
    watching.wait_for(lambda: len(watching.frames) == 2)
    assert serials(watching.frames) == ["b.png", "a.png"]
    assert watching.frames[1].data == PICTURE


@pytest.mark.parametrize("where", ["inbox/.a.part", "elsewhere.png"])
def test_a_file_moved_into_place_is_noticed(
    inbox: Path, tmp_path: Path, watching: Watching, where: str
) -> None:
    (tmp_path / where).write_bytes(PICTURE)
    (tmp_path / where).rename(inbox / "a.png")
    watching.wait_for(lambda: watching.frames)
    assert serials(watching.frames) == ["a.png"]


def test_files_in_new_folders_are_noticed(inbox: Path, tmp_path: Path, watching: Watching) -> None:
    write(inbox / "tray" / "a.png")
    write(tmp_path / "tray-2" / "b.png")
    (tmp_path / "tray-2").rename(inbox / "tray-2")
    watching.wait_for(lambda: len(watching.frames) == 2)
    assert sorted(serials(watching.frames)) == ["tray-2/b.png", "tray/a.png"]


def test_a_file_that_is_renamed_after_it_was_closed_comes_under_its_last_name(
    inbox: Path, watching: Watching
) -> None:
    for i in range(20):
        write(inbox / f"{i}.tmp.png").rename(inbox / f"{i}.png")
    watching.wait_for(lambda: len(watching.frames) >= 20)
    assert sorted(serials(watching.frames)) == sorted(f"{i}.png" for i in range(20))
    assert {f.fault for f in watching.frames} == {""}


def test_a_closed_file_that_somebody_takes_away_is_a_frame_with_a_fault(
    inbox: Path, watching: Watching
) -> None:
    # As the system tells of it: the file was closed, and when we look it is gone.
    watching._source._watcher._notices.put((str(inbox / "a.png"), ""))
    watching.wait_for(lambda: watching.frames)
    assert "a.png cannot be read: No such file" in watching.frames[0].fault


def test_a_second_notice_of_a_deleted_file_is_no_second_part(inbox: Path) -> None:
    with Watching(opened(inbox, Clock(), stable_ms=100, after="delete")) as watching:
        (inbox / "a.png").write_bytes(PICTURE)
        watching.wait_for(lambda: not (inbox / "a.png").exists())
        watcher = watching._source._watcher
        watcher._notices.put((str(inbox / "a.png"), ""))
        watching.wait_for(lambda: watcher._notices.empty())
        assert watcher._gone == {}
    assert serials(watching.frames) == ["a.png"]


def test_each_of_many_files_comes_once_while_they_are_written(
    inbox: Path, watching: Watching
) -> None:
    for i in range(200):
        (inbox / f"{i:03}.png").write_bytes(PICTURE)
    watching.wait_for(lambda: len(watching.frames) >= 200)
    (inbox / "last.png").write_bytes(PICTURE)
    watching.wait_for(lambda: watching.frames[-1].serial == "last.png")
    assert sorted(serials(watching.frames)) == [*(f"{i:03}.png" for i in range(200)), "last.png"]


def test_a_watched_folder_that_is_taken_away_is_lost(inbox: Path) -> None:
    watching = Watching(opened(inbox, Clock(), stable_ms=0))
    with watching:
        (inbox / SEEN).unlink()
        inbox.rmdir()
        watching._source._watcher._next_scan_s = 0
        watching.wait_for(lambda: watching.error)
    assert isinstance(watching.error, SourceLost)


def test_a_folder_that_cannot_be_watched_again_and_again_takes_no_more_handles(
    inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(*_: object) -> None:
        raise OSError(28, "inotify watch limit reached")

    source = opened(inbox, Clock())
    before = threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))
    monkeypatch.setattr(InotifyObserver, "start", no_room)
    for _ in range(3):
        with pytest.raises(
            SourceLost, match=r"watch limit reached; set `polling_s` to scan it instead"
        ):
            next(source.frames(Heartbeat(Clock())))
    assert (threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))) == before


def test_a_system_without_room_for_another_watch_is_a_loss(
    inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_instance(*_: object, **__: object) -> None:
        raise OSError(24, "inotify instance limit reached")

    monkeypatch.setattr(InotifyObserver, "__init__", no_instance)
    with pytest.raises(SourceLost, match="instance limit reached"):
        next(opened(inbox, Clock()).frames(Heartbeat(Clock())))


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere is not a folder"):
        polled(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"after": "move"}, "`done` belongs to"),
        ({"done": "done"}, "`done` belongs to"),
        ({"after": "move", "done": "."}, "must be another folder"),
        ({"after": "delete", "seen": "seen"}, "`seen` belongs to"),
    ],
)
def test_settings_that_do_not_fit_are_refused(
    settings: dict[str, str], said: str, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(inbox)
    with pytest.raises(ValidationError, match=said):
        polled(inbox, **settings)
