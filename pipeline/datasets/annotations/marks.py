"""Does an annotation of COCO's form mark anything in its image?

Tools leave annotations behind that do not: a polygon that was deleted, a click that became a box
of no size. A box flagged as `iscrowd` is a region to pass over; with run lengths it is what was
drawn with a brush, as CVAT writes it.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator

_WHOLE = re.compile(r"-?(0|[1-9]\d*)(\.0+)?")


def _same_id(given: object) -> object:
    """7, 7.0, "7" and "7.0" are one id; "007" is another."""
    if isinstance(given, float) and given.is_integer():
        return int(given)
    if isinstance(given, str):
        text = given.strip()
        return int(float(text)) if _WHOLE.fullmatch(text) and len(text) < 16 else text
    return given


Id = Annotated[int | str, BeforeValidator(_same_id)]


class Geometry(BaseModel):
    """Where an annotation is; None for what the file does not give.

    Attributes:
        segmentation: polygons, or run lengths of a mask.
        bbox: left, top, width and height in pixels.
        area: in pixels.
        iscrowd: the region is not one object.
    """

    segmentation: Any = None
    bbox: list[float] | None = None
    area: float | None = None
    iscrowd: bool | None = None

    @property
    def marks(self) -> bool:
        """Is anything marked? An annotation without a geometry marks the whole image."""
        if isinstance(self.segmentation, dict):
            drawn = _has_pixels(self.segmentation.get("counts"))
            return drawn or (not self.iscrowd and self._has_size)
        if self.iscrowd:
            return False
        if self.segmentation is None and self.bbox is None and self.area is None:
            return True
        return _has_area(self.segmentation) or self._has_size

    @property
    def sides(self) -> tuple[float, float, float, float] | None:
        """Left, top, right and bottom in pixels, where a box or polygons of a size are given."""
        if self.bbox is not None and len(self.bbox) == 4 and all(self.bbox[2:]):
            left, top, width, height = self.bbox
            return left, top, left + width, top + height
        if isinstance(self.segmentation, list) and _has_area(self.segmentation):
            rings = [r for r in self.segmentation if isinstance(r, list)] or [self.segmentation]
            values = [v for ring in rings for v in ring[: len(ring) // 2 * 2]]
            if values and all(isinstance(value, int | float) for value in values):
                return min(values[::2]), min(values[1::2]), max(values[::2]), max(values[1::2])
        return None

    @property
    def _has_size(self) -> bool:
        return bool(self.area) or (len(self.bbox or ()) == 4 and all((self.bbox or ())[2:]))


def _has_area(polygons: Any) -> bool:
    """Do polygons, lists of x and y in turn, enclose anything? Of another form: yes."""
    if not isinstance(polygons, list):
        return polygons is not None
    rings = [polygons] if polygons and not isinstance(polygons[0], list) else polygons
    return any(_encloses(ring) for ring in rings)


def _encloses(ring: list[Any]) -> bool:
    if not all(isinstance(value, int | float) for value in ring) or len(ring) % 2:
        return True
    points = set(zip(ring[::2], ring[1::2], strict=True))
    return len({x for x, _ in points}) > 1 and len({y for _, y in points}) > 1


def _has_pixels(counts: Any) -> bool:
    """Is a pixel set in run lengths: numbers of pixels that are not, that are, and so on?"""
    if isinstance(counts, str):
        counts = _unpacked(counts)
    if not isinstance(counts, list):
        return counts is not None
    return any(counts[1::2])


def _unpacked(text: str) -> list[int]:
    """The run lengths that COCO writes as text: five bits a character, differences after two."""
    counts: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        value |= (bits & 0x1F) << shift
        shift += 5
        if bits & 0x20:
            continue
        if bits & 0x10:
            value |= -1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value = shift = 0
    return counts
