"""A recipe of good parts alone, through all stages, the registry and the line's own code."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from pipeline.contracts.bundle import open_bundle
from pipeline.contracts.evaluation import EVALUATION, CheckState, Evaluation
from pipeline.files import read_model, whole_folder
from pipeline.registry.store import Registry
from pipeline.stages import Report, augment, evaluate, ingest, preprocess, register, train
from tests.imports import ROOT
from tests.stages.conftest import POLICY, SPEC, TAXONOMY, copy_cells, folder_of

pytestmark = pytest.mark.slow

TRAIN = train.Config.model_validate(
    {
        "method": "auto",
        "tracking": False,
        "trials": False,
        "normal": {"memory": 64, "pool": 1000, "components": 16, "injected": 16},
    }
)
EVALUATE = evaluate.Config.model_validate(
    {
        "policy": {"type": "conformal", "max_escape": 0.1, "max_overkill": 0.1, "max_review": 0.3},
        "bootstrap_draws": 100,
        "robustness": {"parts": 4, "most_parts": 4},
        "explanation": {"each": 2},
    }
)
# What a station does with a frame, where torch cannot be imported.
AT_THE_LINE = """
import sys
sys.modules["torch"] = None
from pathlib import Path
from pipeline.contracts.bundle import open_bundle
from pipeline.imaging import codec
from pipeline.inference.trial import load
inspector = load(open_bundle(Path(sys.argv[1])))
for path in sorted(Path(sys.argv[2]).rglob("*.png")):
    picture = codec.read(path, None)
    seen = inspector.inspect(picture)
    heat = inspector.predictor.heat(inspector.preparation(picture).images)
    print(path.name, seen.decision.verdict, f"{seen.defect_score:.6f}", heat.ndim == 3)
"""


@dataclass(frozen=True)
class GoodOnly:
    """What the stages wrote and said, and where it was registered."""

    data: Path
    trained: Report
    evaluated: Report
    registry: Registry


@pytest.fixture(scope="module")
def good_only(tmp_path_factory: pytest.TempPathFactory, empty_registry: Path) -> GoodOnly:
    home = tmp_path_factory.mktemp("good-only")
    data = home / "data" / "cells"
    copy_cells(home / "images")
    shutil.rmtree(home / "images" / "defective")
    shutil.copy(empty_registry, home / "mlflow.db")
    registry = Registry(f"sqlite:///{home / 'mlflow.db'}")
    with whole_folder(data / "ingest") as out:
        ingest.run(folder_of(home / "images"), TAXONOMY, out, good_only=True)
    with whole_folder(data / "preprocess") as out:
        preprocess.run(SPEC, data, out)
    with whole_folder(data / "augment") as out:
        augment.run(POLICY, data, out)
    with whole_folder(data / "train") as out:
        trained = train.run(TRAIN, data, out)
    with whole_folder(data / "evaluate") as out:
        evaluated = evaluate.run(EVALUATE, data, out)
    with whole_folder(data / "register") as out:
        register.run(register.Config(), {}, {}, registry, data, out)
    return GoodOnly(data, trained, evaluated, registry)


def test_auto_takes_the_model_of_good_parts_and_reports_until_when(good_only: GoodOnly) -> None:
    reported = [line for line in good_only.trained.lines if line.startswith("method auto")]
    assert reported == [
        "method auto: normal, since no bad training part is known; a retraining takes the "
        "classifier from 20 of 3 groups on"
    ]
    bundle = open_bundle(good_only.data / "evaluate/bundle")
    assert bundle.provenance.method == "normal"


def test_choice_and_runner_up_stand_in_report_json(good_only: GoodOnly) -> None:
    report = json.loads((good_only.data / "train/report.json").read_bytes())
    assert report["method"] == "normal"
    assert report["normal"]["scorer"]
    assert report["normal"]["runner_up"]
    assert report["parity_max_relative"] <= 1e-4


def test_both_limits_come_from_good_parts(good_only: GoodOnly) -> None:
    point = open_bundle(good_only.data / "evaluate/bundle").operating_point
    assert 0 < point.pass_below <= point.fail_from <= 1


def test_the_gate_reports_that_escapes_are_not_proven(good_only: GoodOnly) -> None:
    gate = read_model(good_only.data / "evaluate" / EVALUATION, Evaluation).gate
    unproven = {check.name: check.sentence for check in gate.in_state(CheckState.NOT_PROVEN)}
    assert not gate.passed
    assert unproven["escapes"].startswith("no bad part is known")
    assert "promise" in unproven
    tags = good_only.registry.versions("cells")[0]
    assert tags.version == 1


def test_the_heat_maps_of_the_report_are_the_graphs_own(good_only: GoodOnly) -> None:
    evaluation = read_model(good_only.data / "evaluate" / EVALUATION, Evaluation)
    if evaluation.explained is not None:
        assert evaluation.explained.method.startswith("anomaly map of the graph")
    assert not (good_only.data / "train/network.json").exists()


def test_a_station_without_torch_gives_the_verdicts_of_the_evaluation(good_only: GoodOnly) -> None:
    evaluated = good_only.data / "evaluate"
    folders = [str(evaluated / name) for name in ("bundle", "held_out")]
    command = [sys.executable, "-c", AT_THE_LINE, *folders]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=300)
    assert done.returncode == 0, done.stderr
    seen = {name: rest for name, *rest in map(str.split, done.stdout.splitlines())}
    table = pd.read_parquet(evaluated / "predictions.parquet")
    names = [Path(sample_id).name for sample_id in table["sample_id"]]
    expected = dict(
        zip(names, zip(table["verdict"], table["defect_score"], strict=True), strict=True)
    )
    assert set(seen) == set(expected)
    for name, (verdict, score, heat) in seen.items():
        assert (verdict, heat) == (expected[name][0], "True")
        assert float(score) == pytest.approx(expected[name][1], abs=1e-4)
