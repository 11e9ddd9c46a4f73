"""What is wrong with a data set before anything is learned from it: damage, copies, conflicts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from pipeline.contracts.sample import Sample
from pipeline.datasets.duplicates import Pair, clusters, near_duplicates
from pipeline.datasets.location import Place
from pipeline.datasets.manifest import Scan, scan
from pipeline.datasets.splits import crossing, join_duplicates
from pipeline.errors import DataError

SHOWN = 20
Rows = tuple[int, int]


@dataclass(frozen=True)
class Examination:
    """A data set, image by image and image against image.

    Attributes:
        scans: the readable images, in the adapter's order.
        damaged: those that cannot be read, with the reason.
        identical: (row, later row) of images with the same pixels, the first against each copy.
        near: (row, later row, distance) of images that show the same shot.
        groups: group of each row, joined where images are identical (and near, if so asked).
    """

    scans: list[Scan]
    damaged: list[Scan]
    identical: list[Rows]
    near: list[Pair]
    groups: list[str]

    @property
    def conflicts(self) -> list[Rows]:
        """Identical images with different labels."""
        return [(i, j) for i, j in self.identical if self._label(i) != self._label(j)]

    def across(self, splits: Sequence[str]) -> tuple[list[Rows], list[Rows]]:
        """Identical pairs, and near ones, whose images are on different sides."""
        return (
            [(i, j) for i, j in self._all_identical() if splits[i] != splits[j]],
            [(i, j) for i, j, _ in self.near if splits[i] != splits[j]],
        )

    def leaks(self, splits: Sequence[str]) -> list[str]:
        """Groups that stand on more than one side, or have a near-duplicate on another."""
        _, near = self.across(splits)
        return sorted({*crossing(self.groups, splits), *(self.groups[i] for i, _ in near)})

    def report(self, splits: Sequence[str]) -> dict[str, Any]:
        """What a person or a CI job wants to know, as plain data."""
        labels = [s.sample.label for s in self.scans]
        identical, near = self.across(splits)
        shared = clusters(len(self.scans), self.near)
        return {
            "n": len(self.scans),
            "classes": {name: labels.count(name) for name in sorted(set(labels))},
            "splits": {name: list(splits).count(name) for name in sorted(set(splits) - {""})},
            "leaky": bool(self.leaks(splits)),
            "identical_pairs": len(self.identical),
            "identical_pairs_across_splits": len(identical),
            "near_duplicate_groups": sum(shared.count(c) > 1 for c in set(shared)),
            "near_duplicate_pairs_across_splits": len(near),
            "label_conflicts": [self._paths(pair) for pair in self.conflicts],
            "corrupt": [{"path": s.sample.path, "reason": s.fault} for s in self.damaged],
            "pairs_shown": [self._paths(pair) for pair in [*identical, *near][:SHOWN]],
        }

    def _all_identical(self) -> list[Rows]:
        order = sorted(range(len(self.scans)), key=lambda row: self.scans[row].pixels_sha256)
        found: list[Rows] = []
        for _, rows in groupby(order, key=lambda row: self.scans[row].pixels_sha256):
            kin = sorted(rows)
            found += [(i, j) for n, i in enumerate(kin) for j in kin[n + 1 :]]
        return sorted(found)

    def _label(self, row: int) -> str:
        return self.scans[row].sample.label

    def _paths(self, pair: Rows) -> list[str]:
        return [self.scans[row].sample.path for row in pair]


Watch = Callable[[Iterable[Scan], int], Iterable[Scan]]


def examine(
    samples: Sequence[Sample], root: Place, *, near: bool = True, watch: Watch | None = None
) -> Examination:
    """Read every image once and compare all of them.

    Args:
        samples: what an adapter found.
        root: the folder their paths are relative to.
        near: join the groups of near-duplicates too, not only of identical pixels.
        watch: wraps the iteration, to show progress.

    Raises:
        DataError: not one image can be read.
    """
    with ThreadPoolExecutor() as pool:
        found: Iterable[Scan] = pool.map(lambda s: scan(s, root), samples)
        scans = list(watch(found, len(samples)) if watch else found)
    good, damaged = [s for s in scans if not s.fault], [s for s in scans if s.fault]
    if not good:
        raise DataError(f"none of the {len(scans)} images in {root} can be read: {scans[0].fault}")
    groups = join_duplicates([s.sample.group for s in good], [s.pixels_sha256 for s in good])
    shown = [s.fingerprint for s in good if s.fingerprint is not None]
    pairs = near_duplicates(np.stack(shown))
    if near:
        groups = join_duplicates(groups, [str(c) for c in clusters(len(good), pairs)])
    first: dict[str, int] = {}
    identical = []
    for row, seen in enumerate(good):
        if (origin := first.setdefault(seen.pixels_sha256, row)) != row:
            identical.append((origin, row))
    return Examination(good, damaged, identical, pairs, groups)
