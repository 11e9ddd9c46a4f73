"""What may change at a line: less light, a lens out of focus, noise, compression, a part displaced.

Each change is made to a camera's decoded frame, before anything is prepared, as the line itself
would make it. Optics and mechanics are graded in per cent of the frame's shorter side: how far a
lens is out of focus, or a part out of place, is a length on the sensor, however many pixels that
has. Noise is graded by pixel, as sensors make it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.imaging import Pixels

OF_SIDE = "% of the frame's shorter side"


@dataclass(frozen=True)
class Change:
    """One way in which a line may change, graded.

    Attributes:
        name: brightness, contrast, blur, noise, jpeg, shift or rotation.
        unit: of the strengths.
        strengths: from mild to strong; 0, which is not among them, would change nothing.
        make: takes a frame, a strength and the seed of what chance decides.
    """

    name: str
    unit: str
    strengths: tuple[float, ...]
    make: Callable[[Pixels, float, int], Pixels]

    def __call__(self, frame: Pixels, strength: float, seed: int = 0) -> Pixels:
        """Change a frame.

        Args:
            frame: uint8 height x width x 3, RGB; it is not altered.
            strength: in the unit of the change.
            seed: of the noise, of the direction of a shift and of a rotation's sense; the same
                seed gives the same picture.

        Returns:
            uint8, of the frame's shape; the frame itself at strength 0.
        """
        return frame if strength == 0 else self.make(frame, strength, seed)


def strength_text(change: str, strength: float) -> str:
    """A change at one strength in words: `blur of 0.5 %`, `light -20 %`."""
    return {
        "brightness": f"light {strength:+g} %",
        "contrast": f"contrast {strength:+g} %",
        "blur": f"blur of {strength:g} %",
        "noise": f"noise of {strength:g} grey levels",
        "jpeg": f"JPEG quality {100 - strength:g}",
        "shift": f"shift of {strength:g} %",
        "rotation": f"rotation of {strength:g} deg",
    }[change]


def _brightness(frame: Pixels, percent: float, seed: int) -> Pixels:
    """More or less light on a linear sensor, which saturates."""
    return _scaled(frame, 1 + percent / 100, 0.0)


def _contrast(frame: Pixels, percent: float, seed: int) -> Pixels:
    """Nearer to or further from the frame's own mean, which stays."""
    gain = 1 + percent / 100
    return _scaled(frame, gain, float(frame.mean()) * (1 - gain))


def _scaled(frame: Pixels, gain: float, offset: float) -> Pixels:
    # Not convertScaleAbs, which takes what falls below black for its absolute value.
    table = np.clip(np.rint(np.arange(256) * gain + offset), 0, 255).astype(np.uint8)
    return cast(Pixels, cv2.LUT(frame, table))


def _blur(frame: Pixels, percent: float, seed: int) -> Pixels:
    """A Gaussian of that deviation, the usual stand-in for a lens out of focus."""
    deviation_px = percent / 100 * min(frame.shape[:2])
    return cast(
        Pixels, cv2.GaussianBlur(frame, (0, 0), deviation_px, borderType=cv2.BORDER_REFLECT_101)
    )


def _noise(frame: Pixels, deviation: float, seed: int) -> Pixels:
    """Gaussian noise, the same in all channels, so that a monochrome camera's frame stays grey."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal(frame.shape[:2], np.float32) * np.float32(deviation)
    noisy = np.rint(frame + noise[:, :, None])
    return np.clip(noisy, 0, 255, out=noisy).astype(np.uint8)


def _jpeg(frame: Pixels, points: float, seed: int) -> Pixels:
    """Encoded at libjpeg's quality 100 less `points`, and decoded."""
    quality = [cv2.IMWRITE_JPEG_QUALITY, round(100 - points)]
    # Which channel stands for red matters to the encoder; back through the same order it is RGB.
    _, data = cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), quality)
    return cast(Pixels, cv2.imdecode(data, cv2.IMREAD_COLOR_RGB))


def _shift(frame: Pixels, percent: float, seed: int) -> Pixels:
    """So far in a direction drawn by the seed."""
    angle = np.random.default_rng(seed).uniform(0, 2 * np.pi)
    length_px = percent / 100 * min(frame.shape[:2])
    x_px, y_px = length_px * np.cos(angle), length_px * np.sin(angle)
    return _moved(frame, np.array([[1, 0, x_px], [0, 1, y_px]]))


def _rotation(frame: Pixels, degrees: float, seed: int) -> Pixels:
    """About the frame's middle, clockwise or not by the seed."""
    sense = np.random.default_rng(seed).choice((-1, 1))
    height, width = frame.shape[:2]
    middle = ((width - 1) / 2, (height - 1) / 2)
    return _moved(frame, cv2.getRotationMatrix2D(middle, float(sense * degrees), 1.0))


def _moved(frame: Pixels, matrix: npt.NDArray[Any]) -> Pixels:
    """What comes into view repeats the border: what lies there is unknown."""
    height, width = frame.shape[:2]
    moved = cv2.warpAffine(
        frame, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return cast(Pixels, moved)


# Mild: hardly seen by a person. Middle: a line that has drifted. Strong: something is broken.
CHANGES = (
    Change("brightness", "% of light", (-10, -25, -50), _brightness),
    Change("brightness", "% of light", (10, 25, 50), _brightness),
    Change("contrast", "% of contrast", (-15, -30, -60), _contrast),
    Change("contrast", "% of contrast", (15, 30, 60), _contrast),
    Change("blur", f"deviation, {OF_SIDE}", (0.25, 0.5, 1.0), _blur),
    Change("noise", "deviation, grey levels", (4, 8, 16), _noise),
    Change("jpeg", "points of JPEG quality lost", (20, 50, 80), _jpeg),
    Change("shift", OF_SIDE, (1, 3, 8), _shift),
    Change("rotation", "degrees", (1, 3, 8), _rotation),
)
