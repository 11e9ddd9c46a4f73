"""What is registered beside a bundle: its evaluation, for the gate and for people to read."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.contracts.evaluation import EVALUATION
from pipeline.errors import RegistryError, RegistryUnreachable
from pipeline.registry.connection import translate_errors

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

FOLDER = "evaluate"  # among a run's artifacts
EVALUATION_FILE = f"{FOLDER}/{EVALUATION}"  # the gate's result in full; the tags only repeat it


@dataclass(frozen=True)
class Evidence:
    """One evaluation of a bundle, as the registry keeps it.

    Attributes:
        metrics: logged with the run.
        params: likewise, those that its training has not logged.
        tags: set on the run and, where people look for them, on the version.
        description: markdown shown on the version's page.
        artifacts: (local file or folder, folder among the run's artifacts).
    """

    metrics: Mapping[str, float] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    description: str = ""
    artifacts: tuple[tuple[Path, str], ...] = ()

    @property
    def evaluation_file(self) -> Path | None:
        """The local evaluation.json, None where there is none among the artifacts."""
        found = (p for p, folder in self.artifacts if f"{folder}/{p.name}" == EVALUATION_FILE)
        return next(found, None)


def read_evaluation(client: MlflowClient, uri: str, run_id: str) -> bytes | None:
    """The evaluation.json of a run, byte for byte; None where the run holds none or is gone.

    Raises:
        RegistryError: it is there and cannot be downloaded.
    """
    if not run_id:
        return None
    try:
        with translate_errors(uri):
            paths = {f.path for f in client.list_artifacts(run_id, FOLDER)}
    except RegistryUnreachable:
        raise
    except RegistryError:
        return None  # the run is gone, and its files with it
    if EVALUATION_FILE not in paths:
        return None
    with tempfile.TemporaryDirectory(prefix="lineside-") as own, translate_errors(uri):
        return Path(client.download_artifacts(run_id, EVALUATION_FILE, own)).read_bytes()
