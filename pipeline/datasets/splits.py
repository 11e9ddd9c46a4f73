"""Train, val, test and folds by group: images of one part, module or shot stay on one side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice

import numpy as np
from scipy.cluster.hierarchy import DisjointSet
from sklearn.model_selection import StratifiedGroupKFold

from pipeline.contracts.sample import SPLITS
from pipeline.errors import DataError

NO_FOLD = -1
FEW_SHOTS = 20  # training images of each class, of which none can be spared for validation


@dataclass(frozen=True)
class Shares:
    """Requested shares of a split.

    Attributes:
        val: share for choosing the limits.
        test: share that only reports; the rest is trained on.
        seed: the same seed gives the same split.
        taught: the classes that are learned from, the others may have few parts or none; None: all.
    """

    val: float
    test: float
    seed: int = 0
    taught: tuple[str, ...] | None = None


def join_duplicates(groups: Sequence[str], content: Sequence[str]) -> list[str]:
    """Merge groups that share an identical image, so that no copy can cross a split.

    Args:
        groups: the group of each sample.
        content: a hash of the pixels of each sample.

    Returns:
        The group of each sample, named like the first of those it was merged with.
    """
    sets = DisjointSet(groups)
    home: dict[str, str] = {}
    for group, pixels in zip(groups, content, strict=True):
        sets.merge(home.setdefault(pixels, group), group)
    first: dict[str, str] = {}
    for group in groups:
        first.setdefault(sets[group], group)
    return [first[sets[group]] for group in groups]


def crossing(groups: Iterable[str], splits: Iterable[str]) -> list[str]:
    """The groups that stand in more than one split: a leak when there is any."""
    seen: dict[str, set[str]] = {}
    for group, split in zip(groups, splits, strict=True):
        seen.setdefault(group, set()).add(split)
    return sorted(group for group, where in seen.items() if len(where) > 1)


def assign(labels: Sequence[str], groups: Sequence[str], shares: Shares) -> list[str]:
    """Split by group, keeping the class proportions as even as the groups allow.

    Parts of classes that are not learned from, too few to be spread like that, go to test, val and
    train in turn.

    Returns:
        train, val or test for each sample; the same seed gives the same answer.

    Raises:
        DataError: too few groups to fill three splits.
    """
    try:
        return _assign(labels, groups, shares)
    except DataError:
        if shares.taught is None or {*labels} <= {*shares.taught}:
            raise
        return _assign_good(labels, groups, shares)


def _assign(labels: Sequence[str], groups: Sequence[str], shares: Shares) -> list[str]:
    n_groups = len(set(groups))
    if n_groups < 3:
        raise DataError(
            f"{n_groups} group(s) cannot fill train, val and test; give more parts or finer groups"
        )
    split = np.full(len(labels), "train", dtype=object)
    rest = np.arange(len(labels))
    names, groups_of = np.asarray(labels), np.asarray(groups)
    for name, fraction in (
        ("test", shares.test),
        ("val", shares.val / (1 - shares.test)),
    ):
        # As few folds as come close to the fraction; several of them may make the side, and those
        # left must fill the sides that follow.
        follow = 2 if name == "test" else 1
        near = Fraction(fraction).limit_denominator(max(10, round(1 / fraction)))
        folds = min(max(near.denominator, 2 * follow), len(set(groups_of[rest])))
        taken = min(max(1, round(fraction * folds)), folds - follow)
        smallest = np.unique(names[rest], return_counts=True)[1].min()
        if smallest < folds:
            rare = sorted(n for n in set(names[rest]) if (names[rest] == n).sum() < folds)
            raise DataError(
                f"class {', '.join(rare)} has {smallest} image(s); a split of {taken} in {folds} "
                f"needs at least {folds} of each class"
            )
        splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=shares.seed)
        sides = islice(splitter.split(rest, names[rest], groups_of[rest]), taken)
        split[rest[np.concatenate([side for _, side in sides])]] = name
        rest = np.flatnonzero(split == "train")
    for label in sorted(set(labels) - set(names[rest])):
        n_groups = len(set(groups_of[names == label]))
        raise DataError(
            f"class {label} would not be trained on: its {n_groups} group(s) fall into val or "
            "test; give more parts of it, finer groups or another seed"
        )
    return [str(s) for s in split]


def _assign_good(labels: Sequence[str], groups: Sequence[str], shares: Shares) -> list[str]:
    """Split the good parts as any others; the few bad ones go to test, val and train in turn.

    The first of them shows whether it is found, which nothing else could.
    """
    own = [i for i, label in enumerate(labels) if label in (shares.taught or ())]
    split = _assign([labels[i] for i in own], [groups[i] for i in own], shares)
    side = {groups[i]: where for i, where in zip(own, split, strict=True)}
    others = sorted({*groups} - {*side})
    side |= {group: ("test", "val", "train")[i % 3] for i, group in enumerate(others)}
    return [side[group] for group in groups]


def complete(
    given: Sequence[str], labels: Sequence[str], groups: Sequence[str], shares: Shares
) -> list[str]:
    """A data set's own split, with the sides that it lacks taken from its training images.

    Where no class has more than `FEW_SHOTS` of these, all stay for training when only validation
    is lacking: out-of-fold scores then choose what validation parts would.

    Raises:
        DataError: some images have a side and others none, or there is nothing to train on.
    """
    lacking = [i for i, side in enumerate(given) if side not in SPLITS]
    if lacking:
        raise DataError(
            f"{len(lacking)} of {len(given)} images have no split while others have one; give each "
            f"one of {', '.join(SPLITS)}, or none"
        )
    sides = np.asarray(given, dtype=object)
    if "train" not in given:
        raise DataError("the given split has no training images")
    for name, fraction in (("test", shares.test), ("val", shares.val)):
        if name in given:
            continue
        rows = np.flatnonzero(sides == "train")
        if name == "val" and _few_shots(given, labels, groups):
            continue
        taken = assign(
            [labels[i] for i in rows.tolist()],
            [groups[i] for i in rows.tolist()],
            replace(shares, val=0.2, test=fraction),
        )
        sides[rows[np.asarray(taken) == "test"]] = name
    needed = {*labels} & {*(labels if shares.taught is None else shares.taught)}
    untaught = sorted(needed - {labels[i] for i in np.flatnonzero(sides == "train").tolist()})
    if untaught:
        raise DataError(
            f"the given split has no training image of class {', '.join(untaught)}, which "
            "nothing could learn then; set split.given to ignore in ingest.yaml to split again, or "
            "method: normal in train.yaml, which learns from good parts alone"
        )
    return [str(side) for side in sides]


def _few_shots(given: Sequence[str], labels: Sequence[str], groups: Sequence[str]) -> bool:
    """Are there a test side and few images to train on, of which folds can be made?"""
    rows = [row for row, side in enumerate(given) if side == "train"]
    own = [labels[row] for row in rows]
    few = max(Counter(own).values()) <= FEW_SHOTS
    return few and "test" in given and rarest(own, [groups[row] for row in rows])[0] > 1


def rarest(labels: Sequence[str], groups: Sequence[str]) -> tuple[int, str]:
    """The class with the fewest groups: how many it has, and its name."""
    of: dict[str, set[str]] = {}
    for label, group in zip(labels, groups, strict=True):
        of.setdefault(label, set()).add(group)
    return min((len(own), label) for label, own in of.items())


def assign_folds(
    labels: Sequence[str],
    groups: Sequence[str],
    wanted: int,
    seed: int,
    taught: Collection[str] | None = None,
) -> list[int]:
    """The fold of each training image, so that a head can be judged on groups it never saw.

    There are as many folds as wanted, but no more than the rarest class has groups: its parts can
    then stand in each. Classes are as even over the folds as the groups allow. Where only some
    classes are `taught` and the others are too rare for that, all are spread as one.

    Returns:
        0 to k - 1, each of them given; -1 for all where fewer than two folds are possible.
    """
    possible = min(wanted, rarest(labels, groups)[0])
    if taught is not None and possible < wanted:
        labels = ["any"] * len(labels)
        possible = min(wanted, len({*groups}))
    fold = np.full(len(labels), NO_FOLD)
    if possible >= 2:
        splitter = StratifiedGroupKFold(possible, shuffle=True, random_state=seed)
        for number, (_, rows) in enumerate(splitter.split(fold, labels, groups)):
            fold[rows] = number
    return [int(f) for f in fold]


def folds_of_training(
    labels: Sequence[str],
    groups: Sequence[str],
    splits: Sequence[str],
    wanted: int,
    seed: int,
    taught: Collection[str] | None = None,
) -> tuple[list[int], str]:
    """The fold of each image, -1 outside of train, and a sentence where they are fewer than wanted.

    Args:
        labels, groups, splits: of each image.
        wanted, seed, taught: as of `assign_folds`.
    """
    rows = [row for row, split in enumerate(splits) if split == "train"]
    names, own = [labels[row] for row in rows], [groups[row] for row in rows]
    fold = np.full(len(splits), NO_FOLD)
    fold[rows] = assign_folds(names, own, wanted, seed, taught)
    n = int(fold.max()) + 1
    if n == wanted:
        return fold.tolist(), ""
    fewest, label = rarest(names, own)
    return fold.tolist(), (
        f"{n} folds rather than {wanted}: the training images of class {label} come from "
        f"{fewest} group(s)"
    )
