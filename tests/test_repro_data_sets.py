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
PLACES = ("root", "file")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with one small recipe of each kind, built once; the code is a link to ours."""
    home = tmp_path_factory.mktemp("kinds")
    for name in ("dvc.yaml", ".dvcignore"):
        shutil.copy(ROOT / name, home)
    (home / "pipeline").symlink_to(ROOT / "pipeline", target_is_directory=True)
    for kind, lay_out in KINDS.items():
        tree = home / kind
        tree.mkdir()
        source = lay_out(tree)
        shutil.rmtree(tree / "all", ignore_errors=True)
        where = {k: str(v).replace("images", kind, 1) for k, v in source.items() if k in PLACES}
        conf = home / "conf" / kind
        conf.mkdir(parents=True)
        split = {"folds": 0, "given": "ignore", "near_duplicates": False}
        settings = RECIPE | {"ingest": {"source": {**source, **where}, "split": split}}
        for stage, values in settings.items():
            (conf / f"{stage}.yaml").write_text(yaml.safe_dump(values))
    (home / "conf/recipes.yaml").write_text(yaml.safe_dump({"recipes": list(KINDS)}))
    dvc(home, "init", "--no-scm", "-q")
    dvc(home, "repro")
    return home


@pytest.mark.parametrize("kind", KINDS)
def test_a_data_set_of_this_kind_ends_as_a_registered_version(project: Path, kind: str) -> None:
    data = project / "data" / kind
    said = json.loads((data / "register/registration.json").read_bytes())
    assert (said["name"], said["version"], said["alias"]) == (kind, 1, "challenger")
    report = json.loads((data / "ingest/report.json").read_bytes())
    assert report["n"] == 2 * PER_CLASS
    assert (data / "ingest/report.html").stat().st_size > 10_000


def test_masks_reach_training(project: Path) -> None:
    stored = Shards(project / "data/masks/preprocess")
    marked = [bool(mask.any()) for i in range(len(stored)) if (mask := stored.mask(i)) is not None]
    assert marked == (stored.index["label"] == "defective").tolist()
    assert Shards(project / "data/csv/preprocess").mask(0) is None
