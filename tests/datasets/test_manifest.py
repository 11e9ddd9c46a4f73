"""What ingest found, and what it notices when the images have changed since."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.contracts.sample import Box, Sample
from pipeline.contracts.taxonomy import Disposition, PartClass, Taxonomy
from pipeline.datasets import manifest
from pipeline.datasets.adapters.folder import Config
from pipeline.datasets.manifest import Manifest
from pipeline.datasets.manifest_reader import read_manifest
from pipeline.datasets.scanning import Scan, scan
from pipeline.errors import DataError
from pipeline.files import write_json
from pipeline.imaging.codec import encode_png

TAXONOMY = Taxonomy(
    classes=(
        PartClass(name="good", disposition=Disposition.PASS),
        PartClass(name="bad", disposition=Disposition.SCRAP),
    )
)
PICTURE = np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)
# A header of 9x6 pixels and nothing behind it.
BMP_WITHOUT_PIXELS = struct.pack(
    "<2sIHHIIiiHHIIiiII", b"BM", 54, 0, 0, 54, 40, 9, 6, 1, 24, 0, 0, 0, 0, 0, 0
)


def sample(path: str) -> Sample:
    return Sample(id=path, path=path, label="good", group=path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A data folder with one good image."""
    root = tmp_path / "images"
    (root / "good").mkdir(parents=True)
    (root / "good" / "a.png").write_bytes(encode_png(PICTURE))
    return root


@pytest.fixture
def ingested(root: Path, tmp_path: Path) -> Manifest:
    """A manifest of that folder, written and read back."""
    folder = tmp_path / "ingest"
    folder.mkdir()
    seen = scan(sample("good/a.png"), root)
    table = pd.DataFrame(
        {"sample_id": ["a"], "path": [seen.sample.path], "label": ["good"], "sha256": [seen.sha256]}
    )
    manifest.write(folder, table, TAXONOMY, Config(type="folder", root=root))
    write_json(folder / manifest.REPORT, {"n": 1})
    return read_manifest(folder)


def test_a_scan_has_size_bytes_and_hash_of_the_file(root: Path) -> None:
    data = (root / "good" / "a.png").read_bytes()
    seen = scan(sample("good/a.png"), root)
    assert (seen.width_px, seen.height_px, seen.bytes) == (9, 6, len(data))
    assert seen.sha256 == hashlib.sha256(data).hexdigest()
    assert seen.fault == ""


def test_a_copy_in_another_format_has_the_same_pixels_but_another_file(root: Path) -> None:
    ppm = b"P6 9 6 255\n" + PICTURE.tobytes()
    (root / "good" / "b.ppm").write_bytes(ppm)
    one, other = scan(sample("good/a.png"), root), scan(sample("good/b.ppm"), root)
    assert one.pixels_sha256 == other.pixels_sha256
    assert one.sha256 != other.sha256


def test_the_same_bytes_in_another_shape_are_other_pixels(root: Path) -> None:
    (root / "good" / "b.png").write_bytes(encode_png(PICTURE.reshape(9, 6, 3)))
    one, other = scan(sample("good/a.png"), root), scan(sample("good/b.png"), root)
    assert one.pixels_sha256 != other.pixels_sha256


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "good/b.png is empty (0 bytes)"),
        (BMP_WITHOUT_PIXELS, "good/b.png cannot be decoded (54 bytes): damaged"),
    ],
)
def test_an_unreadable_image_is_an_answer_not_an_exception(
    root: Path, content: bytes, fault: str
) -> None:
    (root / "good" / "b.png").write_bytes(content)
    assert scan(sample("good/b.png"), root) == Scan(sample("good/b.png"), fault=fault)


def test_an_image_that_is_cut_off_is_a_fault(root: Path) -> None:
    path = root / "good" / "a.png"
    path.write_bytes(path.read_bytes()[:-20])
    assert "cannot be decoded" in scan(sample("good/a.png"), root).fault


def test_a_file_that_is_gone_or_a_folder_is_a_fault(root: Path) -> None:
    (root / "good" / "folder.png").mkdir()
    assert "No such file" in scan(sample("good/gone.png"), root).fault
    assert "directory" in scan(sample("good/folder.png"), root).fault


