"""How pictures fit the network's input: borders, shrinking, and what becomes of small defects."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, median

from pipeline.contracts.spec import PreprocessSpec

NEEDED_PX = 12  # of a defect in the network's input
MOST_PADDING = 1 / 3  # of the frame; more is better stretched
MUCH_SHRUNK = 3.0  # times, from which on a larger input is worth a trial
# What ONNX Runtime takes for a million multiply-adds of a small convolutional network on two cores
# (386 million in 5.9 ms, BENCHMARKS.md).
MS_A_MILLION = 0.0153
TYPICAL_MULTIPLY_ADDS = 386e6  # of the template's network at `TYPICAL_PX` a side
TYPICAL_PX = 224


@dataclass(frozen=True)
class Fit:
    """Pictures of a data set in a given input.

    Attributes:
        picture: width and height of the middle one.
        padding: share of the frame that letterbox fills with borders, the mean of all.
        shrunk: pixels of a picture that become one, along the side that loses most.
        defect_px: side of the smaller defects in the picture, None where nothing shows it.
        known: how that is known, in words.
        texture_px: half the mean wavelength of the surface, None where not measured.
    """

    picture: tuple[int, int]
    padding: float
    shrunk: float
    defect_px: float | None = None
    known: str = ""
    texture_px: float | None = None

    @property
    def lines(self) -> list[str]:
        """Sentences for people."""
        width, height = self.picture
        long, short = max(self.picture), min(self.picture)
        found = [
            f"pictures of {width}x{height} pixels ({long / short:.2g} to 1): borders fill "
            f"{self.padding:.0%} of the network's input, and {self.shrunk:.2g} pixels become one"
            if self.shrunk > 1
            else f"pictures of {width}x{height} pixels ({long / short:.2g} to 1): borders fill "
            f"{self.padding:.0%} of the network's input, and no pixel is lost"
        ]
        if self.defect_px is not None:
            found.append(
                f"small defects are {self.defect_px / max(1.0, self.shrunk):.1f} px there "
                f"({self.known}); {NEEDED_PX} px are needed"
            )
        elif self.texture_px is not None:
            found.append(
                f"nothing marks defects; the surface's own structure, about "
                f"{self.texture_px:.1f} px wide, becomes "
                f"{self.texture_px / max(1.0, self.shrunk):.1f} px"
            )
        return found


def fit_of(
    spec: PreprocessSpec,
    sizes: Sequence[tuple[int, int]],
    picture: tuple[int, int],
    defect_px: float | None = None,
    known: str = "",
    texture_px: float | None = None,
) -> Fit:
    """How pictures of these sizes (width, height) fit; `picture` is the middle one."""
    padded = mean(padding(spec, *size) for size in sizes)
    return Fit(picture, padded, shrinking(spec, *picture), defect_px, known, texture_px)


def remarks(
    spec: PreprocessSpec, sizes: Sequence[tuple[int, int]], recipe: str, tried: str = ""
) -> list[str]:
    """Sentences on borders and shrinking that a recipe should not have, with the remedy.

    Args:
        spec: its preparation; of a part that is located first nothing is known before.
        sizes: width and height of its pictures, at least one.
        recipe: its name.
        tried: what more pixels gained in a trial, in words.
    """
    if spec.locate is not None:
        return []
    middle = round(median(w for w, _ in sizes)), round(median(h for _, h in sizes))
    fit = fit_of(spec, sizes, middle)
    found = []
    if fit.shrunk >= MUCH_SHRUNK:
        found.append(
            f"{fit.shrunk:.2g} pixels of a picture become one, so a defect under "
            f"{NEEDED_PX * fit.shrunk:.0f} px is under {NEEDED_PX} px for the network"
            + f"; {tried}"
            * bool(tried)
        )
    if fit.padding > MOST_PADDING:
        found.append(f"letterbox fills {fit.padding:.0%} of the network's input with borders")
    trial = f"`lineside tune {recipe}` measures what another size, fit or tiles would gain and cost"
    return [f"{text}: {trial}" for text in found]


def cost_ms(spec: PreprocessSpec, scales: Sequence[float]) -> float:
    """About how long the template's network takes for one frame, by its multiply-adds.

    Args:
        spec: the input.
        scales: shares of it at which features are computed.
    """
    area = spec.width_px * spec.height_px * spec.n_tiles / TYPICAL_PX**2
    return area * sum(s**2 for s in scales) * TYPICAL_MULTIPLY_ADDS / 1e6 * MS_A_MILLION


def shown_size(spec: PreprocessSpec, width: int, height: int) -> tuple[float, float]:
    """Width and height of what one prepared image shows, in pixels of the picture.

    Args:
        spec: how pictures are prepared; the part that `locate` finds is taken for the whole.
        width, height: of a picture.
    """
    shown = (float(width), float(height))
    if spec.roi is not None:
        shown = (float(spec.roi.width_px), float(spec.roi.height_px))
    if spec.rectify is not None:
        shown = (float(spec.rectify.width_px), float(spec.rectify.height_px))
    if spec.unwrap is not None:
        ring = spec.unwrap
        shown = (2 * math.pi * ring.outer_px, ring.outer_px - ring.inner_px)
    if spec.tiles is not None:
        share = 1 - spec.tiles.overlap
        shown = (
            shown[0] / (1 + (spec.tiles.columns - 1) * share),
            shown[1] / (1 + (spec.tiles.rows - 1) * share),
        )
    return shown


def padding(spec: PreprocessSpec, width: int, height: int) -> float:
    """Share of the frame that letterbox fills with borders; 0 with stretch."""
    if spec.fit == "stretch":
        return 0.0
    across, down = shown_size(spec, width, height)
    wanted, given = across / down, spec.width_px / spec.height_px
    return 1 - min(wanted / given, given / wanted)


def shrinking(spec: PreprocessSpec, width: int, height: int) -> float:
    """How many pixels of the picture become one, along the side that loses most."""
    across, down = shown_size(spec, width, height)
    return max(across / spec.width_px, down / spec.height_px)
