"""Out-of-fold scores: each part by a head that never saw its group; regularisation chosen so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from threadpoolctl import threadpool_limits
from torch.nn.functional import cross_entropy

from pipeline.contracts.taxonomy import Taxonomy
from pipeline.inference.decide import defect_scores
from pipeline.training import Floats
from pipeline.training.features.cache import Recall, compute_again
from pipeline.training.heads.calibration import temperature
from pipeline.training.heads.logistic import HeadSettings, heads_in, logits_of
from pipeline.training.heads.nystroem import NystroemSpace

AT_ONCE = 2  # folds that are fitted at the same time; each holds its own copy of the features


def worst_tiles(
    ids: npt.NDArray[Any], probabilities: Floats, taxonomy: Taxonomy
) -> npt.NDArray[np.intp]:
    """Which row of each part to believe: of several tiles the one with the highest defect score.

    The station's rule without limits, which are chosen by these scores.

    Args:
        ids: of the part that each row shows, N.
        probabilities: float32 N,K.
        taxonomy: which of the K classes are bad.

    Returns:
        One position a part, in the order in which the parts come first.
    """
    bad = pd.Series(defect_scores(probabilities, taxonomy))
    return bad.groupby(ids, sort=False).idxmax().to_numpy()


@dataclass(frozen=True)
class OutOfFold:
    """Scores of each part by a head that never saw its fold, and so its group.

    Attributes:
        logits: float32 N,K of the parts as they are.
        l2: the regularisation with the lowest log loss, of those offered.
        log_loss: of each offered at its best temperature, in nats a part.
    """

    logits: Floats
    l2: float
    log_loss: dict[float, float]


def out_of_fold(
    features: Floats,
    image_of: npt.NDArray[np.intp],
    targets: Floats,
    folds: npt.NDArray[np.intp],
    config: HeadSettings,
    seed: int,
    groups: Sequence[str] = (),
    parents: Sequence[frozenset[str]] = (),
    recall: Recall = compute_again,
) -> OutOfFold:
    """Score every part by a head that does not know its group, and choose the regularisation so.

    Args:
        features: float32 F,D: the N parts as they are, then anything else.
        image_of: which image each row of features shows, F positions in `targets`.
        targets: float32 N+S,K, of the parts and of S synthetic images.
        folds: int N, 0 to k - 1, as `datasets.splits.assign_folds` gives them.
        config: settings of the head.
        seed: of each head.
        groups: of the N parts, where there are synthetic images.
        parents: for each of the S synthetic images the groups that it was made from; a head that
            may not know one of them does not see it.
        recall: keeps the space of each fold, which other settings of `l2` find there.

    Returns:
        The scores of the regularisation with the lowest log loss. Chosen by the same parts, they
        flatter a little: one number among a few, for thousands of parts.
    """
    n = len(folds)
    found = {l2: np.empty_like(targets[:n]) for l2 in config.strengths}

    def score_fold(fold: int) -> None:
        known, unseen = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        held_out = {groups[int(i)] for i in unseen} if parents else set()
        made = [n + s for s, theirs in enumerate(parents) if theirs.isdisjoint(held_out)]
        rows = np.flatnonzero(np.isin(image_of, [*known, *made]))
        space = NystroemSpace.of(features[rows], config, seed, recall)
        heads, _ = heads_in(space, targets[image_of[rows]], config.strengths, config.max_epochs)
        for head, logits in zip(heads, found.values(), strict=True):
            logits[unseen] = logits_of(head, features[unseen])

    with _single_threaded(), ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(score_fold, range(int(folds.max()) + 1)))
    truth = targets[:n]
    losses = {}
    for l2, logits in found.items():
        cooled = torch.from_numpy(logits / np.float32(temperature(logits, truth)))
        losses[l2] = float(cross_entropy(cooled, torch.from_numpy(truth)))
    best = min(losses, key=losses.__getitem__)
    return OutOfFold(found[best], best, losses)


@contextmanager
def _single_threaded() -> Iterator[None]:
    """Two fits with a thread each take less time than one after the other with two."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(before)
