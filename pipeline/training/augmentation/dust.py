"""Dust, which albumentations lacks: its holes have hard edges, its spatter no size in pixels."""

from __future__ import annotations

from typing import Any, Literal

import albumentations as A
import numpy as np
import numpy.typing as npt

from pipeline.imaging import Pixels

Floats = npt.NDArray[np.float32]
EDGE_PX = 1.5  # nearer or farther than the part, dust is never quite in focus


class Specks(A.ImageOnlyTransform):  # type: ignore[misc]
    """Irregular specks with soft edges that let part of the picture through.

    Args:
        number: fewest and most specks on an image.
        size_px: smallest and largest speck, across its longer side.
        tone: dark, bright or both; with both, each speck is one of the two.
        p: probability of any.
    """

    def __init__(
        self,
        number: tuple[int, int] = (1, 6),
        size_px: tuple[float, float] = (1, 4),
        tone: Literal["dark", "bright", "both"] = "dark",
        p: float = 0.5,
    ) -> None:
        super().__init__(p=p)
        self.number = (number[0], number[1])
        self.size_px = (size_px[0], size_px[1])
        self.tone = tone

    def get_transform_init_args_names(self) -> tuple[str, ...]:
        return ("number", "size_px", "tone")

    def get_params_dependent_on_data(
        self, params: dict[str, Any], data: dict[str, Any]
    ) -> dict[str, Any]:
        height, width = params["shape"][:2]
        rng: np.random.Generator = self.random_generator
        dark, bright = (np.zeros((height, width), np.float32) for _ in range(2))
        for _ in range(int(rng.integers(self.number[0], self.number[1] + 1))):
            is_bright = rng.random() < {"dark": 0.0, "both": 0.5, "bright": 1.0}[self.tone]
            veil = bright if is_bright else dark
            _add_speck(veil, rng.uniform(*self.size_px), rng)
        return {"dark": dark, "bright": bright}

    def apply(self, img: Pixels, dark: Floats, bright: Floats, **params: Any) -> Pixels:
        if img.ndim == 3:
            dark, bright = dark[:, :, None], bright[:, :, None]
        made = img * (1 - dark)
        made += (255 - made) * bright
        done: Pixels = np.rint(made).astype(np.uint8)
        return done


def _add_speck(veil: Floats, size_px: float, rng: np.random.Generator) -> None:
    """Draw one speck into a veil H,W of opacities 0 to 1."""
    height, width = veil.shape
    x, y = rng.uniform(0, width), rng.uniform(0, height)
    reach = int(np.ceil(size_px / 2)) + 1
    left, right = max(0, int(x) - reach), min(width, int(x) + reach + 1)
    top, bottom = max(0, int(y) - reach), min(height, int(y) + reach + 1)
    dy, dx = np.mgrid[top:bottom, left:right].astype(np.float32) + 0.5
    dx, dy = dx - x, dy - y
    angle, turn = np.arctan2(dy, dx), rng.uniform(0, 2 * np.pi)
    # An ellipse whose outline wobbles: grains are neither round nor square.
    outline = 1 - rng.uniform(0, 0.5) * np.sin(angle - turn) ** 2
    outline -= rng.uniform(0, 0.2) * (1 + np.sin(3 * angle + rng.uniform(0, 2 * np.pi)))
    inside = np.clip((size_px / 2 * outline - np.hypot(dx, dy)) / EDGE_PX + 0.5, 0, 1)
    opacity = rng.uniform(0.2, 0.7) * inside
    spot = veil[top:bottom, left:right]
    np.maximum(spot, opacity, out=spot)
