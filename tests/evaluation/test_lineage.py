"""Lineage: what the figures come from, as far as it is known."""

from __future__ import annotations

import subprocess
from datetime import datetime
from pathlib import Path

import pandas as pd
import pytest

from pipeline.contracts.bundle import Bundle
from pipeline.datasets.manifest import Manifest
from pipeline.evaluation.lineage import facts, git, lineage, title

LOCK = """
schema: '2.0'
stages:
  ingest@cells:
    outs:
    - path: data/cells/ingest
      md5: 1234.dir
  evaluate@cells:
    outs:
    - path: data/cells/evaluate/bundle
      md5: 5678.dir
  ingest@other:
    outs:
    - path: data/other/ingest
      md5: 9999.dir
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "A")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "a@example.com")
    (tmp_path / "pipeline").mkdir()
    (tmp_path / "pipeline/code.py").write_text("1")
    for argv in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run(["git", *argv], cwd=tmp_path, check=True)
    return tmp_path


def test_it_names_the_commit(project: Path) -> None:
    said = git(project)["git_commit"]
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=project, capture_output=True, text=True, check=True
    )
    assert said == head.stdout.strip()


def test_code_that_differs_from_the_commit_is_marked(project: Path) -> None:
    (project / "pipeline/code.py").write_text("2")
    assert git(project)["git_commit"].endswith("-dirty")


def test_the_time_of_the_evaluation_is_in_utc(project: Path) -> None:
    now = datetime.fromisoformat("2026-11-28T12:57:03+01:00")
    assert lineage(project, "cells", now)["evaluated"] == "2026-11-28T11:57:03+00:00"


def test_outside_git_there_is_no_commit(tmp_path: Path) -> None:
    assert git(tmp_path) == {}


def test_the_hashes_of_dvc_are_those_of_this_recipe(project: Path) -> None:
    (project / "dvc.lock").write_text(LOCK)
    found = lineage(project, "cells")
    assert {k: v for k, v in found.items() if k.startswith("dvc.")} == {"dvc.ingest": "1234.dir"}
    assert {"python", "numpy", "torch", "git_commit"} <= set(found)


@pytest.mark.parametrize("text", ["", "stages: 3", "- a", ": :", "stages: {ingest@cells: null}"])
def test_a_lock_file_without_hashes_leaves_them_out(project: Path, text: str) -> None:
    (project / "dvc.lock").write_text(text)
    assert not [k for k in lineage(project, "cells") if k.startswith("dvc.")]


@pytest.mark.parametrize(
    ("source", "named", "licence"),
    [
        ('{"type": "elpv"}', "elpv", "CC-BY-NC-SA-4.0"),
        ('{"type": "folder", "root": "parts"}', "folder parts", "not known"),
    ],
)
def test_the_data_set_is_named_with_the_licence_that_its_adapter_knows(
    source: str, named: str, licence: str, sealed_bundle: Bundle, tmp_path: Path
) -> None:
    (tmp_path / "source.json").write_text(source)
    table = pd.DataFrame(
        {"split": ["train", "train", "val", "test"], "label": ["good", "good", "defective", "good"]}
    )
    split = {"n_groups": 3, "by": "module"}
    data = Manifest(table, sealed_bundle.taxonomy, Path(), {"split": split})
    found = facts(data, tmp_path, sealed_bundle)
    assert found["source"] == named
    assert found["licence"].startswith(licence)
    assert found["images"] == "4: 2 to train on, 1 for validation, 1 for this test"
    assert found["classes"] == "good 3, defective 1"
    assert found["groups"] == "3, by module"
    assert found["architecture"] == sealed_bundle.provenance.architecture


def test_a_recipe_is_called_by_its_name_as_people_write_it() -> None:
    assert title("solar-cell") == "Solar cell"
