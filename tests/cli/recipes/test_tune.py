"""`lineside tune`: trials of a recipe's settings on its own images."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from pipeline.cli.recipes.tune import show
from pipeline.contracts.spec import PreprocessSpec
from pipeline.training.tuning.figures import Estimate, Scores
from pipeline.training.tuning.probe import MeasuredTrial
from pipeline.training.tuning.search import Tried, TuningResult
from pipeline.training.tuning.trials import Trial
from tests.imports import ROOT
from tests.stages.conftest import Ran
from tests.test_cli import Run, lineside

__all__ = ["lineside"]

pytestmark = pytest.mark.slow

PREPROCESS = """spec:
  colour: grey
  width_px: 96   # quick
  height_px: 48
  fit: letterbox
"""


@pytest.fixture
def project(tmp_path: Path, ran: Ran, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one recipe, ingested."""
    conf = tmp_path / "conf/cells"
    conf.mkdir(parents=True)
    (conf / "preprocess.yaml").write_text(PREPROCESS)
    (conf / "train.yaml").write_text("architecture: lenet5\nweights: none\nscales: [1.0]\n")
    shutil.copytree(ran.data / "ingest", tmp_path / "data/cells/ingest")
    shutil.copy(ROOT / "dvc.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_trial_has_a_row_with_figure_gain_and_cost(lineside: Run, project: Path) -> None:
    code, out, err = lineside("tune", "cells", "--parts", "60", "--json")
    assert code == 0, err
    first, *others = json.loads(out)
    assert (first["settings"], first["gain"], first["changes"]) == ("as it is", None, {})
    assert (first["objective"], first["ms"] > 0) == ("AUROC", True)
    assert all(len(row["gain"]) == 3 for row in others if not row["reason"])
    changes = [row["changes"] for row in others]
    assert {"preprocess.yaml": {"fit": "stretch"}} in changes
    assert {"train.yaml": {"scales": [1.0, 0.5]}} in changes
    assert (project / "conf/cells/preprocess.yaml").read_text() == PREPROCESS


def test_images_that_were_not_ingested_are_asked_for(lineside: Run, project: Path) -> None:
    shutil.rmtree(project / "data/cells/ingest")
    code, _, err = lineside("tune", "cells")
    assert code == 2
    assert "run: dvc repro ingest@cells" in " ".join(err.split())


def test_a_misspelt_setting_is_named_with_its_line(lineside: Run, project: Path) -> None:
    (project / "conf/cells/preprocess.yaml").write_text(PREPROCESS.replace("fit", "fits"))
    code, _, err = lineside("tune", "cells")
    assert code == 2
    assert 'conf/cells/preprocess.yaml:5 key "spec.fits" unknown' in err
    assert "Traceback" not in err


def test_an_unknown_recipe_lists_those_there_are(lineside: Run, project: Path) -> None:
    code, _, err = lineside("tune", "cell")
    assert (code, "cells" in err) == (2, True)


def row(name: str, gain: float, **spec: object) -> Tried:
    """A trial of so much gain."""
    settings = PreprocessSpec(width_px=96, height_px=48).model_copy(update=spec)
    trial = Trial(name, "fit" if spec else "now", settings, (1.0,))
    labels, groups = np.arange(40) % 2, np.array([f"g{i}" for i in range(40)])
    shown = np.eye(2, dtype=np.float32)[labels]
    measured = MeasuredTrial(trial, Scores(labels, shown, groups, (True, False)), 12.3)
    return Tried(trial, measured, Estimate(gain, gain - 0.01, gain + 0.01) if spec else None)


def test_the_table_names_what_to_take_and_where_it_stands(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    now, better = row("as it is", 0), row("fit letterbox", 0.05, fit="letterbox")
    tiny = Tried(Trial("tiny", "size", now.trial.spec, (1.0,)), reason="too small")
    show("cells", tmp_path, TuningResult([now, better, tiny], better))
    shown = " ".join(capsys.readouterr().out.split())
    assert "+0.050 (+0.040 to +0.060)" in shown
    assert "measured on this machine" in shown
    assert f'to take: fit letterbox {tmp_path}/preprocess.yaml: fit: "letterbox"' in shown
    assert "not tried, tiny: too small" in shown
