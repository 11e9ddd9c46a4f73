"""Groups that are too large to divide, and test sides with too few of them to show anything."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

LARGE = 0.1  # of the images, which one group should not exceed
FEWEST_IN_TEST = 5  # groups with good, and with bad parts: fewer give a rate of hardly any meaning
LARGEST_TEST_SHARE = 0.45


@dataclass(frozen=True)
class LargestGroup:
    """The group with the most images.

    Attributes:
        name: as the manifest has it.
        images: how many it has.
        of: how many there are in all.
        joined: how many groups of the data set were joined into it, 1 without any.
        paths: of two of its images, the first and the last.
    """

    name: str
    images: int
    of: int
    joined: int
    paths: tuple[str, str]

    @property
    def share(self) -> float:
        """Share of all images."""
        return self.images / self.of

    @property
    def note(self) -> str:
        """What to do about its size, "" where it is small enough."""
        if self.share < LARGE or self.images < 2:
            return ""
        if self.joined > 1:
            cause = (
                f"; copies and look-alikes joined {self.joined} groups of the data set into it. "
                "Where they show different parts, set split.near_duplicates to false in "
                "ingest.yaml, with split.groups by pattern, blocks or time"
            )
        else:
            cause = (
                ". Where it is several parts or sessions, set split.groups in ingest.yaml to name "
                "smaller ones"
            )
        return (
            f"the largest group, {self.name}, has {self.images} of {self.of} images "
            f"({self.share:.0%}), such as {self.paths[0]} and {self.paths[1]}, and stands on one "
            f"side as a whole{cause}"
        )


def largest_group(
    groups: Sequence[str], own: Sequence[str], paths: Sequence[str]
) -> LargestGroup | None:
    """The group with the most images, None without images.

    Args:
        groups: of each image, after joining.
        own: as the data set, or the setting of groups, gave them.
        paths: of each image.
    """
    if not groups:
        return None
    name, images = Counter(groups).most_common(1)[0]
    rows = [row for row, group in enumerate(groups) if group == name]
    joined = len({own[row] for row in rows})
    return LargestGroup(name, images, len(groups), joined, (paths[rows[0]], paths[rows[-1]]))


def groups_by_kind(
    labels: Sequence[str], groups: Sequence[str], splits: Sequence[str], good: Collection[str]
) -> dict[str, dict[str, int]]:
    """Of good and of bad parts, in how many groups they stand in all and in test.

    Returns:
        `good` and `bad`, each with `all` and `test`; a kind that the data set lacks is left out.
    """
    seen: dict[str, tuple[set[str], set[str]]] = {}
    for label, group, side in zip(labels, groups, splits, strict=True):
        everywhere, tested = seen.setdefault("good" if label in good else "bad", (set(), set()))
        everywhere.add(group)
        if side == "test":
            tested.add(group)
    return {
        kind: {"all": len(seen[kind][0]), "test": len(seen[kind][1])}
        for kind in ("good", "bad")
        if kind in seen
    }


def few_test_groups(
    counted: Mapping[str, Mapping[str, int]], test_fraction: float, *, given: bool
) -> list[str]:
    """A sentence for each kind of part with under `FEWEST_IN_TEST` groups in test.

    Args:
        counted: as `groups_by_kind` gives it.
        test_fraction: what was asked for.
        given: the split is the data set's own.
    """
    notes = []
    for kind, groups in counted.items():
        if groups["test"] >= FEWEST_IN_TEST:
            continue
        rate = "overkill" if kind == "good" else "escapes"
        share = math.ceil(100 * FEWEST_IN_TEST / groups["all"]) / 100
        if given:
            remedy = "move groups to test, or set split.given in ingest.yaml to ignore"
        elif test_fraction < share <= LARGEST_TEST_SHARE:
            remedy = f"set split.test_fraction in ingest.yaml to {share:g}, or give more groups"
        else:
            lacking = math.ceil(FEWEST_IN_TEST / test_fraction) - groups["all"]
            remedy = (
                f"give {kind} parts of {lacking} more group(s), or define smaller groups"
                if lacking > 0
                else "set another split.seed in ingest.yaml, or define smaller groups"
            )
        notes.append(
            f"test has {kind} parts of {groups['test']} group(s) only, of {groups['all']} in all: "
            f"the rate of {rate} there is hardly known; {remedy}"
        )
    return notes
