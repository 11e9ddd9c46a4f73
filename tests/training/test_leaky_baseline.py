"""A data set whose own split leaks: the honest figure, and beside it the one it would promise."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pipeline.contracts.evaluation import Evaluation
from pipeline.datasets.adapters import folder
from pipeline.files import read_model
from pipeline.metrics.rates import percent
from pipeline.stages import ingest, train
from tests.stages.conftest import build, copy_cells

pytestmark = pytest.mark.slow

N_TEST, N_LEAKED = 20, 14


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of 20 test images of the given split 14 stand in training too."""
    home = tmp_path_factory.mktemp("leaky")
    copy_cells(home / "all", per_class=40)
    for label in ("good", "defective"):
        cells = sorted((home / "all" / label).glob("*.png"))
        for side, chosen in (("train", cells[10:]), ("test", cells[:3])):
            (home / "images" / side / label).mkdir(parents=True)
            for path in chosen:
                shutil.copy(path, home / "images" / side / label)
        for path in cells[20 : 20 + N_LEAKED // 2]:
            shutil.copy(path, home / "images/test" / label / f"again-{path.name}")
    data = home / "data"
    config = ingest.Config(
        source=folder.Config(type="folder", root=home / "images"),
        split=ingest.Split(val_fraction=0.25, test_fraction=0.25, folds=0),
    )
    head = {"components": 32, "landmarks": 64, "max_epochs": 4}
    settings = {"head": head, "views": 0, "trials": False}
    build(data, config, training=train.Config.model_validate(settings))
    return data


@pytest.fixture(scope="module")
def metrics(data: Path) -> dict[str, Any]:
    return json.loads((data / "evaluate/metrics.json").read_bytes())  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def evaluation(data: Path) -> Evaluation:
    return read_model(data / "evaluate/evaluation.json", Evaluation)


def naive_figures(evaluation: Evaluation) -> dict[str, Any]:
    """Figures on the data set's own split, where there are any."""
    assert evaluation.split.naive is not None
    return evaluation.split.naive


def test_the_report_counts_the_pairs_and_reports_that_it_split_again(data: Path) -> None:
    report = json.loads((data / "ingest/report.json").read_bytes())
    assert report["split"]["regrouped"] is True
    assert f"{N_LEAKED} identical" in report["split"]["given"]
    table = pd.read_parquet(data / "ingest/manifest.parquet")
    assert table.groupby("pixels_sha256")["split"].nunique().max() == 1


def test_the_page_reports_leaky_first(data: Path) -> None:
    page = (data / "ingest/report.html").read_text()
    assert "LEAKY as given; split again by group, and no leak is left" in page
    assert "OK: no leak" not in page


def test_the_naive_figure_stands_beside_the_honest_one(
    metrics: dict[str, Any], evaluation: Evaluation
) -> None:
    naive = naive_figures(evaluation)
    assert naive["n_test"] == N_TEST
    assert naive["accuracy"] > metrics["accuracy"]
    assert evaluation.split.leaky is False


def test_the_notes_give_both_figures_in_words(
    metrics: dict[str, Any], evaluation: Evaluation
) -> None:
    (said,) = [note for note in evaluation.notes if "own split leaks" in note]
    naive = percent(naive_figures(evaluation)["accuracy"])
    honest = percent(metrics["accuracy"])
    assert f"accuracy {naive} % of {N_TEST} parts" in said
    assert f"here it is {honest} % of {metrics['n_test']}" in said


def test_the_naive_head_learned_from_the_given_training_side_only(evaluation: Evaluation) -> None:
    assert naive_figures(evaluation)["n_train"] == 60
