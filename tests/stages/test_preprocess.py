"""Preprocess: shards that hold exactly what the line would see."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.contracts.spec import PreprocessSpec, RawPixels, Roi
from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.sources import Frame
from pipeline.datasets.manifest_reader import read_manifest
from pipeline.datasets.shards import Shards
from pipeline.errors import DataError
from pipeline.imaging.codec import read
from pipeline.imaging.prepare import Preparation
from pipeline.stages import Report, ingest, preprocess
from tests.stages.conftest import SPEC, TAXONOMY, Ran, copy_cells, folder_of


def test_a_shard_holds_bit_for_bit_what_the_line_prepares(ran: Ran) -> None:
    stored, data = Shards(ran.data / "preprocess"), read_manifest(ran.data / "ingest")
    for row in range(0, len(stored), 7):
        (image,) = Preparation(SPEC.spec)(data.pixels(row)).images
        np.testing.assert_array_equal(stored[row], image)


def test_the_index_follows_the_manifest(ran: Ran) -> None:
    stored, data = Shards(ran.data / "preprocess"), read_manifest(ran.data / "ingest")
    assert stored.index["sample_id"].tolist() == data.table["sample_id"].tolist()
    for column in ("split", "given_split", "fold"):
        assert stored.index[column].tolist() == data.table[column].tolist()


def test_the_contact_sheet_shows_a_row_a_class(ran: Ran) -> None:
    sheet = read(ran.data / "preprocess/contact.png")
    assert sheet.shape == (2 * (144 + 18 + 4) + 4, 8 * (144 + 4) + 4, 3)
    assert sheet.std() > 20


def test_a_sheet_shows_what_each_step_does_to_some_pictures(ran: Ran, tmp_path: Path) -> None:
    steps = {
        "roi": {"x_px": 10, "y_px": 10, "width_px": 200, "height_px": 100},
        "locate": {"by": "contour", "part": "brighter"},
        "tiles": {"columns": 2},
        "width_px": 32,
        "height_px": 32,
    }
    preprocess.run(preprocess.Config.model_validate({"spec": steps}), ran.data, tmp_path)
    sheet = read(tmp_path / "steps.png")
    # Six pictures; camera, roi, locate and two tiles of each.
    assert sheet.shape == (6 * (144 + 18 + 4) + 4, 5 * (144 + 4) + 4, 3)


def located(ran: Ran, out: Path, min_confidence: float) -> Report:
    locate = {"by": "contour", "part": "brighter", "min_confidence": min_confidence}
    spec = {"locate": locate, "width_px": 32, "height_px": 32}
    return preprocess.run(preprocess.Config.model_validate({"spec": spec}), ran.data, out)


def test_parts_that_are_not_found_are_counted_shown_and_not_learned_from(
    ran: Ran, tmp_path: Path
) -> None:
    (tmp_path / "all").mkdir()
    located(ran, tmp_path / "all", 0.0)
    middle = float(Shards(tmp_path / "all").index["confidence"].median())
    (tmp_path / "some").mkdir()
    said = located(ran, tmp_path / "some", middle)
    stored = Shards(tmp_path / "some")
    lost = np.flatnonzero(~stored.index["found"])
    assert 0 < len(lost) < len(stored)
    assert f"the part was not found in {len(lost)} images" in said.lines[-1]
    assert (tmp_path / "some/not-found.png").is_file()
    assert not set(lost) & set(stored.training)


def test_a_class_in_which_the_part_is_never_found_is_an_error(ran: Ran, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"found in no training image of class \w+: the best conf"):
        located(ran, tmp_path, 1.0)


def test_images_fill_several_shards_in_order(
    ran: Ran, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.datasets.shards.SHARD_BYTES", 50 * 96 * 96)
    preprocess.run(SPEC, ran.data, tmp_path)
    assert len(list(tmp_path.glob("images-*.npy"))) == 3
    one, many = Shards(ran.data / "preprocess"), Shards(tmp_path)
    np.testing.assert_array_equal(one[119], many[119])


def test_an_image_changed_since_ingest_is_named(tmp_path: Path) -> None:
    images, data, out = tmp_path / "images", tmp_path / "data", tmp_path / "out"
    copy_cells(images, per_class=8)
    (data / "ingest").mkdir(parents=True)
    out.mkdir()
    ingest.run(folder_of(images), TAXONOMY, data / "ingest")
    first, second = sorted((images / "good").glob("*.png"))[:2]
    shutil.copy(second, first)
    with pytest.raises(DataError, match=rf"{first.name} has changed since it was ingested"):
        preprocess.run(SPEC, data, out)


def test_an_image_smaller_than_the_roi_is_named(ran: Ran, tmp_path: Path) -> None:
    roi = Roi(x_px=200, y_px=0, width_px=200, height_px=100)
    config = preprocess.Config(spec=PreprocessSpec(width_px=32, height_px=32, roi=roi))
    with pytest.raises(DataError, match=r"cell\d+\.png: the ROI .* outside the image of 300x300"):
        preprocess.run(config, ran.data, tmp_path)


def deepened(home: Path, factor: int) -> Path:
    """The same cells as a 12-bit camera would bring them: every grey value times a factor."""
    copy_cells(home, per_class=8)
    for path in home.rglob("*.png"):
        grey = read(path)[..., 0].astype(np.uint16) * factor
        Image.fromarray(grey).save(path)
    return home


def test_images_of_twelve_bits_are_learned_from_as_the_line_scales_them(tmp_path: Path) -> None:
    raw = RawPixels(bit_depth=12, white=255 * 16)
    home = deepened(tmp_path / "images", factor=16)
    config = folder_of(home).model_copy(update={"raw": raw})
    (tmp_path / "ingest").mkdir()
    (tmp_path / "preprocess").mkdir()
    ingest.run(config, TAXONOMY, tmp_path / "ingest")
    preprocess.run(SPEC, tmp_path, tmp_path / "preprocess")
    stored, data = Shards(tmp_path / "preprocess"), read_manifest(tmp_path / "ingest")
    assert stored.spec.raw == raw  # what the bundle carries
    for row in range(len(stored)):
        path = Path(str(data.path(row)))
        clock = Clock()
        frame = Frame(clock.now(), 0, "1", None, data=path.read_bytes(), raw=stored.spec.raw)
        (image,) = Preparation(stored.spec)(frame.decoded()).images
        np.testing.assert_array_equal(stored[row], image)
        assert np.ptp(image) > 20


def test_images_of_twelve_bits_are_quarantined_where_no_scale_is_given(tmp_path: Path) -> None:
    home = deepened(tmp_path / "images", factor=16)
    (tmp_path / "ingest").mkdir()
    with pytest.raises(DataError, match=r"set `raw` \(bit_depth, black, white\)"):
        ingest.run(folder_of(home), TAXONOMY, tmp_path / "ingest")


def test_a_scale_in_preprocess_that_ingest_did_not_use_is_refused(ran: Ran, tmp_path: Path) -> None:
    other = SPEC.spec.model_copy(update={"raw": RawPixels(bit_depth=12)})
    with pytest.raises(DataError, match=r"spec\.raw in preprocess\.yaml differs from `raw` in"):
        preprocess.run(SPEC.model_copy(update={"spec": other}), ran.data, tmp_path)


def test_pictures_that_are_shrunk_much_are_remarked_on(ran: Ran, tmp_path: Path) -> None:
    small = SPEC.model_copy(
        update={"spec": SPEC.spec.model_copy(update={"width_px": 64, "height_px": 64})}
    )
    lines = "\n".join(preprocess.run(small, ran.data, tmp_path).lines)
    assert "4.7 pixels of a picture become one" in lines
    assert f"`lineside tune {ran.data.name}` measures" in lines
