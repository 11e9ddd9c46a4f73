"""Galleries: the parts that were judged wrong, in the order given."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline.datasets.manifest import Manifest
from pipeline.imaging.codec import encode_png
from pipeline.imaging.sheet import contact_sheet


def write_gallery(
    path: Path,
    data: Manifest,
    rows: Sequence[int] | npt.NDArray[np.integer],
    captions: Sequence[str],
    *,
    most: int = 40,
) -> None:
    """Write one PNG of the original images of the first `most` rows; no file without any."""
    picked = list(zip(captions, rows, strict=True))[:most]
    if picked:
        tiles = [(caption, data.pixels(int(row))) for caption, row in picked]
        path.write_bytes(encode_png(contact_sheet(tiles, columns=min(8, len(tiles)))))
