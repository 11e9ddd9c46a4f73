"""Slices: each adds up, and the worst is named only where it is not chance."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.errors import DataError
from pipeline.metrics.slicing import MOST_GROUPS, Outcomes, cut


def outcomes(bad: list[bool], verdicts: list[str]) -> Outcomes:
    """Parts whose most probable class is right unless they are misjudged."""
    right = [(v != "PASS") if b else (v != "FAIL") for b, v in zip(bad, verdicts, strict=True)]
    return Outcomes.of(right, bad, np.array(verdicts))


def escaping(escapes: dict[str, tuple[int, int]]) -> tuple[Outcomes, list[str]]:
    """Bad parts only: k of n pass in each variant."""
    variants = [name for name, (_, n) in escapes.items() for _ in range(n)]
    verdicts = [v for k, n in escapes.values() for v in ["PASS"] * k + ["FAIL"] * (n - k)]
    return outcomes([True] * len(verdicts), verdicts), variants


def test_a_slice_has_the_figures_of_its_parts() -> None:
    parts = outcomes(
        [True, True, True, False, False, False],
        ["PASS", "FAIL", "REVIEW", "FAIL", "PASS", "PASS"],
    )
    found = cut(parts, {"variant": ["mono", "mono", "mono", "mono", "poly", "poly"]})
    mono, poly = found.slices
    assert (mono.by, mono.name, mono.n, poly.name, poly.n) == ("variant", "mono", 4, "poly", 2)
    assert (mono.escape.k, mono.escape.n) == (1, 3)
    assert (mono.overkill.k, mono.overkill.n) == (1, 1)
    assert (mono.review.k, mono.review.n) == (1, 4)
    assert (mono.accuracy.k, mono.accuracy.n) == (2, 4)
    assert (poly.escape.n, poly.escape.value, poly.escape.low) == (0, None, None)
    assert poly.overkill.value == 0


def test_the_slices_of_a_column_hold_each_part_once() -> None:
    rng = np.random.default_rng(0)
    parts = outcomes(
        (rng.random(200) < 0.5).tolist(), rng.choice(["PASS", "FAIL", "REVIEW"], 200).tolist()
    )
    classes = rng.choice(["good", "crack", "scratch"], 200).tolist()
    found = cut(parts, {"class": classes, "source": rng.choice(["a", "b"], 200).tolist()})
    for by in ("class", "source"):
        of = [s for s in found.slices if s.by == by]
        assert sum(s.n for s in of) == 200
        assert sum(s.escape.k for s in of) == parts.escaped.sum()
        assert sum(s.overkill.k for s in of) == parts.overkilled.sum()


def test_a_slice_that_is_really_worse_is_named_with_its_interval() -> None:
    parts, variants = escaping({"mono": (4, 98), "poly": (14, 90)})
    assert cut(parts, {"variant": variants}).worst == (
        "variant poly: 14 of 90 bad parts pass (15.6 %, 8.8 to 24.7 %), in the others 4.1 %"
    )


def test_a_slice_that_chance_could_have_made_is_not_named() -> None:
    parts, variants = escaping({"mono": (4, 98), "poly": (8, 90)})
    assert cut(parts, {"variant": variants}).worst == ""


def test_a_slice_with_hardly_any_parts_is_not_named() -> None:
    parts, variants = escaping({"mono": (0, 200), "odd": (9, 9)})
    assert cut(parts, {"variant": variants}).worst == ""


def test_a_slice_that_is_better_than_the_rest_is_not_the_worst() -> None:
    parts, variants = escaping({"a": (20, 60), "b": (20, 60), "c": (20, 60), "d": (0, 60)})
    assert cut(parts, {"variant": variants}).worst == ""


def test_overkill_is_watched_too() -> None:
    parts = outcomes([False] * 100, ["FAIL"] * 20 + ["PASS"] * 80)
    found = cut(parts, {"source": ["camera 1"] * 50 + ["camera 2"] * 50})
    assert found.worst.startswith("source camera 1: 20 of 50 good parts fail (40.0 %")


def test_where_nothing_differs_a_worst_slice_is_hardly_ever_named() -> None:
    """5 % false alarms in all are allowed; uncorrected, 20 slices would give many more."""
    rng = np.random.default_rng(0)
    named = 0
    for _ in range(60):
        bad = (rng.random(800) < 0.5).tolist()
        verdicts = rng.choice(["PASS", "FAIL"], 800).tolist()
        groups = rng.integers(0, 20, 800).astype(str).tolist()
        named += bool(cut(outcomes(bad, verdicts), {"group": groups}).worst)
    assert named <= 6


def test_of_many_groups_the_worst_are_kept_and_it_is_reported() -> None:
    n_groups = MOST_GROUPS + 10
    groups = [f"g{i // 4:03d}" for i in range(4 * n_groups)]
    verdicts = ["FAIL"] * len(groups)
    verdicts[-4:] = ["PASS"] * 4
    found = cut(outcomes([True] * len(groups), verdicts), {"group": groups})
    assert len(found.slices) == MOST_GROUPS
    assert found.slices[0].name == groups[-1]
    assert found.left_out == f"of {n_groups} groups the {MOST_GROUPS} that misjudge most are listed"


def test_a_column_with_one_value_cuts_nothing() -> None:
    parts, variants = escaping({"": (1, 20)})
    assert cut(parts, {"variant": variants, "source": ["a"] * 20}).slices == ()


def test_parts_without_a_value_are_in_no_slice() -> None:
    parts, variants = escaping({"": (1, 20), "mono": (1, 20)})
    assert [s.name for s in cut(parts, {"variant": variants}).slices] == ["mono"]


def test_a_test_split_without_bad_or_good_parts_has_slices_all_the_same() -> None:
    parts = outcomes([False] * 20, ["PASS"] * 20)
    found = cut(parts, {"variant": ["a", "b"] * 10})
    assert [s.escape.value for s in found.slices] == [None, None]
    assert found.worst == ""


def test_a_column_of_another_length_is_refused() -> None:
    parts, _ = escaping({"a": (1, 20)})
    with pytest.raises(DataError, match="3 values of variant for 20 test parts"):
        cut(parts, {"variant": ["a", "b", "a"]})


def test_a_variant_is_not_blamed_for_a_module_or_two() -> None:
    """14 of 90 poly cells escape, all of two modules: other modules of poly may be sound."""
    parts, variants = escaping({"mono": (4, 98), "poly": (14, 90)})
    modules = [f"{variant}-{i // 7}" for i, variant in enumerate(variants)]
    assert cut(parts, {"variant": variants}).worst
    found = cut(parts, {"variant": variants, "group": modules})
    assert not found.worst.startswith("variant")
    poly = next(s for s in found.slices if s.name == "poly")
    assert poly.escape.high is not None
    assert poly.escape.high > 0.3


def test_a_group_is_judged_by_its_own_parts() -> None:
    parts, modules = escaping({"a": (1, 60), "b": (20, 60), "c": (1, 60)})
    found = cut(parts, {"group": modules})
    assert found.worst.startswith("group b: 20 of 60 bad parts pass (33.3 %, 21.7 to 46.7 %)")


def test_variants_that_differ_by_their_modules_alone_are_hardly_ever_named() -> None:
    rng = np.random.default_rng(0)
    modules = np.repeat(np.arange(24), 20)
    named = {"alone": 0, "grouped": 0}
    for _ in range(100):
        escaped = rng.random(480) < rng.beta(1, 4, 24).repeat(20)
        parts = outcomes([True] * 480, np.where(escaped, "PASS", "FAIL").tolist())
        variants = np.where(modules % 2, "mono", "poly").tolist()
        named["alone"] += bool(cut(parts, {"variant": variants}).worst)
        by_group = cut(parts, {"variant": variants, "group": modules.astype(str).tolist()})
        named["grouped"] += by_group.worst.startswith("variant")
    assert named["alone"] > 20
    assert named["grouped"] <= 5


def test_how_many_slices_there_are_is_known_where_not_all_are_listed() -> None:
    groups = [f"g{i // 4:03d}" for i in range(4 * (MOST_GROUPS + 10))]
    found = cut(outcomes([True] * len(groups), ["FAIL"] * len(groups)), {"group": groups})
    assert (len(found.slices), found.counts) == (MOST_GROUPS, {"group": MOST_GROUPS + 10})


def recognised(rates: dict[str, tuple[int, int]]) -> tuple[Outcomes, list[str]]:
    """k of n parts of each class are given the right class; all go to review."""
    classes = [name for name, (_, n) in rates.items() for _ in range(n)]
    right = [i < k for k, n in rates.values() for i in range(n)]
    bad = [name != "good" for name in classes]
    return Outcomes.of(right, bad, np.array(["REVIEW"] * len(classes))), classes


def test_a_class_that_is_never_recognised_is_named_against_the_mean_of_the_classes() -> None:
    rates = {"good": (95, 100), "crack": (38, 40), "finger": (0, 12)}
    parts, classes = recognised(rates)
    found = cut(parts, {"class": classes})
    assert found.worst == ""
    assert found.weakest_class == (
        "class finger: 0 of 12 parts recognised (0 %, 0 to 26.5 %), mean of the 3 classes 63.3 %"
    )
    assert found.weakest == found.weakest_class


def test_a_weak_class_of_few_parts_is_named_with_its_reserve() -> None:
    parts, classes = recognised({"good": (95, 100), "finger": (1, 2)})
    said = cut(parts, {"class": classes}).weakest_class
    assert said.startswith("class finger: 1 of 2 parts recognised")
    assert said.endswith("; too few parts to exclude chance")


def test_the_other_classes_that_are_surely_below_the_mean_are_named_too() -> None:
    rates = {"good": (400, 400), "dent": (200, 200), "crack": (10, 100), "finger": (5, 100)}
    parts, classes = recognised(rates)
    said = cut(parts, {"class": classes}).weakest_class
    assert said.startswith("class finger: 5 of 100")
    assert said.endswith("; surely below the mean too: crack")


def test_classes_that_are_recognised_alike_leave_none_to_name() -> None:
    parts, classes = recognised({"good": (50, 50), "crack": (50, 50)})
    assert cut(parts, {"class": classes}).weakest == ""
