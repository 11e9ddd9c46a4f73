"""`dvc repro` by YAML alone on data sets of four kinds, each laid out as its tool lays it out."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
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
def projects(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A project with one small recipe of each kind, built two at a time."""
    homes = {kind: tmp_path_factory.mktemp(kind) for kind in KINDS}
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(built, KINDS, homes.values()))
    return homes


def built(kind: str, home: Path) -> None:
    """Lay out the data, write nothing but YAML, and run `dvc repro`; the code is a link to ours."""
    for name in ("dvc.yaml", ".dvcignore"):
        shutil.copy(ROOT / name, home)
    (home / "pipeline").symlink_to(ROOT / "pipeline", target_is_directory=True)
    (home / "images").mkdir()
    source = KINDS[kind](home / "images")
    shutil.rmtree(home / "images/all", ignore_errors=True)
    split = {"folds": 0, "given": "ignore", "near_duplicates": False}
    conf = home / "conf" / kind
    conf.mkdir(parents=True)
    for stage, values in (RECIPE | {"ingest": {"source": source, "split": split}}).items():
        (conf / f"{stage}.yaml").write_text(yaml.safe_dump(values))
    (home / "conf/recipes.yaml").write_text(yaml.safe_dump({"recipes": [kind]}))
    dvc(home, "init", "--no-scm", "-q")
    dvc(home, "repro")


@pytest.mark.parametrize("kind", KINDS)
def test_a_data_set_of_this_kind_ends_as_a_registered_version(
    projects: dict[str, Path], kind: str
) -> None:
    data = projects[kind] / "data" / kind
    said = json.loads((data / "register/registration.json").read_bytes())
    assert (said["name"], said["version"], said["alias"]) == (kind, 1, "challenger")
    report = json.loads((data / "ingest/report.json").read_bytes())
    assert report["n"] == 2 * PER_CLASS
    assert (data / "ingest/report.html").stat().st_size > 10_000


def test_masks_reach_training(projects: dict[str, Path]) -> None:
    stored = Shards(projects["masks"] / "data/masks/preprocess")
    marked = [bool(mask.any()) for i in range(len(stored)) if (mask := stored.mask(i)) is not None]
    assert marked == (stored.index["label"] == "defective").tolist()
    assert Shards(projects["csv"] / "data/csv/preprocess").mask(0) is None
