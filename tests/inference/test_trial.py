"""A bundle is tried out before it judges parts."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from pipeline.contracts.bundle import Bundle, open_bundle, seal
from pipeline.errors import BundleError
from pipeline.imaging import Pixels
from pipeline.inference.trial import load
from tests.golden_frames import FILE, with_golden_frame

PICTURE: Pixels = np.full((20, 24, 3), 130, np.uint8)


def test_a_bundle_whose_golden_frame_is_judged_as_in_evaluation_is_taken(
    sealed_bundle: Bundle,
) -> None:
    bundle = with_golden_frame(sealed_bundle, PICTURE)
    assert load(bundle, threads=1).bundle is bundle


def test_a_bundle_sealed_before_there_were_golden_frames_is_taken(sealed_bundle: Bundle) -> None:
    assert sealed_bundle.golden is None
    assert load(sealed_bundle, threads=1).bundle is sealed_bundle


@pytest.mark.parametrize(("off", "taken"), [(0.0008, True), (0.0012, False)])
def test_a_probability_may_be_off_by_the_tolerance(
    sealed_bundle: Bundle, off: float, taken: bool
) -> None:
    honest = with_golden_frame(sealed_bundle, PICTURE).golden
    assert honest is not None
    said = {**honest.probabilities, "good": honest.probabilities["good"] + off}
    bundle = with_golden_frame(sealed_bundle, PICTURE, probabilities=said)
    if taken:
        load(bundle, threads=1)
    else:
        with pytest.raises(BundleError, match=r"tray/part-7.*probability of good off by 0\.0012"):
            load(bundle, threads=1)


def test_another_verdict_is_a_reason_to_refuse(sealed_bundle: Bundle) -> None:
    bundle = with_golden_frame(sealed_bundle, PICTURE, verdict="PASS")
    with pytest.raises(BundleError, match=r"judged otherwise here .*: REVIEW for PASS.*refused"):
        load(bundle, threads=1)


def test_a_golden_frame_that_cannot_be_decoded_here_is_a_reason_to_refuse(
    sealed_bundle: Bundle,
) -> None:
    folder = with_golden_frame(sealed_bundle, PICTURE).folder
    (folder / FILE).write_bytes(b"\x89PNG of tomorrow")
    with pytest.raises(BundleError, match=r"golden frame cannot be judged here: .*golden-frame"):
        load(open_bundle(folder, seal(folder)), threads=1)


def test_a_graph_that_loads_and_does_not_run_is_refused(sealed_bundle: Bundle) -> None:
    graph = onnx.load(str(sealed_bundle.model))
    (weight,) = (t for t in graph.graph.initializer if t.name == "weight")
    weight.CopyFrom(onnx.numpy_helper.from_array(np.ones((3, 2), np.float32), "weight"))
    del graph.graph.value_info[:]
    onnx.save(graph, str(sealed_bundle.model))
    bundle = open_bundle(sealed_bundle.folder, seal(sealed_bundle.folder))
    with pytest.raises(BundleError, match=r"does not (run|load)"):
        load(bundle, threads=1)
