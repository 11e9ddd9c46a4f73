"""Trials: what `lineside tune` changes in the settings of the pictures, one at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pipeline.contracts.spec import PreprocessSpec, Roi, Tiles
from pipeline.datasets.proposals.fit import padding, shown_size, shrinking

Axis = Literal["now", "fit", "size", "tiles", "scales", "roi", "together"]

STEP_PX = 32
LARGEST_PX, SMALLEST_PX = 512, 96
PADDED = 0.02  # of the frame, from which on letterbox and stretch differ
FAR = 1.1  # proportions, longer to shorter, that stretch changes by more
SHRUNK = 1.2  # times, from which on a larger input can show more
SHRUNK_FOR_TILES = 1.5
SCALES: tuple[tuple[float, ...], ...] = ((1.0,), (1.0, 0.715), (1.0, 0.5))
ENLARGED = (1.75, 1.0)  # where the prepared picture is smaller than the networks are used to
SMALL_PX = 160


@dataclass(frozen=True)
class Trial:
    """One set of settings.

    Attributes:
        name: what is changed, in words.
        axis: which setting; two of one axis exclude each other.
        spec: how pictures are prepared.
        scales: of the recipe's first network.
        roi_cuts: the ROI is a proposal that a person should look at.
    """

    name: str
    axis: Axis
    spec: PreprocessSpec
    scales: tuple[float, ...]

    def changes(self, now: Trial) -> dict[str, dict[str, Any]]:
        """What differs from another one, by YAML file; of `spec` in preprocess.yaml, each key."""
        mine, its = self.spec.model_dump(mode="json"), now.spec.model_dump(mode="json")
        found: dict[str, dict[str, Any]] = {}
        spec = {key: value for key, value in mine.items() if value != its.get(key)}
        if spec:
            found["preprocess.yaml"] = spec
        if self.scales != now.scales:
            found["train.yaml"] = {"scales": list(self.scales)}
        return found


def trials(
    spec: PreprocessSpec,
    scales: tuple[float, ...],
    picture: tuple[int, int],
    roi: Roi | None = None,
) -> list[Trial]:
    """The settings as they are, then each change that could matter for these pictures.

    Args:
        spec, scales: as they are.
        picture: width and height of the middle one.
        roi: what is the same in all pictures left out, where that is much.
    """
    return [
        Trial("as it is", "now", spec, scales),
        *_fits(spec, scales, picture),
        *_sizes(spec, scales, picture),
        *_tiles(spec, scales, picture),
        *_scales(spec, scales),
        *([] if roi is None or spec.roi else [_roi(spec, scales, roi)]),
    ]


def together(now: Trial, better: Mapping[Axis, Trial]) -> Trial:
    """All changes that helped at once.

    Args:
        now: the settings as they are.
        better: of each axis the best that helped.
    """
    changed: dict[str, Any] = {}
    scales = now.scales
    # Size last but tiles: it may bring its own fit, and tiles are of the size that is chosen.
    order: tuple[Axis, ...] = ("roi", "fit", "size", "tiles", "scales")
    for axis in order:
        if (trial := better.get(axis)) is not None:
            mine, its = dict(trial.spec), dict(now.spec)
            changed |= {key: value for key, value in mine.items() if value != its[key]}
            scales = trial.scales if axis == "scales" else scales
    name = " + ".join(trial.name for trial in better.values())
    return Trial(name, "together", now.spec.model_copy(update=changed), scales)


def _fits(
    spec: PreprocessSpec, scales: tuple[float, ...], picture: tuple[int, int]
) -> Iterator[Trial]:
    across, down = shown_size(spec, *picture)
    if spec.fit == "letterbox" and padding(spec, *picture) >= PADDED:
        yield Trial("fit stretch", "fit", _with(spec, fit="stretch"), scales)
    changed = (across / down) / (spec.width_px / spec.height_px)
    if spec.fit == "stretch" and max(changed, 1 / changed) > FAR:
        yield Trial("fit letterbox", "fit", _with(spec, fit="letterbox"), scales)


def _sizes(
    spec: PreprocessSpec, scales: tuple[float, ...], picture: tuple[int, int]
) -> Iterator[Trial]:
    across, down = shown_size(spec, *picture)
    now = (spec.width_px, spec.height_px)
    wanted: list[tuple[int, int]] = []
    ratio = across / down
    if max(ratio, 1 / ratio) > FAR and spec.fit == "letterbox":
        area = math.sqrt(now[0] * now[1])
        wanted.append((_stepped(area * math.sqrt(ratio)), _stepped(area / math.sqrt(ratio))))
    lost = shrinking(spec, *picture)
    times = [math.sqrt(0.5), *(t for t in (math.sqrt(2), 2.0) if lost >= SHRUNK)]
    wanted += [(_stepped(now[0] * t), _stepped(now[1] * t)) for t in times]
    for width, height in dict.fromkeys(wanted):
        fits = min(width, height) >= SMALLEST_PX and max(width, height) <= LARGEST_PX
        if fits and (width, height) != now:
            proportional = (width, height) == wanted[0] and len(wanted) > len(times)
            more = {"fit": "stretch"} if proportional else {}
            changed = _with(spec, width_px=width, height_px=height, **more)
            name = f"{width}x{height}" + (", the pictures' proportions" if proportional else "")
            yield Trial(name, "size", changed, scales)


def _tiles(
    spec: PreprocessSpec, scales: tuple[float, ...], picture: tuple[int, int]
) -> Iterator[Trial]:
    if spec.tiles is not None:
        yield Trial("no tiles", "tiles", _with(spec, tiles=None), scales)
        return
    if shrinking(spec, *picture) < SHRUNK_FOR_TILES:
        return
    across, down = shown_size(spec, *picture)
    ratio = across / down
    rows, columns = (2, 2) if 1 / 1.6 < ratio < 1.6 else (1, min(4, round(ratio)))
    if ratio <= 1 / 1.6:
        rows, columns = min(4, round(1 / ratio)), 1
    if rows * columns > 1:
        tiles = Tiles(rows=rows, columns=columns, overlap=0.15)
        yield Trial(f"{rows}x{columns} tiles", "tiles", _with(spec, tiles=tiles), scales)


def _scales(spec: PreprocessSpec, scales: tuple[float, ...]) -> Iterator[Trial]:
    small = max(spec.width_px, spec.height_px) <= SMALL_PX
    for wanted in (*SCALES, *((ENLARGED,) if small else ())):
        if wanted != scales:
            yield Trial(f"scales {list(wanted)}", "scales", spec, wanted)


def _roi(spec: PreprocessSpec, scales: tuple[float, ...], roi: Roi) -> Trial:
    what = f"{roi.x_px},{roi.y_px} {roi.width_px}x{roi.height_px}"
    return Trial(f"roi {what}", "roi", _with(spec, roi=roi), scales)


def _with(spec: PreprocessSpec, **changes: Any) -> PreprocessSpec:
    return spec.model_copy(update=changes)


def _stepped(px: float) -> int:
    return max(2, round(px / STEP_PX)) * STEP_PX
