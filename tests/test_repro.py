"""`dvc repro` itself, on a small recipe: everything once, and then nothing."""

from __future__ import annotations

import importlib
import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pipeline.contracts.evaluation import CheckState, Evaluation
from pipeline.files import read_model
from pipeline.registry.decisions.review import Review
from pipeline.registry.store import Registry
from tests.imports import ROOT
from tests.stages.conftest import copy_cells

pytestmark = pytest.mark.slow

RECIPE = {
    "taxonomy": {
        "classes": [
            {"name": "good", "disposition": "pass"},
            {"name": "defective", "disposition": "scrap"},
        ]
    },
    "ingest": {"source": {"type": "folder", "root": "images"}, "split": {"folds": 0}},
    "preprocess": {"spec": {"colour": "grey", "width_px": 64, "height_px": 64}},
    "augment": {"policy": {"flip": {"horizontal": True}}},
    "train": {"head": {"components": 16, "landmarks": 32, "max_epochs": 2}},
    "evaluate": {
        "bootstrap_draws": 100,
        "robustness": {"parts": 8, "most_parts": 8},
        "explanation": {"each": 1},
    },
    "register": {},
}


def dvc(project: Path, *argv: str, fails: bool = False) -> str:
    """Run dvc as a user would, with this Python first on the path; what it printed."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "DVC_NO_ANALYTICS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *argv],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
    return done.stdout + (done.stderr if fails else "")


def run_here(project: Path, commands: list[str]) -> None:
    """Run commands of dvc.yaml in this process, which has imported torch already."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        for command in commands:
            python, option, stage, recipe = shlex.split(command)
            assert (python, option) == ("python", "-m")
            importlib.import_module(stage).main([stage, recipe])


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of its own with one small recipe, built once."""
    home = tmp_path_factory.mktemp("project")
    lay_out(home)
    dvc(home, "init", "--no-scm", "-q")
    dvc(home, "repro")
    return home


def lay_out(home: Path) -> None:
    """What a user has before the first `dvc init`: code, settings and images."""
    for name in ("dvc.yaml", ".dvcignore"):
        shutil.copy(ROOT / name, home)
    shutil.copytree(
        ROOT / "pipeline", home / "pipeline", ignore=shutil.ignore_patterns("__pycache__")
    )
    copy_cells(home / "images", per_class=30)
    conf = home / "conf/cells"
    conf.mkdir(parents=True)
    (home / "conf/recipes.yaml").write_text("recipes: [cells]\n")
    for stage, settings in RECIPE.items():
        (conf / f"{stage}.yaml").write_text(yaml.safe_dump(settings))


def state(project: Path) -> dict[str, bytes]:
    """Every file the stages wrote."""
    files = sorted(p for p in (project / "data").rglob("*") if p.is_file())
    return {p.relative_to(project).as_posix(): p.read_bytes() for p in files}


def test_repro_ends_with_a_registered_version(project: Path) -> None:
    said = json.loads((project / "data/cells/register/registration.json").read_bytes())
    assert (said["name"], said["version"], said["alias"]) == ("cells", 1, "challenger")


def test_what_a_larger_input_gains_where_pictures_are_much_shrunk_is_noted(project: Path) -> None:
    found = json.loads((project / "data/cells/evaluate/evaluation.json").read_bytes())
    (note,) = [note for note in found["notes"] if "pixels of a picture become one" in note]
    assert "training images, by a plain head, " in note
    assert "`lineside tune cells` measures" in note


def test_a_second_repro_changes_no_file_and_makes_no_second_version(project: Path) -> None:
    before = state(project)
    said = dvc(project, "repro")
    for stage in ("preprocess", "augment", "train", "evaluate"):
        assert f"Stage '{stage}@cells' didn't change, skipping" in said
    assert state(project) == before
    versions = subprocess.run(
        [sys.executable, "-m", "pipeline.cli", "models", "list", "cells", "--json"],
        cwd=project,
        capture_output=True,
        check=True,
    )
    assert [v["version"] for v in json.loads(versions.stdout)["versions"]] == [1]


def test_a_mistake_ends_repro_in_one_message_and_leaves_the_former_data(project: Path) -> None:
    before = state(project)
    (project / "images").rename(project / "elsewhere")
    said = dvc(project, "repro", fails=True)
    (project / "elsewhere").rename(project / "images")
    assert "error: images is not a folder (source.root in ingest.yaml)" in said
    assert "Traceback" not in said
    assert state(project) == before


def test_a_new_image_brings_every_stage_up_to_date(project: Path) -> None:
    donor = next((project / "images/good").glob("*.png"))
    changed = donor.read_bytes() + b"\0"
    (project / "images/good/one-more.png").write_bytes(changed)
    status = dvc(project, "repro", "ingest", "preprocess")
    assert "Running stage 'preprocess@cells'" in status
    report = json.loads((project / "data/cells/ingest/report.json").read_bytes())
    assert report["n"] == 61


def test_metrics_and_plots_are_shown_by_dvc(project: Path) -> None:
    shown = json.loads(dvc(project, "metrics", "show", "--json"))
    values = shown[""]["data"]["data/cells/evaluate/metrics.json"]["data"]
    assert 0 <= values["auroc"] <= 1
    dvc(project, "plots", "show", "-o", "plots")
    page = (project / "plots/index.html").read_text()
    assert all(axis in page for axis in ('"fpr"', '"recall"', '"predicted"', "overview_png"))


def lineside(project: Path, *argv: str) -> str:
    """Run lineside as a user would, with the project's code; what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.cli", *argv],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_shipped_line_file_inspects_what_repro_has_built(project: Path) -> None:
    shipped = (ROOT / "conf/lines/demo.yaml").read_text("utf-8")
    given = {"solar-cell": "cells", "rate_hz: fitting": "rate_hz: 0", "port: 8711": "port: 0"}
    given["loop: true"] = "loop: false"
    for of_the_demo, of_this in given.items():
        assert of_the_demo in shipped
        shipped = shipped.replace(of_the_demo, of_this)
    (project / "conf/lines").mkdir()
    (project / "conf/lines/demo.yaml").write_text(shipped)
    gate = read_model(project / "data/cells/evaluate/evaluation.json", Evaluation).gate
    accepted = [check.title for check in gate.in_state(CheckState.NOT_PROVEN)]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)  # where the registry of a recipe is if nobody says otherwise
        Review(Registry(), "cells").promote(
            1, "A. Weber", "to try it", override="a test of 60 cells", accepted=accepted
        )
    lineside(project, "run", "conf/lines/demo.yaml")
    lineside(project, "audit", "conf/lines/demo.yaml")
    held_out = project / "data/cells/evaluate/held_out"
    parts = sorted(p.relative_to(held_out).as_posix() for p in held_out.rglob("*.png"))
    files = sorted((project / "data/lines/demo/records").iterdir())
    records = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    assert parts
    assert sorted(record["serial"] for record in records) == parts
    assert {record["model_version"] for record in records} == {"cells/1"}
