"""Nelson's eight tests, each on what it fits and on what is nearly the same."""

from __future__ import annotations

import pytest

from pipeline.daemon.quality.patterns import Signal, signals

UP, DOWN = 0.4, -0.4
# In turn on both sides of the centre, without a pattern: no run, no trend, no alternation.
QUIET = [0.2, 0.5, -0.3, -0.6, 0.4, 0.7, -0.2, 1.2, -1.1]


def found(z: list[float], test: int) -> list[tuple[int, str]]:
    return [(signal.at, signal.side) for signal in signals(z) if signal.test == test]


@pytest.mark.parametrize(
    ("test", "z", "side"),
    [
        (1, [3.1], "high"),
        (1, [0.0, -3.1], "low"),
        (2, [0.1] * 9, "high"),
        (2, [-0.1] * 9, "low"),
        (3, [-0.5, -0.3, -0.1, 0.1, 0.3, 0.5], "rising"),
        (3, [0.5, 0.3, 0.1, -0.1, -0.3, -0.5], "falling"),
        (4, [UP, DOWN] * 7, ""),
        (5, [2.1, 0.0, 2.1], "high"),
        (5, [-2.1, -2.1, -2.1], "low"),
        (6, [1.1, 1.1, 0.0, 1.1, 1.1], "high"),
        (6, [-1.1, 0.0, -1.1, -1.1, -1.1], "low"),
        (7, [0.3, 0.1, -0.2] * 5, ""),
        (8, [1.5, 1.5, -1.5, -1.5] * 2, ""),
    ],
)
def test_the_last_point_of_a_pattern_is_its_signal_and_no_point_before(
    test: int, z: list[float], side: str
) -> None:
    assert found(z, test)[-1] == (len(z) - 1, side)
    assert found(z[:-1], test) in ([], found(z, test)[:-1])


@pytest.mark.parametrize(
    ("test", "z"),
    [
        (1, [3.0, -3.0]),
        (2, [0.1] * 8 + [-0.1] + [0.1] * 8),
        (2, [0.1] * 8 + [0.0]),
        (3, [-0.5, -0.3, -0.1, 0.1, 0.3, 0.3]),
        (4, [UP, DOWN] * 6 + [UP, UP]),
        (5, [2.1, 0.0, -2.1]),
        (5, [2.1, 2.1, 0.0]),
        (6, [1.1, 1.1, 0.0, 0.0, 1.1]),
        (7, [0.3, 0.1, -0.2] * 4 + [0.3, 0.1, 1.0]),
        (8, [1.5] * 8),
        (8, [1.5, -1.5] * 3 + [1.5, 0.5]),
    ],
)
def test_what_is_nearly_a_pattern_has_no_signal(test: int, z: list[float]) -> None:
    assert (len(z) - 1) not in [at for at, _ in found(z, test)]


def test_a_pattern_that_goes_on_is_new_only_once() -> None:
    shifted = [*QUIET, *[3.5] * 4]
    beyond = [signal for signal in signals(shifted) if signal.test == 1]
    assert [(signal.at, signal.new) for signal in beyond] == [
        (9, True),
        (10, False),
        (11, False),
        (12, False),
    ]


def test_a_pattern_on_the_other_side_is_new() -> None:
    assert [s for s in signals([3.5, -3.5]) if s.test == 1] == [
        Signal(1, 0, "high", True),
        Signal(1, 1, "low", True),
    ]


def test_points_that_vary_by_chance_have_no_signal() -> None:
    assert signals(QUIET) == []
    assert signals([]) == []
