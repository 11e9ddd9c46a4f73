"""Updates the version and the run of a registered bundle that was evaluated again.

Another gate or another champion may give the same bundle another result. What people have decided
keeps the gate's result at that time.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pipeline.contracts.evaluation import CheckState
from pipeline.errors import RegistryError
from pipeline.registry import runs
from pipeline.registry.connection import translate_errors
from pipeline.registry.evidence import Evidence, read_evaluation
from pipeline.registry.versions import COMPARED_TAG, GATE_DETAILS, GATE_TAG

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

log = logging.getLogger(__name__)

BLOCKING = {str(state) for state in CheckState if state.blocks}

MAY_GO = (*GATE_DETAILS, COMPARED_TAG)  # tags that another evaluation may leave out


def reappraise(
    client: MlflowClient, uri: str, recipe: str, version: int, run_id: str, evidence: Evidence
) -> None:
    """Write what has changed since the version was registered; nothing where nothing has.

    A gate result that turns bad is written first, one that turns good last: what is interrupted is
    never better than the truth, and the next call does the rest.

    Raises:
        RegistryError: the registry refuses or cannot be reached. A run that is gone is not an
            error: the version's tags are what a promotion reads first.
    """
    number, tags = str(version), evidence.tags
    with translate_errors(uri):
        written = client.get_model_version(recipe, number).tags
        changed = {key: value for key, value in tags.items() if written.get(key) != value}
        gone = [key for key in MAY_GO if key in written and key not in tags]
        run = _run(client, uri, f"{recipe}/{number}", run_id)
        logged = evidence.metrics if run is None else run.data.metrics
        figures = {k: value for k, value in evidence.metrics.items() if logged.get(k) != value}
        stale = run is not None and (
            runs.NOTE_TAG not in run.data.tags or _stale(client, uri, run_id, evidence)
        )
        if not (changed or gone or figures or stale):
            return
        gate = changed.pop(GATE_TAG, None)
        if gate in BLOCKING:
            client.set_model_version_tag(recipe, number, GATE_TAG, gate)
        client.update_model_version(recipe, number, evidence.description)
        if run is not None:
            _update_run(client, run, figures, evidence)
            runs.describe(client, run_id, recipe, version, evidence.description)
        for key in gone:
            client.delete_model_version_tag(recipe, number, key)
        for key, value in changed.items():
            client.set_model_version_tag(recipe, number, key, value)
        if gate is not None and gate not in BLOCKING:
            client.set_model_version_tag(recipe, number, GATE_TAG, gate)


def _run(client: MlflowClient, uri: str, name: str, run_id: str) -> Run | None:
    """The run, None (with a warning) where it cannot be read or was deleted."""
    try:
        with translate_errors(uri):
            run = client.get_run(run_id)
    except RegistryError as error:
        log.warning("%s: its run cannot be read (%s)", name, error)
        return None
    if run.info.lifecycle_stage == "deleted":
        log.warning("%s: its run was deleted in MLflow", name)
        return None
    return run


def _stale(client: MlflowClient, uri: str, run_id: str, evidence: Evidence) -> bool:
    """Does the run lack this evaluation.json, or hold another?"""
    mine = evidence.evaluation_file
    return mine is not None and mine.read_bytes() != read_evaluation(client, uri, run_id)


def _update_run(
    client: MlflowClient, run: Run, figures: Mapping[str, float], evidence: Evidence
) -> None:
    for local, folder in evidence.artifacts:
        log_files = client.log_artifacts if local.is_dir() else client.log_artifact
        log_files(run.info.run_id, str(local), folder)
    for name, figure in figures.items():
        client.log_metric(run.info.run_id, name, figure)
    for key in MAY_GO:
        if key in run.data.tags and key not in evidence.tags:
            client.delete_tag(run.info.run_id, key)
    for key, value in evidence.tags.items():
        if run.data.tags.get(key) != value:
            client.set_tag(run.info.run_id, key, value)
