"""What breaks a model that judges by brightness: light does, and the sentence says so."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.contracts.bundle import Bundle
from pipeline.contracts.evaluation import Robustness
from pipeline.errors import DataError
from pipeline.evaluation.robustness import RobustnessRules, run, sample
from pipeline.imaging import Pixels
from pipeline.imaging.changes import CHANGES
from pipeline.inference.inspector import Inspector
from pipeline.metrics.fragility import AcceptedRates

N = 10
GOOD, BAD = 200, 100  # mean grey; from about 136 on a part passes
LABELS = np.array([0] * N + [1] * N)
GROUPS = [f"module-{i % 4}" for i in range(2 * N)]
PASSING = (True, False)


def frame(i: int) -> Pixels:
    return np.full((48, 64, 3), BAD if LABELS[i] else GOOD, np.uint8)


@pytest.fixture
def tried(sealed_bundle: Bundle) -> Robustness:
    found = run(sealed_bundle, frame, LABELS, GROUPS, RobustnessRules())
    assert found is not None
    return found


def test_every_part_is_inspected_under_every_grade_of_every_change(tried: Robustness) -> None:
    assert tried.n == 2 * N
    found = {(c.change, c.strength) for c in tried.changes}
    assert found == {(c.name, s) for c in CHANGES for s in c.strengths}
    assert {c.accuracy.n for c in tried.changes} == {2 * N}
    assert {c.escape.n for c in tried.changes} == {N}


def test_the_unchanged_parts_are_judged_as_the_station_judges_them(
    tried: Robustness, sealed_bundle: Bundle
) -> None:
    verdicts = [Inspector(sealed_bundle).inspect(frame(i)).decision.verdict for i in (0, N)]
    assert verdicts == ["PASS", "FAIL"]
    assert (tried.unchanged.escape.k, tried.unchanged.overkill.k) == (0, 0)
    assert tried.unchanged.auroc == 1.0


def test_the_change_under_which_bad_parts_pass_is_named_with_its_counts(tried: Robustness) -> None:
    assert tried.first_to_break == (
        "brightness breaks it first: at light +50 % 10 of 10 bad parts pass (100 %, 13.3 to 100 "
        "%), unchanged 0"
    )


def test_the_most_delicate_change_stands_first_from_mild_to_strong(tried: Robustness) -> None:
    assert [c.strength for c in tried.changes[:3]] == [10, 25, 50]
    assert [bool(c.broken) for c in tried.changes[:3]] == [False, False, True]


def test_good_parts_that_are_rejected_break_it_too(tried: Robustness) -> None:
    (dark,) = [c for c in tried.changes if c.change == "brightness" and c.strength == -50]
    assert dark.broken == ("10 of 10 good parts are rejected (100 %, 13.3 to 100 %), unchanged 0")


def test_what_breaks_it_is_held_against_what_the_plant_accepts(sealed_bundle: Bundle) -> None:
    """Rejecting every good part weighs more where few may be, though as many bad parts pass."""
    strict = AcceptedRates(escape=0.9, overkill=0.01)
    found = run(sealed_bundle, frame, LABELS, GROUPS, RobustnessRules(), strict)
    assert found is not None
    assert found.first_to_break == (
        "brightness breaks it first: at light -50 % 10 of 10 good parts are rejected (100 %, 13.3 "
        "to 100 %), unchanged 0; accepted 1 %"
    )
    lenient = AcceptedRates(escape=1.0, overkill=1.0)
    found = run(sealed_bundle, frame, LABELS, GROUPS, RobustnessRules(), lenient)
    assert found is not None
    assert not any("pass" in c.broken or "rejected" in c.broken for c in found.changes)


def test_only_what_is_close_to_the_accepted_share_is_tried_on_more_parts(
    sealed_bundle: Bundle,
) -> None:
    """2 of 2 and 4 of 4 bad parts that pass leave open whether more than 40 % do; 8 of 8 do not."""
    groups = [str(i) for i in range(2 * N)]
    rules, accepted = RobustnessRules(parts=4, most_parts=18), AcceptedRates(0.4, 0.4)
    found = run(sealed_bundle, frame, LABELS, groups, rules, accepted)
    assert found is not None
    used = {(c.change, c.strength): c.accuracy.n for c in found.changes}
    assert found.n == 4
    assert used["brightness", 50] == 16
    assert used["jpeg", 20] == 4
    assert found.unchanged.accuracy.n == 16
    assert found.parts_used == (
        "4 test parts were used, up to 16 where escapes or overkill were close to what is accepted."
    )


def test_what_the_station_notices_by_itself_is_caught_not_broken(tried: Robustness) -> None:
    (bright,) = [c for c in tried.changes if c.change == "brightness" and c.strength == 25]
    assert (bright.complained.k, bright.broken) == (N, "")
    assert tried.caught == "the station notices by itself: light +25 % (10 of 20 pictures)"


def test_a_pair_of_parts_is_too_few_to_judge(sealed_bundle: Bundle) -> None:
    rules = RobustnessRules(parts=2, most_parts=2)
    found = run(sealed_bundle, frame, LABELS, GROUPS, rules)
    assert found is not None
    assert max(c.escape.k for c in found.changes) == 1
    assert found.first_to_break == ""


def test_a_model_that_ranks_no_longer_is_broken_though_no_verdict_changed(
    sealed_bundle: Bundle,
) -> None:
    def hardly_apart(i: int) -> Pixels:
        """Both kinds fail; under noise nobody can tell them apart."""
        return np.full((48, 64, 3), 61 if LABELS[i] else 62, np.uint8)

    found = run(sealed_bundle, hardly_apart, LABELS, GROUPS, RobustnessRules())
    assert found is not None
    (noisy,) = [c for c in found.changes if c.change == "noise" and c.strength == 16]
    assert noisy.broken.startswith("AUROC is ")
    assert noisy.broken.endswith(", unchanged 1.000")


def test_without_parts_nothing_is_tried(sealed_bundle: Bundle) -> None:
    assert run(sealed_bundle, frame, LABELS, GROUPS, RobustnessRules(parts=0)) is None
    assert run(sealed_bundle, frame, LABELS[:0], [], RobustnessRules()) is None


def test_without_bad_parts_escapes_are_not_defined(sealed_bundle: Bundle) -> None:
    found = run(sealed_bundle, frame, LABELS[:N], GROUPS[:N], RobustnessRules())
    assert found is not None
    assert (found.unchanged.escape.value, found.unchanged.auroc) == (None, None)


def test_an_image_that_cannot_be_read_ends_it(sealed_bundle: Bundle) -> None:
    def gone(i: int) -> Pixels:
        raise DataError(f"part {i} has changed since it was ingested")

    with pytest.raises(DataError, match="has changed since it was ingested"):
        run(sealed_bundle, gone, LABELS, GROUPS, RobustnessRules())


def test_the_one_who_waits_sees_every_part_pass(sealed_bundle: Bundle) -> None:
    told = []

    def watch(parts, total):  # type: ignore[no-untyped-def]
        for n, part in enumerate(parts, start=1):
            told.append((n, total))
            yield part

    run(sealed_bundle, frame, LABELS, GROUPS, RobustnessRules(parts=4, most_parts=4), watch=watch)
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_half_of_the_sample_is_bad_however_few_are() -> None:
    labels = np.array([0] * 90 + [1] * 10)
    chosen = sample(labels, ["one"] * 100, PASSING, 20)
    assert np.bincount(labels[chosen]).tolist() == [10, 10]


def test_where_one_side_has_too_few_the_other_fills_up() -> None:
    labels = np.array([0] * 50 + [1] * 3)
    assert np.bincount(labels[sample(labels, ["one"] * 53, PASSING, 20)]).tolist() == [17, 3]
    swapped = 1 - labels
    assert np.bincount(swapped[sample(swapped, ["one"] * 53, PASSING, 20)]).tolist() == [3, 17]


def test_the_sample_is_spread_over_groups_and_classes() -> None:
    labels = np.array([0] * 60 + [1] * 40 + [2] * 2)
    groups = ["large"] * 50 + ["small"] * 10 + ["large"] * 38 + ["small"] * 4
    chosen = sample(labels, groups, (True, False, False), 20)
    of = [(int(labels[i]), groups[i]) for i in chosen]
    assert of.count((0, "large")) == of.count((0, "small")) == 5
    assert (of.count((1, "small")), of.count((2, "small"))) == (2, 2)


def test_a_recipe_whose_every_class_is_bad_has_a_sample_too() -> None:
    assert len(sample(np.arange(40) % 2, ["one"] * 40, (False, False), 20)) == 20
