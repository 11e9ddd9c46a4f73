"""Room for kept frames: the quota, who goes first, the disk's reserve, crashes, the forecast."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.contracts.records import Record, Verdict
from pipeline.daemon.images import retention
from pipeline.daemon.images.writer import ImageWriter
from pipeline.daemon.settings.line import Keep
from pipeline.daemon.sources import Frame
from pipeline.ledger.disk_reserve import DiskReserve
from pipeline.ledger.ledger import Ledger
from pipeline.testing import FakeClock
from tests.daemon.disk import fill, small_disk

AT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
DAY = "2026-11-22"
PASS, FAIL, REVIEW, NOT_INSPECTED = Verdict
SIZE = 1000  # bytes of every frame here
QUOTA_GB = 4 * SIZE / 1e9  # of four frames


class Bench:
    """A image writer at work, one frame of 1000 bytes after another."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "kept"
        self.clock = FakeClock(AT)
        self.ledger = Ledger(folder / "ledger.sqlite", "west-1")
        self.image_writer = self.restarted()

    def restarted(self, **settings: object) -> ImageWriter:
        """A new image writer of the same folder; it has counted what is there."""
        all_kept = {"verdicts": ("FAIL", "REVIEW", "NOT_INSPECTED"), "pass_share": 1}
        asked = {"folder": self.folder, "quota_gb": QUOTA_GB, "min_free_gb": 0}
        keep = Keep.model_validate(asked | all_kept | settings)
        self.image_writer = ImageWriter(keep, self.ledger, self.clock)
        self.work()
        return self.image_writer

    def work(self) -> None:
        while self.image_writer.step():
            pass

    def closed(self, verdict: Verdict) -> Record:
        self.clock.advance(1)
        identity = self.ledger.open_record(AT, "part-1")
        record = Record(identity, "west-1", AT.isoformat(), "part-1", verdict, "because")
        self.ledger.close_record(record)
        return record

    def see(self, *verdicts: Verdict, disputed: bool = False) -> list[str]:
        """Inspect parts with these verdicts; returns their records' ids."""
        seen = []
        for verdict in verdicts:
            record = self.closed(verdict)
            if disputed:
                self.dispute(record.id)
            frame = Frame(AT, 0.0, "part-1", None, data=bytes(SIZE))
            self.image_writer.offer(frame, record, disputed=disputed)
            self.work()
            seen.append(record.id)
        return seen

    def dispute(self, identity: str) -> None:
        """A second model says FAIL."""
        with self.ledger.writing() as db:
            db.execute("INSERT INTO shadows VALUES (?, 'cells/2', 'FAIL', '', '', 1)", (identity,))

    def review(self, *identities: str) -> None:
        """A person looks at parts."""
        with self.ledger.writing() as db:
            for identity in identities:
                db.execute(
                    "INSERT INTO reviews (record, reviewed_at, reviewer, part_class) "
                    "VALUES (?, '', 'A. Weber', 'good')",
                    (identity,),
                )

    @property
    def kept(self) -> set[str]:
        """Ids of the records whose frames are there; the ledger and the folder agree on them."""
        named = {r.id: r.image for r in self.ledger.records() if r.image}
        there = {p.relative_to(self.folder).as_posix() for p in self.folder.glob("*/*")}
        assert there == set(named.values())
        assert self.image_writer.status.kept_bytes == SIZE * len(named)
        return set(named)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.ledger.close()


def test_oldest_frame_makes_room_for_a_newer_one_of_its_kind(bench: Bench) -> None:
    seen = bench.see(*[FAIL] * 6)
    assert bench.kept == set(seen[2:])


def test_good_parts_go_first_then_defective_then_doubtful_ones(bench: Bench) -> None:
    review, fail, good, dark = bench.see(REVIEW, FAIL, PASS, NOT_INSPECTED)
    for left in ({review, fail, good}, {review, fail}, {review}, set()):
        bench.see(REVIEW)
        assert bench.kept & {review, fail, good, dark} == left


