"""Augment: a policy that is proven, seeded and shown."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline import config as yaml_config
from pipeline.datasets import shards
from pipeline.datasets.shards import Shards
from pipeline.errors import DataError
from pipeline.imaging import Pixels
from pipeline.imaging.codec import encode_png, read
from pipeline.stages import augment, ingest, preprocess, train
from pipeline.training.augmentation import Augmenter, survival
from tests.imports import ROOT
from tests.stages.conftest import POLICY, SPEC, TAXONOMY, TRAIN, Ran, folder_of

pytestmark = pytest.mark.slow


@pytest.fixture
def masked(ran: Ran, tmp_path: Path) -> Path:
    """The prepared cells with masks: what is very dark in the middle of a defective cell."""
    data = tmp_path / "cells"
    for name in ("ingest", "preprocess"):
        shutil.copytree(ran.data / name, data / name)
    stored = Shards(data / "preprocess")
    masks = np.zeros((len(stored), *stored.spec.shape[:2]), np.uint8)
    for i in np.flatnonzero(stored.index["label"] == "defective").tolist():
        middle = stored[i][12:-12, 12:-12, 0]
        masks[i, 12:-12, 12:-12] = np.where(middle < np.percentile(middle, 4), 255, 0)
    np.save(data / "preprocess" / shards.name_of(0, shards.MASKS), masks)
    (data / "augment").mkdir()
    return data


def configured(**given: object) -> augment.Config:
    return augment.Config.model_validate({"policy": {}, **given})


def test_the_written_policy_makes_the_same_pictures_as_the_configured_one(ran: Ran) -> None:
    image = Shards(ran.data / "preprocess")[0]
    written = Augmenter.read(ran.data / "augment/policy.json")
    configured = Augmenter.of(POLICY.policy)
    for view in range(5):
        np.testing.assert_array_equal(
            written(image, seed=3, sample_id="a", view=view),
            configured(image, seed=3, sample_id="a", view=view),
        )


def test_every_class_has_a_sheet_of_before_and_after(ran: Ran) -> None:
    for name in ("good", "defective"):
        assert read(ran.data / f"augment/classes/{name}.png").shape[1] == 6 * (144 + 4) + 4


def test_one_sheet_shows_each_effect_alone_and_all_together(ran: Ran) -> None:
    sheet = read(ran.data / "augment/effects.png")
    # Two classes; before, flip, exposure, all effects.
    assert sheet.shape == (2 * (144 + 18 + 4) + 4, 4 * (144 + 4) + 4, 3)
    before, flipped = sheet[4:148, 4:148], sheet[4:148, 152:296]
    apart = [np.abs(flipped - other.astype(float)).mean() for other in (before[:, ::-1], before)]
    assert apart[0] < apart[1] / 4


def test_only_training_images_are_on_the_sheets(ran: Ran, tmp_path: Path) -> None:
    held_out = Shards(ran.data / "preprocess").index["split"] != "train"
    assert held_out.any()
    augment.run(configured(examples_per_class=16), ran.data, tmp_path)
    # With an empty policy a view equals its image: all tiles of a row are the same picture.
    sheet = read(tmp_path / "classes/good.png")
    np.testing.assert_array_equal(sheet[4:148, 4:148], sheet[4:148, 152:296])


def test_a_policy_that_whitens_whole_images_is_refused(ran: Ran, tmp_path: Path) -> None:
    config = configured(
        policy={"exposure": {"probability": 1.0, "brightness": 1.0, "contrast": 1.0}},
        views_on_sheet=16,
        examples_per_class=16,
    )
    with pytest.raises(DataError, match="one flat grey; weaken exposure"):
        augment.run(config, ran.data, tmp_path)


def test_a_policy_that_leaves_too_little_of_an_image_is_refused(
    ran: Ran, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(augment, "MOST_CLIPPED", 0.3)
    exposure = {"probability": 1.0, "brightness": 0.3, "contrast": 0.0}
    with pytest.raises(DataError, match=r"% of .* black; weaken exposure"):
        augment.run(configured(policy={"exposure": exposure}), ran.data, tmp_path)


def test_a_policy_that_clips_many_pixels_is_warned_of(
    ran: Ran, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(augment, "TOLERATED_CLIPPED", 0.01)
    config = configured(policy={"exposure": {"probability": 1, "brightness": 0.2}})
    said = augment.run(config, ran.data, tmp_path).lines
    report = json.loads((tmp_path / "report.json").read_text())
    assert max(report["clipping"]["blackened"], report["clipping"]["whitened"]) > 0.01
    assert "of the pixels; weaken exposure" in said[-1]
    assert said[-1] == f"warning: {report['warnings'][0]}"


def test_an_effect_as_large_as_the_prepared_image_is_refused(ran: Ran, tmp_path: Path) -> None:
    policy = {"dust": {"max_px": 64}}
    augment.run(configured(policy=policy), ran.data, tmp_path)
    small = Shards(ran.data / "preprocess").spec.model_copy(update={"width_px": 24})
    with pytest.raises(DataError, match=r"policy\.dust\.max_px 64 .* \(24x96 px\)"):
        configured(policy=policy).policy.check_size(*small.shape[:2])


def test_without_masks_the_report_names_what_could_not_be_checked(ran: Ran, tmp_path: Path) -> None:
    said = augment.run(configured(policy={"vibration": {"max_px": 9}}), ran.data, tmp_path).lines
    assert "vibration up to 9 px may hide defects smaller than that; there are no masks" in said[1]
    assert json.loads((tmp_path / "report.json").read_text())["defects"] is None


def test_with_masks_what_the_policy_hides_is_measured_and_warned_of(masked: Path) -> None:
    config = configured(policy={"sensor_noise": {"deviation": 0.5}})
    said = augment.run(config, masked, masked / "augment").lines
    report = json.loads((masked / "augment/report.json").read_text())
    assert report["defects"]["lost"]["sensor_noise"] > 0.5 * report["defects"]["judged"] > 5
    assert any("sensor_noise at full strength hides" in w for w in report["warnings"])
    assert [line for line in said if line.startswith("warning: sensor_noise")]


def test_masks_of_held_out_parts_are_not_looked_at(masked: Path) -> None:
    stored = Shards(masked / "preprocess")
    training = np.flatnonzero(stored.index["split"] == "train")
    augment.run(configured(), masked, masked / "augment")
    report = json.loads((masked / "augment/report.json").read_text())
    found = survival.measure(stored, training, POLICY.policy)
    everything = survival.measure(stored, np.arange(len(stored)), POLICY.policy)
    assert found is not None
    assert everything is not None
    assert report["defects"]["drawn"] == found.n_defects < everything.n_defects


def test_pasting_without_masks_is_refused_naming_adapters_that_have_them(
    ran: Ran, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=r"needs defect masks or boxes.*masks, mvtec and rle"):
        augment.run(configured(paste={"images_per_class": 3}), ran.data, tmp_path)


PASTE = {"images_per_class": 12, "max_shift": 0.5}


def test_pasted_parts_are_made_of_training_parts_only_and_shown(masked: Path) -> None:
    said = augment.run(configured(paste=PASTE), masked, masked / "augment").lines
    made = Shards(masked / "augment/synthetic").index
    parts = Shards(masked / "preprocess").index.set_index("sample_id")
    assert (parts.loc[made["donor"], ["label", "split"]] == ["defective", "train"]).all(axis=None)
    assert (parts.loc[made["background"], ["label", "split"]] == ["good", "train"]).all(axis=None)
    assert said[-1] == f"pasted, of 12 wanted a class: defective {len(made)}"
    assert len(made) >= 10
    assert read(masked / "augment/paste.png").shape[1] == 6 * (144 + 4) + 4


def test_training_uses_pasted_parts_and_extra_views_but_judges_real_parts_only(
    masked: Path, tmp_path: Path
) -> None:
    config = configured(
        policy={"exposure": {}}, paste=PASTE, oversample={"share": 1, "max_factor": 3}
    )
    # Fewer bad parts, so that there is something to balance.
    path = masked / "preprocess" / shards.INDEX
    index = pd.read_parquet(path)
    bad = np.flatnonzero((index["label"] == "defective") & (index["split"] == "train"))
    index.drop(index=bad[8:].tolist()).to_parquet(path, index=False)
    said = augment.run(config, masked, masked / "augment").lines
    assert any(line.startswith("oversampling, times as often: defective") for line in said)
    out = tmp_path / "trained"
    out.mkdir()
    train.run(TRAIN.model_copy(update={"folds": 2, "views": 0}), masked, out)
    report = json.loads((out / "report.json").read_text())
    n_made = len(Shards(masked / "augment/synthetic"))
    n_good = int(((index["label"] == "good") & (index["split"] == "train")).sum())
    assert report["n_synthetic"] == n_made
    assert report["n_extra_views"] == n_good - (8 + n_made)
    scored = pd.read_parquet(out / "out-of-fold.parquet")["sample_id"]
    assert not scored.str.startswith("pasted/").any()
    assert len(scored) == n_good + 8


def black_and_white(home: Path, draw: Callable[[np.random.Generator], Pixels]) -> Path:
    """Prepared pictures of two classes, drawn."""
    rng = np.random.default_rng(0)
    for label in ("good", "defective"):
        (home / "images" / label).mkdir(parents=True)
        for i in range(12):
            picture = encode_png(draw(rng)[:, :, None])
            (home / f"images/{label}/{i:02d}.png").write_bytes(picture)
    config = folder_of(home / "images")
    alone = config.split.model_copy(update={"near_duplicates": False})
    for name in ("ingest", "preprocess", "augment"):
        (home / name).mkdir()
    ingest.run(config.model_copy(update={"split": alone}), TAXONOMY, home / "ingest")
    preprocess.run(SPEC, home, home / "preprocess")
    return home


def template_of_augment() -> augment.Config:
    return yaml_config.load(ROOT / "conf/template/augment.yaml", augment.Config)


def test_black_and_white_pictures_keep_the_templates_exposure(tmp_path: Path) -> None:
    def line(rng: np.random.Generator) -> Pixels:
        picture = rng.integers(0, 8, (96, 96), np.uint8)  # black, as a compressed scan has it
        left = int(rng.integers(0, 89))
        picture[:, left : left + 7] = 255
        return picture

    home = black_and_white(tmp_path, line)
    augment.run(template_of_augment(), home, home / "augment")
    report = json.loads((home / "augment/report.json").read_text())
    assert report["warnings"] == []


def test_a_speck_that_moves_out_of_an_empty_picture_is_not_exposure(tmp_path: Path) -> None:
    def speck(rng: np.random.Generator) -> Pixels:
        picture = np.zeros((96, 96), np.uint8)
        left, top = rng.integers(0, 90, 2).tolist()
        picture[top : top + 2, 94:] = 255
        picture[left : left + 1, 0] = 255
        return picture

    home = black_and_white(tmp_path, speck)
    policy = {"shift": {"probability": 1.0, "max_fraction": 0.05}}
    augment.run(configured(policy=policy, views_on_sheet=16), home, home / "augment")
