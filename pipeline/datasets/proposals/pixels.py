"""Proposed preparation: colour, size of the network's input, and tiles where defects are small."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from statistics import mean, median

import numpy as np

from pipeline.contracts.spec import PreprocessSpec, Roi, Tiles
from pipeline.datasets import location
from pipeline.datasets.annotations import defect_mask
from pipeline.datasets.location import Place
from pipeline.datasets.proposals.fit import (
    MOST_PADDING,
    MUCH_SHRUNK,
    NEEDED_PX,
    Fit,
    cost_ms,
    fit_of,
    padding,
)
from pipeline.datasets.proposals.roi import varying_area
from pipeline.datasets.scanning import Scan
from pipeline.errors import UnreadableImage
from pipeline.imaging import Pixels
from pipeline.imaging.codec import decode
from pipeline.imaging.geometry import connected_areas
from pipeline.imaging.quality import is_grey
from pipeline.imaging.texture import structure_px

SIDE_PX = 224  # what the pretrained backbones learned with
STEP_PX = 32  # by which they halve the picture five times
LARGEST_PX = 448
MOST_TILES = 16
LOOKED_AT = 48  # images, for colour and defects
SQUARE, LONGEST = 1.25, 4.0  # of the longer side to the shorter
SCALES = (1.0, 0.715)  # of conf/template/train.yaml
USUAL = PreprocessSpec(width_px=SIDE_PX, height_px=SIDE_PX, fit="letterbox")


@dataclass(frozen=True)
class ProposedPixels:
    """Settings of preprocess.yaml, and the reasons by setting.

    Attributes:
        spec: what is proposed.
        before: how the pictures fit the usual input, a letterbox of `SIDE_PX` a side.
        after: how they fit the proposed one.
        roi: the rectangle in which pictures differ, to be looked at by a person; else None.
        reasons: by setting.
    """

    spec: PreprocessSpec
    before: Fit
    after: Fit
    roi: Roi | None = None
    reasons: dict[str, str] = field(default_factory=dict)

    @property
    def cost(self) -> str:
        """What the proposed input costs at the line, and how that is known."""
        before, after = (cost_ms(spec, SCALES) for spec in (USUAL, self.spec))
        return (
            f"about {after:.0f} ms a frame at the line, {before:.0f} ms with {SIDE_PX}x{SIDE_PX} "
            "(by the multiply-adds of the template's network, on two cores; `lineside tune` "
            "measures it)"
        )

    @property
    def advice(self) -> list[str]:
        """What follows from how the pictures fit, in sentences."""
        spec = self.spec
        found = []
        if self.before.padding > MOST_PADDING:
            found.append(
                f"fit: {spec.fit}, {spec.width_px}x{spec.height_px}: letterbox would fill "
                f"{self.before.padding:.0%} of the input with borders"
            )
        elif (spec.width_px, spec.height_px) != (SIDE_PX, SIDE_PX):
            found.append(f"an input of {spec.width_px}x{spec.height_px}: {self.reasons['size']}")
        if spec.tiles is not None:
            found.append(f"{spec.tiles.rows}x{spec.tiles.columns} tiles: {self.reasons['tiles']}")
        if self.after.shrunk >= MUCH_SHRUNK:
            found.append(
                f"{self.after.shrunk:.2g} pixels still become one: try a larger input and tiles "
                "with `lineside tune RECIPE`"
            )
        if self.roi is not None:
            r = self.roi
            found.append(
                f"roi: {{x_px: {r.x_px}, y_px: {r.y_px}, width_px: {r.width_px}, height_px: "
                f"{r.height_px}}}, if what lies outside never shows a defect: the pictures looked "
                "at are the same there"
            )
        return found

    @property
    def without_tiles(self) -> ProposedPixels:
        """The same for whole pictures."""
        reasons = {key: text for key, text in self.reasons.items() if key != "tiles"}
        return replace(self, spec=self.spec.model_copy(update={"tiles": None}), reasons=reasons)


def propose_pixels(scans: Sequence[Scan], root: Place) -> ProposedPixels:
    """What to do to the pictures of a data set; it is read again in part.

    Args:
        scans: of the readable images, at least one.
        root: the folder that their paths are relative to.
    """
    reasons: dict[str, str] = {}
    looked_at = _spread(scans)
    seen = _seen(looked_at, root)
    grey = seen.grey
    reasons["colour"] = f"{len(looked_at)} images were looked at, " + (
        "all without colour" if grey else "with colour; grey where it means nothing"
    )
    width, height = _middle(scans)
    same = len({(s.width_px, s.height_px) for s in scans}) == 1
    what = f"{'all' if same else 'in the middle'} {width}x{height} pixels"
    steady = _is_steady(scans)
    defect_px, known = _defect_px([s for s in scans if s.sample.mask or s.sample.boxes], root)
    masked = any(s.sample.mask for s in scans)
    size, fit = _input(width, height, steady, defect_px if not masked else None)
    padded = _padded([(s.width_px, s.height_px) for s in scans], size)
    if fit == "letterbox" and padded > MOST_PADDING:
        fit = "stretch"
    shrunk = max(width / size[0], height / size[1], 1.0)
    reasons["size"] = f"images are {what}; the backbone learned with {SIDE_PX} px a side"
    if max(size) > SIDE_PX and size[0] == size[1]:
        reasons["size"] += f", but defects ({known}) would be smaller than {NEEDED_PX} px there"
    reasons["fit"] = (
        f"fills the frame: letterbox would fill {padded:.0%} of it with borders"
        if padded > MOST_PADDING
        else "fills the frame: proportions change by little or not at all"
        if fit == "stretch"
        else "keeps proportions, which differ from image to image or are far from square"
    )
    tiles = None
    if masked and defect_px is not None:
        tiles = _tiles(width, height, defect_px, size)
    if tiles is not None:
        size, fit = (SIDE_PX, SIDE_PX), "stretch" if steady else "letterbox"
        reasons["fit"] = (
            "fills the frame: tiles are about square"
            if steady
            else "keeps proportions, which differ from image to image"
        )
        reasons["tiles"] = (
            f"defects ({known}) would be smaller than {NEEDED_PX} px in one picture of "
            f"{SIDE_PX} px; the masks give each tile its own label"
        )
    elif defect_px is None and shrunk > 1.5:
        reasons["tiles"] = (
            "nothing shows how large defects are; those under "
            f"{math.ceil(NEEDED_PX * shrunk)} px in the image are under {NEEDED_PX} px for the "
            "network: then raise width_px and height_px, or cut into tiles (best with masks, which "
            "give each tile its own label)"
        )
    spec = PreprocessSpec(
        colour="grey" if grey else "rgb",
        tiles=tiles,
        width_px=size[0],
        height_px=size[1],
        fit=fit,
    )
    sizes, middle = [(s.width_px, s.height_px) for s in scans], (width, height)
    defects = (defect_px, known, None if defect_px is not None else seen.structure_px)
    return ProposedPixels(
        spec,
        before=fit_of(USUAL, sizes, middle, *defects),
        after=fit_of(spec, sizes, middle, *defects),
        roi=seen.roi,
        reasons=reasons,
    )


def _padded(sizes: Sequence[tuple[int, int]], size: tuple[int, int]) -> float:
    spec = USUAL.model_copy(update={"width_px": size[0], "height_px": size[1]})
    return mean(padding(spec, *its) for its in sizes)


def _spread(scans: Sequence[Scan]) -> list[Scan]:
    """Some of them, from the first to the last."""
    n = min(LOOKED_AT, len(scans))
    return [scans[i * len(scans) // n] for i in range(n)]


@dataclass(frozen=True)
class _Seen:
    """What some pictures show: no colour, how wide structures are, where they differ."""

    grey: bool
    structure_px: float | None
    roi: Roi | None


def _seen(scans: Sequence[Scan], root: Place) -> _Seen:
    """Look at pictures one after the other: they may be large."""
    grey: list[bool] = []
    widths: list[float] = []

    def pictures() -> Iterator[Pixels]:
        for scan in scans:
            name = scan.sample.path
            try:
                picture = decode(location.image(root / name, name), name)
            except UnreadableImage:
                continue  # decides nothing
            grey.append(is_grey(picture))
            if (width := structure_px(picture)) is not None:
                widths.append(width)
            yield picture

    roi = varying_area(pictures())
    return _Seen(all(grey), median(widths) if widths else None, roi)


def _middle(scans: Sequence[Scan]) -> tuple[int, int]:
    return round(median(s.width_px for s in scans)), round(median(s.height_px for s in scans))


def _is_steady(scans: Sequence[Scan]) -> bool:
    """Have almost all images the same proportions?"""
    ratios = np.array([s.width_px / s.height_px for s in scans])
    low, high = np.quantile(ratios, [0.05, 0.95])
    return bool(high <= 1.1 * low)


def _input(
    width: int, height: int, steady: bool, defect_px: float | None
) -> tuple[tuple[int, int], str]:
    """Width and height of the network's input, and how a picture fits."""
    ratio = width / height
    far = max(ratio, 1 / ratio)
    if steady and far > SQUARE:  # as many pixels, in the picture's proportions
        ratio = min(max(ratio, 1 / LONGEST), LONGEST)
        return (_stepped(SIDE_PX * math.sqrt(ratio)), _stepped(SIDE_PX / math.sqrt(ratio))), (
            "stretch"
        )
    side = float(SIDE_PX)
    if defect_px is not None:
        side = min(max(side, NEEDED_PX / defect_px * max(width, height)), LARGEST_PX)
    stretched = steady and far <= SQUARE
    return (_stepped(side), _stepped(side)), "stretch" if stretched else "letterbox"


