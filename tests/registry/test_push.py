"""Registration, also twice at once or refused: one whole version in the end, or none."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlparse

import mlflow.onnx
import pytest
from mlflow.entities import Run
from mlflow.models import Model
from mlflow.tracking import MlflowClient

from pipeline.contracts.bundle import Bundle
from pipeline.errors import RegistryError, RegistryForbidden
from pipeline.files import sha256
from pipeline.registry import runs
from pipeline.registry.decisions.review import Review
from pipeline.registry.evidence import Evidence
from pipeline.registry.push import Registration, push
from pipeline.registry.resolution import resolve
from pipeline.registry.store import Registry
from tests.judgements import judge

Register = Callable[[Registry, Bundle], Registration]


@contextmanager
def cut_off_at(owner: object, step: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What the block does is interrupted at that step, as by Ctrl-C."""

    def crash(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(owner, step, crash)
        with pytest.raises(KeyboardInterrupt):
            yield


def test_registering_twice_makes_one_version(
    registry: Registry, sealed_bundle: Bundle, register: Register
) -> None:
    first = register(registry, sealed_bundle)
    second = register(registry, sealed_bundle)
    assert (first.version, first.new, first.alias) == (1, True, "challenger")
    assert (second.version, second.new, second.run_id) == (1, False, first.run_id)
    assert second.created == first.created
    assert len(registry.versions("cells")) == 1


def test_registering_an_older_bundle_again_makes_it_the_challenger(
    registry: Registry,
    sealed_bundle: Bundle,
    seal_bundle: Callable[..., Bundle],
    register: Register,
    tmp_path: Path,
) -> None:
    register(registry, sealed_bundle)
    register(registry, seal_bundle(tmp_path / "other", fail_from=0.7))
    assert resolve(registry, "cells", alias="challenger").version.version == 2
    register(registry, sealed_bundle)
    assert resolve(registry, "cells", alias="challenger").version.version == 1


def test_version_carries_tags_description_and_run(
    registry: Registry, sealed_bundle: Bundle, register: Register
) -> None:
    done = register(registry, sealed_bundle)
    client = MlflowClient(registry.uri, registry.uri)
    version = client.get_model_version("cells", "1")
    assert version.description == "**0.9**"
    assert version.tags["gate"] == "passed"
    assert version.tags["bundle_sha256"] == sealed_bundle.sha256
    assert client.get_run(done.run_id).data.metrics["auroc"] == 0.9


def test_a_run_is_named_after_its_version_and_described_like_it(
    registry: Registry, sealed_bundle: Bundle, register: Register
) -> None:
    trained_run(registry, sealed_bundle)
    run = registry.client.get_run(register(registry, sealed_bundle).run_id)
    assert run.info.run_name == "cells-v1"
    assert run.data.tags["mlflow.note.content"] == registry.version("cells", 1).description


def test_a_run_whose_registration_was_cut_off_before_its_name_gets_it_later(
    registry: Registry,
    sealed_bundle: Bundle,
    register: Register,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with cut_off_at(runs, "describe", monkeypatch):
        register(registry, sealed_bundle)
    run = registry.client.get_run(register(registry, sealed_bundle).run_id)
    assert (run.info.run_name, run.data.tags["mlflow.note.content"]) == ("cells-v1", "**0.9**")


def registered(registry: Registry, bundle: Bundle, figure: float, **tags: str) -> str:
    """Register with one figure and these tags; returns the run's id."""
    return push(
        registry,
        "cells",
        bundle,
        Evidence({"auroc": figure}, {}, tags, f"{figure}" + "note " * 2000),
    ).run_id


def test_a_bundle_evaluated_again_shows_what_is_true_now(
    registry: Registry, sealed_bundle: Bundle
) -> None:
    first = {"gate": "failed", "gate.failed": "escapes", "compared_with": "cells/7"}
    registered(registry, sealed_bundle, 0.8, **first)
    run_id = registered(registry, sealed_bundle, 0.9, gate="passed", auroc="0.9")
    version, run = registry.version("cells", 1), registry.client.get_run(run_id)
    for tags in (version.tags, run.data.tags):
        assert (tags["gate"], tags["auroc"]) == ("passed", "0.9")
        assert not {"gate.failed", "compared_with"} & {*tags}
    assert run.data.metrics["auroc"] == 0.9
    assert version.description.startswith("0.9")
    assert run.data.tags["mlflow.note.content"] == version.description


def test_a_bundle_evaluated_again_after_its_run_was_deleted_keeps_its_tags_true(
    registry: Registry, sealed_bundle: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    registry.client.delete_run(registered(registry, sealed_bundle, 0.8, gate="passed"))
    registered(registry, sealed_bundle, 0.9, gate="failed")
    assert registry.version("cells", 1).gate == "failed"
    assert "its run was deleted in MLflow" in caplog.text


def test_a_description_that_no_database_can_hold_is_cut(
    registry: Registry, sealed_bundle: Bundle
) -> None:
    registered(registry, sealed_bundle, 0.8)
    said = registry.version("cells", 1).description
    assert len(said) == 5000
    assert said.endswith("... see the report")


def test_artifacts_land_beside_the_database_wherever_it_is_run(
    registry: Registry,
    sealed_bundle: Bundle,
    register: Register,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    register(registry, sealed_bundle)
    source = MlflowClient(registry.uri, registry.uri).get_model_version_download_uri("cells", "1")
    assert Path(urlparse(source).path).is_relative_to(tmp_path / "mlruns")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_registered_model_loads_in_mlflow_without_pickle(
    registry: Registry, sealed_bundle: Bundle, register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(registry, sealed_bundle)
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    source = MlflowClient(registry.uri, registry.uri).get_model_version_download_uri("cells", "1")
    folder = urlparse(source).path
    model = mlflow.onnx.load_model(folder)
    assert [o.name for o in model.graph.output] == ["logits", "embedding"]
    signature = Model.load(folder).signature
    assert signature is not None
    assert signature.inputs.to_dict()[0]["tensor-spec"] == {
        "dtype": "uint8",
        "shape": (-1, 16, 16, 1),
    }


def test_failure_midway_leaves_no_version(registry: Registry, sealed_bundle: Bundle) -> None:
    with pytest.raises(RegistryError, match=r"missing\.png"):
        push(
            registry,
            "cells",
            sealed_bundle,
            Evidence(artifacts=((Path("/nowhere/missing.png"), "plots"),)),
        )
    assert registry.versions("cells") == []


def test_registering_leaves_the_environment_as_it_was(
    registry: Registry, sealed_bundle: Bundle, register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow:5000")
    register(registry, sealed_bundle)
    assert os.environ["MLFLOW_TRACKING_URI"] == "http://mlflow:5000"
    assert mlflow.get_tracking_uri() == "http://mlflow:5000"


def trained_run(registry: Registry, bundle: Bundle, **params: str) -> str:
    """A run as training leaves it: finished, with its settings and what it has made."""
    client = MlflowClient(registry.uri, registry.uri)
    tags = {runs.MODEL_TAG: sha256(bundle.model), "mlflow.runName": "training"}
    run = client.create_run(runs.experiment(client, registry.uri, "cells"), tags=tags)
    for key, value in params.items():
        client.log_param(run.info.run_id, key, value)
    client.log_metric(run.info.run_id, "loss", 0.2, step=1)
    client.set_terminated(run.info.run_id)
    return str(run.info.run_id)


def all_runs(registry: Registry) -> list[Run]:
    client = MlflowClient(registry.uri, registry.uri)
    return list(client.search_runs([runs.experiment(client, registry.uri, "cells")]))


def test_registration_continues_the_run_that_trained_the_model(
    registry: Registry, sealed_bundle: Bundle, register: Register
) -> None:
    trained = trained_run(registry, sealed_bundle)
    done = register(registry, sealed_bundle)
    (run,) = all_runs(registry)
    assert (done.run_id, run.info.run_id) == (trained, trained)
    assert run.data.metrics == {"loss": 0.2, "auroc": 0.9}
    assert run.data.tags["gate"] == "passed"
    assert run.info.status == "FINISHED"


def test_a_setting_that_training_logged_stays_though_the_yaml_has_changed(
    registry: Registry, sealed_bundle: Bundle, register: Register
) -> None:
    trained_run(registry, sealed_bundle, method="finetune")
    register(registry, sealed_bundle)
    (run,) = all_runs(registry)
    assert run.data.params == {"method": "finetune"}


def test_other_limits_on_the_same_model_are_a_run_below_its_trainings(
    registry: Registry,
    sealed_bundle: Bundle,
    seal_bundle: Callable[..., Bundle],
    register: Register,
    tmp_path: Path,
) -> None:
    trained = trained_run(registry, sealed_bundle)
    register(registry, sealed_bundle)
    other = register(registry, seal_bundle(tmp_path / "other", fail_from=0.7))
    assert other.run_id != trained
    tags = {run.info.run_id: run.data.tags for run in all_runs(registry)}
    assert tags[other.run_id]["mlflow.parentRunId"] == trained
    assert len(tags) == 2


def test_a_registration_cut_off_before_its_version_leaves_no_orphan(
    registry: Registry,
    sealed_bundle: Bundle,
    register: Register,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with cut_off_at(MlflowClient, "create_model_version", monkeypatch):
        register(registry, sealed_bundle)
    assert registry.versions("cells") == []
    done = register(registry, sealed_bundle)
    (run,) = all_runs(registry)
    client = MlflowClient(registry.uri, registry.uri)
    (model,) = client.search_logged_models([run.info.experiment_id])
    assert (done.version, done.run_id) == (1, run.info.run_id)
    assert client.get_model_version("cells", "1").source == f"models:/{model.model_id}"


@pytest.fixture
def late(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if, when the next registration looked, no other had come to its end yet."""

    def nothing_at_first(method: str) -> None:
        found, looks = getattr(MlflowClient, method), iter([True])

        def search(*given: object, **named: object) -> object:
            return [] if next(looks, False) else found(*given, **named)

        monkeypatch.setattr(MlflowClient, method, search)

    for method in ("search_model_versions", "search_logged_models"):
        nothing_at_first(method)
    monkeypatch.setattr(runs, "tagged", lambda *_, **__: [])


def test_of_two_registrations_at_once_the_later_takes_its_version_back(
    registry: Registry, sealed_bundle: Bundle, register: Register, request: pytest.FixtureRequest
) -> None:
    first = register(registry, sealed_bundle)
    request.getfixturevalue("late")
    second = register(registry, sealed_bundle)
    assert (second.version, second.run_id, second.new) == (1, first.run_id, False)
    (version,) = registry.versions("cells")
    assert version.aliases == ("challenger",)
    home = registry.client.get_run(first.run_id).info.experiment_id
    assert [r.info.run_id for r in registry.client.search_runs([home])] == [first.run_id]
    assert len(registry.client.search_logged_models([home])) == 1


def test_a_duplicate_that_may_not_be_deleted_is_reported_and_harmless(
    registry: Registry,
    sealed_bundle: Bundle,
    register: Register,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    from mlflow.exceptions import MlflowException

    def forbidden(*_: object) -> None:
        raise MlflowException("API request failed with error code 403")

    register(registry, sealed_bundle)
    request.getfixturevalue("late")
    monkeypatch.setattr(MlflowClient, "delete_model_version", forbidden)
    assert register(registry, sealed_bundle).version == 1
    assert "cells/2 holds the same bundle as version 1" in caplog.text
    assert resolve(registry, "cells", "challenger").version.version == 1


def test_two_registrations_in_one_database_wait_for_each_other(
    registry: Registry, sealed_bundle: Bundle, register: Register
) -> None:
    with ThreadPoolExecutor(2) as both:
        done = list(both.map(lambda _: register(Registry(registry.uri), sealed_bundle), range(2)))
    assert sorted(d.new for d in done) == [False, True]
    assert {d.version for d in done} == {1}
    assert len(registry.versions("cells")) == 1


def test_a_registration_refused_leaves_no_version(
    registry: Registry,
    sealed_bundle: Bundle,
    register: Register,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from mlflow.exceptions import MlflowException

    def forbidden(*_: object, **__: object) -> None:
        raise MlflowException("API request failed with error code 403")

    monkeypatch.setattr(MlflowClient, "create_registered_model", forbidden)
    with pytest.raises(RegistryForbidden):
        register(registry, sealed_bundle)
    assert registry.versions("cells") == []


def test_a_new_version_waits_for_review(
    registry: Registry, sealed_bundle: Bundle, register: Register
) -> None:
    register(registry, sealed_bundle)
    assert registry.version("cells", 1).tags["review.status"] == "pending"


def test_building_again_brings_no_rejected_version_back(
    registry: Registry, sealed_bundle: Bundle, register: Register
) -> None:
    register(registry, sealed_bundle)
    Review(registry, "cells").reject(1, "B. Sato", "misses cracks")
    register(registry, sealed_bundle)
    assert registry.version("cells", 1).aliases == ()
    with pytest.raises(RegistryError):
        resolve(registry, "cells", "challenger")


def test_building_again_brings_no_withdrawn_version_back(
    two_versions: Registry, sealed_bundle: Bundle, register: Register
) -> None:
    Review(two_versions, "cells").promote(2, "A. Weber", "good", "seen by eye")
    judge(two_versions, 1, against="cells/2")
    Review(two_versions, "cells").promote(1, "A. Weber", "better")
    Review(two_versions, "cells").rollback("B. Sato", "misses cracks")
    register(two_versions, sealed_bundle)
    assert "challenger" not in two_versions.version("cells", 1).aliases
