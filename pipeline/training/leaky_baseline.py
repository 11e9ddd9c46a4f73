"""Figures on a data set's own, leaky split: for comparison only."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.contracts.taxonomy import Taxonomy
from pipeline.metrics.classification import auroc, questions
from pipeline.training import Floats
from pipeline.training.heads import fitting, logistic, out_of_fold
from pipeline.training.heads.fitting import HeadChoice
from pipeline.training.heads.settings import HeadSettings


@dataclass(frozen=True)
class LeakyBaseline:
    """Figures of the same method on the given split.

    Attributes:
        accuracy: share of its test parts whose likeliest class is right.
        auroc: of bad against good parts; None where one kind is missing.
        n_train, n_test: parts on its two sides.
    """

    accuracy: float
    auroc: float | None
    n_train: int
    n_test: int


def replaced(index: pd.DataFrame) -> bool:
    """Did ingest split the images again, because the data set's own split leaks?"""
    return bool((index["given_split"] != "").any())


def measure(
    features: Floats,
    index: pd.DataFrame,
    targets: Floats,
    taxonomy: Taxonomy,
    config: HeadSettings,
    seed: int,
    choice: HeadChoice | None = None,
) -> LeakyBaseline | None:
    """Train on the given training side and judge the given test side.

    Args:
        features: float32 N,D of the images as they are.
        index: of the N images.
        targets: float32 N,K.
        taxonomy: the recipe's classes.
        config, seed: of the head.
        choice: the head that was chosen; without, the first of all settings.

    Returns:
        The figures; None where its training side holds fewer than two classes.
    """
    given = index["given_split"].to_numpy()
    known, asked = np.flatnonzero(given == "train"), np.flatnonzero(given == "test")
    if not len(asked) or len(set(index["label"].iloc[known])) < 2:
        return None
    head, _ = fitting.fit(features[known], targets[known], config, seed, choice)
    probabilities = logistic.predict(head, features[asked])
    ids = index["sample_id"].to_numpy()
    tiles = out_of_fold.worst_tiles(ids[asked], probabilities, taxonomy)
    names = index["part_label"].iloc[asked].iloc[tiles]
    truth = np.array([taxonomy.names.index(name) for name in names])
    value = auroc(*questions(truth, probabilities[tiles], taxonomy.passing))
    return LeakyBaseline(
        accuracy=float((probabilities[tiles].argmax(axis=1) == truth).mean()),
        auroc=value if math.isfinite(value) else None,
        n_train=len(set(ids[known])),
        n_test=len(tiles),
    )
