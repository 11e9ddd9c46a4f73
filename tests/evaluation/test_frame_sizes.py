"""The sizes of training pictures travel in the bundle."""

from __future__ import annotations

from pathlib import Path

from pipeline.contracts.bundle import Bundle, open_bundle
from pipeline.contracts.frame_sizes import FrameSizes
from pipeline.evaluation.frame_sizes import add_frame_sizes
from tests.evaluation.conftest import parts


def test_a_bundle_has_the_sizes_of_the_pictures_that_the_model_has_learned_from(
    sealed_bundle: Bundle, tmp_path: Path
) -> None:
    data = parts(sealed_bundle, tmp_path / "parts", {"a": 152, "b": 141, "held out": 116})
    data.table["split"] = ["train", "val", "test"]
    data.table["width_px"], data.table["height_px"] = [300, 200, 9000], [300, 400, 10]
    bundle = add_frame_sizes(sealed_bundle, data)
    assert bundle.frame_sizes == FrameSizes(
        least_aspect=0.5, largest_aspect=1, least_px=282.84, largest_px=300
    )
    assert open_bundle(bundle.folder, bundle.sha256) == bundle


def test_a_bundle_that_was_sealed_before_there_were_sizes_has_none(sealed_bundle: Bundle) -> None:
    assert sealed_bundle.frame_sizes is None
