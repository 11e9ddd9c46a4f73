"""Parts judged in tiles: one recipe with masks, from images to verdicts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from pipeline.contracts.bundle import OperatingPoint, open_bundle
from pipeline.contracts.records import Verdict
from pipeline.datasets import scores
from pipeline.datasets.adapters import elpv, masks
from pipeline.datasets.manifest_reader import read_manifest
from pipeline.imaging import codec
from pipeline.inference.inspector import Inspector
from pipeline.inference.predictor import Predictor
from pipeline.reporting import tradeoff
from pipeline.stages import ingest, preprocess, train
from tests.stages.conftest import build

pytestmark = pytest.mark.slow

N = 48
SPEC = {
    "colour": "grey",
    "roi": {"x_px": 10, "y_px": 10, "width_px": 280, "height_px": 280},
    "tiles": {"rows": 2, "columns": 2, "overlap": 0.1},
    "width_px": 64,
    "height_px": 64,
}


def lay_out(root: Path) -> None:
    """Good cells; every second one with a bright scratch in a corner, and its mask."""
    config = elpv.Config(type="elpv")
    source = elpv.root(config)
    sure = [s for s in elpv.read(config) if s.defect_probability == 0.0]
    rng = np.random.default_rng(0)
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    for i, sample in enumerate(sure[:: len(sure) // N][:N]):
        picture = codec.read(source / sample.path).copy()
        mask = np.zeros((*picture.shape[:2], 1), np.uint8)
        if i % 2:
            top, left = rng.integers(30, 60) + 160 * rng.integers(0, 2, 2)
            picture[top : top + 12, left : left + 60] = 255
            mask[top : top + 12, left : left + 60] = 255
        (root / f"images/{i:03d}.png").write_bytes(codec.encode_png(picture))
        (root / f"masks/{i:03d}.png").write_bytes(codec.encode_png(mask))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("tiles")
    lay_out(home / "tree")
    data = home / "data"
    config = ingest.Config(
        source=masks.Config(type="masks", root=home / "tree"),
        split=ingest.Split(val_fraction=0.25, test_fraction=0.25, near_duplicates=False),
    )
    settings = {"head": {"components": 16, "landmarks": 64, "max_epochs": 4}, "views": 0}
    spec = preprocess.Config.model_validate({"spec": SPEC})
    build(data, config, spec, train.Config.model_validate(settings))
    return data


def test_masks_make_most_tiles_of_bad_parts_good(data: Path) -> None:
    index = pd.read_parquet(data / "preprocess/index.parquet")
    parts = read_manifest(data / "ingest").table.set_index("sample_id")["label"]
    bad = index[parts.loc[index["sample_id"]].to_numpy() == "defective"]
    assert len(index) == 4 * N
    assert 0.2 < (bad["label"] == "defective").mean() < 0.6


def test_out_of_fold_scores_are_one_a_part_that_of_its_worst_tile(data: Path) -> None:
    ids, unseen = scores.read(data / "train" / scores.OUT_OF_FOLD)
    table = read_manifest(data / "ingest").table
    assert sorted(ids) == sorted(table.loc[table["split"] == "train", "sample_id"])
    assert unseen.shape == (len(ids), 2)


def test_scratches_in_one_tile_make_the_part_bad(data: Path) -> None:
    told = pd.read_parquet(data / "evaluate/predictions.parquet")
    by_label = told.groupby("label")["defect_score"].median()
    assert by_label["defective"] > by_label["good"] + 0.2


def test_the_station_names_the_tile_that_decided(data: Path) -> None:
    inspector = Inspector(open_bundle(data / "evaluate/bundle"))
    table = read_manifest(data / "ingest")
    row = int(np.flatnonzero(table.table["label"] == "defective")[0])
    mask = table.mask(row)
    assert mask is not None
    seen = inspector.inspect(table.pixels(row))
    part = inspector.preparation(table.pixels(row), mask)
    assert part.masks is not None
    assert part.masks[seen.tile].any()
    assert seen.decision.verdict is not Verdict.PASS
    assert seen.decision.reason.startswith(f"tile {seen.tile + 1} of 4: ")


def test_the_scores_reported_are_the_highest_of_all_tiles(data: Path) -> None:
    """Limits are chosen by them, so AUROC, curves and the slider are about them too."""
    told = pd.read_parquet(data / "evaluate/predictions.parquet").set_index("sample_id")
    bundle, table = open_bundle(data / "evaluate/bundle"), read_manifest(data / "ingest")
    inspector = Inspector(bundle)
    predictor = Predictor(bundle)
    for row in np.flatnonzero(table.table["split"] == "test")[:6]:
        pixels = table.pixels(int(row))
        tiles = predictor.predict(inspector.preparation(pixels).images).probabilities
        found = told["defect_score"].to_dict()[table.table["sample_id"].iat[row]]
        assert found == pytest.approx(tiles[:, 1].max(), abs=1e-4)
    metrics = json.loads((data / "evaluate/metrics.json").read_bytes())
    bad = told["label"] == "defective"
    assert metrics["auroc"] == pytest.approx(roc_auc_score(bad, told["defect_score"]))


def test_the_limits_of_a_part_in_tiles_can_be_moved(data: Path) -> None:
    bundle = open_bundle(data / "evaluate/bundle")
    told = pd.read_parquet(data / "evaluate/predictions.parquet")
    parts = tradeoff.of(told, bundle.taxonomy, bundle.operating_point)
    point = OperatingPoint(pass_below=0.3, fail_from=0.6)
    table = read_manifest(data / "ingest")
    inspector = Inspector(replace(bundle, operating_point=point))
    rows = np.flatnonzero(table.table["split"] == "test")
    station = [inspector.inspect(table.pixels(int(row))).decision.verdict for row in rows]
    assert parts.verdicts(0.3, 0.6).tolist() == station