def test_a_manifest_is_read_as_it_was_written(ingested: Manifest, root: Path) -> None:
    assert ingested.taxonomy == TAXONOMY
    assert ingested.root == root
    assert ingested.report == {"n": 1}
    assert ingested.table["path"].tolist() == ["good/a.png"]


def test_an_image_comes_as_bytes_and_as_pixels(ingested: Manifest, root: Path) -> None:
    assert ingested.image(0) == (root / "good" / "a.png").read_bytes()
    assert (ingested.pixels(0) == PICTURE).all()


def test_an_image_that_changed_since_is_refused_by_name(ingested: Manifest, root: Path) -> None:
    (root / "good" / "a.png").write_bytes(encode_png(255 - PICTURE))
    with pytest.raises(DataError, match=r"good/a\.png has changed since it was ingested; run dvc"):
        ingested.image(0)


def test_an_image_that_is_gone_is_named(ingested: Manifest, root: Path) -> None:
    (root / "good" / "a.png").unlink()
    with pytest.raises(DataError, match=r"good/a\.png is in the manifest but cannot be read"):
        ingested.pixels(0)


def written(root: Path, folder: Path, **columns: object) -> Manifest:
    """A manifest of the one image with more columns."""
    seen = scan(sample("good/a.png"), root)
    known = {"sample_id": "a", "path": "good/a.png", "label": "good", "sha256": seen.sha256}
    size = {"width_px": seen.width_px, "height_px": seen.height_px}
    folder.mkdir()
    table = pd.DataFrame([known | size | columns])
    manifest.write(folder, table, TAXONOMY, Config(type="folder", root=root))
    write_json(folder / manifest.REPORT, {})
    return read_manifest(folder)


def test_boxes_come_back_in_pixels(root: Path, tmp_path: Path) -> None:
    box = '[{"label": "bad", "left": 1, "top": 2, "right": 3, "bottom": 4.5}]'
    found = written(root, tmp_path / "ingest", boxes=box)
    assert found.boxes(0) == (Box("bad", 1, 2, 3, 4.5),)
    assert written(root, tmp_path / "other", boxes="").boxes(0) == ()


def test_a_manifest_from_before_there_were_boxes_has_none(ingested: Manifest) -> None:
    assert ingested.boxes(0) == ()


def test_several_masks_of_an_image_are_joined(root: Path, tmp_path: Path) -> None:
    for x in (1, 7):
        drawn = np.zeros((6, 9, 1), np.uint8)
        drawn[3, x] = 255
        (root / f"{x}.png").write_bytes(encode_png(drawn))
    both = replace(sample("good/a.png"), mask="1.png\n7.png")
    sha256 = scan(both, root).mask_sha256
    found = written(root, tmp_path / "ingest", mask=both.mask, mask_sha256=sha256)
    mask = found.mask(0)
    assert mask is not None
    assert np.argwhere(mask).tolist() == [[3, 1], [3, 7]]
    (root / "7.png").write_bytes((root / "1.png").read_bytes())
    with pytest.raises(DataError, match=r"1\.png has changed since it was ingested"):
        found.mask(0)


def test_what_is_marked_is_the_mask_or_else_the_boxes(root: Path, tmp_path: Path) -> None:
    box = '[{"label": "bad", "left": 1, "top": 2, "right": 3, "bottom": 3.5}]'
    marked = written(root, tmp_path / "ingest", boxes=box, mask="").marked(0)
    assert marked is not None
    assert np.argwhere(marked).tolist() == [[2, 1], [2, 2], [3, 1], [3, 2]]
    mask = replace(sample("good/a.png"), mask="rle:1 1")
    sha256 = scan(mask, root).mask_sha256
    found = written(root, tmp_path / "two", boxes=box, mask=mask.mask, mask_sha256=sha256)
    marked = found.marked(0)
    assert marked is not None
    assert np.argwhere(marked).tolist() == [[0, 0]]


def test_nothing_is_marked_without_mask_and_boxes(root: Path, tmp_path: Path) -> None:
    assert written(root, tmp_path / "ingest", boxes="", mask="").marked(0) is None
