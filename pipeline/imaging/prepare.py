"""RGB pixels to the network's input, by the `PreprocessSpec`; in integers throughout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.contracts.spec import Contour, FlatField, PreprocessSpec, reference_file
from pipeline.errors import DataError, UnreadableImage
from pipeline.imaging import Pixels, codec, geometry, locate
from pipeline.imaging.geometry import AnyPixels, Warp

INTERPOLATION = {
    "nearest": cv2.INTER_NEAREST,
    "linear": cv2.INTER_LINEAR,
    "cubic": cv2.INTER_CUBIC,
    "area": cv2.INTER_AREA,
    "lanczos": cv2.INTER_LANCZOS4,
}

Steps = list[tuple[str, Pixels]]


@dataclass(frozen=True)
class Prepared:
    """One part as the network sees it.

    Attributes:
        images: uint8 T,H,W,C: one image, or the tiles row by row.
        masks: uint8 T,H,W, 255 where the defect mask given is set; None when none was given.
        confidence: of the place where the part was found, 0 to 1; 1 when none was looked for.
        reason: why this may not be the part, or None.
    """

    images: Pixels
    masks: Pixels | None
    confidence: float
    reason: str | None


class Preparation:
    """A spec at work. May be called from several threads."""

    def __init__(
        self, spec: PreprocessSpec, references: Mapping[str, Pixels] | None = None
    ) -> None:
        """Take the spec and the pictures that it names, uint8 H,W,3 RGB each.

        Raises:
            DataError: a picture that the spec names is missing.
        """
        self.spec = spec
        given = references or {}
        if lacking := [name for name in spec.references if name not in given]:
            raise DataError(
                f'the preparation needs the picture "{lacking[0]}"; give its path under '
                "`references` in ingest.yaml"
            )
        self._warp = INTERPOLATION[spec.interpolation]
        if self._warp == cv2.INTER_AREA:
            self._warp = cv2.INTER_LINEAR  # OpenCV warps know no area
        self._gain = _gain(given, spec.flat_field)
        self._golden = None
        if spec.locate is not None and not isinstance(spec.locate, Contour):
            self._golden = _grey(given[spec.locate.reference])

    @classmethod
    def read(cls, spec: PreprocessSpec, folder: Path) -> Preparation:
        """Take the spec, and its pictures from the folder, as `reference_file` names them."""
        files = {name: folder / reference_file(name) for name in spec.references}
        return cls(spec, {name: codec.read(f) for name, f in files.items() if f.is_file()})

    @property
    def frame_px(self) -> tuple[int, int]:
        """Height and width of a frame that this preparation takes."""
        spec = self.spec
        if self._gain is not None:
            return self._gain.shape[0], self._gain.shape[1]
        if (roi := spec.roi) is not None:
            return roi.y_px + roi.height_px, roi.x_px + roi.width_px
        if spec.rectify is not None:
            right, bottom = np.ceil(np.array(spec.rectify.corners_px).max(axis=0)).astype(int)
            return int(bottom) + 1, int(right) + 1
        if self._golden is not None:
            return self._golden.shape[0], self._golden.shape[1]
        if spec.unwrap is not None:
            x, y = spec.unwrap.centre_px or (spec.unwrap.outer_px, spec.unwrap.outer_px)
            return int(y + spec.unwrap.outer_px) + 1, int(x + spec.unwrap.outer_px) + 1
        return spec.height_px, spec.width_px

    def __call__(
        self, rgb: Pixels, mask: Pixels | None = None, steps: Steps | None = None
    ) -> Prepared:
        """Prepare one image.

        Args:
            rgb: uint8, height x width x 3, RGB.
            mask: its defect mask, uint8 height x width, 0 where the part is sound.
            steps: takes the name of each step and the picture after it, for people to look at.

        Raises:
            UnreadableImage: it is smaller than the spec's ROI, corners, ring or golden sample, or
                not of the flat field's size, or the mask is not of its size.
        """
        spec = self.spec
        if mask is not None and mask.shape != rgb.shape[:2]:
            raise UnreadableImage(
                f"the mask has {mask.shape[1]}x{mask.shape[0]} pixels, the image "
                f"{rgb.shape[1]}x{rgb.shape[0]}"
            )
        seen: Steps = [] if steps is None else steps
        seen.append(("camera", rgb))
        image, warps, confidence = self._place(self._even(rgb, seen), seen)
        reason = None
        if spec.locate is not None and confidence < spec.locate.min_confidence:
            reason = (
                f"part not found: confidence {confidence:.2f} below "
                f"{spec.locate.min_confidence:.2f}"
            )
        if spec.colour == "grey":
            image = _grey(image)
        boxes = list(geometry.tiles(image, spec.tiles)) if spec.tiles else [(slice(None),) * 2]
        images = np.stack([self._finish(image[box]) for box in boxes])
        masks = None
        if mask is not None:
            defects = (mask > 0).astype(np.float32)
            for warp in warps:
                defects = warp(defects, cv2.INTER_LINEAR)
            # A defect of one pixel must not vanish: whatever it touches is set.
            fitted = [self._fit(defects[box], 0, cv2.INTER_AREA) for box in boxes]
            masks = np.where(np.stack(fitted) > 0, np.uint8(255), np.uint8(0))
        return Prepared(images, masks, confidence, reason)

    def _even(self, rgb: Pixels, seen: Steps) -> Pixels:
        if self._gain is None:
            return rgb
        if self._gain.shape[:2] != rgb.shape[:2]:
            raise UnreadableImage(
                f"the image has {rgb.shape[1]}x{rgb.shape[0]} pixels, the flat field's reference "
                f"{self._gain.shape[1]}x{self._gain.shape[0]}"
            )
        even = cast(Pixels, cv2.multiply(rgb, self._gain, dtype=cv2.CV_8U))
        seen.append(("flat field", even))
        return even

    def _place(self, image: Pixels, seen: Steps) -> tuple[Pixels, list[Warp], float]:
        """Crop, rectify, locate and unwrap; also how, and how sure the place is."""
        spec, warps, confidence = self.spec, list[Warp](), 1.0

        def go(step: str, warp: Warp) -> Pixels:
            warps.append(warp)
            moved = warp(image, self._warp)
            seen.append((step, moved))
            return moved

        if spec.roi is not None:
            image = go("roi", geometry.crop(image, spec.roi))
        if spec.rectify is not None:
            image = go("rectify", geometry.rectify(image, spec.rectify))
        if spec.locate is not None:
            grey = _grey(image)
            if isinstance(spec.locate, Contour):
                place = locate.by_contour(grey, spec.locate)
            else:
                assert self._golden is not None
                place = locate.by_template(grey, self._golden, spec.locate)
            confidence = place.confidence
            window = geometry.window(*place.window(spec.locate.margin))
            image = go(f"locate {confidence:.2f}", window)
        if spec.unwrap is not None:
            image = go("unwrap", geometry.unwrap(image, spec.unwrap))
        return image, warps, confidence

    def _finish(self, image: Pixels) -> Pixels:
        fitted = self._fit(image, self.spec.pad_value, INTERPOLATION[self.spec.interpolation])
        if self.spec.clahe is not None:
            fitted = _equalise(fitted, self.spec)
        return np.ascontiguousarray(fitted).reshape(self.spec.shape)

    def _fit(self, image: AnyPixels, pad_value: int, how: int) -> AnyPixels:
        spec, (height, width) = self.spec, image.shape[:2]
        if spec.fit == "stretch":
            return _resize(image, spec.width_px, spec.height_px, how)
        scale = min(spec.width_px / width, spec.height_px / height)
        inner_width = max(1, round(width * scale))
        inner_height = max(1, round(height * scale))
        frame = (spec.height_px, spec.width_px, *image.shape[2:])
        canvas = np.full(frame, pad_value, image.dtype)
        top, left = (spec.height_px - inner_height) // 2, (spec.width_px - inner_width) // 2
        canvas[top : top + inner_height, left : left + inner_width] = _resize(
            image, inner_width, inner_height, how
        )
        return canvas


def _resize(image: AnyPixels, width: int, height: int, how: int) -> AnyPixels:
    if image.shape[:2] == (height, width):
        return image
    return cast(AnyPixels, cv2.resize(image, (width, height), interpolation=how))


def _gain(
    references: Mapping[str, Pixels], spec: FlatField | None
) -> npt.NDArray[np.float32] | None:
    """What to multiply each pixel with: the reference's mean over its value there, H,W,3."""
    if spec is None:
        return None
    light = np.maximum(references[spec.reference], spec.floor).astype(np.float32)
    # In double precision: a sum of millions of float32 is off by several per cent.
    gain: npt.NDArray[np.float32] = (light.mean(axis=(0, 1), dtype=np.float64) / light).astype(
        np.float32
    )
    return gain


def _grey(image: Pixels) -> Pixels:
    return cast(Pixels, cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))


def _equalise(image: Pixels, spec: PreprocessSpec) -> Pixels:
    assert spec.clahe is not None
    clahe = cv2.createCLAHE(spec.clahe.clip_limit, (spec.clahe.tiles, spec.clahe.tiles))
    if image.ndim == 2:
        return cast(Pixels, clahe.apply(image))
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    lab[:, :, 0] = clahe.apply(lab[:, :, 0])
    return cast(Pixels, cv2.cvtColor(lab, cv2.COLOR_LAB2RGB))
