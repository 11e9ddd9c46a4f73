"""Cache of scans: an image file that has not been changed is not read again.

A file counts as untouched while size, inode and both times are the same, as git does it; the time
of the inode's last change cannot be set back by a copy. What is not on disk is read each time.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pyarrow import ArrowException

from pipeline.contracts.sample import Sample
from pipeline.contracts.spec import RawPixels
from pipeline.datasets.annotations import defect_mask
from pipeline.datasets.annotations.boxes import in_pixels
from pipeline.datasets.image_mode import ImageMode
from pipeline.datasets.location import Place
from pipeline.datasets.scanning import Scan, scan
from pipeline.errors import UnreadableImage
from pipeline.files import whole_file
from pipeline.imaging.codec import VERSION as CODEC_VERSION
from pipeline.imaging.quality import Quality
from pipeline.source_code import code_digest

log = logging.getLogger(__name__)

_PLAIN = ("width_px", "height_px", "bytes", "sha256", "pixels_sha256", "mask_sha256")
_VECTORS = ("fingerprint", "texture")


class ScanCache:
    """The scans of one recipe, in one Parquet file."""

    def __init__(self, file: Path, root: Place, raw: RawPixels | None = None) -> None:
        """Read the file; one that is missing, damaged or of other code is an empty cache."""
        self._file, self._root, self._raw = file, root, raw
        self._known: dict[tuple[str, str], Scan] = {}
        self._states: dict[str, str] = {}
        try:
            table = pd.read_parquet(file)
        except (OSError, ArrowException):
            return
        if table.attrs.get("code") == _code(raw):
            vectors = {name: np.stack(table[name].to_list()) for name in _VECTORS if len(table)}
            for row, entry in enumerate(table.to_dict("records")):
                self._known[entry["path"], entry["state"]] = Scan(
                    Sample(entry["path"], entry["path"], "", ""),
                    **{name: entry[name] for name in _PLAIN},
                    mode=ImageMode(entry["mode"], entry["rotated"]),
                    quality=Quality(entry["brightness"], entry["contrast"], entry["sharpness"]),
                    **{name: vectors[name][row] for name in _VECTORS},
                )

    def scan(self, sample: Sample) -> Scan:
        """As `scanning.scan`, from memory where the files are untouched."""
        # Before it is read: what changes meanwhile is read again next time.
        state = self._states[sample.path] = self._state(sample)
        known = self._known.get((sample.path, state))
        if known is None:
            return scan(sample, self._root, self._raw)
        try:
            boxes = in_pixels(sample.boxes, known.width_px, known.height_px, sample.path)
        except UnreadableImage as error:
            return Scan(sample, fault=str(error))
        return replace(known, sample=replace(sample, boxes=boxes))

    def save(self, scans: Sequence[Scan]) -> None:
        """Keep these scans, those with a fault left out, and forget all others."""
        states = self._states
        rows = [(s, state) for s in scans if not s.fault and (state := states[s.sample.path])]
        table = pd.DataFrame([_entry(s, state) for s, state in rows])
        table.attrs["code"] = _code(self._raw)
        try:
            with whole_file(self._file) as handle:
                table.to_parquet(handle, index=False)
        except OSError as error:
            log.warning("%s is not written (%s): all is read again next time", self._file, error)

    def _state(self, sample: Sample) -> str:
        """Changes when the image or its mask does; "" where that is not known."""
        parts: list[object] = [sample.mask]
        for name in (sample.path, *defect_mask.files(sample.mask)):
            place = self._root / name
            if not isinstance(place, Path):
                return ""
            try:
                status = place.stat()
            except (OSError, ValueError):
                return ""
            parts += [status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]
        return repr(parts)


def _entry(s: Scan, state: str) -> dict[str, Any]:
    assert s.quality is not None
    return {
        "path": s.sample.path,
        "state": state,
        **{name: getattr(s, name) for name in (*_PLAIN, *_VECTORS)},
        "mode": s.mode.colours,
        "rotated": s.mode.rotated,
        "brightness": s.quality.brightness,
        "contrast": s.quality.contrast,
        "sharpness": s.quality.sharpness,
    }


def _code(raw: RawPixels | None) -> str:
    """Changes with the code that scans, with OpenCV, and with what values mean."""
    limit = os.environ.get("OPENCV_IO_MAX_IMAGE_PIXELS", "")
    texts = [CODEC_VERSION, limit, "" if raw is None else raw.model_dump_json()]
    texts += [code_digest("pipeline.datasets.scanning")]
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()
