"""One frame from pixels to verdict, through a sealed bundle."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from pipeline.contracts.bundle import Bundle, OperatingPoint, open_bundle, seal
from pipeline.contracts.records import Verdict
from pipeline.contracts.spec import PreprocessSpec
from pipeline.contracts.taxonomy import Disposition, PartClass, Taxonomy
from pipeline.errors import BundleError, UnreadableImage
from pipeline.files import write_model
from pipeline.imaging import Pixels
from pipeline.imaging.codec import encode_png
from pipeline.imaging.prepare import Preparation
from pipeline.imaging.quality import measure
from pipeline.inference import inspector
from pipeline.inference.inspector import Inspector
from pipeline.inference.predictor import Prediction, Predictor


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


def test_an_inspection_is_what_its_parts_give(sealed_bundle: Bundle) -> None:
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
    roi = {"x_px": 40, "y_px": 0, "width_px": 32, "height_px": 32}
    inspector = retouched(sealed_bundle, roi=roi)
    with pytest.raises(UnreadableImage, match="reaches outside the image of 64x48"):
        inspector.inspect(frame(200))


def retouched(bundle: Bundle, **steps: object) -> Inspector:
    """The same network behind another preparation."""
    spec = PreprocessSpec.model_validate(bundle.preprocess.model_dump() | steps)
    write_model(bundle.folder / "preprocess.json", spec)
    seal(bundle.folder)
    return Inspector(open_bundle(bundle.folder))


def test_the_worst_tile_decides(sealed_bundle: Bundle) -> None:
    inspector = retouched(sealed_bundle, tiles={"rows": 2, "columns": 2, "overlap": 0})
    rgb = frame(200)
    rgb[24:, :32] = 50
    seen = inspector.inspect(rgb)
    assert (seen.decision.verdict, seen.tile) == (Verdict.FAIL, 2)
    assert seen.decision.reason.startswith("tile 3 of 4: defective")


def test_where_the_graph_pools_the_part_is_judged_and_its_first_tile_named(
    pooled_bundle: Bundle,
) -> None:
    rgb = frame(200)
    rgb[:, 32:] = 50
    seen = Inspector(pooled_bundle).inspect(rgb)
    assert (seen.decision.verdict, seen.tile) == (Verdict.FAIL, 1)
    assert re.match(r"\d+% in tile 2 of 2: defective", seen.decision.reason)
    assert seen.defect_score == seen.failing_score == pytest.approx(float(seen.probabilities[1]))
    assert seen.embedding.shape == (16,)
    assert Inspector(pooled_bundle).inspect(frame(200)).decision.verdict is Verdict.PASS


def test_a_tile_unlike_all_training_images_keeps_a_pooled_part_from_passing(
    pooled_bundle: Bundle,
) -> None:
    rgb = frame(200)
    rgb[:, 32:] = 250
    seen = Inspector(pooled_bundle).inspect(rgb)
    assert seen.decision.verdict is Verdict.REVIEW
    assert seen.image_reason is not None
    assert seen.image_reason.startswith("too bright")
    assert seen.complained


def test_one_tile_unlike_all_training_images_keeps_the_part_from_passing(
    sealed_bundle: Bundle,
) -> None:
    inspector = retouched(sealed_bundle, tiles={"columns": 2, "overlap": 0})
    rgb = frame(200)
    rgb[:, 32:] = 250
    seen = inspector.inspect(rgb)
    assert seen.decision.verdict is Verdict.REVIEW
    assert seen.decision.reason.startswith("tile 2 of 2: too bright")
    assert seen.tile == 1


CELLS = Taxonomy(
    classes=(
        PartClass(name="good", disposition=Disposition.PASS),
        PartClass(name="crack", disposition=Disposition.SCRAP, severity=7),
        PartClass(name="finger", disposition=Disposition.REVIEW, severity=2),
    )
)


def test_highest_scores_and_reasons_give_the_verdict_at_any_limits(
    sealed_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever tile decides: what limits are chosen by is what the station decides by."""
    rng = np.random.default_rng(0)
    answers: list[Prediction] = []
    monkeypatch.setattr(inspector, "Predictor", lambda bundle, threads: Fixed(answers))
    tiled = retouched(sealed_bundle, tiles={"rows": 2, "columns": 2, "overlap": 0}).bundle
    seen = []
    for _ in range(300):
        low, high = np.sort(rng.choice([0.0, *rng.random(4), 1.1], 2, replace=False)).tolist()
        point = OperatingPoint(pass_below=low, fail_from=high)
        chances = rng.dirichlet((1, 1, 1), 4).astype(np.float32)
        answers.append(Prediction(chances, np.zeros((4, 1), np.float32)))
        rgb = frame(128)
        rgb[24:, 32:] = rng.choice([128, 250])  # the last tile, unlike all training images
        found = Inspector(replace(tiled, taxonomy=CELLS, operating_point=point)).inspect(rgb)
        if found.defect_score < low and not found.complained:
            expected = Verdict.PASS
        else:
            expected = Verdict.FAIL if found.failing_score >= high else Verdict.REVIEW
        assert found.decision.verdict is expected
        assert found.defect_score == pytest.approx(1 - chances[:, 0].min(), abs=1e-6)
        seen.append((found.decision.verdict, found.decision.defect_score < found.defect_score))
    assert {verdict for verdict, _ in seen} == {Verdict.PASS, Verdict.REVIEW, Verdict.FAIL}
    assert (Verdict.FAIL, True) in seen  # another tile than the highest decided


class Fixed:
    """A network that says what the test wants."""

    def __init__(self, answers: list[Prediction]) -> None:
        self._answers = answers

    def predict(self, images: Pixels) -> Prediction:
        """The last answer given."""
        assert len(images) == 4
        return self._answers[-1]


def test_a_part_that_is_not_found_is_reviewed_not_passed(sealed_bundle: Bundle) -> None:
    inspector = retouched(sealed_bundle, locate={"by": "contour", "part": "brighter"})
    seen = inspector.inspect(frame(200))
    assert seen.decision.verdict is Verdict.REVIEW
    assert seen.confidence == 0
    assert seen.decision.reason.startswith("part not found: confidence 0.00 below 0.50; ")


def test_a_bundle_without_the_picture_that_its_spec_names_is_incomplete(
    sealed_bundle: Bundle,
) -> None:
    with pytest.raises(BundleError, match=r"no reference-flat\.png, which preprocess\.json names"):
        retouched(sealed_bundle, flat_field={"reference": "flat"})


def test_an_altered_reference_picture_is_refused(sealed_bundle: Bundle) -> None:
    home = sealed_bundle.folder
    (home / "reference-flat.png").write_bytes(encode_png(np.full((48, 64, 1), 200, np.uint8)))
    retouched(sealed_bundle, flat_field={"reference": "flat"}).inspect(frame(200))
    (home / "reference-flat.png").write_bytes(encode_png(np.full((48, 64, 1), 100, np.uint8)))
    with pytest.raises(BundleError, match=r"flat\.png was altered"):
        open_bundle(sealed_bundle.folder)
