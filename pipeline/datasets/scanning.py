"""Results of reading one image file, in the one pass of `ingest` over a data set."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace

from pipeline.contracts.sample import Sample
from pipeline.contracts.spec import RawPixels
from pipeline.datasets import location
from pipeline.datasets.annotations import defect_mask
from pipeline.datasets.annotations.boxes import in_pixels
from pipeline.datasets.image_mode import ImageMode, image_mode
from pipeline.datasets.location import Place
from pipeline.errors import UnreadableImage, printable
from pipeline.imaging.codec import decode
from pipeline.imaging.fingerprint import Fingerprint, fingerprint
from pipeline.imaging.quality import Quality, measure
from pipeline.imaging.texture import Texture, texture


@dataclass(frozen=True)
class Scan:
    """Results of reading one image file.

    Attributes:
        sample: the sample as the adapter gave it, its boxes in pixels; with a fault, its path can
            be printed.
        mode: how the file stores its picture.
        quality: brightness, contrast and sharpness of the whole picture; None with a fault.
        fingerprint: what it shows, to find near-duplicates; None with a fault.
        texture: what its surface is like, to find wrong labels; None with a fault.
        mask_sha256: of its defect mask, "" without one.
        fault: why it cannot be used, "" when it can.
    """

    sample: Sample
    width_px: int = 0
    height_px: int = 0
    bytes: int = 0
    sha256: str = ""
    pixels_sha256: str = ""
    mode: ImageMode = field(default_factory=ImageMode)
    quality: Quality | None = None
    fingerprint: Fingerprint | None = None
    texture: Texture | None = None
    mask_sha256: str = ""
    fault: str = ""


def scan(sample: Sample, root: Place, raw: RawPixels | None = None) -> Scan:
    """Read and decode one image, by `raw`; a fault is an answer, not an exception.

    Raises:
        DataError: images that are not on disk cannot be reached; which is not a fault of one image.
    """
    name = printable(sample.path)
    if name != sample.path:
        fault = f"{name} has a name with control characters or that is not UTF-8; rename it"
        return Scan(replace(sample, path=name), fault=fault)
    try:
        data = location.image(root / sample.path, name)
        rgb = decode(data, name, raw)
        height, width = rgb.shape[:2]
        mask_sha256 = _mask(sample, root, rgb.shape[:2]) if sample.mask else ""
        sample = replace(sample, boxes=in_pixels(sample.boxes, width, height, name))
    except UnreadableImage as error:
        return Scan(sample, fault=str(error))
    pixels = hashlib.sha256(f"{width}x{height}".encode() + rgb.tobytes()).hexdigest()
    return Scan(
        sample=sample,
        width_px=width,
        height_px=height,
        bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        pixels_sha256=pixels,
        mode=image_mode(data),
        quality=measure(rgb),
        fingerprint=fingerprint(rgb),
        texture=texture(rgb),
        mask_sha256=mask_sha256,
    )


def _mask(sample: Sample, root: Place, shape: tuple[int, ...]) -> str:
    """Hash of its defect mask; raises UnreadableImage when the mask does not fit the image."""
    contents = [location.image(root / p, printable(p)) for p in defect_mask.files(sample.mask)]
    size = shape[1], shape[0]
    defect_mask.decoded(sample.mask, contents, size, sample.path)
    return defect_mask.digest(sample.mask, contents)
