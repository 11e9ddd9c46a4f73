"""Parts in tiles that nothing marks, from images to verdicts: the tiles of a part are pooled."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.contracts.bundle import MODEL, open_bundle
from pipeline.contracts.records import Verdict
from pipeline.datasets import scores
from pipeline.datasets.manifest_reader import read_manifest
from pipeline.datasets.shards import Shards
from pipeline.inference.inspector import Inspector
from pipeline.inference.predictor import Predictor, session, softmax
from pipeline.stages import preprocess, train
from pipeline.training import attribution
from pipeline.training.checkpoint import pooling_of, rebuild
from tests.stages.conftest import build, copy_cells, folder_of

pytestmark = pytest.mark.slow

SPEC = {
    "colour": "grey",
    "tiles": {"rows": 2, "columns": 2, "overlap": 0.1},
    "width_px": 64,
    "height_px": 64,
}
SETTINGS = {
    "head": {"components": 16, "landmarks": 64, "max_epochs": 4},
    "views": 1,
    "pooling": "noisy_or",
    "trials": False,
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("pooled")
    copy_cells(home / "images", per_class=30)
    spec, settings = {"spec": SPEC}, train.Config.model_validate(SETTINGS)
    build(
        home / "data",
        folder_of(home / "images"),
        preprocess.Config.model_validate(spec),
        settings,
    )
    return home / "data"


def test_the_pooling_and_its_score_stand_in_the_report_and_in_the_bundle(data: Path) -> None:
    report = json.loads((data / "train/report.json").read_bytes())
    assert report["pooling"]["name"] == "noisy_or"
    assert list(report["pooling"]["oof_log_losses"]) == ["noisy_or"]
    assert open_bundle(data / "evaluate/bundle").provenance.pooling == "noisy_or"
    consulted = scores.Consulted.read(data / "train" / scores.CONSULTED)
    assert "pooling" in consulted.by_out_of_fold


def test_by_default_the_pooling_is_the_best_out_of_fold_and_the_worst_tile_is_compared_too(
    data: Path, tmp_path: Path
) -> None:
    settings = train.Config.model_validate(SETTINGS | {"pooling": "auto"})
    (line,) = (
        line
        for line in train.run(settings, data, tmp_path).lines
        if line.startswith("pooling of tiles: ")
    )
    found = json.loads((tmp_path / "report.json").read_bytes())["pooling"]
    losses = found["oof_log_losses"]
    assert set(losses) == {"worst", "noisy_or", "top_1", "top_2", "top_4"}
    assert losses[found["name"]] == min(losses.values())
    best, second = list(losses)[:2]
    assert line.startswith(f"pooling of tiles: {best} {losses[best]:.4f}")
    assert line.endswith(f"runner-up {second} {losses[second]:.4f}")


def test_a_fine_tuned_network_is_trained_and_exported_through_the_pooling(
    data: Path, tmp_path: Path
) -> None:
    settings = {
        **SETTINGS,
        "method": "finetune",
        "views": 0,
        "pooling": "auto",
        "finetune": {"epochs": 1, "batch_size": 16, "mixup": 0.2},
        "trainer": {"accelerator": "cpu", "num_workers": 0},
    }
    train.run(train.Config.model_validate(settings), data, tmp_path)
    report = json.loads((tmp_path / "report.json").read_bytes())
    assert report["pooling"] == {"name": "noisy_or"}
    assert report["temperature"] > 0
    network, pooling = rebuild(tmp_path), pooling_of(tmp_path)
    assert pooling is not None
    assert float(pooling.temperature) == pytest.approx(report["temperature"])
    images = Shards(data / "preprocess").stack(np.arange(8))
    logits, _ = attribution.pooled(attribution.logits(network, images), pooling, 4)
    graph = session(tmp_path / "bundle" / MODEL)
    found, shares = graph.run(["logits", "contributions"], {"image": images})
    np.testing.assert_allclose(found, logits, atol=1e-3)
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-5)


def test_the_report_names_the_pooling(data: Path) -> None:
    text = (data / "evaluate/report.html").read_text()
    assert "4 tiles a part, pooled by noisy_or" in text


def test_the_graph_pools_test_parts_as_torch_does(data: Path) -> None:
    bundle, network = open_bundle(data / "evaluate/bundle"), rebuild(data / "train")
    pooling, table = pooling_of(data / "train"), read_manifest(data / "ingest")
    assert pooling is not None
    inspector, predictor = Inspector(bundle), Predictor(bundle)
    for row in np.flatnonzero(table.table["split"] == "test")[:8]:
        images = inspector.preparation(table.pixels(int(row))).images
        logits, shares = attribution.pooled(attribution.logits(network, images), pooling, 4)
        seen = predictor.predict(images)
        np.testing.assert_allclose(seen.probabilities, softmax(logits), atol=1e-4)
        assert seen.contributions is not None
        np.testing.assert_allclose(seen.contributions, shares, atol=1e-3)


def test_a_part_is_bad_as_far_as_not_all_its_tiles_are_good(data: Path) -> None:
    network, pooling = rebuild(data / "train"), pooling_of(data / "train")
    assert pooling is not None
    pooling.temperature.fill_(1.0)
    table = read_manifest(data / "ingest")
    preparation = Inspector(open_bundle(data / "evaluate/bundle")).preparation
    logits = attribution.logits(network, preparation(table.pixels(0)).images)
    part = attribution.pooled(logits, pooling, 4)[0]
    expected = softmax(logits)[:, 0].prod()
    assert softmax(part)[0, 0] == pytest.approx(float(expected), abs=1e-4)


def test_out_of_fold_scores_are_one_a_part_and_as_sure_as_they_are_right(data: Path) -> None:
    ids, unseen = scores.read(data / "train" / scores.OUT_OF_FOLD)
    table = read_manifest(data / "ingest").table.set_index("sample_id")
    assert sorted(ids) == sorted(table.index[table["split"] == "train"])
    labels = table.loc[list(ids), "label"].eq("defective").to_numpy()
    right = (unseen.argmax(axis=1) == labels).mean()
    assert right > 0.55
    assert abs(unseen.max(axis=1).mean() - right) < 0.2


def test_suspect_labels_are_parts_and_not_their_innocent_tiles(data: Path) -> None:
    doubted = pd.read_csv(data / "train/suspects.csv")
    assert doubted["sample_id"].is_unique


def test_the_station_judges_the_part_and_names_the_tile_that_adds_most(data: Path) -> None:
    inspector = Inspector(open_bundle(data / "evaluate/bundle"))
    predicted = pd.read_parquet(data / "evaluate/predictions.parquet").set_index("sample_id")
    table = read_manifest(data / "ingest")
    for row in np.flatnonzero(table.table["split"] == "test")[:6]:
        seen = inspector.inspect(table.pixels(int(row)))
        found = predicted["defect_score"].to_dict()[table.table["sample_id"].iat[row]]
        assert seen.defect_score == pytest.approx(found, abs=1e-4)
        if seen.decision.verdict is Verdict.FAIL:
            assert f"in tile {seen.tile + 1} of 4: " in seen.decision.reason


def test_the_limits_that_evaluate_chose_are_about_parts(data: Path) -> None:
    predicted = pd.read_parquet(data / "evaluate/predictions.parquet")
    by_label = predicted.groupby("label")["defect_score"].median()
    assert by_label["defective"] > by_label["good"]
