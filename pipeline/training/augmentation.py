"""What else the camera could have seen: the one module that knows albumentations.

The policy speaks of the line (exposure, vibration, shift); albumentations does the work. Every
image has its own seed, so the same training gives the same pictures whoever loads them.
"""

from __future__ import annotations

import json
import os
import zlib
from pathlib import Path
from threading import Lock
from typing import Any

# Set before the import: albumentations asks the package index for its version otherwise.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import albumentations as A
import cv2
import numpy as np
from pydantic import Field

from pipeline.errors import DataError, TrainingError
from pipeline.imaging import Pixels
from pipeline.plugins import Strict


class _Effect(Strict):
    probability: float = Field(0.5, ge=0, le=1, description="Share of images that get it.")


class Illumination(_Effect):
    """A brighter side, as from a lamp out of place."""

    strength: float = Field(0.1, gt=0, le=0.2, description="Largest change, share of full scale.")


class Exposure(_Effect):
    """A longer or shorter exposure and another gain."""

    brightness: float = Field(0.15, ge=0, le=1, description="Largest change, share of full scale.")
    contrast: float = Field(0.15, ge=0, le=1, description="Largest relative change of contrast.")


class Vibration(_Effect):
    """Blur along one direction, as from a part that moves."""

    max_px: int = Field(5, ge=3, le=31, description="Longest streak, in pixels (odd).")


class SensorNoise(_Effect):
    """Gaussian noise."""

    deviation: float = Field(0.02, gt=0, le=0.5, description="Largest, share of full scale.")


class Jpeg(_Effect):
    """Artefacts of a compressing camera."""

    min_quality: int = Field(60, ge=1, le=99, description="Worst JPEG quality.")


class Rotation(_Effect):
    """A part that lies at an angle."""

    max_deg: float = Field(2.0, gt=0, le=180, description="Largest angle to either side.")


class Shift(_Effect):
    """A part that lies beside its place."""

    max_fraction: float = Field(0.02, gt=0, le=0.5, description="Largest, share of the side.")


class Flip(Strict):
    """Mirror images; only where a mirrored part is still a real part."""

    horizontal: bool = Field(False, description="Left for right.")
    vertical: bool = Field(False, description="Top for bottom.")


class Policy(Strict):
    """What may happen to a training image; what is left out does not happen."""

    flip: Flip | None = Field(None, description="Mirror images.")
    rotation: Rotation | None = Field(None, description="Turn.")
    shift: Shift | None = Field(None, description="Displace.")
    illumination: Illumination | None = Field(None, description="Uneven light.")
    exposure: Exposure | None = Field(None, description="Brightness and contrast.")
    vibration: Vibration | None = Field(None, description="Motion blur.")
    sensor_noise: SensorNoise | None = Field(None, description="Noise.")
    jpeg: Jpeg | None = Field(None, description="Compression.")


class Augmenter:
    """A policy at work on prepared images."""

    def __init__(self, compose: Any) -> None:
        self._compose = compose
        self._turn = Lock()  # albumentations keeps its random state in the pipeline itself

    @classmethod
    def of(cls, policy: Policy) -> Augmenter:
        """Build from a policy."""
        return cls(A.Compose(_transforms(policy)))

    @classmethod
    def read(cls, path: Path) -> Augmenter:
        """Read what `write` wrote.

        Raises:
            TrainingError: the file is missing or not of this albumentations.
        """
        try:
            return cls(A.from_dict(json.loads(path.read_bytes())))
        except (OSError, ValueError, KeyError) as error:
            raise TrainingError(f"{path} is no augmentation policy: {error}") from error

    def serialise(self) -> dict[str, Any]:
        """The policy as albumentations' own JSON."""
        return json.loads(json.dumps(A.to_dict(self._compose)))  # type: ignore[no-any-return]

    def __call__(self, image: Pixels, *, seed: int, sample_id: str, view: int) -> Pixels:
        """One augmented view of a prepared image.

        Args:
            image: uint8 H,W,C.
            seed: of the whole training.
            sample_id: which image it is.
            view: which view of it (or which epoch).

        Returns:
            uint8 H,W,C; the same arguments give the same pixels.

        Raises:
            DataError: the policy changed shape or type, so it cannot be trained with.
        """
        # albumentations 2.0.8 fails on H,W,1 in some effects: a grey image goes in as H,W.
        given = image[:, :, 0] if image.shape[2] == 1 else image
        with self._turn:
            self._compose.set_random_seed(zlib.crc32(f"{seed}/{view}/{sample_id}".encode()))
            made = self._compose(image=given)["image"]
        if made.dtype != np.uint8 or made.shape != given.shape:
            raise DataError(
                f"the policy makes {made.dtype} {made.shape} of uint8 {given.shape}; "
                "it must keep type and shape"
            )
        return np.ascontiguousarray(made).reshape(image.shape)


def _transforms(policy: Policy) -> list[Any]:
    chain: list[Any] = []
    if policy.flip is not None:
        chain += [A.HorizontalFlip(p=0.5)] if policy.flip.horizontal else []
        chain += [A.VerticalFlip(p=0.5)] if policy.flip.vertical else []
    if (r := policy.rotation) is not None:
        mode = cv2.BORDER_REFLECT_101
        chain.append(A.Affine(rotate=(-r.max_deg, r.max_deg), border_mode=mode, p=r.probability))
    if (s := policy.shift) is not None:
        span = (-s.max_fraction, s.max_fraction)
        chain.append(
            A.Affine(
                translate_percent={"x": span, "y": span},
                border_mode=cv2.BORDER_REFLECT_101,
                p=s.probability,
            )
        )
    if (i := policy.illumination) is not None:
        chain.append(A.Illumination(intensity_range=(0.01, i.strength), p=i.probability))
    if (e := policy.exposure) is not None:
        chain.append(
            A.RandomBrightnessContrast(
                brightness_limit=e.brightness, contrast_limit=e.contrast, p=e.probability
            )
        )
    if (v := policy.vibration) is not None:
        chain.append(A.MotionBlur(blur_limit=(3, v.max_px | 1), p=v.probability))
    if (n := policy.sensor_noise) is not None:
        chain.append(A.GaussNoise(std_range=(0.0, n.deviation), p=n.probability))
    if (j := policy.jpeg) is not None:
        chain.append(A.ImageCompression(quality_range=(j.min_quality, 100), p=j.probability))
    return chain
