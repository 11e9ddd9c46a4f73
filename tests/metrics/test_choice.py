"""Validation parts in the order in which limits miss them, and what limits do to them."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.contracts.bundle import OperatingPoint
from pipeline.metrics.choice import Parts, counted

SCORES = np.array([0.1, 0.4, 0.4, 0.9, 0.2, 0.6])
BAD = np.array([False, False, True, True, False, True])


def test_the_most_easily_missed_parts_of_either_kind_come_first() -> None:
    bad, good = Parts(SCORES, BAD)
    assert (bad.name, bad.scores.tolist()) == ("bad", [0.4, 0.6, 0.9])
    assert (good.name, good.scores.tolist()) == ("good", [0.4, 0.2, 0.1])


def test_groups_follow_their_parts() -> None:
    bad, _ = Parts(SCORES, BAD, np.arange(6))
    assert bad.groups is not None
    assert bad.groups.tolist() == [2, 5, 3]


@pytest.mark.parametrize("misses", [0, 1, 2])
def test_the_farthest_limit_misses_no_more_than_allowed(misses: int) -> None:
    bad, good = Parts(SCORES, BAD)
    assert (bad.scores < bad.limit(misses)).sum() == misses
    assert (good.scores >= good.limit(misses)).sum() == misses


def test_parts_of_one_score_are_missed_together() -> None:
    tied, _ = Parts(np.array([0.3, 0.3, 0.5, 0.1]), np.array([True, True, True, False]))
    assert tied.candidates().tolist() == [0, 2]


def test_what_limits_do_is_counted_in_words() -> None:
    text = counted(Parts(SCORES, BAD), OperatingPoint(pass_below=0.5, fail_from=0.8))
    assert "1 of 3 bad validation parts pass" in text
    assert "0 of 3 good ones fail" in text
    assert "1 of 6 go to review" in text
