"""The validation report as one page: what is in a data set, what is wrong with it, in pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.contracts.spec import RawPixels
from pipeline.datasets import location
from pipeline.datasets.checks.examination import Examination
from pipeline.datasets.checks.ranges import Ranges
from pipeline.datasets.location import Place
from pipeline.errors import UnreadableImage
from pipeline.files import write_whole
from pipeline.imaging.codec import decode, encode_jpeg
from pipeline.imaging.sheet import thumbnail
from pipeline.reporting.template import data_uri, fill_html

PAGE = "report.html"
TEMPLATE = "validation.html.j2"

THUMBNAIL_PX = 128
PAIRS = 12
SINGLES = 24
CLASSES = 20
FILES = 50
STRIP_PX = 180


@dataclass(frozen=True)
class Picture:
    """A thumbnail with what is written below it.

    Attributes:
        source: a data URI, "" if the file can no longer be read.
        path: where it is.
        facts: lines below the path.
    """

    source: str
    path: str
    facts: list[str]


@dataclass(frozen=True)
class Section:
    """Pictures under one heading; those of a tuple stand side by side.

    Attributes:
        anchor: its name in the page's addresses.
        title, lead: the heading and one sentence on what to make of it.
        total: how many there are.
        unit: what is counted.
        shown: the first of them.
    """

    anchor: str
    title: str
    lead: str
    total: int
    unit: str
    shown: list[tuple[Picture, ...]]


@dataclass(frozen=True)
class Strip:
    """A box plot lying down, in pixels of `STRIP_PX`; the quantiles it is drawn from."""

    at: list[float]
    quantiles: list[float]


def write_page(
    path: Path,
    seen: Examination,
    splits: Sequence[str],
    report: dict[str, Any],
    root: Place,
    *,
    title: str = "",
    notes: Sequence[str] = (),
) -> None:
    """Write `render`'s page as a file that is whole or not there."""
    write_whole(path, render(seen, splits, report, root, title=title or str(root), notes=notes))


def render(
    seen: Examination,
    splits: Sequence[str],
    report: dict[str, Any],
    root: Place,
    *,
    title: str,
    notes: Sequence[str] = (),
) -> bytes:
    """Make the page: HTML without script or network, pictures inside.

    Args:
        seen: the data set.
        splits: the side of each of its images, "" where there is none.
        report: what `seen.report(splits)` returned, perhaps with more.
        root: the folder that the images' paths are relative to; those shown are read again.
        title: what the page is called.
        notes: sentences that stand below the verdict.
    """
    pictures = _Pictures(seen, splits, root, _raw(report))
    return fill_html(
        TEMPLATE,
        title=title,
        report=report,
        faults=_faults(report, len(seen.across(splits)[1]), len(seen.leaks(splits))),
        fine=_fine(report),
        notes=list(notes),
        to_look_at=_to_look_at(report),
        sections=_sections(pictures, seen, splits, report),
        strips=_strips(report["ranges"]),
        strip_px=STRIP_PX,
        files=FILES,
    )


def _raw(report: dict[str, Any]) -> RawPixels | None:
    given = report.get("raw")
    return None if given is None else RawPixels.model_validate(given)


class _Pictures:
    """Thumbnails of a data set's images, read when asked for."""

    def __init__(
        self, seen: Examination, splits: Sequence[str], root: Place, raw: RawPixels | None
    ) -> None:
        self._raw = raw
        self._seen, self._splits, self._root = seen, splits, root
        self._row = {s.sample.path: row for row, s in enumerate(seen.scans)}

    def row(self, row: int, *facts: str) -> Picture:
        sample = self._seen.scans[row].sample
        where = f"{sample.label}, {self._splits[row]}" if self._splits[row] else sample.label
        return Picture(self._source(sample.path), sample.path, [where, *facts])

    def path(self, path: str, *facts: str) -> Picture:
        return self.row(self._row[path], *facts)

    def _source(self, path: str) -> str:
        try:
            rgb = decode(location.image(self._root / path, path), path, self._raw)
        except UnreadableImage:
            return ""
        data = encode_jpeg(thumbnail(rgb, min(THUMBNAIL_PX, max(rgb.shape[:2]))))
        return data_uri(data, "image/jpeg")


def _fine(report: dict[str, Any]) -> str:
    """The first line where nothing is wrong, or no longer."""
    if report.get("split", {}).get("regrouped"):
        return "LEAKY as given; split again by group, and no leak is left"
    return "OK: no leak, no damaged file" if report["splits"] else "OK: no damaged file"


