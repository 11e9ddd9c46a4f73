"""A watched folder recognises inspected files by their content, where nothing else explains it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from pydantic import ValidationError

from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.runtime.heartbeat import Heartbeat
from pipeline.daemon.sources.folder import SEEN
from pipeline.testing import FakeClock
from tests.daemon.sources.conftest import PICTURE, RECORD, Polled, config, serials, taken, write

TIME_NS = 1_767_225_601_123_456_789
UNITS_NS = {
    "100 ns": 100,
    "1 µs": 1_000,
    "1 ms": 10**6,
    "10 ms": 10**7,
    "1 s": 10**9,
    "2 s": 2 * 10**9,
}


def stamped(path: Path, time_ns: int = TIME_NS, data: bytes = PICTURE) -> Path:
    write(path, data=data)
    os.utime(path, ns=(time_ns, time_ns))
    return path


def inspected(watched: Path, *names: str) -> Polled:
    """A source that has inspected files of these names, all with one picture."""
    for i, name in enumerate(names):
        stamped(watched / name, TIME_NS + i)
    source = Polled(watched)
    assert serials(taken(source)) == list(names)
    return source


def shorten(path: Path, unit_ns: int) -> None:
    """What a copy through a file system or a tool of coarser times leaves of the time."""
    time_ns = path.stat().st_mtime_ns
    os.utime(path, ns=(time_ns, time_ns - time_ns % unit_ns))


@pytest.mark.parametrize("unit_ns", UNITS_NS.values(), ids=UNITS_NS)
def test_a_file_whose_time_has_lost_digits_is_not_inspected_again(
    watched: Path, unit_ns: int
) -> None:
    inspected(watched, "a.png")
    shorten(watched / "a.png", unit_ns)
    assert serials(taken(Polled(watched))) == []


def test_a_tree_that_was_copied_with_whole_seconds_is_not_inspected_again(
    watched: Path, tmp_path: Path
) -> None:
    inspected(watched, "a.png", "tray/b.png")
    copied = tmp_path / "copied"
    shutil.copytree(watched, copied)
    for path in copied.rglob("*.png"):
        shorten(path, 10**9)
    shutil.rmtree(watched)
    copied.rename(watched)
    assert serials(taken(Polled(watched))) == []


@pytest.mark.parametrize("restarted", [False, True])
def test_a_renamed_file_is_not_inspected_again(watched: Path, restarted: bool) -> None:
    source = inspected(watched, "a.png")
    (watched / "done").mkdir()
    (watched / "a.png").rename(watched / "done" / "b.png")
    assert serials(taken(Polled(watched) if restarted else source)) == []


def test_a_renamed_folder_is_not_inspected_again(watched: Path) -> None:
    source = inspected(watched, "monday/a.png", "monday/b.png")
    (watched / "monday").rename(watched / "shift-1")
    assert serials(taken(source)) == []


def test_a_renaming_that_the_system_reports_is_not_inspected_again(watched: Path) -> None:
    stamped(watched / "a.png")
    source = config(watched, stable_ms=0).open(Clock())
    frames = source.frames(Heartbeat(Clock()))
    first = next(frames)
    assert first.answer is not None
    first.answer(RECORD)
    (watched / "c.png").write_bytes(PICTURE + b"2")
    assert next(frames).serial == "c.png"  # now notices are used, and a.png is remembered
    (watched / "a.png").rename(watched / "b.png")
    (watched / "d.png").write_bytes(PICTURE + b"3")
    assert next(frames).serial == "d.png"
    assert source.recognised == 1


def test_a_file_that_is_renamed_twice_with_a_restart_between_is_not_inspected_again(
    watched: Path,
) -> None:
    inspected(watched, "a.png")
    for old, new in (("a.png", "b.png"), ("b.png", "c.png")):
        (watched / old).rename(watched / new)
        assert serials(taken(Polled(watched))) == []


def test_a_file_that_lost_digits_when_it_was_moved_is_not_inspected_again(watched: Path) -> None:
    source = inspected(watched, "a.png")
    shorten((watched / "a.png").rename(watched / "b.png"), 10**9)
    assert serials(taken(source)) == []


def test_rotated_names_are_followed(watched: Path) -> None:
    source = inspected(watched, "latest.png")
    (watched / "latest.png").rename(watched / "latest.1.png")
    stamped(watched / "latest.png", TIME_NS + 10**9, PICTURE + b"2")
    assert serials(taken(source)) == ["latest.png"]


def test_a_renamed_file_that_replaced_another_is_not_inspected_again(watched: Path) -> None:
    stamped(watched / "a.png", TIME_NS, PICTURE + b"2")
    stamped(watched / "b.png", TIME_NS + 1)
    source = Polled(watched)
    assert serials(taken(source)) == ["a.png", "b.png"]
    (watched / "b.png").replace(watched / "a.png")
    assert serials(taken(source)) == []


# What must not be skipped: a part seen twice is better than one that nobody sees.


def test_a_camera_that_writes_the_same_picture_to_one_file_is_inspected_each_time(
    watched: Path,
) -> None:
    source = inspected(watched, "a.png")
    for later_ns in (1, 10**9, 2 * 10**9):
        stamped(watched / "a.png", TIME_NS + later_ns)
        assert serials(taken(source)) == ["a.png"]


def test_a_camera_that_writes_the_same_picture_to_new_files_is_inspected_each_time(
    watched: Path,
) -> None:
    source = inspected(watched, "a.png")
    stamped(watched / "b.png", TIME_NS + 10**8)
    assert serials(taken(source)) == ["b.png"]


def test_the_same_picture_in_a_new_file_is_inspected_although_the_former_was_removed(
    watched: Path,
) -> None:
    source = inspected(watched, "a.png")
    (watched / "a.png").unlink()
    stamped(watched / "b.png", TIME_NS + 10**8)
    assert serials(taken(source)) == ["b.png"]


def test_times_of_whole_seconds_prove_no_renaming(watched: Path) -> None:
    write(watched / "a.png", 1)
    source = Polled(watched)
    assert serials(taken(source)) == ["a.png"]
    (watched / "a.png").unlink()
    write(watched / "b.png", 1)  # a camera that does not change, two pictures a second
    assert serials(taken(source)) == ["b.png"]


def test_a_copy_beside_the_inspected_file_is_inspected(watched: Path) -> None:
    source = inspected(watched, "a.png")
    shutil.copy2(watched / "a.png", watched / "b.png")
    assert serials(taken(source)) == ["b.png"]


def test_a_file_copied_without_its_time_is_inspected(watched: Path, tmp_path: Path) -> None:
    inspected(watched, "a.png")
    (watched / "a.png").rename(tmp_path / "a.png")
    shutil.copyfile(tmp_path / "a.png", watched / "a.png")
    assert serials(taken(Polled(watched))) == ["a.png"]


def test_another_picture_of_the_same_length_and_time_is_inspected(watched: Path) -> None:
    inspected(watched, "a.png")
    stamped(watched / "a.png", TIME_NS - TIME_NS % 10**9, PICTURE[:-1] + b"!")
    assert serials(taken(Polled(watched))) == ["a.png"]


def test_a_renamed_file_without_a_record_is_inspected(watched: Path) -> None:
    stamped(watched / "a.png")
    source = Polled(watched)
    assert serials(taken(source, answer=False)) == ["a.png"]
    (watched / "a.png").rename(watched / "b.png")
    assert serials(taken(source)) == ["b.png"]


def test_a_file_of_which_nobody_knows_whether_it_is_gone_proves_no_renaming(
    watched: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = inspected(watched, "old/a.png")
    (watched / "old" / "a.png").rename(watched / "b.png")
    stat = Path.stat

    def fails(self: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        if self.name == "a.png":
            raise OSError(5, "Input/output error")
        return stat(self, follow_symlinks=follow_symlinks)

    monkeypatch.setattr(Path, "stat", fails)
    assert serials(taken(source)) == ["b.png"]


def test_past_the_window_a_renamed_file_is_inspected(watched: Path) -> None:
    source = inspected(watched, "a.png")
    (watched / "a.png").rename(watched / "b.png")
    source.clock.advance(24 * 3600)
    assert serials(taken(source)) == ["b.png"]


def test_the_window_is_a_setting_and_holds_across_restarts(watched: Path) -> None:
    stamped(watched / "a.png")
    assert serials(taken(Polled(watched, recognise_h=1))) == ["a.png"]
    (watched / "a.png").rename(watched / "b.png")
    later = FakeClock()
    later.advance(3700)
    assert serials(taken(Polled(watched, later, recognise_h=1))) == ["b.png"]


def test_a_window_of_0_recognises_nothing_and_keeps_no_digests(watched: Path) -> None:
    stamped(watched / "a.png")
    source = Polled(watched, recognise_h=0)
    assert serials(taken(source)) == ["a.png"]
    assert (watched / SEEN).read_text() == f'["a.png", {len(PICTURE)}, {TIME_NS}]\n'
    shorten(watched / "a.png", 10**9)
    assert serials(taken(source)) == ["a.png"]


def test_a_window_for_files_that_do_not_stay_is_refused(watched: Path) -> None:
    with pytest.raises(ValidationError, match="`recognise_h` belongs to `after: leave`"):
        config(watched, after="delete", recognise_h=1)


def test_what_was_recognised_is_counted_and_logged(
    watched: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    source = inspected(watched, "a.png", "b.png", "c.png")
    for name in ("a", "b"):
        (watched / f"{name}.png").rename(watched / f"{name}2.png")
    shorten(watched / "c.png", 10**9)
    assert serials(taken(source)) == []
    assert source.recognised == 3
    (message,) = [r.getMessage() for r in caplog.records if "recognised" in r.getMessage()]
    assert "3 files recognised, not inspected again" in message
    assert "such as c.png, inspected as c.png" in message


def test_many_that_are_recognised_one_by_one_have_one_message_a_minute(
    watched: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    source = inspected(watched, "0.png")
    for n in range(4):
        (watched / f"{n}.png").rename(watched / f"{n + 1}.png")
        taken(source)
    taken(source, looks=60)
    messages = [r.getMessage() for r in caplog.records if "recognised" in r.getMessage()]
    assert [m.split(": ")[1].split(" ")[0] for m in messages] == ["1", "3"]


def test_a_memory_of_the_version_before_is_read_and_matches_exactly_as_before(
    watched: Path,
) -> None:
    for name in ("a.png", "b.png"):
        stamped(watched / name)
    lines = [f'["{name}", {len(PICTURE)}, {TIME_NS}]\n' for name in ("a.png", "b.png")]
    (watched / SEEN).write_text("".join(lines))
    source = Polled(watched)
    assert serials(taken(source)) == []
    (watched / "a.png").rename(watched / "c.png")
    assert serials(taken(source)) == ["c.png"]
