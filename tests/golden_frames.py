"""Bundles with a golden frame, for tests; `evaluate` writes those of real bundles."""

from __future__ import annotations

from typing import Any

from pipeline.contracts.bundle import GOLDEN, Bundle, GoldenFrame, open_bundle, seal
from pipeline.files import write_model
from pipeline.imaging import Pixels
from pipeline.imaging.codec import encode_png, read
from pipeline.inference.inspector import Inspector

FILE = "golden-frame.png"


def with_golden_frame(bundle: Bundle, picture: Pixels, **otherwise: Any) -> Bundle:
    """Seal a bundle anew with a golden frame, of which it says the truth but for `otherwise`."""
    (bundle.folder / FILE).write_bytes(encode_png(picture))
    seen = Inspector(bundle, threads=1).inspect(read(bundle.folder / FILE))
    names = bundle.taxonomy.names
    said = {
        "file": FILE,
        "sample_id": "tray/part-7",
        "probabilities": {
            n: round(float(p), 4) for n, p in zip(names, seen.probabilities, strict=True)
        },
        "verdict": seen.decision.verdict,
    }
    write_model(bundle.folder / GOLDEN, GoldenFrame.model_validate({**said, **otherwise}))
    return open_bundle(bundle.folder, seal(bundle.folder))
