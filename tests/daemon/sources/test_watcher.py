"""Which files of a folder are finished: by the system's notices, and by scanning twice."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from watchdog.observers.inotify import InotifyObserver

from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.runtime.heartbeat import Heartbeat
from pipeline.daemon.sources._watcher import (
    GONE,
    RENAME_S,
    SCAN_EVERY_S,
    FileStamp,
    FinishedFile,
    FolderWatcher,
    stamp_of,
)
from pipeline.errors import SourceLost
from pipeline.testing import FakeClock
from tests.daemon.sources.conftest import write

DATA = b"any bytes: nothing here decodes them"
DEADLINE_S = 10.0


class Watch:
    """A watcher whose finished files are taken by the test's own thread.

    Attributes:
        found: what was finished so far, in order.
    """

    def __init__(self, folder: Path, clock: Clock, polling_s: float = 0, stable_s: float = 0.1):
        self.found: list[FinishedFile] = []
        self.heartbeat = Heartbeat(clock)
        self.watcher = FolderWatcher(
            folder, self._is_known, clock, stable_s=stable_s, polling_s=polling_s
        )

    @property
    def names(self) -> list[str]:
        return [file.name for file in self.found]

    def look(self) -> None:
        self.found += self.watcher.finished(self.heartbeat)

    def look_until(self, true: Callable[[], object]) -> None:
        until_s = time.monotonic() + DEADLINE_S
        while not true():
            assert time.monotonic() < until_s, self.names
            self.look()

    def _is_known(self, name: str, stamp: FileStamp) -> bool:
        return FinishedFile(name, stamp) in self.found


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def watch(watched: Path) -> Iterator[Watch]:
    """Gets the system's notices; its clock stands still, so that no later scan finds a file."""
    it = Watch(watched, FakeClock())
    with it.watcher.watching():
        it.look_until(lambda: it.watcher.uses_notices)
        yield it


@pytest.fixture
def polled(watched: Path, clock: FakeClock) -> Iterator[Watch]:
    """Scans each second of its clock, which takes no time."""
    it = Watch(watched, clock, polling_s=1)
    with it.watcher.watching():
        yield it


def test_files_that_are_there_already_come_once_oldest_first(watched: Path, polled: Watch) -> None:
    for name, seconds in [("b.png", 1), ("a.png", 3), ("tray/c.png", 2)]:
        write(watched / name, seconds, DATA)
    for _ in range(9):
        polled.look()
    assert polled.names == ["b.png", "tray/c.png", "a.png"]


def test_a_file_comes_with_its_size_and_time_of_change(watched: Path, polled: Watch) -> None:
    write(watched / "a.png", 1, DATA)
    polled.look_until(lambda: polled.found)
    assert polled.found[0].stamp == FileStamp(len(DATA), 1_767_225_601_000_000_000)


def test_a_new_version_of_a_file_comes_again(watched: Path, polled: Watch) -> None:
    write(watched / "a.png", 1, DATA)
    polled.look_until(lambda: polled.found)
    write(watched / "a.png", 2, DATA)
    polled.look_until(lambda: len(polled.found) == 2)
    assert polled.names == ["a.png", "a.png"]


def test_a_file_that_grows_waits_until_it_has_stayed_the_same(
    watched: Path, clock: FakeClock
) -> None:
    watch = Watch(watched, clock, polling_s=1, stable_s=3)
    with watch.watcher.watching():
        for n in range(1, 6):
            (watched / "a.png").write_bytes(DATA[:n])
            clock.advance(2)
            watch.look()
        assert watch.found == []
        watch.look_until(lambda: watch.found)
    assert watch.found == [FinishedFile("a.png", FileStamp(5, watch.found[0].stamp.mtime_ns))]


def test_hidden_temporary_and_foreign_files_are_left_alone(watched: Path, polled: Watch) -> None:
    for name in (".a.png", "b.tmp.png", "c.png.part", "d.txt", ".git/e.png", "f~.png"):
        write(watched / name, 0, DATA)
    for _ in range(9):
        polled.look()
    assert polled.found == []


def test_an_excluded_folder_is_left_alone(watched: Path, clock: FakeClock) -> None:
    write(watched / "done" / "a.png", 0, DATA)
    watcher = FolderWatcher(
        watched, lambda *_: False, clock, stable_s=0, polling_s=1, excluded=watched / "done"
    )
    with watcher.watching():
        assert [watcher.finished(Heartbeat(clock)) for _ in range(9)] == [[]] * 9


def test_a_closed_file_is_noticed(watched: Path, watch: Watch) -> None:
    (watched / "a.png").write_bytes(DATA)
    watch.look_until(lambda: watch.found)
    assert watch.found == [FinishedFile("a.png", stamp_of(watched / "a.png") or GONE)]


def test_a_half_written_file_waits_for_its_writer(watched: Path, watch: Watch) -> None:
    with (watched / "a.png").open("wb") as handle:
        handle.write(DATA[:20])
        handle.flush()
        (watched / "b.png").write_bytes(DATA)
        watch.look_until(lambda: watch.found)
        handle.write(DATA[20:])
    watch.look_until(lambda: len(watch.found) == 2)
    assert watch.names == ["b.png", "a.png"]
    assert watch.found[1].stamp.size == len(DATA)


