"""What is wrong with a data set, found before anything is learned from it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from pipeline.contracts.sample import Sample
from pipeline.datasets.adapters import folder
from pipeline.datasets.examination import Examination, examine
from pipeline.imaging.codec import encode_png, read
from tests.imports import ROOT
from tests.stages.conftest import copy_cells

CASTING = ROOT.parent / "shared/data/casting"


@pytest.fixture
def images(tmp_path: Path) -> Path:
    copy_cells(tmp_path / "images", per_class=6)
    return tmp_path / "images"


def examined(images: Path, **splits: str) -> tuple[Examination, list[str]]:
    """The examination, and the split of each row: by file name, else train."""
    samples: list[Sample] = folder.read(folder.Config(type="folder", root=images))
    seen = examine(samples, images)
    return seen, [splits.get(Path(s.sample.path).stem, "train") for s in seen.scans]


def test_different_cells_are_neither_copies_nor_near(images: Path) -> None:
    seen, splits = examined(images)
    report = seen.report(splits)
    assert (report["n"], report["identical_pairs"], report["near_duplicate_groups"]) == (12, 0, 0)
    assert report["leaky"] is False


def test_a_copy_on_the_other_side_is_a_leak_shown_with_both_paths(images: Path) -> None:
    original = sorted((images / "good").glob("*.png"))[0]
    shutil.copy(original, images / "good/copy.png")
    seen, splits = examined(images, copy="test")
    report = seen.report(splits)
    assert (report["leaky"], report["identical_pairs_across_splits"]) == (True, 1)
    assert [f"good/{original.name}", "good/copy.png"] in report["pairs_shown"]


def test_a_copy_on_the_same_side_is_no_leak(images: Path) -> None:
    original = sorted((images / "good").glob("*.png"))[0]
    shutil.copy(original, images / "good/copy.png")
    seen, splits = examined(images)
    assert seen.report(splits)["leaky"] is False
    assert seen.report(splits)["identical_pairs"] == 1


def test_look_alikes_on_two_sides_are_a_leak_even_where_they_are_not_joined(images: Path) -> None:
    original = sorted((images / "good").glob("*.png"))[0]
    darker = (read(original) * 0.98).astype(np.uint8)
    (images / "good/darker.png").write_bytes(encode_png(darker))
    samples = folder.read(folder.Config(type="folder", root=images))
    seen = examine(samples, images, near=False)
    assert len(set(seen.groups)) == len(seen.scans) == 13
    splits = ["test" if s.sample.path == "good/darker.png" else "train" for s in seen.scans]
    report = seen.report(splits)
    assert (report["leaky"], report["near_duplicate_pairs_across_splits"]) == (True, 1)
    assert seen.report(["train"] * 13)["leaky"] is False


def test_the_same_picture_with_two_labels_is_a_conflict(images: Path) -> None:
    original = sorted((images / "good").glob("*.png"))[0]
    shutil.copy(original, images / "defective/copy.png")
    seen, splits = examined(images)
    assert seen.report(splits)["label_conflicts"] == [
        ["defective/copy.png", f"good/{original.name}"]
    ]


def test_a_damaged_file_is_corrupt_with_its_reason(images: Path) -> None:
    (images / "good/half.png").write_bytes(b"\x89PNG")
    seen, splits = examined(images)
    (corrupt,) = seen.report(splits)["corrupt"]
    assert corrupt["path"] == "good/half.png"
    assert "cannot be decoded" in corrupt["reason"]


@pytest.mark.skipif(not CASTING.is_dir(), reason=f"{CASTING} is not on this machine")
def test_the_leak_of_the_casting_data_set_is_found() -> None:
    config = folder.Config(type="folder", root=CASTING)
    seen = examine(folder.read(config), CASTING)
    report = seen.report([s.sample.split for s in seen.scans])
    assert report["leaky"] is True
    assert report["identical_pairs_across_splits"] == 64
    assert report["near_duplicate_pairs_across_splits"] >= 64
