"""Out-of-fold logits: each part by heads that never saw its group."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from pipeline.contracts.taxonomy import Taxonomy
from pipeline.datasets import scores
from pipeline.inference.decide import defect_scores
from pipeline.training import Floats
from pipeline.training.features.cache import Recall, compute_again
from pipeline.training.heads import fitting
from pipeline.training.heads.candidates import Candidate
from pipeline.training.heads.principal import Principal
from pipeline.training.heads.settings import HeadSettings

AT_ONCE = 2  # folds that are fitted at the same time; each holds its own copy of the features
Rows = npt.NDArray[np.intp]


def worst_tiles(ids: npt.NDArray[Any], probabilities: Floats, taxonomy: Taxonomy) -> Rows:
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


def write(path: Path, ids: npt.NDArray[Any], probabilities: Floats, taxonomy: Taxonomy) -> None:
    """Write scores of parts, of several tiles those of the worst, for evaluate.

    Args:
        path: Parquet file, as of `datasets.scores`.
        ids: of the part that each of N images shows.
        probabilities: float32 n,N,K, by n judges one after the other.
        taxonomy: the K classes.
    """
    tiles = [worst_tiles(ids, one, taxonomy) for one in probabilities]
    listed = [identity for rows in tiles for identity in ids[rows]]
    judged = [one[rows] for one, rows in zip(probabilities, tiles, strict=True)]
    scores.write(path, listed, np.concatenate(judged), taxonomy.names)


class Folds:
    """The parts, fold by fold: candidates learn from the others and judge those of one.

    Attributes:
        n: how many folds there are.
        folds: of each part, int N.
        truth: targets of the parts, float32 N,K.
        config: settings of the head.
    """

    def __init__(
        self,
        features: Floats,
        image_of: Rows,
        targets: Floats,
        folds: Rows,
        config: HeadSettings,
        seed: int,
        groups: Sequence[str] = (),
        parents: Sequence[frozenset[str]] = (),
        recall: Recall = compute_again,
        weights: Floats | None = None,
    ) -> None:
        """Set what is learned from.

        Args:
            features: float32 F,D: the N parts as they are, then anything else.
            image_of: which image each row of features shows, F positions in `targets`.
            targets: float32 N+S,K, of the parts and of S synthetic images.
            folds: int N, 0 to k - 1, as `datasets.splits.assign_folds` gives them.
            config: settings of the head.
            seed: of each head.
            groups: of the N parts, where there are synthetic images.
            parents: for each of the S synthetic images the groups that it was made from; a head
                that may not know one of them does not see it.
            recall: keeps the spaces of each fold, which other regularisations find there.
            weights: how much each image counts in the loss, float32 N+S; None: all alike. The
                scores count every part as one.
        """
        self.n = int(folds.max()) + 1
        self.folds, self.config, self.truth = folds, config, targets[: len(folds)]
        self._features, self._image_of, self._targets = features, image_of, targets
        self._seed, self._recall = seed, recall
        self._groups, self._parents = groups, parents
        self._weights = np.ones(len(targets), np.float32) if weights is None else weights
        self._spaces: dict[int, tuple[Principal, Floats, Floats, Tensor]] = {}

    def judge(
        self, candidates: Sequence[Candidate], of: Sequence[int]
    ) -> dict[Candidate, dict[int, Floats]]:
        """Logits of the parts of some folds, by candidate and fold.

        Args:
            candidates: settings of heads.
            of: the folds.

        Raises:
            TrainingError: features that are not finite, or a loss that is not.
        """

        made = self._by_fold(candidates, of, None)
        return {c: {f: found[c] for f, found in zip(of, made, strict=True)} for c in candidates}

    def ask(
        self, candidates: Sequence[Candidate], features: Floats
    ) -> list[dict[Candidate, Floats]]:
        """Logits float32 M,K of other images, M,D, by the heads of every fold and candidate.

        Raises:
            TrainingError: as of `judge`.
        """
        return self._by_fold(candidates, range(self.n), features)

    def _by_fold(
        self, candidates: Sequence[Candidate], of: Sequence[int], others: Floats | None
    ) -> list[dict[Candidate, Floats]]:
        def of_fold(fold: int) -> dict[Candidate, Floats]:
            principal, targets, weights, asked = self._space(fold)
            asked = asked if others is None else principal.seen(others)
            return fitting.judged(
                *(principal, targets, asked, candidates, self.config, self._seed, self._recall),
                weights,
            )

        with single_threaded(), ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(of_fold, of))

    def together(self, by_fold: dict[int, Floats]) -> Floats:
        """The logits of all parts, float32 N,K, in their order; zeros in folds not given."""
        found = np.zeros((len(self.folds), self._targets.shape[1]), np.float32)
        for fold, logits in by_fold.items():
            found[self.folds == fold] = logits
        return found

    def _space(self, fold: int) -> tuple[Principal, Floats, Floats, Tensor]:
        if fold not in self._spaces:
            folds = self.folds
            known, unseen = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
            held_out = {self._groups[int(i)] for i in unseen} if self._parents else set()
            own = enumerate(self._parents)
            made = [len(folds) + s for s, theirs in own if theirs.isdisjoint(held_out)]
            rows = np.flatnonzero(np.isin(self._image_of, [*known, *made]))
            n = fitting.most_components(self.config)
            principal = Principal.of(self._features[rows], n, self._seed, self._recall)
            images, asked = self._image_of[rows], principal.seen(self._features[unseen])
            self._spaces[fold] = principal, self._targets[images], self._weights[images], asked
        return self._spaces[fold]


@contextmanager
def single_threaded() -> Iterator[None]:
    """Two fits with a thread each take less time than one after the other with two."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(before)
