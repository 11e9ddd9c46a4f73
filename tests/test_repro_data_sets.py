"""`dvc repro` by YAML alone on data sets of four kinds, each laid out as its tool lays it out."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from pipeline.datasets.shards import Shards
from tests.imports import ROOT
from tests.stages.trees import PER_CLASS, as_csv, as_labelstudio, as_masks, as_mvtec
from tests.test_repro import RECIPE, dvc

KINDS: dict[str, Callable[[Path], dict[str, object]]] = {
    "csv": as_csv,
    "labelstudio": as_labelstudio,
    "masks": as_masks,
    "mvtec": as_mvtec,
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, empty_registry: Path) -> Path:
    """What one `dvc repro` makes of a small recipe of each kind; the code is a link to ours."""
    home = tmp_path_factory.mktemp("kinds")
    for name in ("dvc.yaml", ".dvcignore"):
        shutil.copy(ROOT / name, home)
    shutil.copy(empty_registry, home / "mlflow.db")
    (home / "pipeline").symlink_to(ROOT / "pipeline", target_is_directory=True)
    for kind in KINDS:
        lay_out(home, kind)
    (home / "conf/recipes.yaml").write_text(yaml.safe_dump({"recipes": list(KINDS)}))
    dvc(home, "init", "--no-scm", "-q")
    dvc(home, "repro")
    return home / "data"


def lay_out(home: Path, kind: str) -> None:
    """Copy the images as their tool does, and write nothing but YAML."""
    (home / kind).mkdir()
    source = KINDS[kind](home / kind)
    shutil.rmtree(home / kind / "all", ignore_errors=True)
    split = {"folds": 0, "given": "ignore", "near_duplicates": False}
    conf = home / "conf" / kind
    conf.mkdir(parents=True)
    for stage, values in (RECIPE | {"ingest": {"source": source, "split": split}}).items():
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
