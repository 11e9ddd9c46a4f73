"""Frames that the station keeps."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from pipeline.contracts.records import Record, Verdict
from pipeline.daemon.images.writer import BACKLOG, ImageWriter
from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.runtime.heartbeat import Heartbeat
from pipeline.daemon.settings.line import Keep
from pipeline.daemon.sources import Frame
from pipeline.errors import LedgerError
from pipeline.files import write_whole
from pipeline.imaging import Pixels, codec
from pipeline.ledger.ledger import Ledger
from pipeline.testing import FakeClock
from tests.daemon.conftest import picture
from tests.daemon.disk import fill, small_disk

AT = datetime(2026, 11, 22, 23, 59, tzinfo=UTC)
DAY = "2026-11-22"
PATIENCE_S = 10  # of tests that would otherwise hang when they fail


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(AT)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger(tmp_path / "ledger.sqlite", "west-1")
    yield opened
    opened.close()


def frame(data: bytes = b"an image", ending: str = ".png") -> Frame:
    return Frame(AT, 0.0, "part-1", None, data=data, ending=ending)


def closed(ledger: Ledger, verdict: Verdict = Verdict.FAIL) -> Record:
    identity = ledger.open_record(AT, "part-1")
    record = Record(identity, "west-1", AT.isoformat(), "part-1", verdict, "because")
    ledger.close_record(record)
    return record


def images(ledger: Ledger) -> list[str]:
    return [r.image for r in ledger.records()]


def work(image_writer: ImageWriter) -> None:
    """All that there is to do."""
    while image_writer.step():
        pass


def test_frame_is_kept_bit_for_bit_and_named_in_its_record(
    ledger: Ledger, clock: FakeClock, tmp_path: Path
) -> None:
    image_writer, record = (
        ImageWriter(Keep(folder=tmp_path / "kept"), ledger, clock),
        closed(ledger),
    )
    image_writer.offer(frame(b"what the camera sent", ".jpg"), record)
    assert images(ledger) == [""], "the station waits for no disk"
    work(image_writer)
    assert images(ledger) == [f"{DAY}/{record.id}.jpg"]
    assert (tmp_path / "kept" / images(ledger)[0]).read_bytes() == b"what the camera sent"
    assert image_writer.status.kept_bytes == len(b"what the camera sent")


def test_cameras_own_file_is_kept_even_if_it_is_decoded_by_now(
    ledger: Ledger, clock: FakeClock, tmp_path: Path
) -> None:
    image_writer = ImageWriter(Keep(folder=tmp_path / "kept"), ledger, clock)
    image_writer.offer(replace(frame(b"its own file"), pixels=picture(50)), closed(ledger))
    work(image_writer)
    assert (tmp_path / "kept" / images(ledger)[0]).read_bytes() == b"its own file"


def test_pixels_without_a_file_become_a_png_that_loses_nothing(
    ledger: Ledger, clock: FakeClock, tmp_path: Path
) -> None:
    pixels = picture(50)
    pixels[3, 5] = (1, 2, 3)
    image_writer = ImageWriter(Keep(folder=tmp_path / "kept"), ledger, clock)
    image_writer.offer(Frame(AT, 0.0, "part-1", pixels), closed(ledger))
    work(image_writer)
    assert (codec.read(tmp_path / "kept" / images(ledger)[0]) == pixels).all()


def test_frame_is_named_in_its_record_once_its_file_is_there(
    ledger: Ledger, clock: FakeClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there: list[bool] = []

    def look(_: Ledger, identity: str, path: str) -> None:
        there.append((tmp_path / "kept" / path).is_file())

    monkeypatch.setattr(Ledger, "note_image", look)
    image_writer = ImageWriter(Keep(folder=tmp_path / "kept"), ledger, clock)
    image_writer.offer(frame(), closed(ledger))
    work(image_writer)
    assert there == [True]


def test_file_that_cannot_be_named_in_the_ledger_does_not_stay(
    ledger: Ledger, clock: FakeClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise LedgerError("the disk is full")

    monkeypatch.setattr(Ledger, "note_image", fail)
    image_writer = ImageWriter(Keep(folder=tmp_path / "kept"), ledger, clock)
    image_writer.offer(frame(), closed(ledger))
    work(image_writer)
    assert list((tmp_path / "kept" / DAY).iterdir()) == []
    state = image_writer.status
    assert (state.left_out, state.kept_bytes) == (1, 0)
    assert state.alarm == "frames are not kept: the disk is full"


def test_failed_and_doubtful_parts_are_kept_and_others_only_if_asked_for(
    ledger: Ledger, clock: FakeClock, tmp_path: Path
) -> None:
    image_writer = ImageWriter(Keep(folder=tmp_path / "kept"), ledger, clock)
    records = [closed(ledger, verdict) for verdict in Verdict]
    for record in records:
        image_writer.offer(frame(), record)
    work(image_writer)
    kept = {r.verdict for r in ledger.records() if r.image}
    assert kept == {Verdict.FAIL, Verdict.REVIEW}


def test_good_part_that_a_second_model_judged_otherwise_is_kept(
    ledger: Ledger, clock: FakeClock, tmp_path: Path
) -> None:
    image_writer = ImageWriter(Keep(folder=tmp_path / "kept"), ledger, clock)
    image_writer.offer(frame(), closed(ledger, Verdict.PASS), disputed=True)
    work(image_writer)
    assert all(images(ledger))


def test_frame_that_is_offered_twice_is_kept_once(
    ledger: Ledger, clock: FakeClock, tmp_path: Path
) -> None:
    image_writer, record = (
        ImageWriter(Keep(folder=tmp_path / "kept"), ledger, clock),
        closed(ledger),
    )
    image_writer.offer(frame(), record)
    image_writer.offer(frame(), record, disputed=True)
    work(image_writer)
    state = image_writer.status
    assert (state.kept_bytes, state.left_out, state.alarm) == (len(b"an image"), 0, "")


def test_frame_without_pixels_and_file_leaves_nothing(
    ledger: Ledger, clock: FakeClock, tmp_path: Path
) -> None:
    image_writer = ImageWriter(
        Keep(folder=tmp_path / "kept", verdicts=("NOT_INSPECTED",)), ledger, clock
    )
    image_writer.offer(
        Frame(AT, 0.0, "", None, "camera away"), closed(ledger, Verdict.NOT_INSPECTED)
    )
    work(image_writer)
    assert list((tmp_path / "kept").iterdir()) == []


@pytest.mark.parametrize("shape", [(20, 24), (20, 24, 2), (20, 24, 5), (0, 0, 3)])
def test_frame_that_cannot_be_encoded_is_left_out_and_the_next_one_kept(
    shape: tuple[int, ...], ledger: Ledger, clock: FakeClock, tmp_path: Path
) -> None:
    odd: Pixels = np.zeros(shape, np.uint8)
    image_writer = ImageWriter(Keep(folder=tmp_path / "kept"), ledger, clock)
    for pixels in (odd, picture(50)):
        image_writer.offer(Frame(AT, 0.0, "", pixels), closed(ledger))
    work(image_writer)
    assert [bool(image) for image in images(ledger)] == [False, True]
    assert image_writer.status.left_out == 1


def test_folder_that_cannot_be_written_raises_an_alarm_and_no_error(
    ledger: Ledger, clock: FakeClock, tmp_path: Path
) -> None:
    (tmp_path / "kept").write_text("a file in the way")
    image_writer = ImageWriter(Keep(folder=tmp_path / "kept"), ledger, clock)
    image_writer.offer(frame(), closed(ledger))
    work(image_writer)
    assert images(ledger) == [""]
    assert image_writer.status.left_out == 1
    assert "File exists" in image_writer.status.alarm


@pytest.mark.parametrize(("share", "low", "high"), [(0, 0, 0), (0.25, 200, 300), (1, 1000, 1000)])
def test_a_share_of_good_parts_is_kept(
    ledger: Ledger, clock: FakeClock, tmp_path: Path, share: float, low: int, high: int
) -> None:
    image_writer = ImageWriter(Keep(folder=tmp_path, pass_share=share), ledger, clock)
    good = Record("", "west-1", AT.isoformat(), "part-1", Verdict.PASS, "")
    records = [replace(good, id=f"0199-{i}") for i in range(1000)]
    picked = [image_writer.wants(r) for r in records]
    assert low <= sum(picked) <= high
    assert [image_writer.wants(replace(r, serial="x")) for r in records] == picked


def test_good_parts_are_asked_for_by_their_share_only(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="'FAIL', 'REVIEW' or 'NOT_INSPECTED'"):
        Keep.model_validate({"folder": tmp_path, "verdicts": ["PASS"]})


def test_backlog_is_bounded_by_number_and_what_is_left_out_is_counted_and_logged_once(
    ledger: Ledger, clock: FakeClock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    image_writer = ImageWriter(Keep(folder=tmp_path / "kept"), ledger, clock)
    for _ in range(BACKLOG + 2):
        image_writer.offer(frame(), closed(ledger))
    assert image_writer.status.left_out == 2
    assert f"{BACKLOG} wait for {tmp_path / 'kept'}" in image_writer.status.alarm
    work(image_writer)
    assert sum(bool(image) for image in images(ledger)) == BACKLOG
    assert len(caplog.messages) == 1


def test_backlog_is_bounded_by_its_bytes(ledger: Ledger, clock: FakeClock, tmp_path: Path) -> None:
    image_writer = ImageWriter(Keep(folder=tmp_path / "kept", backlog_mb=1), ledger, clock)
    half: Pixels = np.zeros((100, 1600, 3), np.uint8)
    for _ in range(3):
        image_writer.offer(Frame(AT, 0.0, "", half), closed(ledger))
    assert image_writer.status.left_out == 1
    work(image_writer)
    assert [bool(image) for image in images(ledger)] == [True, True, False]
    for _ in range(2):
        image_writer.offer(Frame(AT, 0.0, "", half), closed(ledger))
    assert image_writer.status.left_out == 1, "the first ones wait no longer"


def test_frame_larger_than_the_backlog_is_kept_when_it_is_alone(
    ledger: Ledger, clock: FakeClock, tmp_path: Path
) -> None:
    image_writer = ImageWriter(Keep(folder=tmp_path / "kept", backlog_mb=1), ledger, clock)
    large: Pixels = np.zeros((1000, 1000, 3), np.uint8)
    for _ in range(2):
        image_writer.offer(Frame(AT, 0.0, "", large), closed(ledger))
    work(image_writer)
    assert [bool(image) for image in images(ledger)] == [True, False]


def test_an_alarm_is_cleared_once_frames_are_kept_again_for_a_while(
    ledger: Ledger, clock: FakeClock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    image_writer = ImageWriter(Keep(folder=tmp_path / "kept"), ledger, clock)
    for _ in range(BACKLOG + 1):
        image_writer.offer(frame(), closed(ledger))
    work(image_writer)
    assert image_writer.status.alarm
    clock.advance(60)
    work(image_writer)
    assert image_writer.status.alarm == ""
    assert [m.startswith("over: ") for m in caplog.messages] == [False, True]


class SlowDisk:
    """Writes nothing until it is `released`, and says when it was `reached`."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.released = threading.Event()

    def write(self, path: Path, data: bytes) -> None:
        self.reached.set()
        assert self.released.wait(PATIENCE_S)
        write_whole(path, data)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowDisk]:
    """Let the image writer write to a slow disk."""
    disk = SlowDisk()
    monkeypatch.setattr("pipeline.daemon.images.writer.write_whole", disk.write)
    yield disk
    disk.released.set()