def _faults(report: dict[str, Any], alike: int, groups: int) -> list[str]:
    """What makes the data set unfit as it stands: nothing, or a line each."""
    sentences = []
    if report["leaky"]:
        pairs = f"{report['identical_pairs_across_splits']} identical and {alike} similar pairs"
        sentences.append(
            f"LEAKY: {pairs} of images stand on different sides of the split, "
            f"{groups} groups in all"
        )
    if report["corrupt"]:
        sentences.append(f"{len(report['corrupt'])} of the files cannot be used")
    return sentences


def _to_look_at(report: dict[str, Any]) -> list[tuple[str, str]]:
    """(anchor, words) of what a person should see next."""
    found = [
        ("conflicts", len(report["label_conflicts"]), "pictures with two labels"),
        ("suspects", report["suspects"]["n"], "labels likely wrong"),
        ("outliers", report["n_outliers"], "unusual pictures"),
        ("tiny", len(report["tiny_classes"]), "tiny classes"),
    ]
    return [(anchor, f"{n} {words}") for anchor, n, words in found if n]


def _sections(
    pictures: _Pictures, seen: Examination, splits: Sequence[str], report: dict[str, Any]
) -> list[Section]:
    identical, alike = seen.across(splits)
    suspects, far = report["suspects"]["images"], report["outliers"]
    distance = {(i, j): f"distance {d:.3f}" for i, j, d in seen.near if d > 0}
    kinds = seen.examples()

    def pairs(rows: Sequence[tuple[int, int]]) -> list[tuple[Picture, ...]]:
        return [
            (pictures.row(i), pictures.row(j, distance.get((i, j), ""))) for i, j in rows[:PAIRS]
        ]

    together = [(i, j) for i, j, _ in seen.near if splits[i] == splits[j]]
    sections = [
        Section(
            "identical",
            "Identical pictures on both sides",
            "A model that remembers the first knows the answer to the second.",
            len(identical),
            "pairs",
            pairs(identical),
        ),
        Section(
            "near",
            "Near-duplicates on both sides",
            "The same shot, saved again or slightly changed.",
            len(alike),
            "pairs",
            pairs(alike),
        ),
        Section(
            "conflicts",
            "The same shot with two labels",
            "One of the two labels is wrong; nothing can be learned from both.",
            len(seen.conflicts),
            "pairs",
            pairs(seen.conflicts),
        ),
        Section(
            "suspects",
            "Labels that are likely wrong",
            f"Taught on the other images, {report['suspects']['note']}. These it disputes most; "
            "look at each before changing anything.",
            report["suspects"]["n"],
            "images",
            [
                (
                    pictures.path(
                        s["path"],
                        f"labelled {s['given']} ({s['p_given']:.0%})",
                        f"rather {s['likely']} ({s['p_likely']:.0%})",
                    ),
                )
                for s in suspects[:SINGLES]
            ],
        ),
        Section(
            "outliers",
            "Unusually bright, dark, flat or blurred",
            "Far from the other images and from those of its class.",
            report["n_outliers"],
            "images",
            [
                (pictures.path(o["path"], f"{o['measure']} {o['value']}, median {o['median']}"),)
                for o in far[:SINGLES]
            ],
        ),
        Section(
            "together",
            "Copies and near-duplicates on one side",
            "No leak; they only count as fewer parts than there are files.",
            len(together),
            "pairs",
            pairs(together),
        ),
        Section(
            "examples",
            "Examples of each class",
            "Do they look as the class is called?",
            len(kinds),
            "classes",
            [tuple(pictures.row(row) for row in kinds[name]) for name in list(kinds)[:CLASSES]],
        ),
    ]
    return [section for section in sections if section.total]


def _strips(ranges: Ranges) -> dict[str, dict[str, Strip]]:
    """Each measure on one scale for all classes, logarithmic for sharpness."""
    strips: dict[str, dict[str, Strip]] = {name: {} for name in ranges}
    for measure in ("brightness", "contrast", "sharpness"):
        scale = math.log1p if measure == "sharpness" else float
        ends = [scale(quantiles[measure][end]) for quantiles in ranges.values() for end in (0, -1)]
        low = min(ends, default=0.0)
        width = max(max(ends, default=0.0) - low, 1e-9)
        for name, quantiles in ranges.items():
            at = [(scale(q) - low) / width * STRIP_PX for q in quantiles[measure]]
            strips[name][measure] = Strip([round(x, 1) for x in at], quantiles[measure])
    return strips