@pytest.mark.parametrize("where", ["watched/.a.part", "elsewhere.png"])
def test_a_file_moved_into_place_is_noticed(
    watched: Path, tmp_path: Path, watch: Watch, where: str
) -> None:
    (tmp_path / where).write_bytes(DATA)
    (tmp_path / where).rename(watched / "a.png")
    watch.look_until(lambda: watch.found)
    assert watch.names == ["a.png"]


def test_files_in_new_folders_are_found(watched: Path, tmp_path: Path) -> None:
    watch = Watch(watched, Clock())
    with watch.watcher.watching():
        watch.look_until(lambda: watch.watcher.uses_notices)
        write(watched / "tray" / "a.png", 0, DATA)
        write(tmp_path / "tray-2" / "b.png", 0, DATA)
        (tmp_path / "tray-2").rename(watched / "tray-2")
        watch.look_until(lambda: len(watch.found) == 2)
    assert sorted(watch.names) == ["tray-2/b.png", "tray/a.png"]


def test_a_file_that_is_renamed_after_it_was_closed_comes_under_its_last_name(
    watched: Path, watch: Watch
) -> None:
    for i in range(20):
        write(watched / f"{i}.tmp.png", 0, DATA).rename(watched / f"{i}.png")
    watch.look_until(lambda: len(watch.found) >= 20)
    assert sorted(watch.names) == sorted(f"{i}.png" for i in range(20))
    assert GONE not in {file.stamp for file in watch.found}


def test_a_closed_file_that_somebody_takes_away_is_gone(watched: Path, clock: FakeClock) -> None:
    watch = Watch(watched, clock)
    with watch.watcher.watching():
        watch.look_until(lambda: watch.watcher.uses_notices)
        watch.watcher.notice(str(watched / "a.png"))
        watch.look()
        assert watch.found == []  # the notice of a rename may still follow
        clock.advance(RENAME_S)
        watch.look_until(lambda: watch.found)
    assert watch.found == [FinishedFile("a.png", GONE)]


def test_a_second_notice_of_a_file_that_was_taken_and_deleted_is_not_a_second_part(
    watched: Path, clock: FakeClock
) -> None:
    watch = Watch(watched, clock)
    with watch.watcher.watching():
        watch.look_until(lambda: watch.watcher.uses_notices)
        (watched / "a.png").write_bytes(DATA)
        watch.look_until(lambda: watch.found)
        (watched / "a.png").unlink()
        watch.watcher.notice(str(watched / "a.png"))
        watch.look()
        clock.advance(RENAME_S)
        watch.look()
    assert watch.names == ["a.png"]


def test_each_of_many_files_comes_once_while_they_are_written(watched: Path, watch: Watch) -> None:
    for i in range(200):
        (watched / f"{i:03}.png").write_bytes(DATA)
    watch.look_until(lambda: len(watch.found) >= 200)
    (watched / "last.png").write_bytes(DATA)
    watch.look_until(lambda: watch.names[-1] == "last.png")
    assert sorted(watch.names) == [*(f"{i:03}.png" for i in range(200)), "last.png"]


def test_a_file_whose_notice_was_lost_is_found_by_a_later_scan(
    watched: Path, tmp_path: Path, clock: FakeClock
) -> None:
    watch = Watch(watched, clock)
    with watch.watcher.watching():
        watch.look_until(lambda: watch.watcher.uses_notices)
        (tmp_path / "elsewhere.png").write_bytes(DATA)
        os.link(tmp_path / "elsewhere.png", watched / "a.png")  # of which there is no notice
        for _ in range(2):
            clock.advance(SCAN_EVERY_S)
            watch.look()
    assert watch.names == ["a.png"]


def test_a_watched_folder_that_is_taken_away_is_lost(watched: Path, clock: FakeClock) -> None:
    watch = Watch(watched, clock)
    with watch.watcher.watching():
        watch.look_until(lambda: watch.watcher.uses_notices)
        watched.rmdir()
        clock.advance(SCAN_EVERY_S)
        with pytest.raises(SourceLost, match="watched is not there: No such file"):
            watch.look()


def test_a_folder_in_place_of_the_watched_one_is_a_loss(
    watched: Path, tmp_path: Path, polled: Watch, clock: FakeClock
) -> None:
    polled.look()
    watched.rename(tmp_path / "share")
    watched.mkdir()
    clock.advance(1)
    with pytest.raises(SourceLost, match="watched is another folder now than it was"):
        polled.look()


def test_a_folder_that_cannot_be_watched_again_and_again_takes_no_more_handles(
    watched: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(*_: object) -> None:
        raise OSError(28, "inotify watch limit reached")

    before = threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))
    monkeypatch.setattr(InotifyObserver, "start", no_room)
    for _ in range(3):
        with (
            pytest.raises(SourceLost, match=r"watch limit reached; set `polling_s` to scan it"),
            Watch(watched, Clock()).watcher.watching(),
        ):
            pass
    assert (threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))) == before


def test_a_system_without_room_for_another_watch_is_a_loss(
    watched: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_instance(*_: object, **__: object) -> None:
        raise OSError(24, "inotify instance limit reached")

    monkeypatch.setattr(InotifyObserver, "__init__", no_instance)
    with (
        pytest.raises(SourceLost, match="instance limit reached"),
        Watch(watched, Clock()).watcher.watching(),
    ):
        pass
