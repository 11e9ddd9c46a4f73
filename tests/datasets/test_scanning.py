"""One image file read once: what is kept of it, and what is a fault."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np

from pipeline.contracts.sample import Box, Sample
from pipeline.datasets.scanning import scan
from pipeline.imaging.codec import encode_png


def picture(root: Path, name: str, grey: int = 90, size: tuple[int, int] = (20, 30)) -> Path:
    path = root / name
    path.write_bytes(encode_png(np.full((*size, 3), grey, np.uint8)))
    return path


def sample(path: str, mask: str = "") -> Sample:
    return Sample(id=path, path=path, label="good", group=path, mask=mask)


def test_size_hash_colours_and_brightness_are_read_in_one_pass(tmp_path: Path) -> None:
    path = picture(tmp_path, "a.png")
    found = scan(sample("a.png"), tmp_path)
    assert (found.width_px, found.height_px, found.fault) == (30, 20, "")
    assert (found.bytes, found.sha256) == (
        path.stat().st_size,
        sha256(path.read_bytes()).hexdigest(),
    )
    assert found.mode.colours == "colour"
    assert found.quality is not None
    assert found.quality.brightness == 90


def test_a_missing_or_damaged_file_is_a_fault_and_not_an_error(tmp_path: Path) -> None:
    (tmp_path / "cut.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    assert scan(sample("gone.png"), tmp_path).fault
    assert scan(sample("cut.png"), tmp_path).fault.startswith("cut.png")


def test_a_mask_of_another_size_is_a_fault_with_both_sizes(tmp_path: Path) -> None:
    picture(tmp_path, "a.png")
    picture(tmp_path, "mask.png", size=(10, 30))
    fault = scan(sample("a.png", "mask.png"), tmp_path).fault
    assert fault == "a.png has 30x20 pixels, its mask mask.png 30x10; draw the mask again"


def test_a_name_that_cannot_be_printed_is_a_fault(tmp_path: Path) -> None:
    picture(tmp_path, "a\n.png")
    found = scan(sample("a\n.png"), tmp_path)
    assert "control characters" in found.fault
    assert "\n" not in found.sample.path


def test_boxes_are_in_pixels_of_the_picture_after_the_scan(tmp_path: Path) -> None:
    picture(tmp_path, "a.png")
    boxed = replace(sample("a.png"), boxes=(Box("dent", 0.5, 0, 1, 0.5, relative=True),))
    assert scan(boxed, tmp_path).sample.boxes == (Box("dent", 15, 0, 30, 10),)


def test_a_box_outside_of_the_picture_is_a_fault(tmp_path: Path) -> None:
    picture(tmp_path, "a.png")
    boxed = replace(sample("a.png"), boxes=(Box("dent", 40, 0, 50, 9),))
    assert scan(boxed, tmp_path).fault.startswith("a.png has 30x20 pixels, and its box")


def test_run_lengths_are_a_mask_of_the_pictures_size(tmp_path: Path) -> None:
    picture(tmp_path, "a.png")
    assert scan(sample("a.png", "rle:600 1"), tmp_path).mask_sha256
    assert "ends beyond" in scan(sample("a.png", "rle:600 2"), tmp_path).fault
