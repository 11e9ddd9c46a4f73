"""Data sets of four kinds by YAML alone, each laid out as its tool lays it out.

DVC says what it would run for the four recipes of one project, and that is run in this process,
which need not import torch 24 times; tests/test_repro.py has DVC itself run a recipe.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from dvc.repo import Repo  # type: ignore[import-untyped]

from pipeline.datasets.shards import Shards
from tests.imports import ROOT
from tests.stages.trees import PER_CLASS, as_csv, as_labelstudio, as_masks, as_mvtec
from tests.test_repro import RECIPE, run_here

pytestmark = pytest.mark.slow

KINDS: dict[str, Callable[[Path], dict[str, object]]] = {
    "csv": as_csv,
    "labelstudio": as_labelstudio,
    "masks": as_masks,
    "mvtec": as_mvtec,
}
# What is tried at the line does not depend on how the images were laid out.
QUICK = {"bootstrap_draws": 100, "robustness": {"parts": 0}, "explanation": {"each": 1}}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, empty_registry: Path) -> Path:
    """What the commands of dvc.yaml make of a small recipe of each kind."""
    home = tmp_path_factory.mktemp("kinds")
    shutil.copy(ROOT / "dvc.yaml", home)
    shutil.copy(empty_registry, home / "mlflow.db")
    for kind in KINDS:
        lay_out(home, kind)
    (home / "conf/recipes.yaml").write_text(yaml.safe_dump({"recipes": list(KINDS)}))
    with Repo.init(str(home), no_scm=True) as repo:
        run_here(home, [stage.cmd for stage in repo.index.stages])
    return home / "data"


def lay_out(home: Path, kind: str) -> None:
    """Copy the images as their tool does, and write nothing but YAML."""
    (home / kind).mkdir()
    source = KINDS[kind](home / kind)
    shutil.rmtree(home / kind / "all", ignore_errors=True)
    split = {"folds": 0, "given": "ignore", "near_duplicates": False}
    conf = home / "conf" / kind
    conf.mkdir(parents=True)
    changed = {"ingest": {"source": source, "split": split}, "evaluate": QUICK}
    for stage, values in (RECIPE | changed).items():
        (conf / f"{stage}.yaml").write_text(yaml.safe_dump(values))


@pytest.mark.parametrize("kind", KINDS)
def test_a_data_set_of_this_kind_ends_as_a_registered_version(data: Path, kind: str) -> None:
    said = json.loads((data / kind / "register/registration.json").read_bytes())
    assert (said["name"], said["version"], said["alias"]) == (kind, 1, "challenger")
    report = json.loads((data / kind / "ingest/report.json").read_bytes())
    assert report["n"] == 2 * PER_CLASS
    assert (data / kind / "ingest/report.html").stat().st_size > 10_000


def test_masks_reach_training(data: Path) -> None:
    stored = Shards(data / "masks/preprocess")
    marked = [bool(mask.any()) for i in range(len(stored)) if (mask := stored.mask(i)) is not None]
    assert marked == (stored.index["label"] == "defective").tolist()
    assert Shards(data / "csv/preprocess").mask(0) is None
