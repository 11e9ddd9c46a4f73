"""Small pictures: of the last parts from memory, of others from the kept frames."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.contracts.records import Record, Verdict
from pipeline.daemon.sources import Frame
from pipeline.daemon.web.live import pictures
from pipeline.daemon.web.live.pictures import SmallPictures
from pipeline.daemon.web.records import KeptRecords
from pipeline.imaging import codec
from tests.daemon.conftest import picture
from tests.daemon.web.live.conftest import NOON, part


class Shelf(KeptRecords):
    """Frames of records by their id, without a ledger."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "ledger.sqlite", "west-1", folder)
        self.kept = dict[str, Record]()

    def record(self, identity: str) -> Record | None:
        return self.kept.get(identity)


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


def frame(brightness: int, data: bytes | None = None) -> Frame:
    return Frame(NOON, 0.0, "SN", None if data else picture(brightness), data=data)


def brightness_of(jpeg: bytes | None) -> float:
    assert jpeg is not None
    return float(codec.decode(jpeg).mean())


def test_the_last_part_has_its_picture_before_it_is_kept(shelf: Shelf) -> None:
    found = SmallPictures(shelf)
    found.hold(part(1, Verdict.FAIL), frame(50))
    found.hold(part(2), frame(200))
    assert brightness_of(found.small("id-0001", 240)) == pytest.approx(50, abs=2)
    assert brightness_of(found.small("id-0002", 240)) == pytest.approx(200, abs=2)


def test_of_parts_that_passed_only_the_last_is_held(shelf: Shelf) -> None:
    found = SmallPictures(shelf)
    found.hold(part(1), frame(200))
    found.hold(part(2), frame(180))
    assert found.small("id-0001", 240) is None


def test_of_parts_that_did_not_pass_some_are_held(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "HELD", 2)
    found = SmallPictures(shelf)
    for number in range(3):
        found.hold(part(number, Verdict.REVIEW), frame(128))
    assert [found.small(f"id-000{i}", 240) is not None for i in range(3)] == [False, True, True]


def test_large_frames_are_held_within_a_limit_of_memory(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "HELD_BYTES", 2000)  # a frame has 1440
    found = SmallPictures(shelf)
    for number in range(3):
        found.hold(part(number, Verdict.FAIL), frame(50))
    assert [found.small(f"id-000{i}", 240) is not None for i in range(3)] == [False, False, True]


def test_a_kept_frame_is_shown_and_never_larger_than_it_is(shelf: Shelf, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(codec.encode_png(picture(90)))
    shelf.kept["id-0001"] = replace(part(1), image="a.png")
    jpeg = SmallPictures(shelf).small("id-0001", 1024)
    assert jpeg is not None
    assert codec.decode(jpeg).shape == (20, 24, 3)


def test_a_large_frame_becomes_small(shelf: Shelf) -> None:
    found = SmallPictures(shelf)
    found.hold(part(1), Frame(NOON, 0.0, "SN", np.full((600, 900, 3), 90, np.uint8)))
    jpeg = found.small("id-0001", 240)
    assert jpeg is not None
    assert codec.decode(jpeg).shape == (160, 240, 3)


def test_what_was_made_once_is_not_made_again(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "REMEMBERED", 1)
    found = SmallPictures(shelf)
    found.hold(part(1), frame(200))
    first = found.small("id-0001", 240)
    found.hold(part(2), frame(180))
    assert found.small("id-0001", 240) is first
    assert found.small("id-0002", 240) is not None
    assert found.small("id-0001", 240) is None  # forgotten, and its frame is gone


@pytest.mark.parametrize("data", [b"\x89PNG and then nothing", None])
def test_what_cannot_be_shown_has_no_small_picture(
    shelf: Shelf, tmp_path: Path, data: bytes | None
) -> None:
    found = SmallPictures(shelf)
    if data is not None:
        found.hold(part(1, Verdict.NOT_INSPECTED), frame(0, data))
    else:
        shelf.kept["id-0001"] = replace(part(1), image="removed-by-retention.png")
    assert found.small("id-0001", 240) is None
    assert found.small("unknown", 240) is None
