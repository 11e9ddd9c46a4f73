"""Registration, against a real MLflow database."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlparse

import mlflow.onnx
import pytest
from mlflow.models import Model
from mlflow.tracking import MlflowClient

from pipeline.contracts.bundle import Bundle
from pipeline.errors import RegistryError
from pipeline.registry.push import Registration, push
from pipeline.registry.store import Registry

Register = Callable[[Registry, Bundle], Registration]


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
    assert registry.champion("cells", alias="challenger").version == 2
    register(registry, sealed_bundle)
    assert registry.champion("cells", alias="challenger").version == 1


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
            metrics={},
            params={},
            tags={},
            description="",
            artifacts=[(Path("/nowhere/missing.png"), "plots")],
        )
    assert registry.versions("cells") == []


def test_registering_leaves_the_environment_as_it_was(
    registry: Registry, sealed_bundle: Bundle, register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow:5000")
    register(registry, sealed_bundle)
    assert os.environ["MLFLOW_TRACKING_URI"] == "http://mlflow:5000"
    assert mlflow.get_tracking_uri() == "http://mlflow:5000"