def _stepped(px: float) -> int:
    return max(2, round(px / STEP_PX)) * STEP_PX


def _defect_px(scans: Sequence[Scan], root: Place) -> tuple[float | None, str]:
    """Side of the smaller defects (a quarter is smaller) in pixels of the image, and in words."""
    sides: list[float] = []
    looked_at = _spread(scans) if scans else []
    for scan in looked_at:
        if scan.sample.mask:
            sides += _sides(scan, root)
        else:
            boxes = scan.sample.boxes
            sides += [math.sqrt((b.right - b.left) * (b.bottom - b.top)) for b in boxes]
    if not sides:
        return None, ""
    side = float(np.quantile(sides, 0.25))
    return max(side, 1.0), f"a quarter of those marked is under {side:.0f} px wide"


def _sides(scan: Scan, root: Place) -> list[float]:
    """Square roots of the areas of what a mask marks, in pixels of the image."""
    mask, name = scan.sample.mask, scan.sample.path
    try:
        contents = [location.image(root / p, p) for p in defect_mask.files(mask)]
        drawn = defect_mask.decoded(mask, contents, (scan.width_px, scan.height_px), name)
    except UnreadableImage:
        return []
    areas = connected_areas(drawn)[1][:, 4]
    if not len(areas):
        return []
    # Specks of a brush are no defects of their own.
    return [float(math.sqrt(area)) for area in areas if area >= 0.05 * areas.max()]


def _tiles(width: int, height: int, defect_px: float, whole: tuple[int, int]) -> Tiles | None:
    """So many that a defect has `NEEDED_PX` in one; None where the whole picture does."""
    if defect_px * min(whole[0] / width, whole[1] / height) >= NEEDED_PX:
        return None
    side = max(SIDE_PX, SIDE_PX * defect_px / NEEDED_PX)
    rows, columns = math.ceil(height / side), math.ceil(width / side)
    while rows * columns > MOST_TILES:
        if columns == 1 or (rows > 1 and height / rows < width / columns):
            rows -= 1
        else:
            columns -= 1
    return Tiles(rows=rows, columns=columns, overlap=0.15) if rows * columns > 1 else None
