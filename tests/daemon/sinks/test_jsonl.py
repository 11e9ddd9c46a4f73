"""Records as lines in files: whole, each once, whatever the disk does."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from pipeline.contracts.records import Record
from pipeline.daemon.sinks import SinkDown, message
from pipeline.daemon.sinks.jsonl import Config, Jsonl
from pipeline.testing import FakeClock

pytestmark = pytest.mark.slow

Records = Callable[[int], list[Record]]


def opened(folder: Path, clock: FakeClock | None = None, **settings: Any) -> Jsonl:
    config = Config.model_validate({"type": "jsonl", "folder": folder, **settings})
    return config.open("west-1", clock or FakeClock())


def lines(folder: Path) -> list[dict[str, Any]]:
    """What stands in all files, in the order of their names."""
    text = "".join(p.read_text("utf-8") for p in sorted(folder.iterdir()))
    assert not text or text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def test_each_record_is_one_line_with_all_its_fields(tmp_path: Path, records: Records) -> None:
    given = records(3)
    opened(tmp_path / "out").deliver(given)
    assert lines(tmp_path / "out") == [asdict(r) for r in given]


def test_file_bears_station_sink_and_the_day_it_was_begun(tmp_path: Path, records: Records) -> None:
    opened(tmp_path).deliver(records(1))
    opened(tmp_path, name="mes").deliver(records(1))
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "west-1_jsonl_2026-01-01_001.jsonl",
        "west-1_mes_2026-01-01_001.jsonl",
    ]


def test_a_new_day_begins_a_new_file_and_a_clock_set_back_does_not(
    tmp_path: Path, records: Records
) -> None:
    clock = FakeClock()
    sink = opened(tmp_path, clock)
    for hours in (0, 30, -48, 1):
        clock.advance(hours * 3600)
        sink.deliver(records(1))
    counts = {p.name[13:23]: len(p.read_text().splitlines()) for p in tmp_path.iterdir()}
    assert counts == {"2026-01-01": 1, "2026-01-02": 3}


def test_large_file_is_followed_by_the_next_and_the_oldest_goes(
    tmp_path: Path, records: Records
) -> None:
    sink = opened(tmp_path, rotate_mb=0.001, keep_files=3)
    given = [records(3) for _ in range(5)]
    for batch in given:
        sink.deliver(batch)
    assert sorted(p.name[-9:] for p in tmp_path.iterdir()) == [
        "003.jsonl",
        "004.jsonl",
        "005.jsonl",
    ]
    assert [r["id"] for r in lines(tmp_path)] == [r.id for batch in given[2:] for r in batch]


def test_the_thousandth_file_comes_after_the_one_before(tmp_path: Path, records: Records) -> None:
    for number in ("999", "1000"):
        (tmp_path / f"west-1_jsonl_2026-01-01_{number}.jsonl").touch()
    opened(tmp_path).deliver(records(1))
    assert (tmp_path / "west-1_jsonl_2026-01-01_1000.jsonl").stat().st_size > 0


def test_files_of_others_in_the_folder_stay(tmp_path: Path, records: Records) -> None:
    others = ["west-1_jsonl_notes.jsonl", "west-10_jsonl_2020-01-01_001.jsonl", "a.txt"]
    for name in others:
        (tmp_path / name).write_text("mine\n")
    sink = opened(tmp_path, rotate_mb=0.0001, keep_files=2)
    for _ in range(4):
        sink.deliver(records(1))
    assert [(tmp_path / name).read_text() for name in others] == ["mine\n"] * 3


@pytest.mark.parametrize("torn", ['{"id": "half', "x" * 200_000])
def test_line_torn_by_a_crash_is_cut_off(tmp_path: Path, records: Records, torn: str) -> None:
    before, after = records(2), records(1)
    opened(tmp_path).deliver(before)
    (file,) = tmp_path.iterdir()
    with file.open("a") as handle:
        handle.write(torn)
    opened(tmp_path).deliver(after)
    assert [r["id"] for r in lines(tmp_path)] == [r.id for r in before + after]


def test_file_that_somebody_took_away_is_begun_again(tmp_path: Path, records: Records) -> None:
    sink = opened(tmp_path)
    sink.deliver(records(1))
    (file,) = tmp_path.iterdir()
    file.rename(tmp_path / "taken")
    sink.deliver(records(1))
    assert len(file.read_text().splitlines()) == 1


def test_folder_that_cannot_be_made_is_an_outage(tmp_path: Path, records: Records) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SinkDown, match="Not a directory"):
        opened(tmp_path / "file" / "out").deliver(records(1))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root may mount a small file system")
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no small file system here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_full_disk_is_an_outage_after_which_each_line_is_whole_and_there_once(
    small_disk: Path, records: Records
) -> None:
    sink = opened(small_disk)
    batches = [records(20) for _ in range(20)]
    delivered: list[list[Record]] = []

    def fill() -> None:
        for batch in batches:
            sink.deliver(batch)
            delivered.append(batch)

    with pytest.raises(SinkDown, match="No space left"):
        fill()
    assert 0 < len(delivered) < 20
    assert [r["id"] for r in lines(small_disk)] == [r.id for b in delivered for r in b]
    (file,) = small_disk.iterdir()
    file.unlink()
    sink.deliver(batches[len(delivered)])
    assert lines(small_disk) == [message(r) for r in batches[len(delivered)]]


def test_disk_that_fills_within_a_batch_leaves_nothing_of_it(
    tmp_path: Path, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = opened(tmp_path)
    first = records(1)
    sink.deliver(first)
    write = os.write
    written: list[int] = []

    def half(handle: int, data: bytes) -> int:
        if written:
            raise OSError(28, "No space left on device")
        written.append(write(handle, data[: len(data) // 2]))
        return written[0]

    monkeypatch.setattr("pipeline.daemon.sinks.jsonl.os.write", half)
    with pytest.raises(SinkDown, match="No space left on device"):
        sink.deliver(records(3))
    assert [r["id"] for r in lines(tmp_path)] == [r.id for r in first]