def test_worker_writes_what_is_offered_while_the_station_goes_on(
    ledger: Ledger, tmp_path: Path, slow: SlowDisk
) -> None:
    image_writer, heartbeat = (
        ImageWriter(Keep(folder=tmp_path / "kept"), ledger, Clock()),
        Heartbeat(Clock()),
    )
    worker = threading.Thread(target=image_writer.run, args=(heartbeat,))
    worker.start()
    try:
        image_writer.offer(frame(), closed(ledger))
        assert slow.reached.wait(PATIENCE_S)
        image_writer.offer(
            frame(), closed(ledger)
        )  # the disk is at work; this returns all the same
        assert images(ledger) == ["", ""]
        slow.released.set()
    finally:
        heartbeat.stop()
        worker.join(PATIENCE_S)
    assert image_writer.drain(PATIENCE_S) == 0
    assert all(images(ledger))


def test_frame_of_a_worker_that_hung_at_the_disk_is_kept_when_the_disk_answers(
    ledger: Ledger, clock: FakeClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image_writer = ImageWriter(Keep(folder=tmp_path / "kept"), ledger, clock)
    work(image_writer)
    successor = Heartbeat(clock)
    successor.stop()

    def hang(path: Path, data: bytes) -> None:
        half = path.with_name(f".{path.name}.partial")
        half.parent.mkdir()
        half.write_bytes(data)
        image_writer.run(successor)  # meanwhile another one takes over, and counts what is there
        work(image_writer)
        half.rename(path)
        work(image_writer)

    monkeypatch.setattr("pipeline.daemon.images.writer.write_whole", hang)
    image_writer.offer(frame(), closed(ledger))
    work(image_writer)
    assert all(images(ledger))
    assert image_writer.status.kept_bytes == len(b"an image")


def test_at_the_end_frames_for_which_no_time_is_left_are_counted(
    ledger: Ledger, clock: FakeClock, tmp_path: Path, slow: SlowDisk
) -> None:
    image_writer = ImageWriter(Keep(folder=tmp_path / "kept"), ledger, clock)
    for _ in range(3):
        image_writer.offer(frame(), closed(ledger))
    assert image_writer.drain(0.05) == 2  # and the third is at the disk, which hangs
    assert image_writer.status.left_out == 2


@pytest.mark.slow
def test_full_disk_costs_frames_and_nothing_else_until_there_is_room_again(
    ledger: Ledger, clock: FakeClock, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk", 1 << 20) as disk:
        image_writer = ImageWriter(Keep(folder=disk / "kept", min_free_gb=0), ledger, clock)
        work(image_writer)
        fill(disk / "others")
        first, second = closed(ledger), closed(ledger)
        image_writer.offer(frame(b"x" * 100_000), first)
        work(image_writer)
        assert "No space left on device" in image_writer.status.alarm or (
            "has no room" in image_writer.status.alarm
        )
        assert image_writer.status.left_out == 1
        assert [p for p in disk.rglob("*") if p.is_file()] == [disk / "others"]
        (disk / "others").unlink()
        clock.advance(60)
        image_writer.offer(frame(b"x" * 100_000), second)
        work(image_writer)
        assert images(ledger) == ["", f"{DAY}/{second.id}.png"]
        assert image_writer.status.alarm == ""


@pytest.mark.slow
def test_disk_that_is_full_although_it_promised_room_leaves_no_half_written_file(
    ledger: Ledger, clock: FakeClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with small_disk(tmp_path / "disk", 1 << 20) as disk:
        image_writer = ImageWriter(Keep(folder=disk / "kept", min_free_gb=0), ledger, clock)
        work(image_writer)  # it looks at the disk, and the clock stands still
        fill(disk / "others")
        image_writer.offer(frame(b"x" * 100_000), closed(ledger))
        work(image_writer)
        assert "No space left on device" in image_writer.status.alarm
        assert [p for p in disk.rglob("*") if p.is_file()] == [disk / "others"]
