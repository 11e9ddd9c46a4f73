"""A version as a reviewer reads it, from MLflow: figures, settings, locations of files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.contracts.evaluation import Figure
from pipeline.errors import RegistryError
from pipeline.registry.connection import redacted, translate_errors
from pipeline.registry.store import Registry
from pipeline.registry.versions import Version

LOW, HIGH = "_ci95_low", "_ci95_high"


@dataclass(frozen=True)
class Dossier:
    """One version, as a reviewer reads it.

    Attributes:
        version: the version with its tags and description.
        figures: by name; rates are 0 to 1, latencies in milliseconds.
        params: the settings it was trained and evaluated with.
        files: names at the top of the run's artifacts.
        artifacts: where these lie.
        model: where the bundle lies.
        page: address of the version's page, "" without a server.
        missing: why figures or files are not there, "" when all are.
    """

    version: Version
    figures: dict[str, Figure] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    artifacts: str = ""
    model: str = ""
    page: str = ""
    missing: str = ""


def read_dossier(registry: Registry, version: Version) -> Dossier:
    """Read a version's run and places; what was deleted is noted in `missing`, not raised.

    Raises:
        RegistryUnreachable: the registry is away.
    """
    client, uri = registry.client, registry.uri
    number = str(version.version)
    with translate_errors(uri):
        model = client.get_model_version_download_uri(version.recipe, number)
    at = redacted(uri).rstrip("/")
    page = f"{at}/#/models/{version.recipe}/versions/{number}" if at.startswith("http") else ""
    if not version.run_id:
        return Dossier(version, _tagged(version), model=model, page=page, missing="it has no run")
    try:
        with translate_errors(uri):
            run = client.get_run(version.run_id)
    except RegistryError as error:
        why = f"its run cannot be read, the figures are those of its tags ({error})"
        return Dossier(version, _tagged(version), model=model, page=page, missing=why)
    missing = ""
    files: tuple[str, ...] = ()
    try:
        with translate_errors(uri):
            files = tuple(f.path for f in client.list_artifacts(version.run_id))
    except RegistryError as error:
        missing = f"its files cannot be listed ({error})"
    if run.info.lifecycle_stage == "deleted":
        missing = "its run was deleted in MLflow"
    return Dossier(
        version,
        figures(run.data.metrics),
        dict(run.data.params),
        files,
        run.info.artifact_uri,
        model,
        page,
        missing,
    )


def figures(metrics: Mapping[str, float]) -> dict[str, Figure]:
    """Metrics of a run, each with its interval: `x`, `x_ci95_low` and `x_ci95_high` are one."""
    return {
        name: Figure(value, metrics.get(name + LOW), metrics.get(name + HIGH))
        for name, value in sorted(metrics.items())
        if not name.endswith((LOW, HIGH))
    }


def _tagged(version: Version) -> dict[str, Figure]:
    """The figures among a version's tags, all without intervals."""
    found = {}
    for key, text in version.tags.items():
        try:
            found[key] = Figure(float(text))
        except ValueError:
            continue
    return {
        key: found[key] for key in sorted(found) if key.endswith(("_rate", "auroc", "accuracy"))
    }
