"""Applies a `policy` through a chain of albumentations.

Every image has its own seed, so the same training gives the same pictures in any process.
"""

from __future__ import annotations

import json
import threading
import zlib
from pathlib import Path
from typing import Any, TypeVar

import albumentations as A
import cv2
import numpy as np

from pipeline.errors import DataError, TrainingError
from pipeline.imaging import Pixels
from pipeline.training.augmentation.dust import Specks
from pipeline.training.augmentation.policy import Policy

N = TypeVar("N", int, float)


class _ThreadChain(threading.local):
    """albumentations keeps its random state in the chain itself: each thread has its own."""

    def __init__(self, written: dict[str, Any]) -> None:
        self.compose = A.from_dict(written)


class Augmenter:
    """Applies a policy to prepared images, from any number of threads or processes."""

    def __init__(self, written: dict[str, Any]) -> None:
        self._written = written
        self._chain = _ThreadChain(written)

    def __reduce__(self) -> tuple[type[Augmenter], tuple[dict[str, Any]]]:
        return Augmenter, (self._written,)

    @classmethod
    def of(cls, policy: Policy, *, full: bool = False) -> Augmenter:
        """Build from a policy; `full` gives each effect always and at its full strength."""
        written = A.to_dict(A.Compose(_transforms(policy, full)))
        return cls(json.loads(json.dumps(written)))

    @classmethod
    def read(cls, path: Path) -> Augmenter:
        """Read a policy that `serialise` gave and a stage wrote.

        Raises:
            TrainingError: the file is missing or not of this albumentations.
        """
        try:
            return cls(json.loads(path.read_bytes()))
        except (OSError, ValueError, KeyError) as error:
            raise TrainingError(f"{path} is not an augmentation policy: {error}") from error

    def serialise(self) -> dict[str, Any]:
        """The policy as albumentations' own JSON."""
        return self._written

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
        return self._made(image, None, f"{seed}/{view}/{sample_id}")[0]

    def with_mask(
        self, image: Pixels, mask: Pixels, *, seed: int, sample_id: str, view: int
    ) -> tuple[Pixels, Pixels]:
        """The view that a call gives, and a mask uint8 H,W that has moved with the part."""
        made, moved = self._made(image, mask, f"{seed}/{view}/{sample_id}")
        assert moved is not None
        return made, moved

    def _made(
        self, image: Pixels, mask: Pixels | None, seed_text: str
    ) -> tuple[Pixels, Pixels | None]:
        # albumentations 2.0.8 fails on H,W,1 in some effects: a grey image goes in as H,W.
        given = image[:, :, 0] if image.shape[2] == 1 else image
        compose = self._chain.compose
        compose.set_random_seed(zlib.crc32(seed_text.encode()))
        found = compose(image=given) if mask is None else compose(image=given, mask=mask)
        made = found["image"]
        if made.dtype != np.uint8 or made.shape != given.shape:
            raise DataError(
                f"the policy makes {made.dtype} {made.shape} of uint8 {given.shape}; "
                "it must keep type and shape"
            )
        return np.ascontiguousarray(made).reshape(image.shape), found.get("mask")


def _transforms(policy: Policy, full: bool) -> list[Any]:
    """What happens to the part, then to the light, in the optics, on the sensor, in the wire."""

    def span(weakest: N, strongest: N) -> tuple[N, N]:
        return (strongest, strongest) if full else (weakest, strongest)

    def often(probability: float) -> float:
        return 1.0 if full else probability

    chain: list[Any] = []
    mode = cv2.BORDER_REFLECT_101
    if (f := policy.flip) is not None:
        chain += [A.HorizontalFlip(p=often(0.5))] if f.horizontal else []
        chain += [A.VerticalFlip(p=often(0.5))] if f.vertical else []
    if (r := policy.rotation) is not None:
        angles = span(-r.max_deg, r.max_deg)
        chain.append(A.Affine(rotate=angles, border_mode=mode, p=often(r.probability)))
    if (s := policy.shift) is not None:
        share = span(-s.max_fraction, s.max_fraction)
        where = {"x": share, "y": share}
        chain.append(A.Affine(translate_percent=where, border_mode=mode, p=often(s.probability)))
    if (i := policy.illumination) is not None:
        strength = span(min(0.01, i.strength), i.strength)
        chain.append(A.Illumination(intensity_range=strength, p=often(i.probability)))
    if (d := policy.dust) is not None:
        number, size = span(1, d.max_specks), span(1, d.max_px)
        chain.append(Specks(number, size, d.tone, p=often(d.probability)))
    if (v := policy.vibration) is not None:
        # About its place and along a whole line: the default streak is on average half as long.
        streak = A.MotionBlur(
            blur_limit=span(3, v.max_px | 1),
            allow_shifted=False,
            direction_range=(0.0, 0.0),
            p=often(v.probability),
        )
        chain.append(streak)
    if (n := policy.sensor_noise) is not None:
        chain.append(A.GaussNoise(std_range=span(0.0, n.deviation), p=often(n.probability)))
    if (e := policy.exposure) is not None:
        # Full strength is what hides most: brighter and with less contrast.
        exposure = A.RandomBrightnessContrast(
            brightness_limit=span(-e.brightness, e.brightness),
            contrast_limit=span(e.contrast, -e.contrast) if full else (-e.contrast, e.contrast),
            p=often(e.probability),
        )
        chain.append(exposure)
    if (j := policy.jpeg) is not None:
        quality = (j.min_quality, j.min_quality if full else 100)
        chain.append(A.ImageCompression(quality_range=quality, p=often(j.probability)))
    return chain
