"""A tiny data set of even grey pictures, which the tiny bundle judges by their brightness."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.contracts.bundle import Bundle
from pipeline.datasets.manifest import Manifest
from pipeline.evaluation.predictions import PartPredictions, predict_parts
from pipeline.files import sha256
from pipeline.imaging.codec import encode_png
from pipeline.inference.inspector import Inspection


def parts(bundle: Bundle, root: Path, brightness: dict[str, int], ending: str = ".png") -> Manifest:
    """Even grey test pictures, one a part, all good but those whose name starts with `bad`."""
    root.mkdir()
    rows = []
    for name, grey in brightness.items():
        path = root / f"{name}{ending}"
        path.write_bytes(encode_png(np.full((16, 16, 3), grey, np.uint8)))
        label = "defective" if name.startswith("bad") else "good"
        rows.append((name, path.name, label, path.stat().st_size, sha256(path), name))
    columns = ["sample_id", "path", "label", "bytes", "sha256", "group"]
    table = pd.DataFrame(rows, columns=columns).assign(split="test", variant="")
    return Manifest(table, bundle.taxonomy, root, {})


def unwatched(inspections: Iterable[Inspection], total: int) -> Iterable[Inspection]:
    return inspections


def predictions(bundle: Bundle, data: Manifest) -> PartPredictions:
    """Those of all parts."""
    return predict_parts(bundle, data, np.arange(len(data.table)), unwatched)
