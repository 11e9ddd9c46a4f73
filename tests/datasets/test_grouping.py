"""What belongs together, by each of the ways to say so."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydantic import TypeAdapter, ValidationError

from pipeline.contracts.sample import Sample
from pipeline.datasets.grouping import Grouping, regroup
from pipeline.datasets.location import locate
from pipeline.errors import DataError
from pipeline.imaging.codec import encode_png

PIXELS = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
FROM_NAME: dict[str, Any] = {"clock": "name", "pattern": r"\d{8}-\d{6}", "format": "%Y%m%d-%H%M%S"}


def choice(**raw: Any) -> Grouping:
    parsed: Grouping = TypeAdapter(Grouping).validate_python(raw)
    return parsed


def sample(path: str, group: str = "", variant: str = "", split: str = "") -> Sample:
    return Sample(path, path, "good", group or path, variant=variant, split=split)


def groups(paths: list[str], root: Path = Path(), **raw: Any) -> list[str]:
    return [s.group for s in regroup(choice(**raw), [sample(p) for p in paths], root)]


def group_numbers(named: list[str]) -> list[int]:
    """The groups numbered as they come, to compare them whatever their names."""
    return [list(dict.fromkeys(named)).index(name) for name in named]


def words(*samples: Sample, **raw: Any) -> str:
    return choice(**raw).words(samples)


def test_the_groups_of_the_source_are_kept() -> None:
    samples = [sample(p, group=g) for p, g in zip("abcd", ["1", "1", "2", "3"], strict=True)]
    assert regroup(choice(by="source"), samples, Path()) == samples
    assert words(*samples, by="source") == "groups that the data set names"


def test_a_source_that_names_no_groups_is_not_reported_to_name_some() -> None:
    assert words(sample("a"), sample("b"), by="source") == "image (the data set names no groups)"


def test_a_pattern_reads_the_part_by_its_first_parenthesis_or_as_a_whole() -> None:
    paths = ["bad/P17_left.png", "bad/P17_right.png", "good/P18_left.png", "good/P19_left.png"]
    assert groups(paths, by="pattern", pattern=r"(P\d+)_") == ["P17", "P17", "P18", "P19"]
    assert groups(paths, by="pattern", pattern=r"P\d+") == ["P17", "P17", "P18", "P19"]


def test_a_part_seen_in_two_given_splits_is_one_group() -> None:
    paths = ["train/good/P1_a.png", "test/good/P1_b.png", "train/good/P2.png", "test/good/P3.png"]
    assert groups(paths, by="pattern", pattern=r"P\d+")[:2] == ["P1", "P1"]


@pytest.mark.parametrize("pattern", [r"P\d+", r"(P\d+)|stray", r"(P\d+)?\.png"])
def test_a_path_in_which_the_pattern_reads_nothing_is_named(pattern: str) -> None:
    with pytest.raises(DataError, match=r"nothing in 1 of 2 paths, such as good/stray\.png"):
        groups(["good/P18.png", "good/stray.png"], by="pattern", pattern=pattern)


def test_a_pattern_that_reads_the_same_everywhere_is_too_coarse() -> None:
    with pytest.raises(DataError, match=r"makes 1 group\(s\) of 4 images.*more of the path"):
        groups(["good/1", "good/2", "good/3", "good/4"], by="pattern", pattern="good")


def test_blocks_are_neighbours_in_the_order_of_the_source() -> None:
    paths = [f"{i}.png" for i in range(7)]
    assert group_numbers(groups(paths, by="blocks", images=3)) == [0, 0, 0, 1, 1, 1, 2]


def test_blocks_can_begin_again_in_each_folder() -> None:
    paths = ["bad/1.png", "bad/2.png", "bad/3.png", "good/1.png", "good/2.png"]
    found = groups(paths, by="blocks", images=2, within="folder")
    assert group_numbers(found) == [0, 0, 1, 2, 2]


def test_a_block_ends_where_a_given_split_does() -> None:
    samples = [sample(f"{i}", split=("train", "test")[i // 5]) for i in range(10)]
    found = regroup(choice(by="blocks", images=3), samples, Path())
    assert group_numbers([s.group for s in found]) == [0, 0, 0, 1, 1, 2, 2, 2, 3, 3]


def test_blocks_can_be_counted_in_each_variant_where_variants_take_turns() -> None:
    samples = [sample(f"{i}", variant="ab"[i % 2]) for i in range(8)]
    found = regroup(choice(by="blocks", images=2, within="variant"), samples, Path())
    assert group_numbers([s.group for s in found]) == [0, 1, 0, 1, 2, 3, 2, 3]


@pytest.mark.parametrize(("size", "n"), [(100, 1), (4, 2)])
def test_blocks_too_large_for_three_sides_are_refused(size: int, n: int) -> None:
    with pytest.raises(DataError, match=rf"makes {n} group\(s\) of 7 images.*groups\.images"):
        groups([f"{i}.png" for i in range(7)], by="blocks", images=size)


def test_a_pause_longer_than_the_gap_begins_a_group_whatever_the_order() -> None:
    paths = [f"20261122-{t}.png" for t in ("101000", "100000", "100005", "101005", "110000")]
    found = groups(paths, by="time", gap_s=5, **FROM_NAME)
    assert group_numbers(found) == [0, 1, 1, 0, 2]
    assert found[1] == "from-2026-11-22T10:00:00+00:00"


def test_a_pause_just_longer_than_the_gap_parts_what_the_gap_joins() -> None:
    paths = [f"20261122-1000{s}.png" for s in ("00", "05", "20", "40")]
    assert group_numbers(groups(paths, by="time", gap_s=4.9, **FROM_NAME)) == [0, 1, 2, 3]


def test_a_name_without_a_time_is_named() -> None:
    with pytest.raises(DataError, match=r"reads nothing in 1 of 2 paths, such as stray\.png"):
        groups(["20261122-100000.png", "stray.png"], by="time", gap_s=5, **FROM_NAME)


def test_a_name_whose_digits_are_not_a_time_is_named_with_the_format() -> None:
    with pytest.raises(
        DataError, match=r"20261340-100000\.png.*does not fit the time format %Y%m%d"
    ):
        groups(["20261340-100000.png"], by="time", gap_s=5, **FROM_NAME)


def test_a_gap_that_no_pause_exceeds_is_refused() -> None:
    paths = [f"20261122-10000{i}.png" for i in range(5)]
    with pytest.raises(DataError, match=r"makes 1 group\(s\) of 5 images.*lower .*gap_s"):
        groups(paths, by="time", gap_s=60, **FROM_NAME)


def exposed(path: Path, taken: str | None) -> str:
    """A JPEG that says when it was taken, as a camera writes it."""
    exif = Image.Exif()
    if taken is not None:
        exif.get_ifd(0x8769)[0x9003] = taken
    Image.fromarray(PIXELS).save(path, exif=exif)
    return path.name


def test_capture_times_are_read_from_exif(tmp_path: Path) -> None:
    times = ["10:00:00", "10:00:02", "10:05:00", "10:09:00"]
    paths = [exposed(tmp_path / f"{i}.jpg", f"2026:11:22 {t}") for i, t in enumerate(times)]
    found = groups(paths, tmp_path, by="time", gap_s=5, clock="exif")
    assert group_numbers(found) == [0, 0, 1, 2]


def test_an_image_without_a_time_in_exif_is_named_with_the_remedy(tmp_path: Path) -> None:
    paths = [exposed(tmp_path / "a.jpg", "2026:11:22 10:00:00"), exposed(tmp_path / "b.jpg", None)]
    with pytest.raises(DataError, match=r"1 of 2 images have no EXIF .*b\.jpg; set .*clock"):
        groups(paths, tmp_path, by="time", gap_s=5, clock="exif")


def test_a_clock_that_was_never_set_is_named(tmp_path: Path) -> None:
    path = exposed(tmp_path / "a.jpg", "0000:00:00 00:00:00")
    with pytest.raises(DataError, match=r"a\.jpg: its EXIF DateTimeOriginal does not fit the time"):
        groups([path], tmp_path, by="time", gap_s=5, clock="exif")


def test_a_damaged_file_is_left_to_quarantine(tmp_path: Path) -> None:
    times = ["10:00", "10:05", "10:10"]
    paths = [exposed(tmp_path / f"{i}.jpg", f"2026:11:22 {t}:00") for i, t in enumerate(times)]
    (tmp_path / "empty.jpg").touch()
    found = groups([*paths, "empty.jpg", "gone.jpg"], tmp_path, by="time", gap_s=5, clock="exif")
    assert found[3:] == ["empty.jpg", "gone.jpg"]


def test_capture_times_can_be_those_of_the_files(tmp_path: Path) -> None:
    for name, seconds in (("a", 1000), ("b", 1003), ("c", 2000), ("d", 3000)):
        (tmp_path / name).write_bytes(encode_png(PIXELS))
        os.utime(tmp_path / name, (seconds, seconds))
    found = groups(["a", "b", "c", "d"], tmp_path, by="time", gap_s=5, clock="modified")
    assert group_numbers(found) == [0, 0, 1, 2]


def test_the_time_of_files_that_are_not_on_disk_is_refused() -> None:
    root = locate("memory://parts")
    with pytest.raises(DataError, match="needs files on disk, not memory://parts"):
        regroup(choice(by="time", gap_s=5, clock="modified"), [sample("a")], root)


def test_automatic_groups_are_single_images_to_begin_with() -> None:
    samples = [sample(p, group="lot 1") for p in "abc"]
    found = regroup(choice(by="automatic"), samples, Path())
    assert len({s.group for s in found}) == 3


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ({"by": "blocks", "images": 60}, "blocks of 60 neighbouring images"),
        (
            {"by": "blocks", "images": 9, "within": "folder"},
            "blocks of 9 neighbouring images of a folder",
        ),
        ({"by": "pattern", "pattern": r"P\d+"}, r"part named in the path by P\d+"),
        (
            {"by": "time", "gap_s": 0.5, "clock": "exif"},
            "captures at most 0.5 s apart (time in EXIF)",
        ),
        ({"by": "automatic"}, "clusters of near-duplicates"),
    ],
)
def test_the_words_for_a_group_follow_from_the_choice(raw: dict[str, Any], said: str) -> None:
    assert words(**raw) == said


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        ({"by": "blocks", "images": 0}, "greater than or equal to 1"),
        ({"by": "time", "gap_s": 0, "clock": "exif"}, "greater than 0"),
        ({"by": "time", "gap_s": float("inf"), "clock": "exif"}, "finite"),
        ({"by": "time", "gap_s": 1, "clock": "name"}, "needs pattern and format"),
        ({"by": "time", "gap_s": 1, "clock": "exif", "format": "%Y"}, "no use for format"),
        ({"by": "time", "gap_s": 1, **FROM_NAME, "format": "%Y%Q"}, "not a format of a time"),
        ({"by": "time", "gap_s": 1, **FROM_NAME, "format": "%Y %Y"}, "not a format of a time"),
        ({"by": "pattern", "pattern": "(P"}, "valid regular expression"),
    ],
)
def test_an_impossible_wish_is_refused(raw: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValidationError, match=fault):
        choice(**raw)
