"""Which verdicts are explained by heat maps, and the galleries of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import Field

from pipeline.contracts.bundle import read_part
from pipeline.contracts.evaluation import Explained
from pipeline.contracts.records import Verdict
from pipeline.contracts.spec import PreprocessSpec
from pipeline.datasets.manifest import Manifest
from pipeline.errors import TrainingError
from pipeline.evaluation.predictions import PartPredictions
from pipeline.imaging import Pixels
from pipeline.imaging.codec import encode_png
from pipeline.imaging.overlay import inside, overlay
from pipeline.imaging.prepare import Preparation
from pipeline.imaging.sheet import contact_sheet
from pipeline.inference.predictor import softmax
from pipeline.plugins import Strict

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.intp]
Tile = tuple[str, Pixels]
GOOD_PARTS = 8  # to compare with; 16 give the same maps
PAIRS = 4  # in a row
AGREES = 0.01  # in probability: the graph and torch differ by far less


class ExplanationRules(Strict):
    """How many verdicts are explained."""

    each: int = Field(
        10,
        ge=0,
        le=50,
        description="Largest number of heat maps of escapes, of overkills, and of right "
        "verdicts of each kind; 0: no heat maps.",
    )


@dataclass(frozen=True)
class HeatMapGallery:
    """Parts of one kind beside their heat maps.

    Attributes:
        name: of the file, without its ending.
        title, lead: for people.
        tiles: captions and pictures, uint8 H,W,C: each part as prepared, then with its heat.
    """

    name: str
    title: str
    lead: str
    tiles: tuple[Tile, ...]


@dataclass(frozen=True)
class Explanation:
    """Heat maps, and their figures; `summary` is None where there are none."""

    summary: Explained | None
    galleries: tuple[HeatMapGallery, ...]

    def write(self, folder: Path) -> Iterator[tuple[str, str, Path]]:
        """Write a PNG for each gallery; gives title, lead and path of each."""
        for gallery in self.galleries:
            path = folder / f"{gallery.name}.png"
            columns = min(2 * PAIRS, len(gallery.tiles))
            path.write_bytes(encode_png(contact_sheet(gallery.tiles, columns=columns)))
            yield gallery.title, gallery.lead, path


@dataclass(frozen=True)
class _HeatMapGroup:
    name: str
    title: str
    lead: str
    which: Ints


def explain(
    trained: Path, data: Manifest, test: PartPredictions, rules: ExplanationRules
) -> Explanation:
    """Draw where the defect scores of some test parts come from.

    Args:
        trained: what `train` wrote: the network in torch, and how pictures are prepared.
        data: the data set.
        test: its test parts as the sealed bundle judged them.
        rules: how many of each kind.

    Raises:
        TrainingError: the network cannot be built again, or is not the one that was exported.
    """
    kinds = [k for k in _kinds(test, rules.each) if len(k.which)]
    good = _references(data)
    if not kinds or not len(good):
        return Explanation(None, ())
    # Only here: torch takes seconds to import, and an evaluation without heat maps needs none.
    from pipeline.training import attribution
    from pipeline.training.checkpoint import rebuild

    spec = read_part(trained / "bundle", "preprocess.json", PreprocessSpec)
    preparation = Preparation.read(spec, trained / "bundle")
    network = rebuild(trained)
    which = np.concatenate([k.which for k in kinds])
    pictures, masks = _prepared(preparation, data, test, which)
    predicted = softmax(attribution.logits(network, pictures))
    if np.abs(predicted - test.probabilities[which]).max() > AGREES:
        raise TrainingError(
            f"{trained} holds another network than its bundle: their predictions of test "
            "parts differ, so one cannot explain the other; run `dvc repro`, which trains again"
        )
    typical = np.concatenate([preparation(data.pixels(int(row))).images[:1] for row in good])
    heats = attribution.heat_maps(network, pictures, typical, test.taxonomy.passing)
    return Explanation(
        _measured(attribution.METHOD, heats, masks, test.bad[which]),
        tuple(_drawn(kinds, data, test, pictures, heats)),
    )


def _kinds(test: PartPredictions, each: int) -> Iterator[_HeatMapGroup]:
    """Wrong verdicts, the surest first; of right ones a sample from the surest to the doubtful."""
    scores, bad = test.scores, test.bad
    passed, failed = test.verdicts == Verdict.PASS, test.verdicts == Verdict.FAIL
    shown = "Left the part, right what raised its defect score."
    if not any(test.taxonomy.passing):
        right = test.predicted == test.labels
        sure = -test.probabilities.max(axis=1)
        lead = "Left the part, right what speaks for the class it was taken for."
        yield _HeatMapGroup(
            "heat-wrong", "Taken for another class", lead, _first(~right, sure, each)
        )
        yield _HeatMapGroup("heat-right", "Recognised", lead, _spread(right, sure, each))
        return
    yield _HeatMapGroup(
        "heat-escapes",
        "Why bad parts passed",
        f"{shown} Where a defect stays dark, the network does not see it.",
        _first(bad & passed, scores, each),
    )
    yield _HeatMapGroup(
        "heat-overkills",
        "Why good parts failed",
        f"{shown} What lights up was taken for a defect.",
        _first(~bad & failed, -scores, each),
    )
    yield _HeatMapGroup(
        "heat-failed",
        "Bad parts, rightly failed",
        f"{shown} It should be the defect.",
        _spread(bad & failed, -scores, each),
    )
    yield _HeatMapGroup(
        "heat-passed",
        "Good parts, rightly passed",
        f"{shown} There should be little to see.",
        _spread(~bad & passed, scores, each),
    )


def _first(mask: Bools, order: npt.NDArray[np.floating], most: int) -> Ints:
    found = np.flatnonzero(mask)
    return found[np.argsort(order[found], kind="stable")][:most]


def _spread(mask: Bools, order: npt.NDArray[np.floating], most: int) -> Ints:
    every = _first(mask, order, len(mask))
    places = np.linspace(0, len(every) - 1, min(most, len(every)))
    return every[places.astype(np.intp)]


def _references(data: Manifest) -> Ints:
    """Some good training parts, spread over the data set; where no class is good, of any class."""
    good = data.table["label"].isin(data.taxonomy.good or data.taxonomy.names)
    rows = np.flatnonzero(good & (data.table["split"] == "train"))
    return rows[np.linspace(0, len(rows) - 1, min(GOOD_PARTS, len(rows))).astype(np.intp)]


def _prepared(
    preparation: Preparation, data: Manifest, test: PartPredictions, which: Ints
) -> tuple[Pixels, list[Pixels | None]]:
    """What the network saw of each part, of several tiles the worst; and its mask, if any."""
    pictures, masks = [], list[Pixels | None]()
    for i in which:
        row, tile = int(test.rows[i]), test.inspections[i].tile
        part = preparation(data.pixels(row), data.mask(row))
        pictures.append(part.images[tile])
        masks.append(None if part.masks is None else part.masks[tile])
    return np.stack(pictures), masks


def _measured(
    method: str, heats: npt.NDArray[np.float32], masks: list[Pixels | None], bad: Bools
) -> Explained:
    pairs = [
        (inside(heat, mask), float((mask > 0).mean()))
        for heat, mask, is_bad in zip(heats, masks, bad, strict=True)
        if is_bad and mask is not None and mask.any() and heat.any()
    ]
    within, area = np.median(pairs, axis=0).tolist() if pairs else (None, None)
    return Explained(
        method=method, n=len(heats), inside_mask=within, area_of_mask=area, n_masks=len(pairs)
    )


def _drawn(
    kinds: list[_HeatMapGroup],
    data: Manifest,
    test: PartPredictions,
    pictures: Pixels,
    heats: npt.NDArray[np.float32],
) -> Iterator[HeatMapGallery]:
    ids, names = data.table["sample_id"], data.taxonomy.names
    drawn = iter(zip(pictures, heats, strict=True))
    for kind in kinds:
        tiles: list[Tile] = []
        for i in kind.which:
            picture, heat = next(drawn)
            verdict = f"{names[test.labels[i]]}: {test.verdicts[i]} {test.scores[i]:.2f}"
            name = Path(str(ids.iat[test.rows[i]])).name
            tiles += [(verdict, picture), (name, overlay(picture, heat))]
        yield HeatMapGallery(kind.name, kind.title, kind.lead, tuple(tiles))
