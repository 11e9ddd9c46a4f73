"""Defects put into good parts: what scorers are chosen on where no bad part is known.

Areas of other good parts (CutPaste; Li et al., CVPR 2021), thin lines darker or brighter than their
surroundings, and blots, which are the augmentation's dust grown large. Those that cannot be seen
are not used. They stand for no real defect, so no rate is ever measured on them.
"""

from __future__ import annotations

from collections.abc import Callable

import albumentations as A
import cv2
import numpy as np

from pipeline.imaging import Pixels
from pipeline.training import Floats
from pipeline.training.augmentation.dust import Specks

TRIES = 8  # of kinds and places, for each image
SMALLEST, LARGEST = 0.03, 0.2  # of the side
LEAST_CHANGE = 6.0  # grey levels, mean over the defect
FEATHER_PX = 1.0
Rng = np.random.Generator


def inject(image: Pixels, other: Pixels, rng: Rng) -> Pixels | None:
    """Put one defect into a good part.

    Args:
        image: uint8 H,W,C.
        other: another good part, uint8 H,W,C.
        rng: chooses kind, place, size and strength.

    Returns:
        uint8 H,W,C; None where no defect could be seen, as on a part that is one flat grey.
    """
    for _ in range(TRIES):
        kind = KINDS[int(rng.integers(len(KINDS)))]
        made = kind(image, other, rng)
        change = np.abs(made.astype(np.int16) - image).max(2)
        if (change > 0).any() and change[change > 0].mean() >= LEAST_CHANGE:
            return made
    return None


def _cut_and_paste(image: Pixels, other: Pixels, rng: Rng) -> Pixels:
    """An irregular area of another good part, from another place."""
    height, width = image.shape[:2]
    area = _blob((height, width), rng)
    shift = [int(rng.integers(side // 8, side - side // 8)) for side in (height, width)]
    foreign = np.roll(other, shift, (0, 1))
    if rng.random() < 0.5:
        foreign = foreign[::-1, ::-1]
    return _blended(image, foreign.astype(np.float32), area)


def _line(image: Pixels, other: Pixels, rng: Rng) -> Pixels:
    """A scratch: a line of a few strokes, darker or brighter than what it crosses."""
    height, width = image.shape[:2]
    length = rng.uniform(SMALLEST, LARGEST) * 2 * min(height, width)
    angle, strokes = rng.uniform(0, 2 * np.pi), int(rng.integers(1, 4))
    place = rng.uniform(0, 1, 2) * (width, height)
    points = [place]
    for _ in range(strokes):
        angle += rng.normal(0, 0.4)
        place = place + length / strokes * np.array([np.cos(angle), np.sin(angle)])
        points.append(place)
    area = np.zeros((height, width), np.float32)
    thickness = int(rng.integers(1, max(2, round(0.015 * min(height, width))) + 1))
    way = np.rint(points).astype(np.int32).reshape(1, -1, 1, 2)
    cv2.polylines(area, list(way), False, 1.0, thickness, cv2.LINE_AA)
    return _blended(image, image + _contrast(image, rng), area)


def _blot(image: Pixels, other: Pixels, rng: Rng) -> Pixels:
    """The augmentation's dust, far larger than any dust."""
    side = min(image.shape[:2])
    size_px = (SMALLEST * side, LARGEST * side)
    specks = A.Compose([Specks((1, 2), size_px, "both", p=1.0)], seed=int(rng.integers(2**31)))
    made: Pixels = specks(image=image)["image"]
    return made.reshape(image.shape)


KINDS: tuple[Callable[[Pixels, Pixels, Rng], Pixels], ...] = (
    _cut_and_paste,
    _cut_and_paste,
    _line,
    _blot,
)


def _contrast(image: Pixels, rng: Rng) -> float:
    """Grey levels, by how much the picture itself varies."""
    strength = max(25.0, float(image.std())) * rng.uniform(0.6, 1.6)
    return strength if rng.random() < 0.5 else -strength


def _blob(shape: tuple[int, int], rng: Rng) -> Floats:
    """An area of irregular outline somewhere in H,W, as opacity."""
    height, width = shape
    reach = rng.uniform(SMALLEST, LARGEST) * min(height, width) / 2
    turns = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    waves = [
        rng.uniform(0, 0.35) * np.cos(n * turns + rng.uniform(0, 2 * np.pi)) for n in (1, 2, 3)
    ]
    radius = reach * (1 + sum(waves)) * rng.uniform(0.5, 1.0)
    squeeze, centre = rng.uniform(0.4, 1.0), rng.uniform(0, 1, 2) * (width, height)
    outline = np.stack([radius * np.cos(turns), squeeze * radius * np.sin(turns)], 1) + centre
    area = np.zeros(shape, np.float32)
    cv2.fillPoly(area, [np.rint(outline).astype(np.int32)], 1.0, cv2.LINE_AA)
    return area


def _blended(image: Pixels, foreign: Floats, area: Floats) -> Pixels:
    alpha = np.minimum(cv2.GaussianBlur(area, (0, 0), FEATHER_PX) + area, 1)[:, :, None]
    made = image + alpha * (foreign - image)
    done: Pixels = np.rint(np.clip(made, 0, 255)).astype(np.uint8)
    return done
