"""Registers the sealed bundle and its figures in MLflow, once, as the challenger."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import Field, field_validator

from pipeline.contracts.bundle import Bundle, open_bundle
from pipeline.contracts.evaluation import EVALUATION, CheckState, Evaluation, Gate
from pipeline.contracts.gallery import GALLERIES, Galleries
from pipeline.datasets import manifest
from pipeline.datasets.manifest_reader import read_manifest
from pipeline.evaluation import lineage
from pipeline.files import read_model, sha256, write_json
from pipeline.plugins import Strict
from pipeline.registry.dossier import read_dossier
from pipeline.registry.evidence import FOLDER, Evidence
from pipeline.registry.push import log_report, push
from pipeline.registry.runs import MANIFEST_TAG, MODEL_TAG, UP_TO_TRAINING, settings
from pipeline.registry.store import Registry
from pipeline.registry.versions import GATE_DETAILS, GATE_TAG, SHA256_TAG, detail_tag
from pipeline.reporting.description import describe
from pipeline.reporting.evaluation import Page, write_report
from pipeline.reporting.trend import VersionFigures
from pipeline.stages import Report, run_stage

REGISTRATION, REPORT = "registration.json", "report.html"
FILES = (REPORT, "MODEL_CARD.md", "metrics.json", EVALUATION)
TAG_LENGTH = 4900  # MLflow's database takes 5000
KEY_FIGURES = ("auroc", "accuracy", "escape_rate", "overkill_rate", "review_rate")
RESERVED = {  # tags that `run` and the registry write
    *(GATE_TAG, *GATE_DETAILS, "comparison", "compared_with", "recipe", "run_id", "git_commit"),
    *("architecture", "method", "weights", "split", "leaky", "data_md5"),
    *(SHA256_TAG, MODEL_TAG, MANIFEST_TAG),
    *KEY_FIGURES,
}


class Config(Strict):
    """`conf/<recipe>/register.yaml`."""

    tags: dict[str, str] = Field(
        default_factory=dict,
        description="Your own tags of run and version, such as plant or product.",
    )

    @field_validator("tags")
    @classmethod
    def _leaves_decisions_alone(cls, tags: dict[str, str]) -> dict[str, str]:
        taken = [k for k in tags if k in RESERVED or k.startswith(("review.", "signoff."))]
        if taken:
            raise ValueError(f"{', '.join(taken)}: Lineside writes these itself; rename yours")
        return tags


def run(
    config: Config,
    params: dict[str, str],
    provenance: dict[str, str],
    registry: Registry,
    source: Path,
    out: Path,
) -> Report:
    """Log figures, plots and the bundle, register a version, write report and registration.json.

    The report is that of the evaluation with the number of the version and the figures of those
    before it, which an evaluation does not know. It takes the other's place in the run.

    Args:
        config: tags.
        params: the settings of the recipe's YAML, by dotted key.
        provenance: tags that identify the code which made the figures.
        registry: where.
        source: the recipe's data folder; `ingest/`, `train/` and `evaluate/` are read.
        out: an empty folder.

    Raises:
        RegistryError: MLflow is not reachable or refuses; no version is left behind.
        BundleError: the bundle was altered after evaluation.
    """
    evaluated = source / "evaluate"
    bundle = open_bundle(evaluated / "bundle")
    metrics = json.loads((evaluated / "metrics.json").read_bytes())
    numbers = _numbers(metrics)
    evaluation = read_model(evaluated / EVALUATION, Evaluation)
    tags = {
        **config.tags,
        **provenance,
        **_gate_tags(evaluation.gate),
        "comparison": evaluation.comparison.sentence or evaluation.comparison.not_run,
        **({"compared_with": champion} if (champion := evaluation.comparison.champion) else {}),
        "data_md5": evaluation.lineage.get("dvc.ingest", ""),
        "recipe": source.name,
        "architecture": bundle.provenance.architecture,
        "method": bundle.provenance.method,
        "weights": bundle.provenance.weights,
        "split": evaluation.split.by,
        "leaky": str(evaluation.split.leaky).lower(),
        MANIFEST_TAG: sha256(source / "ingest" / manifest.TABLE),
        **{key: f"{numbers[key]:.4f}" for key in KEY_FIGURES if key in numbers},
    }
    registration = push(
        registry,
        source.name,
        bundle,
        Evidence(
            metrics=numbers,
            params=params,
            tags=tags,
            description=describe(bundle, metrics, evaluation),
            artifacts=(
                *((evaluated / name, FOLDER) for name in FILES),
                (evaluated / "plots", f"{FOLDER}/plots"),
                (evaluated / "images", f"{FOLDER}/images"),
                (source / "ingest" / manifest.REPORT, "ingest"),
                (source / "train" / "history.csv", "train"),
            ),
        ),
    )
    page = replace(
        _page(source, bundle, metrics, evaluation),
        version=registration.version,
        versions=_history(registry, source.name, registration.version),
    )
    write_report(out / REPORT, page)
    log_report(registry, registration.run_id, out / REPORT)
    written = asdict(registration)
    new = written.pop("new")  # not written: registering again must not change the file
    write_json(out / REGISTRATION, written)
    name = f"{registration.name} version {registration.version}"
    return Report([f"{name} {'registered' if new else 'was registered already'}"])


def _page(source: Path, bundle: Bundle, metrics: dict[str, Any], evaluation: Evaluation) -> Page:
    """What the report of the evaluation showed."""
    evaluated, ingested = source / "evaluate", source / "ingest"
    return Page(
        source.name,
        bundle,
        metrics,
        evaluation,
        pd.read_parquet(evaluated / "predictions.parquet"),
        read_model(evaluated / "images" / GALLERIES, Galleries),
        evaluated / "images",
        facts=lineage.facts(read_manifest(ingested), ingested, bundle),
        title=lineage.title(source.name),
    )


def _history(registry: Registry, recipe: str, last: int) -> list[VersionFigures]:
    """The figures of all versions up to `last`, in their order."""
    versions = sorted(registry.versions(recipe), key=lambda v: v.version)
    upto = [v for v in versions if v.version <= last]
    parts = upto[-1].tags.get(MANIFEST_TAG)
    return [
        VersionFigures(
            version=v.version,
            created=v.created_at,
            same_parts=v.tags.get(MANIFEST_TAG) == parts,
            figures=read_dossier(registry, v).figures,
        )
        for v in upto
    ]


def _gate_tags(gate: Gate) -> dict[str, str]:
    """The gate's result, and the checks of each result but passed."""
    tags = {GATE_TAG: str(gate.state)}
    for state in CheckState:
        if state is not CheckState.PASSED and (checks := gate.in_state(state)):
            text = "; ".join(check.line for check in checks)
            tags[detail_tag(state)] = text if len(text) <= TAG_LENGTH else f"{text[:TAG_LENGTH]} …"
    return tags


