"""The sizes of training pictures, sealed into the bundle: a station refuses others."""

from __future__ import annotations

import numpy as np

from pipeline.contracts.bundle import FRAME_SIZES, Bundle, open_bundle, seal
from pipeline.contracts.frame_sizes import FrameSizes
from pipeline.datasets.manifest import Manifest
from pipeline.files import write_model


def add_frame_sizes(bundle: Bundle, data: Manifest) -> Bundle:
    """Seal the bundle again with the sizes of the training and validation pictures."""
    learned = data.table[data.table["split"] != "test"]
    width, height = (learned[side].to_numpy(np.float64) for side in ("width_px", "height_px"))
    aspect, scale = width / height, np.sqrt(width * height)
    sizes = FrameSizes(
        least_aspect=round(float(aspect.min()), 4),
        largest_aspect=round(float(aspect.max()), 4),
        least_px=round(float(scale.min()), 2),
        largest_px=round(float(scale.max()), 2),
    )
    write_model(bundle.folder / FRAME_SIZES, sizes)
    return open_bundle(bundle.folder, expected_sha256=seal(bundle.folder))