def test_flood_of_good_parts_displaces_nothing_that_is_worth_more(bench: Bench) -> None:
    bad = bench.see(FAIL, REVIEW, FAIL)
    goods = bench.see(*[PASS] * 5)
    assert bench.kept == {*bad, goods[-1]}
    (last,) = bench.see(REVIEW)
    bench.see(*[PASS] * 3)
    assert bench.kept == {*bad, last}
    state = bench.image_writer.status
    assert state.left_out == 3
    assert "no further PASS frame is kept" in state.alarm


def test_part_on_which_two_models_disagree_is_worth_as_much_as_one_in_doubt(bench: Bench) -> None:
    (disputed,) = bench.see(PASS, disputed=True)
    bench.see(*[FAIL] * 6)
    assert disputed in bench.kept
    bench.see(*[REVIEW] * 4)
    assert disputed not in bench.kept


def test_frame_that_a_person_has_reviewed_is_never_removed(bench: Bench) -> None:
    good, bad = bench.see(PASS, FAIL)
    bench.review(good, bad)
    bench.see(*[REVIEW] * 8)
    assert {good, bad} < bench.kept


def test_frame_reviewed_while_the_station_looks_for_room_is_not_removed(bench: Bench) -> None:
    seen = bench.see(*[PASS] * 5)  # four stay, and the search has found them all
    bench.review(seen[1])
    bench.see(*[PASS] * 3)
    assert seen[1] in bench.kept


def test_when_reviewed_frames_fill_the_quota_no_more_are_kept_and_an_alarm_is_raised(
    bench: Bench,
) -> None:
    seen = bench.see(*[REVIEW] * 4)
    bench.review(*seen)
    bench.see(REVIEW, FAIL)
    assert bench.kept == set(seen)
    state = bench.image_writer.status
    assert (state.left_out, state.days_left) == (2, 0)
    assert "no further REVIEW frame is kept" in state.alarm
    assert "keep.quota_gb: 4e-06" in state.alarm


def test_verdict_that_the_line_file_protects_is_never_removed(bench: Bench) -> None:
    bench.restarted(protected=("FAIL",))
    bad = bench.see(FAIL, FAIL)
    bench.see(*[REVIEW] * 4)
    assert set(bad) < bench.kept
    bad += bench.see(*[FAIL] * 3)
    assert bench.kept == set(bad[:4])


def test_removing_frames_without_review_raises_an_alarm(bench: Bench) -> None:
    bench.see(*[REVIEW] * 4)
    assert bench.image_writer.status.alarm == ""
    bench.see(REVIEW)
    assert "frames are removed which nobody has reviewed" in bench.image_writer.status.alarm


def test_frame_larger_than_the_quota_displaces_nothing(bench: Bench) -> None:
    seen = bench.see(*[PASS] * 4)
    frame = Frame(AT, 0.0, "part-1", None, data=bytes(5 * SIZE))
    bench.image_writer.offer(frame, bench.closed(REVIEW))
    bench.work()
    assert bench.kept == set(seen)
    assert bench.image_writer.status.left_out == 1


def test_smaller_quota_is_kept_from_the_next_start_on(bench: Bench) -> None:
    _, bad, _, doubt = bench.see(PASS, FAIL, PASS, REVIEW)
    bench.restarted(quota_gb=2 * SIZE / 1e9)
    assert bench.kept == {bad, doubt}


def test_no_quota_keeps_all(bench: Bench) -> None:
    bench.restarted(quota_gb=None)
    seen = bench.see(*[PASS] * 20)
    assert bench.kept == set(seen)
    assert bench.image_writer.status.quota_bytes is None


