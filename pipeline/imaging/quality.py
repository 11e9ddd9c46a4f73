"""How healthy a prepared picture is: brightness, contrast, sharpness."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from pipeline.contracts.bundle import Range, Reference
from pipeline.imaging import Pixels

GREY_LEVELS = 2  # by which the channels of a grey picture may differ


@dataclass(frozen=True)
class Quality:
    """Brightness (mean grey, 0 to 255), contrast (its standard deviation), sharpness.

    Sharpness is the variance of the Laplacian (Pech-Pacheco et al., ICPR 2000).
    """

    brightness: float
    contrast: float
    sharpness: float


def measure(prepared: Pixels) -> Quality:
    """Measure a prepared image, uint8 height x width x 1 or 3."""
    grey = cv2.cvtColor(prepared, cv2.COLOR_RGB2GRAY) if prepared.shape[2] == 3 else prepared
    mean, deviation = cv2.meanStdDev(grey)
    _, edges = cv2.meanStdDev(cv2.Laplacian(grey, cv2.CV_16S))
    return Quality(float(mean[0, 0]), float(deviation[0, 0]), float(edges[0, 0]) ** 2)


def is_grey(rgb: Pixels) -> bool:
    """Has a picture, uint8 height x width x 3, no colour? Channels may differ by little."""
    return bool((np.ptp(rgb, axis=2) <= GREY_LEVELS).all())


def reference(qualities: Sequence[Quality]) -> Reference:
    """What the training images look like, from the quality of each."""
    table = np.array([(q.brightness, q.contrast, q.sharpness) for q in qualities])
    brightness, contrast, sharpness = (
        Range(low=float(c.min()), median=float(np.median(c)), high=float(c.max())) for c in table.T
    )
    return Reference(
        n_images=len(qualities), brightness=brightness, contrast=contrast, sharpness=sharpness
    )


def image_reason(quality: Quality, reference: Reference) -> str | None:
    """Why a picture is unlike every training image, or None.

    Contrast and sharpness may be half the smallest and twice the largest value seen in training;
    brightness may leave the seen range by half its width, but not fall below half its smallest.
    """
    brightness = reference.brightness
    slack = (brightness.high - brightness.low) / 2
    if quality.brightness < brightness.low - slack or quality.brightness < brightness.low / 2:
        return _reason("too dark: mean grey", quality.brightness, brightness)
    if quality.brightness > brightness.high + slack:
        return _reason("too bright: mean grey", quality.brightness, brightness)
    if quality.contrast < reference.contrast.low / 2:
        return _reason("no contrast: deviation", quality.contrast, reference.contrast)
    if quality.sharpness < reference.sharpness.low / 2:
        return _reason("blurred: sharpness", quality.sharpness, reference.sharpness)
    if quality.contrast > reference.contrast.high * 2:
        return _reason("too much contrast: deviation", quality.contrast, reference.contrast)
    if quality.sharpness > reference.sharpness.high * 2:
        return _reason("noisy: sharpness", quality.sharpness, reference.sharpness)
    return None


def _reason(what: str, seen: float, trained: Range) -> str:
    return f"{what} {seen:.1f}, training saw {trained.low:.1f} to {trained.high:.1f}"
