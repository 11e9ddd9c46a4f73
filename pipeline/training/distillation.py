"""Distillation: a small network learns from the answers of a larger one (Hinton et al. 2015).

The teacher is a sealed bundle with its own preprocessing, asked on the original images through the
code that the line runs. It has learned from all training parts, so out-of-fold scores of its
student would be flattered: a distilled training writes none.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
from pydantic import Field, field_validator

from pipeline.contracts.bundle import Bundle, open_bundle
from pipeline.contracts.taxonomy import Taxonomy
from pipeline.datasets.manifest import Manifest
from pipeline.errors import BundleError, TrainingError, UnreadableImage
from pipeline.files import move, project
from pipeline.inference.inspector import Inspector
from pipeline.plugins import Strict
from pipeline.registry.resolution import resolve
from pipeline.registry.runs import MANIFEST_TAG
from pipeline.registry.store import Registry
from pipeline.registry.versions import Version

Floats = npt.NDArray[np.float32]
REGISTERED = re.compile(r"models:/(?P<recipe>[^/@]+)(?:/(?P<version>\d+)|@(?P<alias>[^/@]+))")


class Distill(Strict):
    """`distill` in `conf/<recipe>/train.yaml`."""

    teacher: str = Field(
        min_length=1,
        description="The teacher: folder of a sealed bundle (relative to the project's), "
        "models:/RECIPE/VERSION or models:/RECIPE@ALIAS. A version never changes, but a folder "
        "or an alias may, and DVC does not watch them: then run `dvc repro --single-item --force "
        "train@RECIPE`.",
    )
    weight: float = Field(
        0.5,
        gt=0,
        le=1,
        description="Weight of the teacher's answer, 0 to 1; the label has the rest.",
    )
    temperature: float = Field(
        2.0,
        ge=1,
        le=20,
        description="Temperature of the teacher's softmax; above 1 its less likely classes "
        "count more.",
    )

    @field_validator("teacher")
    @classmethod
    def _is_readable(cls, given: str) -> str:
        if given.startswith("models:") and not REGISTERED.fullmatch(given):
            raise ValueError("write models:/RECIPE/VERSION or models:/RECIPE@ALIAS")
        return given


@dataclass(frozen=True)
class Teacher:
    """The teacher of a distillation.

    Attributes:
        bundle: verified.
        manifest_sha256: of the table of samples that it was trained with, "" where that is unknown.
    """

    bundle: Bundle
    manifest_sha256: str = ""


def open_teacher(config: Distill, registry: Registry, cache: Path) -> Teacher:
    """The teacher, its bundle verified; several processes may open one at the same time.

    Args:
        config: names it.
        registry: asked for `models:/...`.
        cache: folder where registered teachers are kept.

    Raises:
        TrainingError: the folder holds no sealed bundle.
        RegistryError: no such version, or the registry cannot be reached.
        BundleError: the registry holds an altered bundle.
    """
    named = REGISTERED.fullmatch(config.teacher)
    if named is None:
        try:
            return Teacher(open_bundle(project() / config.teacher))
        except BundleError as error:
            raise TrainingError(
                f"distill.teacher in train.yaml: {error}; name a bundle that evaluate has sealed, "
                "or a registered one: models:/RECIPE/VERSION"
            ) from error
    if named["version"]:
        version = registry.version(named["recipe"], int(named["version"]))
    else:
        version = resolve(registry, named["recipe"], named["alias"]).version
    folder = cache / f"{version.recipe}-{version.version}-{version.bundle_sha256[:12]}"
    return Teacher(_kept(registry, version, folder), version.tags.get(MANIFEST_TAG, ""))


def _kept(registry: Registry, version: Version, folder: Path) -> Bundle:
    """The version's bundle in this folder, downloaded where it is not there or is damaged."""
    with suppress(BundleError):
        return open_bundle(folder, version.bundle_sha256)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as own:
        pulled = registry.pull(version, Path(own) / "bundle")
        with suppress(BundleError):
            return open_bundle(folder, version.bundle_sha256)  # another process was quicker
        with suppress(FileNotFoundError):
            move(folder, Path(own) / "damaged")
        try:
            move(pulled.folder, folder)
        except OSError:
            if not folder.is_dir():  # nor was another quicker just now
                raise
    return open_bundle(folder, version.bundle_sha256)


