"""Settings compared with `dvc exp`: each is trained and measured, none is registered."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.files import cache_folder
from pipeline.registry.store import Registry
from pipeline.registry.versions import Version
from tests.test_repro import dvc, lay_out, run_here

pytestmark = pytest.mark.slow

METRICS, SETTINGS = "data/cells/evaluate/metrics.json", "conf/cells/train.yaml"


def git(project: Path, *argv: str) -> None:
    who = ("-c", "user.name=Test", "-c", "user.email=test@example.com")
    subprocess.run(["git", *who, *argv], cwd=project, check=True, capture_output=True)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project in git whose images are ready to train on."""
    lay_out(tmp_path)
    ingest = tmp_path / "conf/cells/ingest.yaml"
    settings = yaml.safe_load(ingest.read_text())
    # Experiments run in a copy of what git and DVC hold, and these images neither of them does.
    settings["source"]["root"] = str(tmp_path / "images")
    ingest.write_text(yaml.safe_dump(settings))
    (tmp_path / SETTINGS).write_text(
        yaml.safe_dump({**yaml.safe_load((tmp_path / SETTINGS).read_text()), "trials": False})
    )
    # No heat maps: for these an evaluation imports torch.
    quick = {"bootstrap_draws": 100, "robustness": {"parts": 0}, "explanation": {"each": 0}}
    (tmp_path / "conf/cells/evaluate.yaml").write_text(yaml.safe_dump(quick))
    (tmp_path / ".gitignore").write_text("/data/\n/images/\n__pycache__\n.cache/\nmlflow.db\n")
    git(tmp_path, "init", "-q")
    dvc(tmp_path, "init", "-q")
    ready = [f"{stage}@cells" for stage in ("ingest", "preprocess", "augment")]
    run_here(tmp_path, [f"python -m pipeline.stages.{s.replace('@', ' ')}" for s in ready])
    dvc(tmp_path, "commit", "-q", "-f", *ready)
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "ready")
    return tmp_path


def test_queued_settings_are_trained_and_compared_and_none_is_registered(project: Path) -> None:
    sweep = f"{SETTINGS}:+head.l2=0.01,10"  # with a + where the file does not say it yet
    dvc(project, "exp", "run", "--queue", "--downstream", "train@cells", "-S", sweep)
    dvc(project, "exp", "run", "--run-all", "-j", "2")
    found = {}
    for experiment in experiments(json.loads(dvc(project, "exp", "show", "--json"))):
        settings, metrics = experiment["params"][SETTINGS], experiment["metrics"][METRICS]
        assert "data" in metrics, experiment
        found[settings["data"]["head"]["l2"]] = metrics["data"]["auroc"]
    assert set(found) == {0.01, 10}
    assert all(0 <= auroc <= 1 for auroc in found.values())
    assert registered(project) == []


def registered(project: Path) -> list[Version]:
    file = project / "mlflow.db"
    return Registry(f"sqlite:///{file}").versions("cells") if file.exists() else []


def experiments(table: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What `dvc exp show --json` says of each experiment, whichever commit it started from."""
    return [
        state["data"]
        for baseline in table
        for experiment in baseline["experiments"] or []
        for state in experiment["revs"]
    ]


def test_an_experiment_shares_the_projects_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cache_folder("features") == tmp_path / ".cache/features"
    monkeypatch.setenv("DVC_ROOT", "/the/project")
    assert cache_folder("features") == Path("/the/project/.cache/features")