def test_day_whose_frames_are_all_gone_leaves_no_folder(bench: Bench) -> None:
    (bench.folder / "2026-11-20").mkdir()
    record = bench.closed(FAIL)
    (bench.folder / "2026-11-20" / f"{record.id}.png").write_bytes(bytes(SIZE))
    bench.restarted()
    bench.see(*[FAIL] * 4)
    assert [p.name for p in bench.folder.iterdir()] == [DAY]


def test_frames_are_found_among_many_that_are_worth_more(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "WINDOW", 2)
    monkeypatch.setattr(retention, "BATCH", 1)
    bench.restarted(quota_gb=12 * SIZE / 1e9)
    seen = bench.see(*[REVIEW] * 5, PASS, *[REVIEW] * 5, PASS)
    (last,) = bench.see(FAIL)
    assert bench.kept == {*seen[:5], *seen[6:], last}


def test_frame_noted_behind_the_place_of_the_search_is_found_later(bench: Bench) -> None:
    late = bench.closed(PASS)
    worthy = bench.see(REVIEW, REVIEW, PASS, PASS)
    worthy += bench.see(REVIEW)  # displaces one PASS, and the search stands behind `late`
    bench.image_writer.offer(Frame(AT, 0.0, "part-1", None, data=bytes(SIZE)), late)
    bench.work()
    bench.review(*worthy)
    bench.see(FAIL)
    assert bench.kept == {worthy[0], worthy[1], worthy[4], late.id}
    bench.clock.advance(2 * retention.SEARCH_AGAIN_S)
    (last,) = bench.see(FAIL)
    assert bench.kept == {worthy[0], worthy[1], worthy[4], last}


