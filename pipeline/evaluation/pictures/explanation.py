"""Heat maps of the parts that the galleries show: where in the picture a score comes from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from pipeline.contracts.bundle import Bundle, read_part
from pipeline.contracts.evaluation import Explained
from pipeline.contracts.spec import PreprocessSpec
from pipeline.datasets.manifest import Manifest
from pipeline.errors import TrainingError
from pipeline.evaluation.pictures.galleries import Selection
from pipeline.evaluation.predictions import PartPredictions
from pipeline.imaging import Pixels
from pipeline.imaging.overlay import inside, overlay, spread
from pipeline.imaging.prepare import Preparation
from pipeline.inference.predictor import Predictor, softmax
from pipeline.plugins import Strict

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.intp]
GraphHeat = Callable[[Pixels], npt.NDArray[np.float32]]
GOOD_PARTS = 8  # to compare with; 16 give the same maps
ANOMALY_MAP = "anomaly map of the graph: distance to patches of good parts"
AGREES = 0.01  # in probability: the graph and torch differ by far less


class ExplanationRules(Strict):
    """How many verdicts are explained."""

    each: int = Field(
        10,
        ge=0,
        le=50,
        description="Largest number of heat maps of a gallery: of escapes, of overkills, of right "
        "verdicts of each kind, of confused classes; 0: no heat maps.",
    )


@dataclass(frozen=True)
class Explanation:
    """Heat maps, and their figures; `summary` is None where there are none.

    Attributes:
        summary: how they were made and how well they agree with the masks.
        heats: by test part what the network saw, coloured where it is hot; uint8 H,W,3.
    """

    summary: Explained | None
    heats: Mapping[int, Pixels]


def explain(
    trained: Path,
    data: Manifest,
    test: PartPredictions,
    rules: ExplanationRules,
    galleries: Sequence[Selection],
    own: GraphHeat | None = None,
) -> Explanation:
    """Draw where the defect scores of some test parts come from.

    Args:
        trained: what `train` wrote: the network in torch, and how pictures are prepared.
        data: the data set.
        test: its test parts as the sealed bundle judged them.
        rules: how many of each gallery.
        galleries: the parts that are shown.
        own: the map that the graph itself gives of pictures uint8 N,H,W,C, float32 N,h,w; None
            where it gives none.

    Raises:
        TrainingError: the network cannot be built again, or is not the one that was exported.
    """
    firsts = [g.which[: rules.each] for g in galleries if g.explained]
    which = np.unique(np.concatenate([*firsts, np.empty(0, np.intp)]))
    if len(which) and own is not None:
        return _by_graph(own, trained, data, test, which)
    good = _references(data)
    if not len(which) or not len(good):
        return Explanation(None, {})
    # Only here: torch takes seconds to import, and an evaluation without heat maps needs none.
    from pipeline.training import attribution
    from pipeline.training.checkpoint import pooling_of, rebuild

    spec = read_part(trained / "bundle", "preprocess.json", PreprocessSpec)
    preparation = Preparation.read(spec, trained / "bundle")
    network, pooling = rebuild(trained), pooling_of(trained)
    pictures, masks = _prepared(preparation, data, test, which, whole=pooling is not None)
    logits = attribution.logits(network, pictures)
    shares = None
    if pooling is not None:
        logits, shares = attribution.pooled(logits, pooling, spec.n_tiles)
    predicted = softmax(logits)
    if np.abs(predicted - test.probabilities[which]).max() > AGREES:
        raise TrainingError(
            f"{trained} holds another network than its bundle: their predictions of test "
            "parts differ, so one cannot explain the other; run `dvc repro`, which trains again"
        )
    typical = np.concatenate([preparation(data.pixels(int(row))).images[:1] for row in good])
    heats = attribution.heat_maps(network, pictures, typical, test.taxonomy.passing)
    if shares is not None:
        weights = shares / shares.max(axis=1, keepdims=True)
        heats = _joined(heats * weights.reshape(-1, 1, 1), spec)
        pictures, masks = _joined(pictures, spec), [None] * len(which)
    return Explanation(
        _measured(attribution.METHOD, heats, masks, test.bad[which]),
        {int(i): overlay(p, heat) for i, p, heat in zip(which, pictures, heats, strict=True)},
    )


def graph_heat(bundle: Bundle) -> GraphHeat | None:
    """The map that the graph of a bundle gives itself; None where it gives none."""
    predictor = Predictor(bundle)

    def heat(images: Pixels) -> npt.NDArray[np.float32]:
        found = predictor.heat(images)
        assert found is not None, "asked below"
        return found

    return heat if predictor.has_heat else None


def _by_graph(
    own: GraphHeat, trained: Path, data: Manifest, test: PartPredictions, which: Ints
) -> Explanation:
    """The maps that the graph itself gives, as the station has them."""
    spec = read_part(trained / "bundle", "preprocess.json", PreprocessSpec)
    preparation = Preparation.read(spec, trained / "bundle")
    pictures, masks = _prepared(preparation, data, test, which, whole=False)
    heats = np.stack([spread(own(p[None])[0].clip(0, 1), spec.shape[:2]) for p in pictures])
    return Explanation(
        _measured(ANOMALY_MAP, heats, masks, test.bad[which]),
        {int(i): overlay(p, heat) for i, p, heat in zip(which, pictures, heats, strict=True)},
    )


def _references(data: Manifest) -> Ints:
    """Some good training parts, spread over the data set; where no class is good, of any class."""
    good = data.table["label"].isin(data.taxonomy.good or data.taxonomy.names)
    rows = np.flatnonzero(good & (data.table["split"] == "train"))
    return rows[np.linspace(0, len(rows) - 1, min(GOOD_PARTS, len(rows))).astype(np.intp)]


def _prepared(
    preparation: Preparation, data: Manifest, test: PartPredictions, which: Ints, *, whole: bool
) -> tuple[Pixels, list[Pixels | None]]:
    """What the network saw of each part, of several tiles the worst; and where its defect is.

    Where tiles are pooled the `whole` part: all its tiles.
    """
    pictures, masks = list[Pixels](), list[Pixels | None]()
    for i in which:
        row, tile = int(test.rows[i]), test.inspections[i].tile
        part = preparation(data.pixels(row), data.marked(row))
        shown = slice(None) if whole else slice(tile, tile + 1)
        pictures.extend(part.images[shown])
        masks.extend([None] * len(part.images[shown]) if part.masks is None else part.masks[shown])
    return np.stack(pictures), masks


def _joined(tiles: npt.NDArray[Any], spec: PreprocessSpec) -> npt.NDArray[Any]:
    """Tiles P*T,H,W,... side by side as they lie in the part: P,rows*H,columns*W,..."""
    assert spec.tiles is not None
    rows, columns = spec.tiles.rows, spec.tiles.columns
    height, width, *rest = tiles.shape[1:]
    grid = tiles.reshape(-1, rows, columns, height, width, *rest).swapaxes(2, 3)
    return grid.reshape(-1, rows * height, columns * width, *rest)


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
