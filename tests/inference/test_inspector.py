"""One frame from pixels to verdict, through a sealed bundle."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.contracts.bundle import Bundle, open_bundle, seal
from pipeline.contracts.records import Verdict
from pipeline.contracts.spec import Roi
from pipeline.errors import UnreadableImage
from pipeline.files import write_model
from pipeline.imaging import Pixels
from pipeline.imaging.prepare import Preparation
from pipeline.imaging.quality import measure
from pipeline.inference.inspector import Inspector
from pipeline.inference.predictor import Predictor


def frame(value: int) -> Pixels:
    """A camera's RGB frame, larger than what the network takes."""
    return np.full((48, 64, 3), value, np.uint8)


@pytest.mark.parametrize(
    ("value", "verdict", "part_class"),
    [
        (200, Verdict.PASS, "good"),
        (128, Verdict.REVIEW, "defective"),
        (50, Verdict.FAIL, "defective"),
    ],
)
def test_a_frame_gets_the_verdict_of_its_brightness(
    sealed_bundle: Bundle, value: int, verdict: Verdict, part_class: str
) -> None:
    decision = Inspector(sealed_bundle).inspect(frame(value)).decision
    assert (decision.verdict, decision.part_class) == (verdict, part_class)


def test_a_frame_brighter_than_all_training_images_is_reviewed_not_passed(
    sealed_bundle: Bundle,
) -> None:
    decision = Inspector(sealed_bundle).inspect(frame(250)).decision
    assert decision.verdict is Verdict.REVIEW
    assert decision.reason.startswith("too bright: mean grey 250.0, training saw 60.0 to 180.0; ")


def test_a_frame_darker_than_all_training_images_still_fails(sealed_bundle: Bundle) -> None:
    decision = Inspector(sealed_bundle).inspect(frame(10)).decision
    assert decision.verdict is Verdict.FAIL
    assert decision.reason.startswith("too dark: ")


def test_an_inspection_is_what_its_parts_say(sealed_bundle: Bundle) -> None:
    rgb = np.random.default_rng(0).integers(90, 170, (48, 64, 3), dtype=np.uint8)
    seen = Inspector(sealed_bundle).inspect(rgb)
    (image,) = Preparation(sealed_bundle.preprocess)(rgb).images
    prediction = Predictor(sealed_bundle).predict(image[None])
    assert (seen.probabilities == prediction.probabilities[0]).all()
    assert (seen.embedding == prediction.embedding[0]).all()
    assert seen.quality == measure(image)
    assert seen.decision.defect_score == pytest.approx(float(seen.probabilities[1]))


def test_the_parts_of_the_time_fit_into_the_whole(sealed_bundle: Bundle) -> None:
    seen = Inspector(sealed_bundle).inspect(frame(200))
    assert seen.prepare_ms >= 0
    assert seen.predict_ms >= 0
    assert seen.total_ms >= seen.prepare_ms + seen.predict_ms


def test_a_frame_without_the_recipes_roi_is_unreadable(sealed_bundle: Bundle) -> None:
    roi = Roi(x_px=40, y_px=0, width_px=32, height_px=32)
    spec = sealed_bundle.preprocess.model_copy(update={"roi": roi})
    write_model(sealed_bundle.folder / "preprocess.json", spec)
    seal(sealed_bundle.folder)
    with pytest.raises(UnreadableImage, match="reaches outside the image of 64x48"):
        Inspector(open_bundle(sealed_bundle.folder)).inspect(frame(200))