@pytest.mark.slow
def test_disk_that_others_fill_is_relieved_of_what_nobody_reviewed(
    bench: Bench, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk", 1 << 20) as disk:
        bench.folder = disk / "kept"
        bench.restarted(quota_gb=None, min_free_gb=500_000 / 1e9)
        good, reviewed, bad = bench.see(PASS, PASS, FAIL)
        bench.review(reviewed)
        (disk / "others").write_bytes(bytes(450_000))
        bench.clock.advance(5)
        bench.work()
        assert bench.kept == {good, reviewed, bad}, "half of the disk is still free"
        (disk / "others").write_bytes(bytes(800_000))
        bench.clock.advance(5)
        bench.work()
        assert bench.kept == {reviewed}
        assert "no further frame is kept" in bench.image_writer.status.alarm
        bench.see(FAIL)
        assert bench.kept == {reviewed}
        (disk / "others").unlink()
        bench.clock.advance(20)
        (last,) = bench.see(FAIL)
        assert bench.kept == {reviewed, last}


@pytest.mark.slow
def test_frames_beside_a_ledger_on_a_full_disk_go_once_its_reserve_is_released(
    tmp_path: Path,
) -> None:
    with small_disk(tmp_path / "disk", 16 << 20) as disk:
        bench = Bench(disk)
        bench.restarted(quota_gb=None, min_free_gb=2e-3)
        reserve = DiskReserve(bench.ledger.path, bench.clock.monotonic_s, 1 << 20)
        assert reserve.restore()
        seen = bench.see(*[PASS] * 20)
        bench.review(seen[0])
        fill(disk / "others")
        bench.clock.advance(5)
        bench.work()
        assert "database or disk is full" in bench.image_writer.status.alarm
        assert reserve.release()
        bench.work()
        assert bench.kept == {seen[0]}
        bench.ledger.close()


def test_bytes_are_counted_again_at_the_start(bench: Bench) -> None:
    seen = bench.see(*[FAIL] * 3)
    assert bench.restarted().status.kept_bytes == 3 * SIZE
    assert bench.kept == set(seen)


def test_frame_written_while_the_start_counts_is_counted_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.see(*[FAIL] * 2)
    earlier = bench.folder / "2026-11-01"
    earlier.mkdir()
    (earlier / f"{bench.closed(FAIL).id}.png").write_bytes(bytes(SIZE))
    monkeypatch.setattr(retention, "WINDOW", 1)
    keep = Keep(folder=bench.folder, min_free_gb=0)
    bench.image_writer = ImageWriter(keep, bench.ledger, bench.clock)
    bench.image_writer.offer(Frame(AT, 0.0, "", None, data=bytes(SIZE)), bench.closed(FAIL))
    bench.work()  # it is written before its day is counted
    assert len(bench.kept) == 4


def test_file_that_a_crash_left_without_its_name_is_named_at_the_start(bench: Bench) -> None:
    (kept,) = bench.see(FAIL)
    lost = bench.closed(FAIL)
    (bench.folder / DAY / f"{lost.id}.png").write_bytes(bytes(SIZE))
    bench.restarted()
    assert bench.kept == {kept, lost.id}


def test_half_written_file_of_a_crash_is_removed_at_the_start(bench: Bench) -> None:
    (kept,) = bench.see(FAIL)
    (bench.folder / DAY / f".{kept}.png.partial").write_bytes(bytes(10))
    bench.restarted()
    assert bench.kept == {kept}


def test_file_of_no_record_is_never_removed_and_is_logged(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.see(FAIL)
    stranger = bench.folder / DAY / "holiday.png"
    stranger.write_bytes(bytes(SIZE))
    bench.restarted()
    bench.see(*[FAIL] * 8)
    assert stranger.is_file()
    assert "1 files" in caplog.text
    assert bench.image_writer.status.kept_bytes == 4 * SIZE


def test_names_of_frames_whose_disk_is_away_stay(bench: Bench, tmp_path: Path) -> None:
    named = bench.see(*[FAIL] * 4)
    bench.folder.rename(tmp_path / "away")
    bench.restarted()
    bench.see(*[FAIL] * 8)
    assert set(named) <= {r.id for r in bench.ledger.records() if r.image}


def test_many_names_without_files_are_passed_over_a_few_at_a_time(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "WINDOW", 2)
    bench.see(*[FAIL] * 4)
    (bench.folder / DAY).rename(bench.folder / "elsewhere")
    keep = Keep(folder=bench.folder, quota_gb=1e-9, min_free_gb=0)
    storage = retention.Retention(keep, bench.ledger, bench.clock)
    while storage.step():
        pass
    storage.wrote("away", 1)
    answers = [storage.room(1, retention.Worth.FAIL) for _ in range(12)]
    assert answers[0] is retention.Room.NOT_YET
    assert answers[-1] is retention.Room.NO


def test_file_that_cannot_be_removed_keeps_its_name(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = bench.see(*[FAIL] * 4)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("Read-only file system")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refuse)
        bench.see(FAIL)
    assert bench.kept == set(seen)
    assert "Read-only file system" in bench.image_writer.status.alarm


def test_days_left_follow_from_the_rate_since_the_start(bench: Bench) -> None:
    bench.restarted(quota_gb=1e-3)  # 1 MB
    assert bench.image_writer.status.days_left is None, "nothing is known yet"
    for _ in range(24):
        bench.see(FAIL)
        bench.clock.advance(3599)
    days = bench.image_writer.status.days_left
    assert days == pytest.approx((1e6 - 24 * SIZE) / (24 * SIZE), rel=0.01)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How many rows the search has read."""
    rows: list[int] = []
    worth = retention.Retention.worth

    def count(self: retention.Retention, verdict: Verdict, **of: bool) -> retention.Worth:
        rows.append(1)
        return worth(self, verdict, **of)

    monkeypatch.setattr(retention.Retention, "worth", count)
    return lambda: len(rows)


def test_search_does_not_start_again_with_every_frame(
    bench: Bench, counted: Callable[[], int]
) -> None:
    bench.restarted(quota_gb=200 * SIZE / 1e9)
    bench.see(*[FAIL] * 200)
    before = counted()
    bench.see(*[FAIL] * 100)
    assert counted() - before < 20 * 100
