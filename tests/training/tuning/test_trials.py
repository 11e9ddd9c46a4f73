"""What is tried, and what is not worth a trial."""

from __future__ import annotations

from pipeline.contracts.spec import PreprocessSpec, Roi
from pipeline.training.tuning.trials import Trial, together, trials

USUAL = PreprocessSpec(width_px=224, height_px=224, fit="letterbox")
SCALES = (1.0, 0.715)


def names(picture: tuple[int, int], spec: PreprocessSpec = USUAL, roi: Roi | None = None) -> str:
    return "; ".join(trial.name for trial in trials(spec, SCALES, picture, roi))


def test_square_pictures_that_are_hardly_shrunk_get_neither_fit_nor_larger_input() -> None:
    assert names((224, 224)) == "as it is; 160x160; scales [1.0]; scales [1.0, 0.5]"


def test_oblong_pictures_are_tried_stretched_and_in_their_proportions() -> None:
    found = names((400, 200))
    assert "fit stretch" in found
    assert "320x160, the pictures' proportions" in found


def test_large_pictures_are_tried_larger_and_in_tiles() -> None:
    found = names((900, 900))
    assert "320x320" in found
    assert "448x448" in found
    assert "2x2 tiles" in found


def test_tiles_of_a_strip_lie_in_a_row() -> None:
    assert "1x4 tiles" in names((3000, 500))
    assert "4x1 tiles" in names((500, 3000))


def test_an_roi_is_tried_where_one_is_proposed() -> None:
    roi = Roi(x_px=10, y_px=20, width_px=100, height_px=90)
    assert "roi 10,20 100x90" in names((224, 224), roi=roi)
    assert "roi" not in names((224, 224), USUAL.model_copy(update={"roi": roi}), roi)


def test_a_trial_knows_what_it_changes_in_which_file() -> None:
    now, *others = trials(USUAL, SCALES, (400, 200))
    by_name = {trial.name: trial.changes(now) for trial in others}
    assert by_name["fit stretch"] == {"preprocess.yaml": {"fit": "stretch"}}
    assert by_name["scales [1.0]"] == {"train.yaml": {"scales": [1.0]}}


def test_changes_that_helped_are_joined() -> None:
    now, *others = trials(USUAL, SCALES, (900, 900))
    tiles = next(t for t in others if t.axis == "tiles")
    scales = next(t for t in others if t.axis == "scales")
    both = together(now, {"tiles": tiles, "scales": scales})
    assert isinstance(both, Trial)
    assert both.name == "2x2 tiles + scales [1.0]"
    assert (both.spec.n_tiles, both.spec.width_px, both.scales) == (4, 224, (1.0,))
