"""Regions that annotators drew in Label Studio: rectangles, polygons, ellipses, brushes, points."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from pipeline.contracts.sample import Box
from pipeline.errors import DataError

SHAPES = ("rectangle", "polygon", "ellipse", "keypoint", "brush", "bitmask", "vector")
# A tag that draws and names at once, such as RectangleLabels, or Labels beside a tag that draws.
NAMED = frozenset({"labels", *(f"{shape}labels" for shape in SHAPES)})
KINDS = NAMED | set(SHAPES)


class Result(BaseModel):
    """One entry of an annotator's result.

    Attributes:
        type: of the tag, in small letters.
        id: of the region; entries of several tags on one region share it.
        from_name: the name of the tag.
        value: the answer.
    """

    type: str
    id: str = ""
    from_name: str = ""
    value: dict[str, Any] = {}


@dataclass(frozen=True)
class Region:
    """A region with its labels.

    Attributes:
        labels: one, or several where the project allows it.
        box: around it, with sides from 0 to 1; None for one that has no corners, such as a brush.
    """

    labels: tuple[str, ...]
    box: tuple[float, float, float, float] | None

    def boxes(self) -> list[Box]:
        """The box, once a label."""
        return [Box(label, *self.box, relative=True) for label in self.labels if self.box]


def regions(results: Iterable[Result], where: str) -> list[Region]:
    """The regions of one annotator that mark something, in their order.

    Regions of no size, which a click leaves behind, are left out.

    Raises:
        DataError: a region has no label.
    """
    drawn = [r for r in results if r.type in KINDS]
    names = {r.id for r in drawn if r.type in NAMED}
    found = []
    for result in drawn:
        labels = result.value.get(result.type) if result.type in NAMED else None
        if result.type in SHAPES and result.id in names:
            continue  # an entry of the tag Labels names it
        if not _has_size(result.value):
            continue
        if not labels or not all(isinstance(label, str) for label in labels):
            raise DataError(
                f"{where} has a region ({result.type}) without a label; give it one in Label "
                "Studio, or remove it"
            )
        found.append(Region(tuple(labels), _box(result.value)))
    return found


def _has_size(value: dict[str, Any]) -> bool:
    sizes = [value[key] for key in ("width", "height", "radiusX", "radiusY") if key in value]
    if "points" in value:
        return len({tuple(point) for point in value["points"]}) > 2
    # The width of a point is that of its dot.
    return all(sizes) if {"height", "radiusX"} & value.keys() else True


def _box(value: dict[str, Any]) -> tuple[float, float, float, float] | None:
    """In shares of the picture; Label Studio has percent. None also for what is turned."""
    if value.get("rotation"):
        return None
    try:
        if "points" in value:
            x, y = zip(*((float(a), float(b)) for a, b in value["points"]), strict=True)
            sides = (min(x), min(y), max(x), max(y))
        elif "radiusX" in value:
            x0, y0, rx, ry = (float(value[key]) for key in ("x", "y", "radiusX", "radiusY"))
            sides = (x0 - rx, y0 - ry, x0 + rx, y0 + ry)
        else:
            x0, y0, w, h = (float(value[key]) for key in ("x", "y", "width", "height"))
            sides = (x0, y0, x0 + w, y0 + h)
    except (KeyError, TypeError, ValueError):
        return None
    left, top, right, bottom = (min(max(side / 100, 0.0), 1.0) for side in sides)
    is_one = all(map(math.isfinite, sides)) and left < right and top < bottom
    return (left, top, right, bottom) if is_one else None
