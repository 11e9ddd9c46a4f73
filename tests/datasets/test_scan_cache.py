"""Files that were read before are not read again, and those that changed are."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from pipeline.contracts.sample import Box, Sample
from pipeline.datasets import location
from pipeline.datasets.checks.examination import Examination, examine
from pipeline.datasets.scan_cache import ScanCache
from pipeline.imaging.codec import encode_png
from tests.stages.conftest import copy_cells


@pytest.fixture
def images(tmp_path: Path) -> Path:
    copy_cells(tmp_path / "images", per_class=3)
    return tmp_path / "images"


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were really read."""
    names: list[str] = []
    original = location.image

    def noting(place: location.Place, name: str) -> bytes:
        names.append(name)
        return original(place, name)

    monkeypatch.setattr(location, "image", noting)
    return names


def look(images: Path, mask: str = "", boxes: tuple[Box, ...] = ()) -> Examination:
    samples = [
        Sample(path, path, path.split("/")[0], path, mask=mask, boxes=boxes)
        for path in sorted(p.relative_to(images).as_posix() for p in images.rglob("cell*.png"))
    ]
    cache = ScanCache(images.parent / "cache/scans.parquet", images)
    return examine(samples, images, cache=cache)


def test_untouched_files_are_not_read_again_and_look_the_same(
    images: Path, read: list[str]
) -> None:
    first = look(images)
    assert len(read) == 6
    read.clear()
    again = look(images)
    assert read == []
    for before, after in zip(first.scans, again.scans, strict=True):
        for name in ("fingerprint", "texture"):
            np.testing.assert_array_equal(getattr(before, name), getattr(after, name))
        for name in ("sample", "width_px", "sha256", "pixels_sha256", "mode", "quality"):
            assert getattr(before, name) == getattr(after, name)
    assert first.report([""] * 6) == again.report([""] * 6)


def test_a_file_that_was_replaced_is_read_again_whatever_its_time(
    images: Path, read: list[str]
) -> None:
    changed, other, *_ = sorted((images / "good").glob("*.png"))
    before = look(images)
    then = changed.stat()
    shutil.copy(other, changed)
    os.utime(changed, ns=(then.st_atime_ns, then.st_mtime_ns))
    read.clear()
    after = look(images)
    assert read == [f"good/{changed.name}"]
    assert len(after.identical) == len(before.identical) + 1


def test_a_mask_that_was_drawn_again_is_read_again(images: Path, read: list[str]) -> None:
    (images / "mask.png").write_bytes(encode_png(np.zeros((300, 300, 1), np.uint8)))
    before = look(images, mask="mask.png")
    read.clear()
    (images / "mask.png").write_bytes(encode_png(np.ones((300, 300, 1), np.uint8)))
    after = look(images, mask="mask.png")
    assert len(read) == 12
    assert before.scans[0].mask_sha256 != after.scans[0].mask_sha256


def test_boxes_that_were_drawn_again_are_taken_without_reading_the_image(
    images: Path, read: list[str]
) -> None:
    look(images)
    read.clear()
    after = look(images, boxes=(Box("defective", 0, 0.5, 0.5, 1, relative=True),))
    assert read == []
    assert after.scans[0].sample.boxes == (Box("defective", 0, 150, 150, 300),)
    outside = look(images, boxes=(Box("defective", 0, 300, 9, 310),))
    assert (read, len(outside.scans), len(outside.damaged)) == ([], 0, 6)


def test_a_file_that_cannot_be_used_is_looked_at_each_time(images: Path, read: list[str]) -> None:
    (images / "good/cell-cut.png").write_bytes(b"")
    look(images)
    read.clear()
    assert [s.sample.path for s in look(images).damaged] == ["good/cell-cut.png"]
    assert read == ["good/cell-cut.png"]


def test_a_damaged_cache_is_made_again(images: Path, read: list[str]) -> None:
    look(images)
    (images.parent / "cache/scans.parquet").write_bytes(b"PAR1 no table")
    read.clear()
    look(images)
    assert len(read) == 6


def test_scans_of_other_code_are_made_again(
    images: Path, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    look(images)
    monkeypatch.setattr("pipeline.datasets.scan_cache.CODEC_VERSION", "99")
    read.clear()
    look(images)
    assert len(read) == 6