def _numbers(metrics: dict[str, Any]) -> dict[str, float]:
    """All plain numbers, intervals as `<name>_ci95_low` and `_high`; undefined ones left out."""
    found: dict[str, float] = {}
    for key, value in metrics.items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            found[key] = float(value)
        elif key.endswith("_ci95") and value is not None:
            found[f"{key}_low"], found[f"{key}_high"] = value
    found |= {f"operating_point.{k}": float(v) for k, v in metrics["operating_point"].items()}
    return found


def main(argv: Sequence[str] = sys.argv) -> None:
    """`python -m pipeline.stages.register RECIPE`.

    `dvc exp run` compares many trainings; none of them is a candidate for the line, so nothing
    is registered there.
    """

    def stage(config: Config, source: Path, out: Path) -> Report:
        if name := os.environ.get("DVC_EXP_NAME"):
            write_json(out / REGISTRATION, {"skipped": f"experiment {name}"})
            shutil.copy(source / "evaluate" / REPORT, out / REPORT)
            return Report([f"experiment {name}: not registered"])
        params = settings(Path("conf", source.name), (*UP_TO_TRAINING, "evaluate"))
        return run(config, params, lineage.git(Path.cwd()), Registry(), source, out)

    run_stage("register", Config, stage, argv)


if __name__ == "__main__":
    main()
