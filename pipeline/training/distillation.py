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
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import Field, field_validator

from pipeline.contracts.bundle import Bundle, open_bundle
from pipeline.contracts.taxonomy import Taxonomy
from pipeline.datasets.manifest import Manifest
from pipeline.errors import BundleError, TrainingError
from pipeline.inference.inspector import Inspector
from pipeline.plugins import Strict
from pipeline.registry.store import Registry

Floats = npt.NDArray[np.float32]
REGISTERED = re.compile(r"models:/(?P<recipe>[^/@]+)(?:/(?P<version>\d+)|@(?P<alias>[^/@]+))")


class Distill(Strict):
    """`distill` in `conf/<recipe>/train.yaml`."""

    teacher: str = Field(
        min_length=1,
        description="A sealed bundle's folder, models:/RECIPE/VERSION or models:/RECIPE@ALIAS. "
        "A version stays what it is; DVC does not notice that an alias has moved.",
    )
    weight: float = Field(
        0.5, gt=0, le=1, description="Weight of the teacher's answer against the label."
    )
    temperature: float = Field(
        2.0,
        ge=1,
        le=20,
        description="Above 1 the teacher's second thoughts count more: softmax(logits / this).",
    )

    @field_validator("teacher")
    @classmethod
    def _is_readable(cls, given: str) -> str:
        if given.startswith("models:") and not REGISTERED.fullmatch(given):
            raise ValueError("write models:/RECIPE/VERSION or models:/RECIPE@ALIAS")
        return given


def open_teacher(config: Distill, registry: Registry, cache: Path) -> Bundle:
    """The verified bundle of the teacher.

    Args:
        config: names it.
        registry: asked for `models:/...`.
        cache: folder where registered teachers are kept.

    Raises:
        TrainingError: the folder holds no sealed bundle.
        RegistryError: no such version, or the registry cannot be reached.
    """
    named = REGISTERED.fullmatch(config.teacher)
    if named is None:
        try:
            return open_bundle(Path(config.teacher))
        except BundleError as error:
            raise TrainingError(
                f"distill.teacher in train.yaml: {error}; name a bundle that evaluate has sealed, "
                "or a registered one: models:/RECIPE/VERSION"
            ) from error
    if named["version"]:
        version = registry.version(named["recipe"], int(named["version"]))
    else:
        version = registry.champion(named["recipe"], named["alias"])
    folder = cache / f"{version.recipe}-{version.version}-{version.bundle_sha256[:12]}"
    if folder.is_dir():
        return open_bundle(folder, version.bundle_sha256)
    return registry.pull(version, folder)


def teacher_targets(
    teacher: Bundle,
    data: Manifest,
    sample_ids: Sequence[str],
    taxonomy: Taxonomy,
    temperature: float,
    shown: Callable[[Iterable[Floats]], Iterable[Floats]] = iter,
) -> Floats:
    """What the teacher says of some parts, softened.

    Args:
        teacher: its bundle; its classes may stand in another order.
        data: where the original images are.
        sample_ids: the parts, N of them, each once.
        taxonomy: the student's K classes.
        temperature: the softmax is that of the logits divided by it. The student learns the
            softened answer; calibration on held-out parts makes it as sure as it should be.
        shown: passes the answers on one by one, such as `stages.progress`.

    Returns:
        float32 N,K; rows sum to 1.

    Raises:
        TrainingError: other classes, or several images (tiles) of one part.
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
        return inspector.inspect(data.pixels(row_of[sample_id])).probabilities

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        answers = np.stack(list(shown(pool.map(ask, sample_ids))))
    soft = answers[:, [teacher.taxonomy.names.index(name) for name in taxonomy.names]]
    soft = soft ** np.float32(1 / temperature)  # proportional to exp(logits / temperature)
    targets: Floats = soft / soft.sum(axis=1, keepdims=True)
    return targets


def mix(targets: Floats, taught: Floats, weight: float) -> Floats:
    """Labels and the teacher's answers, float32 N,K each, as targets of the same shape."""
    mixed: Floats = ((1 - weight) * targets + weight * taught).astype(np.float32)
    return mixed


def doubts(teacher: Bundle, recipe: str) -> list[str]:
    """What a reader of the student's figures must know of its teacher."""
    if teacher.provenance.recipe == recipe:
        return []
    return [
        f"the teacher was trained for recipe {teacher.provenance.recipe}: where it has seen "
        f"validation or test parts of {recipe}, the student's figures flatter"
    ]
