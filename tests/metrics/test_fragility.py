"""The change that does most harm by the plant's own figures leads."""

from __future__ import annotations

import pytest

from pipeline.contracts.evaluation import Changed
from pipeline.metrics.fragility import AcceptedRates, HarmKind, delicacy, first_break, harm
from pipeline.metrics.rates import share

ACCEPTED = AcceptedRates(escape=0.1, overkill=0.1)


def step(change: str, escapes: int, overkills: int, n: int = 32, broken: bool = False) -> Changed:
    """n bad and n good parts of which some pass and some fail."""
    return Changed(
        change=change,
        strength=1,
        unit="",
        auroc=0.9,
        accuracy=share(n, 2 * n),
        escape=share(escapes, n),
        overkill=share(overkills, n),
        review=share(0, 2 * n),
        complained=share(0, 2 * n),
        broken="broken" if broken else "",
    )


UNCHANGED = step("unchanged", 1, 1)


def test_a_rotation_that_rejects_three_quarters_leads_over_a_few_escapes_at_a_mild_contrast() -> (
    None
):
    rotation = [
        step("rotation", 1, 1),
        step("rotation", 1, 3),
        step("rotation", 2, 24, broken=True),
    ]
    contrast = [step("contrast", 6, 1, broken=True), step("contrast", 6, 1, broken=True)]
    contrast.append(step("contrast", 7, 1, broken=True))
    ladders = [contrast, rotation]
    ladders.sort(key=lambda ladder: delicacy(ladder, UNCHANGED, ACCEPTED))
    assert ladders[0] is rotation
    assert first_break(rotation, UNCHANGED, ACCEPTED) is rotation[2]


def test_harm_is_what_is_surely_beyond_the_accepted_share_in_multiples_of_it() -> None:
    assert harm(step("blur", 4, 4), UNCHANGED, ACCEPTED) == 0.0  # 3.5 to 29 %: may be within
    worse = step("blur", 20, 4)
    assert harm(worse, UNCHANGED, ACCEPTED) == pytest.approx((worse.escape.low or 0) / 0.1 - 1)
    assert harm(worse, UNCHANGED, AcceptedRates(0.05, 0.1)) > harm(worse, UNCHANGED, ACCEPTED)


def test_without_a_promise_what_the_unchanged_parts_may_reach_is_the_limit() -> None:
    assert harm(step("blur", 4, 4), UNCHANGED, AcceptedRates()) == 0.0
    assert harm(step("blur", 20, 4), UNCHANGED, AcceptedRates()) > 0.0


def test_between_changes_without_sure_harm_the_one_that_breaks_at_the_mildest_leads() -> None:
    late = [step("late", 1, 1), step("late", 4, 1, broken=True)]
    early = [step("early", 4, 1, broken=True), step("early", 4, 1, broken=True)]
    assert delicacy(early, UNCHANGED, ACCEPTED) < delicacy(late, UNCHANGED, ACCEPTED)
    assert first_break([step("fine", 1, 1)], UNCHANGED, ACCEPTED) is None


@pytest.mark.parametrize(
    ("now", "n", "close"), [(1, 32, False), (4, 32, True), (24, 32, False), (20, 320, True)]
)
def test_a_share_is_close_where_it_has_risen_and_its_interval_holds_the_limit(
    now: int, n: int, close: bool
) -> None:
    kind = HarmKind("bad parts pass", share(now, n), share(1, n), 0.08)
    assert kind.close is close
