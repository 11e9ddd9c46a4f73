"""What is wrong with a data set, found before anything is learned from it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.contracts.sample import Sample
from pipeline.datasets.adapters import folder
from pipeline.datasets.checks.examination import Examination, examine
from pipeline.imaging.codec import encode_jpeg, encode_png, read
from tests.imports import ROOT
from tests.stages.conftest import copy_cells

STEEL = ROOT.parent / "shared/data/x-sdd"


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


def test_a_copy_on_the_same_side_is_not_a_leak(images: Path) -> None:
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


def test_the_same_shot_saved_again_with_another_label_is_a_conflict(images: Path) -> None:
    original = sorted((images / "good").glob("*.png"))[0]
    (images / "defective/again.jpg").write_bytes(encode_jpeg(read(original), quality=95))
    seen, splits = examined(images)
    assert seen.report(splits)["label_conflicts"] == [
        ["defective/again.jpg", f"good/{original.name}"]
    ]


def test_many_identical_frames_are_paired_once_each_not_all_with_all(tmp_path: Path) -> None:
    (tmp_path / "good").mkdir()
    frame = encode_png(np.arange(64, dtype=np.uint8).reshape(8, 8, 1) * 4)
    for i in range(60):
        (tmp_path / f"good/{i:02d}.png").write_bytes(frame)
    samples = folder.read(folder.Config(type="folder", root=tmp_path))
    seen = examine(samples, tmp_path)
    identical, near = seen.across(["train"] * 40 + ["test"] * 20)
    assert len(identical) == 59
    assert {row for pair in identical for row in pair} == set(range(60))
    assert near == []


def blank_crops(home: Path) -> list[Sample]:
    """Sixty even pictures of three grey levels, a third saved with a little noise."""
    rng = np.random.default_rng(0)
    (home / "good").mkdir()
    for i in range(60):
        crop = np.full((96, 96, 1), (40, 130, 255)[i % 3], np.uint8)
        if i % 9 == 0:
            crop += rng.integers(0, 3, crop.shape, np.uint8)
        (home / f"good/{i:02d}.png").write_bytes(encode_png(crop))
    return folder.read(folder.Config(type="folder", root=home))


def test_blank_crops_are_alike_without_being_one_group(tmp_path: Path) -> None:
    seen = examine(blank_crops(tmp_path), tmp_path)
    report = seen.report(["train"] * 40 + ["test"] * 20)
    assert len(set(seen.groups)) == 60
    assert (report["n_blank"], report["identical_pairs"], report["leaky"]) == (60, 0, False)


def test_blank_crops_of_one_part_stay_together(tmp_path: Path) -> None:
    crops = [replace(s, group=f"board {i // 6}") for i, s in enumerate(blank_crops(tmp_path))]
    assert len(set(examine(crops, tmp_path).groups)) == 10


def test_a_blank_crop_with_two_labels_is_a_conflict(tmp_path: Path) -> None:
    crops = blank_crops(tmp_path)
    crops[4] = replace(crops[4], label="scratch")
    conflicts = examine(crops, tmp_path).report(["train"] * 60)["label_conflicts"]
    assert conflicts == [["good/01.png", "good/04.png"]]


def test_a_damaged_file_is_corrupt_with_its_reason(images: Path) -> None:
    (images / "good/half.png").write_bytes(b"\x89PNG")
    seen, splits = examined(images)
    (corrupt,) = seen.report(splits)["corrupt"]
    assert corrupt["path"] == "good/half.png"
    assert "cannot be decoded" in corrupt["reason"]


def test_a_nearly_black_picture_is_listed(images: Path) -> None:
    (images / "good/black.png").write_bytes(encode_png(np.full((300, 300, 3), 14, np.uint8)))
    seen, splits = examined(images)
    assert seen.report(splits)["nearly_black"] == ["good/black.png"]


def test_sizes_modes_and_groups_are_counted(images: Path) -> None:
    report = examined(images)[0].report(["train"] * 12)
    assert (report["sizes"], report["modes"]) == ({"300x300": 12}, {"grey": 12})
    assert report["groups"] == {"defective": 6, "good": 6}
    assert report["class_splits"]["good"] == {"train": 6}


def test_a_tiny_class_is_named_with_the_bound_that_follows(images: Path) -> None:
    for path in sorted((images / "good").glob("*.png"))[2:]:
        path.unlink()
    seen, splits = examined(images)
    notes = {item["class"]: item["note"] for item in seen.report(splits)["tiny_classes"]}
    assert "below 50%" in notes["defective"]
    assert "would prove nothing; 2 group(s) cannot stand" in notes["good"]


def test_classes_too_small_to_judge_get_no_list_of_suspects(images: Path) -> None:
    for path in sorted((images / "good").glob("*.png"))[2:]:
        path.unlink()
    seen, splits = examined(images)
    suspects = seen.report(splits)["suspects"]
    assert (suspects["n"], suspects["classes_left_out"]) == (0, ["good"])


def test_the_report_is_the_same_every_time(images: Path) -> None:
    seen, splits = examined(images)
    again, _ = examined(images)
    assert seen.report(splits) == again.report(splits)


@pytest.mark.slow
@pytest.mark.skipif(not STEEL.is_dir(), reason=f"{STEEL} is not on this machine")
def test_labels_flipped_among_real_steel_strips_are_found() -> None:
    samples = folder.read(folder.Config(type="folder", root=STEEL))
    names = sorted({s.label for s in samples})
    flipped = set(np.random.default_rng(0).choice(len(samples), 40, replace=False).tolist())
    wrong = [
        replace(s, label=names[names.index(s.label) - 1]) if row in flipped else s
        for row, s in enumerate(samples)
    ]
    seen = examine(wrong, STEEL)
    listed = seen.report([""] * len(samples))["suspects"]["images"]
    bad = {samples[row].path for row in flipped}
    assert sum(s["path"] in bad for s in listed[:20]) >= 17
    assert len(bad & {s["path"] for s in listed}) >= 20
