"""Which files were inspected, remembered across restarts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.sources import _seen_files
from pipeline.daemon.sources._seen_files import SeenFiles, digest_of
from pipeline.daemon.sources._watcher import FileStamp
from pipeline.errors import DataError
from pipeline.testing import FakeClock

STAMP = FileStamp(100, 7)
CLOCK = FakeClock()
WINDOW_S = 3600.0
PICTURE, OTHER = digest_of(b"a picture"), digest_of(b"another")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "seen"


@pytest.fixture
def seen(path: Path) -> SeenFiles:
    return SeenFiles(path, CLOCK, WINDOW_S)


def test_a_file_is_remembered_across_restarts(path: Path, seen: SeenFiles) -> None:
    seen.add("tray/a.png", STAMP)
    assert ("tray/a.png", STAMP) in SeenFiles(path, CLOCK, WINDOW_S)


def test_another_version_of_a_file_was_not_seen(seen: SeenFiles) -> None:
    seen.add("a.png", STAMP)
    assert ("a.png", STAMP._replace(mtime_ns=8)) not in seen
    assert ("a.png", STAMP._replace(size=101)) not in seen


def test_a_name_that_is_not_utf_8_comes_back_as_it_was(path: Path, seen: SeenFiles) -> None:
    seen.add("\udcfc.png", STAMP)
    assert ("\udcfc.png", STAMP) in SeenFiles(path, CLOCK, WINDOW_S)


def test_a_line_that_was_cut_off_repeats_its_file_only(
    path: Path, seen: SeenFiles, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("a.png", "b.png"):
        seen.add(name, STAMP)
    path.write_bytes(path.read_bytes()[:-9])
    again = SeenFiles(path, CLOCK, WINDOW_S)
    assert ("a.png", STAMP) in again
    assert ("b.png", STAMP) not in again
    assert "has a damaged line; its file is inspected again" in caplog.text


def test_opening_leaves_the_file_as_it_is(path: Path, seen: SeenFiles) -> None:
    seen.add("a.png", STAMP)
    before = path.stat().st_ino, path.read_bytes()
    SeenFiles(path, CLOCK, WINDOW_S)
    assert (path.stat().st_ino, path.read_bytes()) == before


def test_a_second_opening_loses_nothing_that_the_first_remembers_later(
    path: Path, seen: SeenFiles
) -> None:
    SeenFiles(path, CLOCK, WINDOW_S)
    seen.add("a.png", STAMP)
    assert ("a.png", STAMP) in SeenFiles(path, CLOCK, WINDOW_S)


def test_files_that_are_gone_are_forgotten_in_memory_and_in_the_file(
    path: Path, seen: SeenFiles
) -> None:
    for name in ("gone.png", "there.png"):
        seen.add(name, STAMP)
    seen.compact(lambda name: name == "there.png")
    assert ("gone.png", STAMP) not in seen
    assert ("there.png", STAMP) in seen
    assert path.read_text() == '["there.png", 100, 7]\n'


def test_a_folder_with_none_of_the_files_makes_nothing_forgotten(
    path: Path, seen: SeenFiles
) -> None:
    seen.add("a.png", STAMP)
    seen.compact(lambda _: False)
    assert ("a.png", STAMP) in seen
    assert ("a.png", STAMP) in SeenFiles(path, CLOCK, WINDOW_S)


def test_what_another_station_has_remembered_meanwhile_survives_compaction(
    path: Path, seen: SeenFiles
) -> None:
    SeenFiles(path, CLOCK, WINDOW_S).add("theirs.png", STAMP)
    seen.add("ours.png", STAMP)
    seen.compact(lambda _: True)
    assert ("theirs.png", STAMP) in SeenFiles(path, CLOCK, WINDOW_S)
    assert ("ours.png", STAMP) in SeenFiles(path, CLOCK, WINDOW_S)


def test_it_is_compacted_at_the_start_and_when_it_has_grown_much(
    seen: SeenFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_seen_files, "GROWTH", 3)
    assert seen.overgrown
    seen.compact(lambda _: True)
    grown = []
    for n in range(4):
        grown.append(seen.overgrown)
        seen.add(f"{n}.png", STAMP)
    assert grown == [False, False, False, True]


def test_a_file_that_cannot_be_written_is_reported_before_the_station_starts(path: Path) -> None:
    path.mkdir()
    with pytest.raises(DataError, match=r"seen cannot be written \(Is a directory\).*source\.seen"):
        SeenFiles(path, CLOCK, WINDOW_S)


def test_a_file_that_cannot_be_written_any_more_is_logged_and_repeats_nothing_till_the_restart(
    path: Path, seen: SeenFiles, caplog: pytest.LogCaptureFixture
) -> None:
    path.unlink()
    path.mkdir()
    seen.add("a.png", STAMP)
    assert ("a.png", STAMP) in seen
    assert "after a restart a.png will be inspected again" in caplog.text


def test_a_file_that_cannot_be_compacted_is_logged_and_kept(
    path: Path, seen: SeenFiles, caplog: pytest.LogCaptureFixture
) -> None:
    seen.add("a.png", STAMP)
    path.unlink()
    path.mkdir()
    seen.compact(lambda _: True)
    assert ("a.png", STAMP) in seen
    assert "seen cannot be compacted (Is a directory)" in caplog.text


def nowhere(name: str) -> FileStamp:
    raise FileNotFoundError


def later(seconds: float) -> Clock:
    clock = FakeClock()
    clock.advance(seconds)
    return clock


def test_a_file_that_is_gone_is_remembered_while_it_may_be_recognised(
    path: Path, seen: SeenFiles
) -> None:
    seen.add("there.png", STAMP, OTHER)
    seen.add("gone.png", STAMP, PICTURE)
    seen.compact(lambda name: name == "there.png")
    again = SeenFiles(path, CLOCK, WINDOW_S)
    assert again.recognise("new.png", STAMP, PICTURE, nowhere) == "gone.png"


def test_past_the_window_a_file_that_is_gone_is_forgotten_and_so_are_all_digests(
    path: Path, seen: SeenFiles
) -> None:
    seen.add("there.png", STAMP, OTHER)
    seen.add("gone.png", STAMP, PICTURE)
    SeenFiles(path, later(WINDOW_S), WINDOW_S).compact(lambda name: name == "there.png")
    assert path.read_text() == '["there.png", 100, 7]\n'


@pytest.mark.parametrize("seconds", [-WINDOW_S, WINDOW_S])
def test_a_clock_that_was_set_by_more_than_the_window_recognises_nothing(
    path: Path, seen: SeenFiles, seconds: float
) -> None:
    seen.add("gone.png", STAMP, PICTURE)
    again = SeenFiles(path, later(seconds), WINDOW_S)
    assert again.recognise("new.png", STAMP, PICTURE, nowhere) is None


def test_of_too_many_files_that_are_gone_the_latest_may_be_recognised(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_seen_files, "MOST_GONE", 2)
    clock = FakeClock()
    seen = SeenFiles(path, clock, WINDOW_S)
    for name in ("there.png", "c.png", "a.png", "b.png"):
        clock.advance(1)
        seen.add(name, STAMP, digest_of(name.encode()))
    seen.compact(lambda name: name == "there.png")
    names = [json.loads(line)[0] for line in path.read_text().splitlines()]
    assert sorted(names) == ["a.png", "b.png", "there.png"]


def test_a_name_that_is_written_again_and_again_lets_neither_memory_nor_file_grow(
    path: Path, seen: SeenFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_seen_files, "GROWTH", 3)
    for n in range(20):
        if seen.overgrown:
            seen.compact(lambda _: True)
        seen.add("latest.png", STAMP._replace(mtime_ns=n), PICTURE)
    assert len(path.read_text().splitlines()) <= 5


def test_a_recognised_file_is_remembered_by_its_new_name_and_not_by_the_old_one(
    path: Path, seen: SeenFiles
) -> None:
    seen.add("a.png", STAMP, PICTURE)
    assert seen.recognise("b.png", STAMP, PICTURE, nowhere) == "a.png"
    for memory in (seen, SeenFiles(path, CLOCK, WINDOW_S)):
        assert ("b.png", STAMP) in memory
        assert ("a.png", STAMP) not in memory
