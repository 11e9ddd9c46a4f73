"""What is taken of several trials."""

from __future__ import annotations

import numpy as np

from pipeline.contracts.spec import PreprocessSpec
from pipeline.errors import TrainingError
from pipeline.training.tuning.figures import Scores
from pipeline.training.tuning.probe import MeasuredTrial
from pipeline.training.tuning.search import TuningResult, search
from pipeline.training.tuning.trials import Axis, Trial

SPEC = PreprocessSpec(width_px=224, height_px=224)


def trial(name: str, axis: Axis, **settings: object) -> Trial:
    return Trial(name, axis, SPEC.model_copy(update=settings), (1.0,))


NOW = trial("now", "now")


def searched(
    *others: Trial, signal: dict[str, float], ms: dict[str, float] | None = None
) -> TuningResult:
    """Trials that know the class by so much, and take so long."""

    def measure(asked: Trial) -> MeasuredTrial:
        if asked.name not in signal and asked.axis != "together":
            raise TrainingError("too small for the network")
        rng = np.random.default_rng(0)
        labels = np.arange(200) % 2
        known = signal.get(asked.name, max(signal.values()))
        score = known * (labels - 0.5) + rng.normal(size=200)
        bad = (1 / (1 + np.exp(-score))).astype(np.float32)
        groups = np.array([f"g{i}" for i in range(200)])
        scores = Scores(labels, np.stack([1 - bad, bad], 1), groups, (True, False))
        return MeasuredTrial(asked, scores, (ms or {}).get(asked.name, 10.0))

    return search([NOW, *others], measure)


def test_what_is_surely_better_is_chosen() -> None:
    found = searched(
        trial("stretch", "fit"), trial("large", "size"), signal={"now": 1, "stretch": 3, "large": 1}
    )
    assert [row.verdict for row in found.tried] == ["", "better", "no difference shown"]
    assert found.chosen is not None
    assert found.chosen.trial.name == "stretch"


def test_nothing_is_chosen_where_nothing_is_surely_better() -> None:
    found = searched(trial("stretch", "fit"), signal={"now": 2, "stretch": 1})
    assert found.chosen is None
    assert found.tried[1].verdict == "worse"


def test_of_alike_gains_the_quicker_one_is_chosen() -> None:
    found = searched(
        *(trial("large", "size"), trial("larger", "size")),
        signal={"now": 1, "large": 3.0, "larger": 3.0},
        ms={"large": 20.0, "larger": 40.0},
    )
    assert found.chosen is not None
    assert found.chosen.trial.name == "large"


def test_changes_of_several_settings_that_help_are_tried_together() -> None:
    found = searched(
        *(trial("stretch", "fit", fit="letterbox"), trial("large", "size", width_px=320)),
        signal={"now": 1, "stretch": 2.0, "large": 2.5},
    )
    both = found.tried[-1].trial
    assert both.axis == "together"
    assert (both.spec.fit, both.spec.width_px) == ("letterbox", 320)


def test_what_cannot_be_tried_is_named_with_the_reason() -> None:
    found = searched(trial("tiny", "size"), signal={"now": 1})
    assert (found.tried[1].verdict, found.tried[1].reason) == (
        *("not tried", "too small for the network"),
    )
