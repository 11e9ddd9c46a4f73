"""What Lightning logs is in the training's run; training never waits for it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import pytorch_lightning as pl
import requests
import torch
from lightning_utilities.core.rank_zero import rank_zero_only
from mlflow.entities import Run
from mlflow.tracking import MlflowClient
from torch.utils.data import DataLoader, TensorDataset

from pipeline.errors import RegistryUnreachable
from pipeline.registry.store import Registry
from pipeline.registry.training_run import TrainingInfo
from pipeline.training import tracking
from pipeline.training.tracking import LiveRun, Untracked, open_run

pytestmark = pytest.mark.slow

INFO = TrainingInfo(
    "cells", "here", params={"train.seed": "0"}, tags={"method": "probe"}, name="try"
)
DEADLINE_S = 60


def start(registry: Registry) -> LiveRun:
    return LiveRun(registry.uri, INFO, every_s=0.01)


def all_runs(registry: Registry) -> list[Run]:
    """As another client of the registry sees them; it has a connection of its own."""
    client = MlflowClient(registry.uri, registry.uri)
    home = client.get_experiment_by_name("cells")
    return list(client.search_runs([home.experiment_id])) if home else []


def wait_for(arrived: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not arrived():
        assert time.monotonic() < deadline


class Line(pl.LightningModule):
    """The smallest training: one weight."""

    def __init__(self, after_epoch: Callable[[int], None] = lambda epoch: None) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self._after_epoch = after_epoch

    def training_step(self, batch: list[torch.Tensor], index: int) -> torch.Tensor:
        loss = (batch[0] - self.weight).square().mean()
        self.log("loss", loss)
        return loss

    def on_train_epoch_start(self) -> None:
        self._after_epoch(self.current_epoch)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.25)


def train(module: Line, tracker: tracking.Tracker, epochs: int = 2) -> None:
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        logger=tracker.logger("line"),
        log_every_n_steps=1,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
    )
    trainer.fit(module, DataLoader(TensorDataset(torch.ones(8, 1)), batch_size=4))


def test_lightnings_values_are_in_mlflow_while_training_goes_on(registry: Registry) -> None:
    def first_epochs_values_are_there(epoch: int) -> None:
        if epoch == 1:
            wait_for(lambda: any("line/loss" in run.data.metrics for run in all_runs(registry)))

    with start(registry) as live:
        train(Line(first_epochs_values_are_there), live)
        assert live.finish("abc") == []
    (run,) = all_runs(registry)
    history = MlflowClient(registry.uri).get_metric_history(run.info.run_id, "line/loss")
    assert [(m.step, m.value) for m in history] == [(0, 1), (1, 0.25), (2, 0.0625), (3, 0.015625)]


def test_a_registry_that_does_not_answer_at_the_start_reports_how_to_go_without() -> None:
    with pytest.raises(RegistryUnreachable, match=r"does not answer.*tracking: false in train"):
        open_run("http://127.0.0.1:9", INFO)


def refuse(*_: object, **__: object) -> None:
    raise requests.ConnectionError("Max retries exceeded")


def test_a_registry_that_dies_midway_is_reported_once_and_stops_nothing(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with start(registry) as live:
        live.log_metrics({"loss": 1.0}, step=0)
        wait_for(lambda: any(run.data.metrics for run in all_runs(registry)))
        for call in ("log_batch", "set_tag", "set_terminated"):
            monkeypatch.setattr(MlflowClient, call, refuse)
        train(Line(), live)
        said = live.finish("abc")
    assert re.match(
        r"\d+ value\(s\) and file\(s\) did not reach MLflow: .*stopped answering", said[0]
    )
    assert re.match(r"the run stays open in MLflow, .*stopped answering", said[1])
    assert capsys.readouterr().err.count("training goes on") == 1


def test_training_without_a_record_is_training(tmp_path: Path) -> None:
    module = Line()
    with Untracked() as tracker:
        train(module, tracker)
        assert tracker.finish("abc") == []
    assert module.weight.item() > 0.9


def test_of_several_processes_only_the_first_has_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rank_zero_only, "rank", 1)
    assert isinstance(open_run("http://127.0.0.1:9", INFO), Untracked)


def test_another_folder_or_setting_is_another_training(tmp_path: Path) -> None:
    given = [(tmp_path, "seed 0"), (tmp_path / "other", "seed 0"), (tmp_path, "seed 1")]
    assert len({tracking.training_key(*key) for key in given}) == 3
    assert tracking.training_key(*given[0]) == tracking.training_key(*given[0])
