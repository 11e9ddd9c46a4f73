"""Oversampling: how often each training image is shown, so that rare classes count enough."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import Field, ValidationError

from pipeline.errors import TrainingError
from pipeline.files import read_model, write_model
from pipeline.plugins import Strict

FILE = "oversample.json"


class Oversample(Strict):
    """More augmented views of images of rare classes; the default is none."""

    share: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Each class is shown at least this share as often as the largest class; 1: "
        "all equally often, 0: no oversampling.",
    )
    max_factor: int = Field(
        8,
        ge=1,
        le=64,
        description="Largest factor by which oversampling shows an image more often.",
    )


def extra_views(labels: Sequence[str], views: int, settings: Oversample) -> npt.NDArray[np.intp]:
    """Augmented views of each image beyond those that all images get.

    Args:
        labels: the class of each image.
        views: augmented views that every image gets; with the image itself it is shown 1 + views
            times.
        settings: how even the classes shall be.

    Returns:
        N numbers; within a class they differ by at most one, and the larger ones lie evenly spread.
    """
    counts = Counter(labels)
    shown = 1 + views
    goal = math.ceil(round(settings.share * max(counts.values(), default=0) * shown, 9))
    names = np.asarray(labels)
    extra = np.zeros(len(names), np.intp)
    for name, n in counts.items():
        lacking = min(goal, n * shown * settings.max_factor) - n * shown
        if lacking <= 0:
            continue
        each, over = divmod(lacking, n)
        positions = np.flatnonzero(names == name)
        extra[positions] = each
        extra[positions[np.arange(over) * n // max(1, over)]] += 1
    return extra


def write(folder: Path, settings: Oversample) -> None:
    """Write the settings where `train` finds them."""
    write_model(folder / FILE, settings)


def read(folder: Path) -> Oversample:
    """Read what `write` wrote; raises TrainingError where it is missing or damaged."""
    try:
        return read_model(folder / FILE, Oversample)
    except (OSError, ValidationError) as error:
        raise TrainingError(f"{folder / FILE} is not a valid oversampling file: {error}") from error
