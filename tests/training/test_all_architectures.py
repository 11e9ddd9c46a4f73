"""Every network trains, exports, is measured and registered, at the smallest size it takes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from pipeline.contracts.bundle import open_bundle
from pipeline.datasets.shards import Shards
from pipeline.files import whole_folder
from pipeline.inference.predictor import session
from pipeline.registry.connection import connect
from pipeline.registry.store import Registry
from pipeline.stages import augment, evaluate, ingest, preprocess, register, train
from pipeline.training.architectures import Architecture, by_cost
from pipeline.training.export import PARITY
from tests.stages.conftest import POLICY, TAXONOMY, copy_cells, folder_of

pytestmark = pytest.mark.slow

HEAD = {"components": 8, "landmarks": 8, "max_epochs": 2}
# Intervals and pictures do not depend on the network, and would take half of the time.
QUICK = evaluate.Config.model_validate(
    {"bootstrap_draws": 100, "robustness": {"parts": 0}, "explanation": {"each": 1}}
)


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """Two dozen cells, ingested once and prepared once for each size asked for."""
    home = tmp_path_factory.mktemp("all")
    copy_cells(home / "images", per_class=12)
    split = ingest.Split(val_fraction=0.25, test_fraction=0.25, folds=0)
    (home / "ingest").mkdir()
    config = folder_of(home / "images").model_copy(update={"split": split})
    ingest.run(config, TAXONOMY, home / "ingest")

    def data(side_px: int) -> Path:
        folder = home / f"{side_px}px"
        if not folder.exists():
            shutil.copytree(home / "ingest", folder / "ingest")
            spec = {"colour": "grey", "width_px": side_px, "height_px": side_px}
            with whole_folder(folder / "preprocess") as out:
                preprocess.run(preprocess.Config.model_validate({"spec": spec}), folder, out)
            with whole_folder(folder / "augment") as out:
                augment.run(POLICY, folder, out)
        return folder

    return data


@pytest.fixture(scope="session")
def registry_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("registry")
    connect(f"sqlite:///{home / 'mlflow.db'}", create=True)
    return home


@pytest.fixture
def shared_registry(registry_home: Path, tmp_path: Path) -> Iterator[Registry]:
    """One for all; the files of a network, 5 GB for all of them, are removed after its test."""
    yield Registry(f"sqlite:///{registry_home / 'mlflow.db'}")
    for large in (*tmp_path.iterdir(), registry_home / "mlruns"):
        shutil.rmtree(large, ignore_errors=True)


@pytest.mark.parametrize("architecture", by_cost(), ids=lambda a: a.name)
def test_every_architecture_goes_from_images_to_the_registry(
    architecture: Architecture,
    prepared: Callable[[int], Path],
    shared_registry: Registry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pipeline.evaluation.predictions.os.cpu_count", lambda: 1)
    monkeypatch.setattr(
        "pipeline.evaluation.report_metrics.grouped_interval", lambda *_, **__: None
    )
    monkeypatch.setattr(evaluate, "draw_plots", lambda out, *_: out.mkdir())
    monkeypatch.setattr(evaluate, "write_report", lambda path, page: path.write_text("no plots"))
    data = tmp_path / architecture.name
    shutil.copytree(prepared(architecture.min_px), data)
    config = {"architecture": architecture.name, "weights": "none", "views": 0, "head": HEAD}
    with whole_folder(data / "train") as out:
        train.run(train.Config.model_validate(config), data, out)
    assert json.loads((data / "train/report.json").read_bytes())["parity_max_relative"] <= PARITY

    graph = session(data / "train/bundle/model.onnx")
    images = Shards(data / "preprocess").stack(np.arange(3))
    together = graph.run(None, {"image": images})
    for i in range(3):
        for several, one in zip(
            together, graph.run(None, {"image": images[i : i + 1]}), strict=True
        ):
            np.testing.assert_allclose(several[i], one[0], atol=1e-4)

    with whole_folder(data / "evaluate") as out:
        evaluate.run(QUICK, data, out)
    assert 0 <= json.loads((data / "evaluate/metrics.json").read_bytes())["auroc"] <= 1

    with whole_folder(data / "register") as out:
        register.run(register.Config(), {}, {}, shared_registry, data, out)
    (version,) = shared_registry.versions(architecture.name)
    assert version.bundle_sha256 == open_bundle(data / "evaluate/bundle").sha256
    assert version.tags["weights"] == "none (random, seed 0)"
