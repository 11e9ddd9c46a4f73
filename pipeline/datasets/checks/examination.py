"""Examines a data set before training: damage, copies, conflicts, leaks, suspect labels."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.contracts.sample import Sample
from pipeline.contracts.spec import RawPixels
from pipeline.datasets.checks.duplicates import (
    Pair,
    clusters,
    near_duplicates,
    shows_nothing,
)
from pipeline.datasets.checks.group_sizes import LargestGroup, largest_group
from pipeline.datasets.checks.leakage import measure_leakage
from pipeline.datasets.checks.ranges import outliers, ranges
from pipeline.datasets.checks.suspects import dispute
from pipeline.datasets.location import Place
from pipeline.datasets.scan_cache import ScanCache
from pipeline.datasets.scanning import Scan, scan
from pipeline.datasets.splits import crossing, join_duplicates
from pipeline.imaging.fingerprint import LENGTH

SHOWN = 20
LISTED = 200
BLACK = 16.0  # mean grey level of 255 that is black: that of video (ITU-R BT.601)
EXAMPLES = 4
# Fewer images or groups than these are named: 30 are the least for a useful rate
# (none wrong among 30 still allows 1 in 10), and 3 groups the least that fill three splits.
FEW_IMAGES = 30
FEW_GROUPS = 3
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
        blank: rows of even pictures, which are alike without showing the same part: they are
            neither identical nor near, are not joined, and leak nothing.
        blank_copies: as `identical`, of these.
    """

    scans: list[Scan]
    damaged: list[Scan]
    identical: list[Rows]
    near: list[Pair]
    groups: list[str]
    blank: Sequence[int] = ()
    blank_copies: Sequence[Rows] = ()

    @property
    def conflicts(self) -> list[Rows]:
        """Images of the same shot with different labels: the identical ones, then the near ones."""
        pairs = [*self.identical, *self.blank_copies, *self._alike]
        return [(i, j) for i, j in pairs if self._label(i) != self._label(j)]

    @property
    def _alike(self) -> list[Rows]:
        """Near-duplicates that are not identical."""
        content = [s.pixels_sha256 for s in self.scans]
        return [(i, j) for i, j, _ in self.near if content[i] != content[j]]

    def across(self, splits: Sequence[str]) -> tuple[list[Rows], list[Rows]]:
        """Identical pairs, and near ones that are not identical, on different sides.

        Of identical images each is paired with the first that stands elsewhere: with all of them,
        a thousand frames of a frozen camera would be a million pairs.
        """
        copies: dict[int, list[int]] = {}
        for origin, row in self.identical:
            copies.setdefault(origin, [origin]).append(row)
        identical = set()
        for rows in copies.values():
            first: dict[str, int] = {}
            for row in rows:
                first.setdefault(splits[row], row)
            for row in rows if len(first) > 1 else ():
                other = min(r for side, r in first.items() if side != splits[row])
                identical.add((min(row, other), max(row, other)))
        return sorted(identical), [(i, j) for i, j in self._alike if splits[i] != splits[j]]

    def leaks(self, splits: Sequence[str]) -> list[str]:
        """Groups that stand on more than one side, or have a near-duplicate on another."""
        _, near = self.across(splits)
        return sorted({*crossing(self.groups, splits), *(self.groups[i] for i, _ in near)})

    @property
    def largest(self) -> LargestGroup | None:
        """The group with the most images, None without images."""
        own, paths = [s.sample.group for s in self.scans], [s.sample.path for s in self.scans]
        return largest_group(self.groups, own, paths)

    @property
    def notes(self) -> list[str]:
        """Sentences on images that show nothing, and on a group that is large."""
        found = []
        if self.blank:
            found.append(
                f"{len(self.blank)} pictures are even and show nothing, such as "
                f"{self._path(self.blank[0])}: they count as no copies of each other"
            )
        if self.largest is not None and self.largest.note:
            found.append(self.largest.note)
        return found

    def report(self, splits: Sequence[str]) -> dict[str, Any]:
        """The results for people and CI jobs, as plain data."""
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
            "n_groups": len(set(self.groups)),
            "largest_group": None if self.largest is None else asdict(self.largest),
            "blank": [self._path(row) for row in self.blank[:SHOWN]],
            "n_blank": len(self.blank),
            **self._counts(labels, splits),
            **self._doubts(labels),
            "lookup": measure_leakage(
                self._stack("texture"),
                labels,
                self.groups,
                [s.sample.split for s in self.scans],
            ),
        }

    def _counts(self, labels: Sequence[str], splits: Sequence[str]) -> dict[str, Any]:
        """How many of what: classes by split and group, sizes, modes; and where they are few."""
        groups: dict[str, set[str]] = {name: set() for name in sorted(set(labels))}
        for label, group in zip(labels, self.groups, strict=True):
            groups[label].add(group)
        images, sides = Counter(labels), Counter(zip(labels, splits, strict=True))
        sizes = Counter(f"{s.width_px}x{s.height_px}" for s in self.scans)
        return {
            "groups": {name: len(its) for name, its in groups.items()},
            "class_splits": {
                name: {side: sides[name, side] for side in sorted(set(splits) - {""})}
                for name in groups
            },
            "tiny_classes": [
                {"class": name, "images": images[name], "groups": len(its), "note": note}
                for name, its in groups.items()
                if (note := _too_few(images[name], len(its)))
            ],
            "n_sizes": len(sizes),
            "sizes": dict(sizes.most_common(SHOWN)),
            "modes": dict(Counter(s.mode.colours for s in self.scans).most_common()),
            "rotated_by_exif": sum(s.mode.rotated for s in self.scans),
        }

    def _doubts(self, labels: Sequence[str]) -> dict[str, Any]:
        """Doubtful images for a person to look at: outliers, and labels likely wrong."""
        qualities = [s.quality for s in self.scans if s.quality is not None]
        far = outliers(qualities, labels)
        disputed = dispute(self._stack("texture"), labels, self.groups)
        return {
            "ranges": ranges(qualities, labels),
            "nearly_black": [
                s.sample.path
                for s in self.scans
                if s.quality is not None and s.quality.brightness < BLACK
            ],
            "n_outliers": len(far),
            "outliers": [
                {
                    "path": self._path(o.row),
                    "measure": o.measure,
                    "value": round(o.value, 1),
                    "median": round(o.median, 1),
                    "z": round(o.z, 1),
                }
                for o in far[:LISTED]
            ],
            "suspects": {
                "note": disputed.note,
                "balanced_accuracy": disputed.balanced_accuracy,
                "chance": disputed.chance,
                "classes_left_out": disputed.left_out,
                "n": len(disputed.suspects),
                "images": [
                    {
                        "path": self._path(s.row),
                        "given": s.given,
                        "likely": s.likely,
                        "p_given": round(s.p_given, 3),
                        "p_likely": round(s.p_likely, 3),
                    }
                    for s in disputed.suspects[:LISTED]
                ],
            },
        }

    def examples(self) -> dict[str, list[int]]:
        """A few rows of each class, spread over its images."""
        rows: dict[str, list[int]] = {}
        for row in range(len(self.scans)):
            rows.setdefault(self._label(row), []).append(row)
        return {
            name: [its[i * len(its) // n] for i in range(n)]
            for name, its in sorted(rows.items())
            if (n := min(EXAMPLES, len(its)))
        }

    def _stack(self, what: str) -> npt.NDArray[np.float32]:
        rows = [getattr(s, what) for s in self.scans]
        return np.stack(rows) if rows else np.zeros((0, 0), np.float32)

    def _label(self, row: int) -> str:
        return self.scans[row].sample.label

    def _path(self, row: int) -> str:
        return self.scans[row].sample.path

    def _paths(self, pair: Rows) -> list[str]:
        return [self._path(row) for row in pair]


def _too_few(images: int, groups: int) -> str:
    """What follows from a class that is tiny, "" if it is not.

    The rule of three: none among n means at most 3/n with 95 % confidence (Hanley and
    Lippman-Hand, JAMA 1983).
    """
    notes = []
    if images < FEW_IMAGES:
        bound = "nothing" if images <= 3 else f"only that their rate is below {3 / images:.0%}"
        notes.append(f"no mistake on all {images} images would prove {bound}")
    if groups < FEW_GROUPS:
        notes.append(f"{groups} group(s) cannot stand in train, val and test")
    return "; ".join(notes)


Watch = Callable[[Iterable[Scan], int], Iterable[Scan]]


def examine(
    samples: Sequence[Sample],
    root: Place,
    *,
    near: bool = True,
    watch: Watch | None = None,
    cache: ScanCache | None = None,
    raw: RawPixels | None = None,
) -> Examination:
    """Read every image once and compare all of them.

    Args:
        samples: what an adapter found.
        root: the folder their paths are relative to.
        near: join the groups of near-duplicates too, not only of identical pixels.
        watch: wraps the iteration, to show progress.
        cache: what is known of files that were read before; it is brought up to date.
        raw: what the images' values mean, where they are a sensor's own; the cache has its own.

    Returns:
        All of them under `damaged` where not one can be read.
    """
    # More threads than cores only wait for each other: the work is in many short calls.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found: Iterable[Scan] = pool.map(
            cache.scan if cache else partial(scan, root=root, raw=raw), samples
        )
        scans = list(watch(found, len(samples)) if watch else found)
    if cache:
        cache.save(scans)
    good, damaged = [s for s in scans if not s.fault], [s for s in scans if s.fault]
    shown = [s.fingerprint for s in good if s.fingerprint is not None]
    looks = np.stack(shown) if shown else np.zeros((0, LENGTH), np.float32)
    empty = shows_nothing(looks)
    content = [f"row {i}" if empty[i] else s.pixels_sha256 for i, s in enumerate(good)]
    groups = join_duplicates([s.sample.group for s in good], content)
    informative = np.flatnonzero(~empty).tolist()
    pairs = [(informative[i], informative[j], d) for i, j, d in near_duplicates(looks[~empty])]
    if near:
        groups = join_duplicates(groups, [str(c) for c in clusters(len(good), pairs)])
    first: dict[str, int] = {}
    copies = []
    for row, seen in enumerate(good):
        if (origin := first.setdefault(seen.pixels_sha256, row)) != row:
            copies.append((origin, row))
    return Examination(
        *(good, damaged, [c for c in copies if not empty[c[0]]], pairs, groups),
        *(np.flatnonzero(empty).tolist(), [c for c in copies if empty[c[0]]]),
    )
