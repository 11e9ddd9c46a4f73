"""Origin of an evaluation: code, data and the packages that computed it."""

from __future__ import annotations

import json
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pipeline import config
from pipeline.contracts.bundle import Bundle
from pipeline.datasets.adapters import ADAPTERS
from pipeline.datasets.manifest import SOURCE, Manifest
from pipeline.errors import ConfigError, hidden

PACKAGES = ("torch", "timm", "onnxruntime", "opencv-python-headless", "albumentations", "numpy")
STAGES = ("ingest", "preprocess", "augment", "train")


def lineage(root: Path, recipe: str, now: datetime | None = None) -> dict[str, str]:
    """Facts by name, of the project in `root`: what is not known is left out.

    Returns:
        `evaluated` (`now`, by default the time of the call; ISO 8601 in UTC), `git_commit` (marked
        where code differs from it), `dvc.<stage>` with the hash of what each
        stage wrote as dvc.lock has it, `python`, and the version of each package.
    """
    at = (now or datetime.now(UTC)).astimezone(UTC)
    found = {"evaluated": at.isoformat(timespec="seconds")}
    found |= git(root) | _locked(root / "dvc.lock", recipe)
    found["python"] = platform.python_version()
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def facts(data: Manifest, ingested: Path, bundle: Bundle) -> dict[str, str]:
    """Facts of the report on the data set and the model, by name.

    Args:
        data: the data set.
        ingested: the folder that `ingest` wrote; says where the images come from.
        bundle: the model.
    """
    source = json.loads((ingested / SOURCE).read_bytes())
    licence = getattr(ADAPTERS.module(source["type"]), "LICENCE", "")
    sides, classes = data.table["split"].value_counts(), data.table["label"].value_counts()
    split = data.report["split"]
    found = {
        "recipe": bundle.provenance.recipe,
        "source": " ".join(
            [source["type"], *([hidden(str(source["root"]))] if "root" in source else [])]
        ),
        "licence": licence or "not known to lineside; ask the owner of the images",
        "images": f"{len(data.table)}: {sides.get('train', 0)} to train on, {sides.get('val', 0)} "
        f"for validation, {sides.get('test', 0)} for this test",
        "classes": ", ".join(f"{name} {classes.get(name, 0)}" for name in data.taxonomy.names),
        "groups": f"{split['n_groups']}, by {split['by']}",
        "architecture": bundle.provenance.architecture,
        "input": f"{bundle.preprocess.colour}, {bundle.preprocess.width_px} x "
        f"{bundle.preprocess.height_px} pixels"
        + (f", {bundle.preprocess.n_tiles} tiles a part" if bundle.preprocess.tiles else "")
        + (f", pooled by {pooling}" if (pooling := bundle.provenance.pooling) else ""),
    }
    return {key: value for key, value in found.items() if value}


def title(recipe: str) -> str:
    """What to call a recipe's product on a page: `solar-cell` is `Solar cell`."""
    words = recipe.replace("-", " ").replace("_", " ").strip()
    return words[:1].upper() + words[1:]


def git(root: Path) -> dict[str, str]:
    """The commit, marked where code or settings differ from it; nothing outside git."""
    try:
        commit, changed = (
            subprocess.run(
                ["git", *argv], capture_output=True, text=True, check=True, cwd=root
            ).stdout
            for argv in (["rev-parse", "HEAD"], ["status", "--porcelain", "--", "pipeline", "conf"])
        )
    except (OSError, subprocess.CalledProcessError):
        return {}
    return {"git_commit": commit.strip() + ("-dirty" if changed else "")}


def _locked(lock: Path, recipe: str) -> dict[str, str]:
    found = {}
    try:
        stages = config.plain(lock)["stages"]
        for stage in STAGES:
            outs = (stages.get(f"{stage}@{recipe}") or {}).get("outs") or []
            hashes = [out["md5"] for out in outs if "md5" in out]
            if len(hashes) == 1:
                found[f"dvc.{stage}"] = str(hashes[0])
    except (ConfigError, KeyError, TypeError, AttributeError):
        return {}  # not there yet, or not as DVC writes it: the report does without
    return found