def teacher_targets(
    teacher: Bundle,
    data: Manifest,
    sample_ids: Sequence[str],
    taxonomy: Taxonomy,
    temperature: float,
    shown: Callable[[Iterable[Floats]], Iterable[Floats]] = iter,
) -> Floats:
    """The teacher's softened answers for some parts.

    Args:
        teacher: its bundle; its classes may stand in another order.
        data: where the original images are.
        sample_ids: the parts, N of them, each once.
        taxonomy: the student's K classes.
        temperature: the softmax is that of the logits divided by it. The student learns the
            softened answer; calibration on held-out parts makes it as sure as it should be.
        shown: passes the answers on one by one, such as `stages.progress`.

    Returns:
        float32 N,K; rows sum to 1, or are NaN where the teacher refuses the picture: it finds no
        part there, or has never seen one so dark, bright or blurred.

    Raises:
        TrainingError: other classes, several images (tiles) of one part, or the teacher refuses
            every picture.
        DataError: an image has changed since it was ingested.
    """
    if set(teacher.taxonomy.names) != set(taxonomy.names):
        raise TrainingError(
            f"the teacher {teacher.folder} knows {', '.join(teacher.taxonomy.names)}; this recipe "
            f"has {', '.join(taxonomy.names)}: distillation needs the same classes"
        )
    if len(set(sample_ids)) < len(sample_ids):
        raise TrainingError(
            "distill in train.yaml: the teacher judges whole parts, but this recipe cuts tiles "
            "(spec.tiles in preprocess.yaml), each with a label of its own; remove one of the two"
        )
    row_of = {name: row for row, name in enumerate(data.table["sample_id"])}
    mine = threading.local()

    def ask(sample_id: str) -> Floats:
        if not hasattr(mine, "inspector"):  # one for each thread: it judges one frame at a time
            mine.inspector = Inspector(teacher, threads=1)
        inspector: Inspector = mine.inspector
        pixels = data.pixels(row_of[sample_id])
        try:
            seen = inspector.inspect(pixels)
        except UnreadableImage:  # of a size that its preparation cannot take
            return unanswered
        # A picture unlike all that it has learned from: its answer may be anything.
        return seen.probabilities if seen.image_reason is None else unanswered

    unanswered = np.full(len(taxonomy.names), np.nan, np.float32)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        answers = np.stack(list(shown(pool.map(ask, sample_ids))))
    if np.isnan(answers).all():
        raise TrainingError(
            f"the teacher {teacher.folder} refuses the pictures of all {len(answers)} training "
            "parts: they are unlike those that it was trained with; distil from a teacher of the "
            "same camera, or remove distill from train.yaml"
        )
    soft = answers[:, [teacher.taxonomy.names.index(name) for name in taxonomy.names]]
    soft = soft ** np.float32(1 / temperature)  # proportional to exp(logits / temperature)
    targets: Floats = soft / soft.sum(axis=1, keepdims=True)
    return targets


def mix(targets: Floats, taught: Floats, weight: float) -> Floats:
    """Labels and the teacher's answers, float32 N,K each, as targets of the same shape.

    Where the teacher refused to answer, the label stands alone.
    """
    mixed = (1 - weight) * targets + weight * taught
    answered: Floats = np.where(np.isnan(taught), targets, mixed).astype(np.float32)
    return answered


def refusals(taught: Floats) -> list[str]:
    """A message on the parts that `teacher_targets` has no answer for, if any."""
    refused = int(np.isnan(taught).any(axis=1).sum())
    if not refused:
        return []
    return [
        f"the teacher refuses the pictures of {refused} of {len(taught)} training parts: they are "
        "unlike those that it was trained with, and only their labels were learned"
    ]


def doubts(teacher: Teacher, recipe: str, manifest_sha256: str) -> list[str]:
    """Warnings on the teacher for a reader of the student's figures.

    Args:
        teacher: as `open_teacher` gives it.
        recipe: the student's.
        manifest_sha256: of the student's table of samples; a teacher with the same has learned from
            training parts only.
    """
    if teacher.manifest_sha256 == manifest_sha256:
        return []
    theirs = teacher.bundle.provenance.recipe
    if theirs != recipe:
        why = f"the teacher was trained for recipe {theirs}"
    elif teacher.manifest_sha256:
        why = "the teacher was trained on another split or other images"
    else:
        why = "the teacher's split cannot be checked"
    return [f"{why}: where it has seen validation or test parts, the student's figures flatter"]
