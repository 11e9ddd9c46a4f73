"""Which labels are likely wrong: those disputed by a classifier trained on the other images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

FOLDS = 5
# More than this many images teach a linear model nothing new, and each fold stays within seconds.
TAUGHT_AT_MOST = 20_000

_DIRECTIONS = 64
# Of 0.01, 0.1 and 1 the one whose list is the best: with 3 % of the labels of steel strips and
# castings flipped, 9 in 10 of those listed are flipped ones, and 3 in 4 flipped ones are listed.
_STRENGTH = 0.1

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Suspect:
    """An image whose label is disputed.

    Attributes:
        row: which image.
        given: the label it has.
        likely: the label that its looks suggest.
        p_given, p_likely: out-of-fold probability of each.
    """

    row: int
    given: str
    likely: str
    p_given: float
    p_likely: float


@dataclass(frozen=True)
class Dispute:
    """Suspects, the most doubtful first, and what the list is worth.

    Attributes:
        suspects: empty where the classifier is not better than chance.
        balanced_accuracy: out-of-fold mean over classes of the share recognised; None unmeasured.
        chance: what guessing would give.
        left_out: classes with too few groups to be judged.
        note: one sentence for the reader.
    """

    suspects: list[Suspect]
    note: str
    balanced_accuracy: float | None = None
    chance: float | None = None
    left_out: list[str] = field(default_factory=list)


def dispute(
    looks: npt.NDArray[np.float32], labels: Sequence[str], groups: Sequence[str]
) -> Dispute:
    """Find likely label errors by confident learning.

    A logistic regression on the main directions of the textures is taught on four fifths of the
    groups and asked about the rest. An image is suspect if its probability of another class
    reaches what is usual for images of that class while that of its own label does not reach
    what is usual there (Northcutt, Jiang and Chuang, "Confident learning", JAIR 2021; usual is
    the mean over the images with that label).

    Args:
        looks: N x D, all finite, such as textures.
        labels: N labels.
        groups: N groups; copies and near-duplicates share one, so that none is judged by its twin.

    Returns:
        The same for the same input.
    """
    of_class = {name: set[str]() for name in sorted(set(labels))}
    for label, group in zip(labels, groups, strict=True):
        of_class[label].add(group)
    left_out = [name for name, its in of_class.items() if len(its) < FOLDS]
    names = np.array([name for name in of_class if name not in left_out])
    if len(names) < 2:
        return Dispute(
            [], f"not searched: fewer than two classes have {FOLDS} groups", left_out=left_out
        )
    rows = np.flatnonzero(np.isin(np.asarray(labels), names))
    given = np.searchsorted(names, np.asarray(labels)[rows])
    probability = _out_of_fold(looks[rows], given, np.asarray(groups)[rows])
    recall, doubt = _recognised(probability, given)
    chance = 1 / len(names)
    worth = f"a cheap classifier recognises {recall:.0%} (mean of {len(names)} classes)"
    if recall - 2 * doubt <= chance:
        note = f"no list: {worth}, no better than the {chance:.0%} of guessing"
        return Dispute([], note, recall, chance, left_out)
    suspects = [
        Suspect(
            int(rows[i]),
            str(names[given[i]]),
            str(names[likely]),
            float(probability[i, given[i]]),
            float(probability[i, likely]),
        )
        for i, likely in _disputed(probability, given)
    ]
    sampled = f"; each fold taught on {TAUGHT_AT_MOST} images drawn at random"
    note = worth + (sampled if len(rows) * (FOLDS - 1) / FOLDS > TAUGHT_AT_MOST else "")
    return Dispute(suspects, note, recall, chance, left_out)


def _out_of_fold(
    looks: npt.NDArray[np.float32], given: npt.NDArray[np.intp], groups: npt.NDArray[Any]
) -> Numbers:
    """N x classes probabilities, each row from a model that has not seen its group."""
    draw = np.random.default_rng(0)
    # Stratifying visits one group after another, which takes minutes for 100,000; that many are
    # spread evenly by chance.
    few = len(looks) <= TAUGHT_AT_MOST
    folds = (StratifiedGroupKFold if few else GroupKFold)(FOLDS, shuffle=True, random_state=0)
    probability = np.zeros((len(looks), given.max() + 1))
    for taught, asked in folds.split(looks, given, groups):
        if len(taught) > TAUGHT_AT_MOST:
            taught = draw.choice(taught, TAUGHT_AT_MOST, replace=False)
        model = make_pipeline(
            StandardScaler(),
            PCA(min(_DIRECTIONS, len(taught), looks.shape[1]), svd_solver="covariance_eigh"),
            StandardScaler(),
            LogisticRegression(C=_STRENGTH, max_iter=300),
        )
        model.fit(looks[taught], given[taught])
        probability[np.ix_(asked, model.classes_)] = model.predict_proba(looks[asked])
    return probability


def _recognised(probability: Numbers, given: npt.NDArray[np.intp]) -> tuple[float, float]:
    """Balanced accuracy and its standard error."""
    right = probability.argmax(axis=1) == given
    n = np.bincount(given)
    recall = np.bincount(given, right) / n
    # One added to each side (Agresti and Coull, 1998): a class of 5 that is all right is not sure.
    smooth = (recall * n + 1) / (n + 2)
    error = np.sqrt((smooth * (1 - smooth) / n).sum()) / len(n)
    return float(recall.mean()), float(error)


def _disputed(probability: Numbers, given: npt.NDArray[np.intp]) -> list[tuple[int, int]]:
    """(row, likely class) of each suspect, the widest gap between the two first."""
    own = probability[np.arange(len(given)), given]
    usual = np.bincount(given, own) / np.bincount(given)
    claims = np.where(probability >= usual, probability, -1.0)
    likely = claims.argmax(axis=1)
    found = np.flatnonzero((claims.max(axis=1) > own) & (own < usual[given]))
    gap = probability[found, likely[found]] - own[found]
    order = found[np.argsort(-gap, kind="stable")]
    return list(zip(order.tolist(), likely[order].tolist(), strict=True))
