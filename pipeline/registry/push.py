"""Registers a sealed bundle as a version, once. Needs the full MLflow (train extra)."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.contracts.bundle import Bundle
from pipeline.errors import BundleError, MissingExtra, RegistryError
from pipeline.files import sha256
from pipeline.registry import runs
from pipeline.registry.connection import connect, set_defaults, translate_errors, write_lock
from pipeline.registry.decisions.chain import REVOKED
from pipeline.registry.decisions.signoffs import SignoffLog
from pipeline.registry.download import download
from pipeline.registry.evidence import FOLDER, Evidence
from pipeline.registry.reappraisal import reappraise
from pipeline.registry.store import Registry
from pipeline.registry.versions import (
    CHALLENGER,
    REVIEW_TAG,
    SHA256_TAG,
    iso_time,
    recipe_filter,
)

if TYPE_CHECKING:
    from mlflow.entities.logged_model import LoggedModel
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.models import ModelSignature
    from mlflow.tracking import MlflowClient

log = logging.getLogger(__name__)

DESCRIPTION_LENGTH = 5000  # of MLflow's database
CUT = "\n\n... see the report"


@dataclass(frozen=True)
class Registration:
    """The version that holds a bundle.

    Attributes:
        name, version, run_id, bundle_sha256, alias: what was registered, and as what.
        created: when, ISO 8601 in UTC; the same however often it is registered again.
        new: False when the bundle was registered already.
    """

    name: str
    version: int
    run_id: str
    bundle_sha256: str
    alias: str
    created: str
    new: bool


def push(
    registry: Registry,
    recipe: str,
    bundle: Bundle,
    evidence: Evidence,
) -> Registration:
    """Register a bundle unless it is registered, and make it the challenger.

    The run that logged the training, if there is one, is continued; what a crash left behind is
    found again, so that a bundle has one run, one logged model and one version.

    Args:
        registry: where; a SQLite file that is not there yet is made.
        recipe: name of the registered model and of the experiment.
        bundle: what is registered, byte for byte.
        evidence: its evaluation, for the gate and for people to read.

    Raises:
        RegistryError: the registry refuses or cannot be reached; there is a whole version then or
            none, and the next call does the rest.
        MissingExtra: the full MLflow or ONNX is not installed.
    """
    set_defaults()
    if len(evidence.description) > DESCRIPTION_LENGTH:
        short = evidence.description[: DESCRIPTION_LENGTH - len(CUT)] + CUT
        evidence = replace(evidence, description=short)
    client = connect(registry.uri, create=True)
    with write_lock(registry.uri):
        known = _registered(client, registry, recipe, bundle.sha256)
        if known is not None:
            reappraise(client, registry.uri, known.name, known.version, known.run_id, evidence)
        done = known or _register(client, registry, recipe, bundle, evidence)
        # What people have refused is not proposed again because a build ran again.
        status = SignoffLog(registry, recipe).read().standing.status.get(done.version)
        if status not in REVOKED:
            with translate_errors(registry.uri):
                client.set_registered_model_alias(recipe, CHALLENGER, str(done.version))
    return done


def log_report(registry: Registry, run_id: str, report: Path) -> None:
    """Log the report of a version in place of the one that its evaluation wrote.

    Nothing is logged where it is there already, or the run was deleted.

    Raises:
        RegistryError: the registry refuses or cannot be reached.
    """
    client, path = registry.client, f"{FOLDER}/{report.name}"
    with translate_errors(registry.uri):
        if client.get_run(run_id).info.lifecycle_stage == "deleted":
            return
        if path in {f.path for f in client.list_artifacts(run_id, FOLDER)}:
            with tempfile.TemporaryDirectory(prefix="lineside-") as own:
                logged = Path(client.download_artifacts(run_id, path, own)).read_bytes()
            if logged == report.read_bytes():
                return
        client.log_artifact(run_id, str(report), FOLDER)


def _register(
    client: MlflowClient, registry: Registry, recipe: str, bundle: Bundle, evidence: Evidence
) -> Registration:
    try:
        import mlflow.onnx
        import onnx
    except ImportError as error:
        raise MissingExtra(error.name or "mlflow", "registering a model", "train") from error

    with translate_errors(registry.uri), _mlflow_at(registry.uri):
        home = runs.experiment(client, registry.uri, recipe)
        mlflow.set_experiment(experiment_id=home)
        identity = {runs.MODEL_TAG: sha256(bundle.model), SHA256_TAG: bundle.sha256}
        with mlflow.start_run(
            **_run(client, home, identity), tags={**evidence.tags, **identity}
        ) as run:
            mlflow.log_params(runs.new_params(run, evidence.params))
            mlflow.log_metrics(dict(evidence.metrics))
            for local, folder in evidence.artifacts:
                log = mlflow.log_artifacts if local.is_dir() else mlflow.log_artifact
                log(str(local), folder)
            model = _logged(client, registry.uri, home, bundle)
            if model is None:
                graph = onnx.load(str(bundle.model))
                model = mlflow.onnx.log_model(
                    graph,
                    name="model",
                    save_as_external_data=False,
                    signature=_signature(graph, bundle),
                    # The bundle as it is, so that what a station downloads bears the same seal;
                    # MLflow's own copy of the graph may be serialised in another order.
                    extra_files=[str(p) for p in _flat(bundle)],
                    pip_requirements=["numpy", "onnx", "onnxruntime"],
                    tags={SHA256_TAG: bundle.sha256},
                )
        _ensure_model(client, recipe)
        # The version comes last and with its tags, so there is never half a version to see.
        made = client.create_model_version(
            name=recipe,
            source=model.model_uri,
            run_id=run.info.run_id,
            model_id=model.model_id,
            tags={
                **{REVIEW_TAG: "pending", **evidence.tags},
                **{SHA256_TAG: bundle.sha256, "run_id": run.info.run_id},
            },
            description=evidence.description,
        )
        first = _oldest(client, recipe, bundle.sha256) or made
        if first.version != made.version:
            _take_back(client, made, first)
        else:
            number = int(made.version)
            runs.describe(client, run.info.run_id, recipe, number, evidence.description)
    new = first.version == made.version
    return _registration(first, recipe, bundle.sha256, new=new)


def _registered(
    client: MlflowClient, registry: Registry, recipe: str, sha256: str
) -> Registration | None:
    with translate_errors(registry.uri):
        first = _oldest(client, recipe, sha256)
    return None if first is None else _registration(first, recipe, sha256, new=False)


def _oldest(client: MlflowClient, recipe: str, sha256: str) -> ModelVersion | None:
    """The first of the versions that hold a bundle; there are more for a moment, if at all."""
    query = f"{recipe_filter(recipe)} and tags.{SHA256_TAG} = '{sha256}'"
    found: list[ModelVersion] = client.search_model_versions(query)
    return min(found, key=lambda v: int(v.version), default=None)


def _take_back(client: MlflowClient, made: ModelVersion, first: ModelVersion) -> None:
    """Delete what this registration made while another of the same bundle was quicker.

    MLflow numbers versions one after the other, so both agree on which was first.
    """
    from mlflow.exceptions import MlflowException

    try:
        client.delete_model_version(made.name, made.version)
        if made.source and made.source != first.source:
            client.delete_logged_model(made.source.removeprefix("models:/"))
        if made.run_id and made.run_id != first.run_id:
            client.delete_run(made.run_id)
    except MlflowException as error:
        log.warning(
            "%s/%s holds the same bundle as version %s, registered at the same moment, and could "
            "not be deleted; delete it in MLflow (%s)",
            *(made.name, made.version, first.version, error),
        )


def _run(client: MlflowClient, experiment_id: str, identity: Mapping[str, str]) -> dict[str, Any]:
    """What `mlflow.start_run` continues: the bundle's run, else the one that trained the model.

    A run holds one evaluation. The same model sealed again, with other limits, gets a run of its
    own, shown under its training's.
    """
    trained = runs.tagged(client, experiment_id, **{runs.MODEL_TAG: identity[runs.MODEL_TAG]})
    for sealed in (identity[SHA256_TAG], None):
        for run in trained:
            if run.data.tags.get(SHA256_TAG) == sealed:
                return {"run_id": run.info.run_id}
    new = {"run_name": identity[SHA256_TAG][:12]}
    return new | {"parent_run_id": trained[-1].info.run_id} if trained else new


def _logged(client: MlflowClient, uri: str, home: str, bundle: Bundle) -> LoggedModel | None:
    """The bundle as a logged model, from a registration that was interrupted.

    One whose files were altered is not used: a version that was deleted for that is made again.
    """
    query = f"tags.{SHA256_TAG} = '{bundle.sha256}'"
    for model in client.search_logged_models([home], query):
        with tempfile.TemporaryDirectory(prefix="lineside-") as own:
            try:
                if model.status == "READY":
                    download(uri, str(model.artifact_location), Path(own), bundle.sha256)
                    return model
            except (BundleError, RegistryError) as error:
                log.warning("the logged model %s is not used again: %s", model.model_id, error)
    return None


def _registration(entry: ModelVersion, recipe: str, sha256: str, *, new: bool) -> Registration:
    return Registration(
        name=recipe,
        version=int(entry.version),
        run_id=entry.run_id or "",
        bundle_sha256=sha256,
        alias=CHALLENGER,
        created=iso_time(entry.creation_timestamp),
        new=new,
    )


@contextmanager
def _mlflow_at(uri: str) -> Iterator[None]:
    """MLflow's fluent functions take the address from a global and the environment."""
    import mlflow

    before = os.environ.get("MLFLOW_TRACKING_URI")
    mlflow.set_tracking_uri(uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(None)  # type: ignore[arg-type]  # its body takes None to unset
        if before is not None:
            os.environ["MLFLOW_TRACKING_URI"] = before


def _ensure_model(client: MlflowClient, recipe: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(recipe)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _flat(bundle: Bundle) -> list[Path]:
    paths = sorted(bundle.folder.iterdir())
    if any(p.is_dir() for p in paths):
        raise RegistryError(f"{bundle.folder} holds folders; a bundle is flat to be registered")
    return paths


def _signature(graph: Any, bundle: Bundle) -> ModelSignature:
    """The graph's inputs and outputs, declared, not inferred from an example."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema, TensorSpec

    image = TensorSpec(np.dtype(np.uint8), (-1, *bundle.preprocess.shape), "image")
    given: list[ColSpec | TensorSpec] = [
        TensorSpec(
            np.dtype(np.float32),
            (-1, *(d.dim_value or -1 for d in output.type.tensor_type.shape.dim[1:])),
            output.name,
        )
        for output in graph.graph.output
    ]
    return ModelSignature(inputs=Schema([image]), outputs=Schema(given))
