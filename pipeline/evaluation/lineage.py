"""What an evaluation comes from: code, data and the packages that computed it."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import yaml

PACKAGES = ("torch", "timm", "onnxruntime", "opencv-python-headless", "albumentations", "numpy")
STAGES = ("ingest", "preprocess", "augment", "train")


def lineage(root: Path, recipe: str) -> dict[str, str]:
    """Facts by name, of the project in `root`: what is not known is left out.

    Returns:
        `git_commit` (marked where code differs from it), `dvc.<stage>` with the hash of what each
        stage wrote as dvc.lock has it, `python`, and the version of each package.
    """
    found = git(root) | _locked(root / "dvc.lock", recipe)
    found["python"] = platform.python_version()
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


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
        stages = yaml.safe_load(lock.read_text("utf-8"))["stages"]
        for stage in STAGES:
            outs = (stages.get(f"{stage}@{recipe}") or {}).get("outs") or []
            hashes = [out["md5"] for out in outs if "md5" in out]
            if len(hashes) == 1:
                found[f"dvc.{stage}"] = str(hashes[0])
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError):
        return {}  # not there yet, or not as DVC writes it: the report does without
    return found
