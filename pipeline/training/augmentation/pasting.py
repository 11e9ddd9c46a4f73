"""Copy-paste: a defect cut out by its mask and set into a good part (Dwibedi et al., ICCV 2017).

What is pasted is what the defect adds to its surroundings (guessed beneath it by the inpainting of
Telea, J. Graphics Tools 2004), in proportion to the light of the new place and with a feathered
edge. A defect that would not be seen in its new place is not pasted: its label would be wrong.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field

from pipeline.imaging import Pixels
from pipeline.plugins import Strict
from pipeline.training.augmentation.defects import (
    LEAST_RING_AREA_PX,
    SMALLEST_AREA_PX,
    Defect,
    surround,
    visibility,
)

PLACES = 8  # tried for each defect
INPAINT_PX = 3
FEATHER_PX = 2
LARGEST_GAIN = 2.0  # more than one stop apart, the two places are not lit alike


class Paste(Strict):
    """Synthetic training images of bad parts, from masks."""

    images_per_class: int = Field(
        ge=1, le=10_000, description="Synthetic images of each class of bad parts that has masks."
    )
    max_per_image: int = Field(
        2, ge=1, le=16, description="Largest number of defects pasted into one image."
    )
    min_scale: float = Field(
        0.8, gt=0, le=1, description="Smallest size of a pasted defect, relative to the original."
    )
    max_scale: float = Field(
        1.25, ge=1, le=4, description="Largest size of a pasted defect, relative to the original."
    )
    max_deg: float = Field(
        15.0, ge=0, le=180, description="Largest rotation to either side, in degrees."
    )
    max_shift: float = Field(
        0.1,
        ge=0,
        le=1,
        description="Largest distance from its original place, as a share of the side; 1 where "
        "a defect may be anywhere on the part.",
    )
    seed: int = Field(0, ge=0, description="Seed; the same seed gives the same images.")


def paste(
    donor: Pixels,
    defects: Sequence[Defect],
    background: Pixels,
    config: Paste,
    rng: np.random.Generator,
) -> tuple[Pixels, Pixels] | None:
    """Paste some defects of one image into another.

    Args:
        donor: uint8 H,W,C.
        defects: of the donor.
        background: uint8 H,W,C, a good part.
        config: how many, and how they may be changed.
        rng: chooses.

    Returns:
        The image uint8 H,W,C and its mask uint8 H,W (255 where a defect is), or None when no
        defect fits anywhere.
    """
    made, mask = background, np.zeros(background.shape[:2], np.uint8)
    every = np.any([d.area for d in defects], axis=0)
    wanted = int(rng.integers(1, config.max_per_image + 1))
    for i in rng.permutation(len(defects))[:wanted]:
        for _ in range(PLACES):
            moved = _paste_one(donor, defects[i], every, made, mask > 0, config, rng)
            if moved is not None:
                made, mask = moved[0], mask | moved[1]
                break
    return (made, mask) if mask.any() else None


def _paste_one(
    donor: Pixels,
    defect: Defect,
    every: npt.NDArray[np.bool_],
    background: Pixels,
    taken: npt.NDArray[np.bool_],
    config: Paste,
    rng: np.random.Generator,
) -> tuple[Pixels, Pixels] | None:
    height, width = background.shape[:2]
    angle = rng.uniform(-config.max_deg, config.max_deg)
    scale = rng.uniform(config.min_scale, config.max_scale)
    where = cv2.getRotationMatrix2D(defect.centre, angle, scale).astype(np.float64)
    where[:, 2] += rng.uniform(-1, 1, 2) * config.max_shift * (width, height)
    area = _moved_area(defect.area, where)
    if area.sum() < SMALLEST_AREA_PX or _at_border(area) or (area & taken).any():
        return None
    moved = cv2.warpAffine(donor, where, (width, height), borderMode=cv2.BORDER_REFLECT_101)
    moved = moved.reshape(background.shape)
    rings = surround(area, _moved_area(every, where)), surround(area, taken)
    if min(r.sum() for r in rings) < LEAST_RING_AREA_PX:
        return None
    before, after = (np.median(v, axis=0) for v in (moved[rings[0]], background[rings[1]]))
    gain = (after + 1) / (before + 1)
    if gain.max() > LARGEST_GAIN or gain.min() < 1 / LARGEST_GAIN:
        return None
    edge = cv2.dilate(area.astype(np.float32), np.ones((2 * FEATHER_PX + 1,) * 2, np.uint8))
    alpha = cv2.GaussianBlur(edge, (0, 0), FEATHER_PX / 2)[:, :, None]
    # What the defect adds to the donor there, not the donor's own surface: that left a pale fringe.
    sound = cv2.inpaint(moved, (edge > 0).astype(np.uint8), INPAINT_PX, cv2.INPAINT_TELEA)
    added = gain * (moved.astype(np.float32) - sound.reshape(moved.shape))
    # A dark defect does not brighten: where it crosses something dark, the guess of the sound
    # surface is wrong.
    dark = np.median(added[area], axis=0) < 0
    added = np.where(dark, np.minimum(added, 0), np.maximum(added, 0))
    made = np.rint(np.clip(background + alpha * added, 0, 255)).astype(np.uint8)
    seen = visibility(made, area, taken)
    if not seen >= max(1.0, visibility(donor, defect.area, every) / 2):
        return None
    return made, np.where(area, np.uint8(255), np.uint8(0))


def _moved_area(
    area: npt.NDArray[np.bool_], where: npt.NDArray[np.float64]
) -> npt.NDArray[np.bool_]:
    height, width = area.shape
    moved = cv2.warpAffine(np.where(area, 255, 0).astype(np.uint8), where, (width, height))
    found: npt.NDArray[np.bool_] = moved > 127
    return found


def _at_border(area: npt.NDArray[np.bool_]) -> bool:
    return bool(area[[0, -1]].any() or area[:, [0, -1]].any())
