"""MLflow runs: a training logs into one while it goes on, and registration continues the same."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import config as yaml_config
from pipeline.errors import RegistryError, hidden
from pipeline.registry.connection import sqlite_file

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

MODEL_TAG = "model_sha256"  # SHA-256 of model.onnx: what the run has trained
MANIFEST_TAG = "manifest_sha256"  # of ingest's table, so of which parts are in which split
NOTE_TAG = "mlflow.note.content"  # the description that MLflow shows on the run's page
UP_TO_TRAINING = ("ingest", "preprocess", "augment", "train")  # stages whose YAML shaped it


def settings(conf: Path, stages: Collection[str]) -> dict[str, str]:
    """Every value of these stages' YAML files in a recipe's folder, as `train.head.l2`.

    Without secrets in addresses: the registry shows them to all who may read it.

    Raises:
        ConfigError: a file is not YAML.
    """
    found: dict[str, str] = {}

    def walk(prefix: str, value: Any) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                walk(f"{prefix}.{key}", inner)
        else:
            found[prefix] = hidden(str(value))

    for path in sorted(conf.glob("*.yaml")):
        if path.stem in stages:
            walk(path.stem, yaml_config.plain(path))
    return found


def experiment(client: MlflowClient, uri: str, recipe: str) -> str:
    """The id of the recipe's experiment, which is made where there is none.

    Raises:
        RegistryError: the experiment was deleted.
    """
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(recipe)
    if found is None:
        # Without this, artifacts would land in ./mlruns of the process that runs it.
        file = sqlite_file(uri)
        beside = (file.absolute().parent / "mlruns" / recipe).as_uri() if file else None
        try:
            return str(client.create_experiment(recipe, artifact_location=beside))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            found = client.get_experiment_by_name(recipe)  # another training was quicker
    if found is None or found.lifecycle_stage == "deleted":
        raise RegistryError(
            f"the experiment {recipe} was deleted in MLflow; restore it: "
            f"mlflow experiments restore --experiment-id {found.experiment_id if found else '...'}"
        )
    return str(found.experiment_id)


def tagged(client: MlflowClient, experiment_id: str, **tags: str) -> list[Run]:
    """The experiment's runs with these tags, newest first."""
    query = " and ".join(f"tags.{key} = '{value}'" for key, value in tags.items())
    found: list[Run] = client.search_runs(
        [experiment_id], query, order_by=["attributes.start_time DESC"]
    )
    return found


def describe(client: MlflowClient, run_id: str, recipe: str, version: int, text: str) -> None:
    """Name a run after its version, `solar-cell-v3`, and give it the version's description."""
    client.update_run(run_id, name=f"{recipe}-v{version}")
    client.set_tag(run_id, NOTE_TAG, text)


def new_params(run: Run, params: Mapping[str, str]) -> dict[str, str]:
    """Those that the run does not have: MLflow refuses to change one, and the first was used."""
    return {key: value for key, value in params.items() if key not in run.data.params}
