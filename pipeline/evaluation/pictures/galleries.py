"""Which test parts a person should look at, and their pictures: wrong, right, at the limits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from pipeline.contracts.bundle import OperatingPoint
from pipeline.contracts.gallery import GALLERIES, Galleries, Gallery, PartPicture
from pipeline.contracts.records import Verdict
from pipeline.datasets.manifest import Manifest
from pipeline.evaluation.predictions import PartPredictions
from pipeline.files import write_model
from pipeline.imaging import Pixels
from pipeline.imaging.codec import encode_jpeg
from pipeline.imaging.sheet import thumbnail

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.intp]
MOST = 24  # pictures of a gallery: half of them the surest, half the nearest to a limit
RIGHT = 12  # of what was judged right
EACH_SIDE = 4  # of a limit
SIDE_PX, QUALITY = 256, 75  # of a picture: a report is mailed


@dataclass(frozen=True)
class Selection:
    """The parts of one gallery.

    Attributes:
        name, kind, title, lead: as in `contracts.gallery.Gallery`.
        n: how many such parts there are.
        which: those that are shown, in the order in which they are worth a heat map.
        distance: float N of all test parts, to another result.
        explained: are its first parts worth a heat map?
    """

    name: str
    kind: Literal["verdicts", "classes", "limit"]
    title: str
    lead: str
    n: int
    which: Ints
    distance: Floats
    explained: bool = True


def select(test: PartPredictions, point: OperatingPoint) -> list[Selection]:
    """The galleries of an evaluation; those without a part are listed too, as that is a result."""
    if any(test.taxonomy.passing):
        return [*_by_verdict(test, point), *_at_limits(test, point)]
    return list(_by_class(test))


def write(
    folder: Path,
    data: Manifest,
    test: PartPredictions,
    selections: Sequence[Selection],
    heats: Mapping[int, Pixels],
) -> Galleries:
    """Write one JPEG a part, one a heat map, and galleries.json, which lists them.

    Args:
        folder: where; it is made.
        data: the data set.
        test: its test parts.
        selections: what is shown.
        heats: the picture with its heat map, uint8 H,W,3, by test part.
    """
    folder.mkdir()
    for i in sorted({int(i) for selection in selections for i in selection.which}):
        _write_jpeg(folder / _file(i), data.pixels(int(test.rows[i])))
        if i in heats:
            _write_jpeg(folder / _file(i, "-heat"), heats[i])
    found = Galleries(
        galleries=tuple(_gallery(data, test, selection, heats) for selection in selections)
    )
    write_model(folder / GALLERIES, found)
    return found


def _gallery(
    data: Manifest, test: PartPredictions, selection: Selection, heats: Mapping[int, Pixels]
) -> Gallery:
    names, ids = test.taxonomy.names, data.table["sample_id"]
    key = test.scores if selection.kind == "limit" else -selection.distance
    return Gallery(
        name=selection.name,
        kind=selection.kind,
        title=selection.title,
        lead=selection.lead,
        n=selection.n,
        pictures=tuple(
            PartPicture(
                sample_id=str(ids.iat[test.rows[i]]),
                label=names[test.labels[i]],
                likeliest=names[test.predicted[i]],
                verdict=str(test.verdicts[i]),
                score=float(test.scores[i]),
                distance=float(selection.distance[i]),
                file=_file(int(i)),
                heat=_file(int(i), "-heat") if int(i) in heats else "",
            )
            for i in sorted(selection.which, key=lambda i: float(key[i]))
        ),
    )


def _by_verdict(test: PartPredictions, point: OperatingPoint) -> Iterator[Selection]:
    verdicts, bad = test.verdicts, test.bad
    failing = np.array([i.failing_score for i in test.inspections])
    distance = np.where(
        verdicts == Verdict.FAIL, failing - point.fail_from, point.pass_below - test.scores
    )
    shown = np.zeros(len(bad), bool)
    for name, title, lead, mask, most in (
        (
            "escapes",
            "Escapes: bad parts that pass",
            "Where a defect stays dark in the heat map, the network does not see it.",
            bad & (verdicts == Verdict.PASS),
            MOST,
        ),
        (
            "overkills",
            "Overkill: good parts that fail",
            "What lights up in the heat map was taken for a defect.",
            ~bad & (verdicts == Verdict.FAIL),
            MOST,
        ),
        (
            "failed",
            "Bad parts, rightly failed",
            "What lights up in the heat map should be the defect.",
            bad & (verdicts == Verdict.FAIL),
            RIGHT,
        ),
        (
            "passed",
            "Good parts, rightly passed",
            "There should be little to see in the heat map.",
            ~bad & (verdicts == Verdict.PASS),
            RIGHT,
        ),
    ):
        which = _both_ends(mask, distance, most)
        shown[which] = True
        yield Selection(name, "verdicts", title, lead, int(mask.sum()), which, distance)
    others = _confused(test, ~shown, ", besides those above")
    yield replace(others, explained=False)


def _by_class(test: PartPredictions) -> Iterator[Selection]:
    """Where nothing passes the model decides which defect a part has."""
    yield _confused(test, np.ones(len(test.rows), bool))
    right = test.predicted == test.labels
    surest = test.probabilities.max(axis=1)
    second = np.sort(test.probabilities, axis=1)[:, -2:].min(axis=1)
    lead = "What lights up in the heat map speaks for the class."
    which, n = _both_ends(right, surest - second, RIGHT), int(right.sum())
    yield Selection("recognised", "classes", "Recognised", lead, n, which, surest - second)


def _confused(test: PartPredictions, among: Bools, besides: str = "") -> Selection:
    every = np.arange(len(test.labels))
    distance = test.probabilities.max(axis=1) - test.probabilities[every, test.labels]
    mask = (test.predicted != test.labels) & among
    which, n = _both_ends(mask, distance, MOST), int(mask.sum())
    lead = f"Parts whose most probable class is not their label{besides}."
    return Selection("confused", "classes", "Taken for another class", lead, n, which, distance)


def _at_limits(test: PartPredictions, point: OperatingPoint) -> Iterator[Selection]:
    """Parts next to each limit on both sides; one gallery where both limits are the same."""
    limits = [
        ("pass", "pass limit", "Below it a part passes.", point.pass_below),
        ("fail", "fail limit", "From it on a part fails.", point.fail_from),
    ]
    if point.pass_below == point.fail_from:
        limits = [("both", "limit", "Below it a part passes, from it on it fails.", limits[0][3])]
    for name, title, lead, limit in limits:
        distance = np.abs(test.scores - limit)
        sides = [test.scores < limit, test.scores >= limit]
        if all(side.any() for side in sides):
            which = np.concatenate([_first(side, distance, EACH_SIDE) for side in sides])
            yield Selection(
                *(f"limit-{name}", "limit", f"At the {title} {limit:.4f}", lead),
                *(len(which), which, distance),
                explained=False,
            )


def _both_ends(mask: Bools, distance: Floats, most: int) -> Ints:
    """Up to `most` parts: in turn the surest that is left and the nearest that is left."""
    order = _first(mask, -distance, len(mask))
    turns = np.empty_like(order)
    turns[0::2], turns[1::2] = order[: len(turns[0::2])], order[::-1][: len(turns[1::2])]
    return turns[:most]


def _first(mask: Bools, order: Floats, most: int) -> Ints:
    found = np.flatnonzero(mask)
    return found[np.argsort(order[found], kind="stable")][:most]


def _file(part: int, kind: str = "") -> str:
    return f"{part:05d}{kind}.jpg"


def _write_jpeg(path: Path, pixels: Pixels) -> None:
    small = thumbnail(pixels, min(SIDE_PX, max(pixels.shape[:2])))
    path.write_bytes(encode_jpeg(small, QUALITY))
