"""One training, one run: written live, never waited for, found again after a kill."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from pipeline.contracts.bundle import Bundle
from pipeline.errors import RegistryError
from pipeline.files import sha256
from pipeline.registry import runs, training_run
from pipeline.registry.connection import connect
from pipeline.registry.evidence import Evidence
from pipeline.registry.push import push
from pipeline.registry.store import Registry
from pipeline.registry.training_run import KEY_TAG, TrainingInfo, TrainingRun

INFO = TrainingInfo(
    "cells", "here", params={"train.seed": "0"}, tags={"method": "probe"}, name="try"
)
DEADLINE_S = 60


def start(registry: Registry) -> TrainingRun:
    return TrainingRun(registry.uri, INFO, every_s=0.01, remedy="do without")


def all_runs(registry: Registry) -> list[Run]:
    """As another client of the registry sees them; it has a connection of its own."""
    client = MlflowClient(registry.uri, registry.uri)
    home = client.get_experiment_by_name("cells")
    return list(client.search_runs([home.experiment_id])) if home else []


def wait_for(arrived: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not arrived():
        assert time.monotonic() < deadline


def test_a_run_records_what_was_trained_how_and_what_came_of_it(registry: Registry) -> None:
    with start(registry) as live:
        live.finish("abc")
    (run,) = all_runs(registry)
    assert (run.info.status, run.info.run_name) == ("FINISHED", "try")
    assert run.data.params == {"train.seed": "0"}
    tags = {k: v for k, v in run.data.tags.items() if not k.startswith("mlflow.")}
    assert tags == {
        "recipe": "cells",
        "method": "probe",
        "training_key": "here",
        "model_sha256": "abc",
    }


def test_what_training_chose_stands_beside_the_settings(registry: Registry) -> None:
    with start(registry) as live:
        live.log_params({"train.chosen.scorer": "memory", "train.chosen.auroc": "0.9"})
        assert live.finish("abc") == []
    (run,) = all_runs(registry)
    assert run.data.params == {
        "train.seed": "0",
        "train.chosen.scorer": "memory",
        "train.chosen.auroc": "0.9",
    }


def test_pictures_land_among_the_runs_artifacts(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "good.png").write_bytes(b"png")
    with start(registry) as live:
        live.log_file(tmp_path / "good.png", "samples")
        live.finish("abc")
    (run,) = all_runs(registry)
    (found,) = MlflowClient(registry.uri).list_artifacts(run.info.run_id, "samples")
    assert found.path == "samples/good.png"


def test_more_values_than_mlflow_takes_at_once_all_arrive(registry: Registry) -> None:
    with start(registry) as live:
        for step in range(1500):
            live.log_metrics({"loss|of all": step}, step)
        assert live.finish("abc") == []
    (run,) = all_runs(registry)
    history = MlflowClient(registry.uri).get_metric_history(run.info.run_id, "loss_of all")
    assert [m.value for m in history] == list(range(1500))


@pytest.mark.parametrize(
    ("error", "status"), [(RuntimeError, "FAILED"), (KeyboardInterrupt, "KILLED")]
)
def test_an_unfinished_run_is_marked_and_continued_by_the_next_training(
    registry: Registry, error: type[BaseException], status: str
) -> None:
    def cut_off_training() -> None:
        with start(registry) as live:
            live.log_metrics({"loss": 2.0}, step=0)
            raise error

    with pytest.raises(error):
        cut_off_training()
    (cut_off,) = all_runs(registry)
    assert cut_off.info.status == status
    with start(registry) as live:
        live.log_metrics({"loss": 1.0}, step=1)
        live.finish("abc")
    (run,) = all_runs(registry)
    assert (run.info.run_id, run.info.status) == (cut_off.info.run_id, "FINISHED")
    history = MlflowClient(registry.uri).get_metric_history(run.info.run_id, "loss")
    assert [(m.step, m.value) for m in history] == [(0, 2), (1, 1)]


def test_a_run_that_a_killed_training_left_open_is_continued(registry: Registry) -> None:
    client = connect(registry.uri)
    home = runs.experiment(client, registry.uri, "cells")
    client.create_run(home, tags={KEY_TAG: "elsewhere"})
    left = client.create_run(home, tags={KEY_TAG: "here"})
    with start(registry) as live:
        live.finish("abc")
    assert client.get_run(left.info.run_id).data.tags["model_sha256"] == "abc"
    assert len(all_runs(registry)) == 2


def test_training_again_what_was_finished_is_another_run(registry: Registry) -> None:
    for model in ("abc", "def"):
        with start(registry) as live:
            live.finish(model)
    assert {run.data.tags["model_sha256"] for run in all_runs(registry)} == {"abc", "def"}


def test_a_run_whose_registration_failed_is_not_trained_into_again(registry: Registry) -> None:
    with start(registry) as live:
        live.finish("abc")
    (registered,) = all_runs(registry)
    connect(registry.uri).set_terminated(registered.info.run_id, "FAILED")
    with start(registry) as live:
        live.finish("def")
    assert {run.data.tags["model_sha256"] for run in all_runs(registry)} == {"abc", "def"}


def test_registering_what_was_trained_makes_no_second_run(
    registry: Registry, sealed_bundle: Bundle
) -> None:
    with start(registry) as live:
        live.log_metrics({"loss": 0.5})
        live.finish(sha256(sealed_bundle.model))
    push(
        registry,
        "cells",
        sealed_bundle,
        Evidence(metrics={"auroc": 0.9}, params={"train.seed": "0", "evaluate.confidence": "0.95"}),
    )
    (run,) = all_runs(registry)
    assert run.data.metrics == {"loss": 0.5, "auroc": 0.9}
    assert run.data.params == {"train.seed": "0", "evaluate.confidence": "0.95"}
    assert registry.versions("cells")[0].run_id == run.info.run_id


def test_a_registry_that_will_not_take_the_run_is_reported(registry: Registry) -> None:
    client = connect(registry.uri)
    client.delete_experiment(runs.experiment(client, registry.uri, "cells"))
    with (
        pytest.raises(RegistryError, match=r"cells was deleted.*do without"),
        start(registry) as live,
    ):
        live.finish("abc")


def test_any_failure_to_open_the_run_is_reported_without_a_traceback(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumble(*_: object, **__: object) -> None:
        raise ValueError("not a run")

    monkeypatch.setattr(MlflowClient, "create_run", stumble)
    with (
        pytest.raises(RegistryError, match=r"\(ValueError: not a run\).*do without"),
        start(registry) as live,
    ):
        live.finish("abc")


def refuse(*_: object, **__: object) -> None:
    raise requests.ConnectionError("Max retries exceeded")


def test_values_that_are_refused_do_not_keep_the_run_open(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    with start(registry) as live:
        live.log_metrics({"loss": 1.0})
        wait_for(lambda: any(run.data.metrics for run in all_runs(registry)))
        monkeypatch.setattr(MlflowClient, "log_batch", refuse)
        live.log_metrics({"loss": 2.0})
        (said,) = live.finish("abc")
    assert said.startswith("1 value(s) and file(s) did not reach MLflow")
    (run,) = all_runs(registry)
    assert (run.info.status, run.data.tags["model_sha256"]) == ("FINISHED", "abc")


def test_a_file_that_is_refused_is_reported_and_holds_up_nothing_else(
    registry: Registry, tmp_path: Path
) -> None:
    (tmp_path / "good.png").write_bytes(b"png")
    with start(registry) as live:
        live.log_file(tmp_path / "gone.png", "samples")
        live.log_file(tmp_path / "good.png", "samples")
        live.log_metrics({"loss": 1.0})
        (said,) = live.finish("abc")
    assert re.match(r"1 value\(s\) and file\(s\) did not reach MLflow: .*gone\.png", said)
    (run,) = all_runs(registry)
    assert (run.info.status, run.data.metrics) == ("FINISHED", {"loss": 1.0})
    (found,) = MlflowClient(registry.uri).list_artifacts(run.info.run_id, "samples")
    assert found.path == "samples/good.png"


def test_values_that_found_no_room_while_they_waited_are_counted(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_run, "KEPT", 1)
    with TrainingRun(registry.uri, INFO, every_s=DEADLINE_S) as live:
        live.log_metrics({"loss": 1.0, "lr": 0.1})
        assert live.finish("abc") == ["1 value(s) are not in MLflow: more than 1 waited for it"]


def test_a_registry_that_comes_back_gets_what_it_missed(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    log_batch = MlflowClient.log_batch
    refused = threading.Event()

    def refuse_once(client: MlflowClient, *args: Any, **options: Any) -> object:
        if options.get("metrics") and not refused.is_set():
            refused.set()
            raise requests.ConnectionError("Max retries exceeded")
        return log_batch(client, *args, **options)

    monkeypatch.setattr(MlflowClient, "log_batch", refuse_once)
    with start(registry) as live:
        live.log_metrics({"loss": 1.0}, step=0)
        assert refused.wait(DEADLINE_S)
        live.log_file(tmp_path / "gone.png")
        (said,) = live.finish("abc")
    assert "gone.png" in said  # and nothing of the fault that has passed
    assert "Max retries" not in said
    (run,) = all_runs(registry)
    assert run.data.metrics == {"loss": 1.0}
