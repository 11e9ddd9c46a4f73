"""The eight tests for signals in a control chart.

L. S. Nelson, "The Shewhart Control Chart - Tests for Special Causes", Journal of Quality Technology
16(4), 1984, pp. 237-239; tests 1, 2, 5 and 6 go back to the Western Electric "Statistical Quality
Control Handbook", 1956. They are the pattern tests that ISO 8258 listed, in whose place is
ISO 7870-2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

TESTS = range(1, 9)
LONGEST = 15  # points of the longest pattern


@dataclass(frozen=True)
class Signal:
    """A pattern that a chart shows.

    Attributes:
        test: 1 to 8, after Nelson.
        at: index of the point that completes it.
        side: `high` or `low` of the centre, `rising` or `falling`; "" where the pattern has none.
        new: does the same pattern not end at the point before, too?
    """

    test: int
    at: int
    side: str
    new: bool


def signals(z: Sequence[float]) -> list[Signal]:
    """All patterns, in the order of the points that complete them.

    Args:
        z: distances of the points from the centre in standard deviations, in the order of time.
    """
    found: list[Signal] = []
    before: set[tuple[int, str]] = set()
    for at in range(len(z)):
        here = set(_completed(z[max(0, at + 1 - LONGEST) : at + 1]))
        found += [Signal(test, at, side, (test, side) not in before) for test, side in sorted(here)]
        before = here
    return found


def _completed(z: Sequence[float]) -> Iterator[tuple[int, str]]:
    """The tests whose patterns the last point completes, with their sides."""
    for side, sign in (("high", 1), ("low", -1)):
        towards = [sign * value for value in z]
        if towards[-1] > 3:
            yield 1, side
        if _all(towards, 9, lambda value: value > 0):
            yield 2, side
        for test, many, last, zone in ((5, 2, 3, 2), (6, 4, 5, 1)):
            beyond = [value > zone for value in towards[-last:]]
            if len(beyond) == last and beyond[-1] and sum(beyond) >= many:
                yield test, side
    steps = [later - earlier for earlier, later in pairwise(z)]
    if _all(steps, 5, lambda step: step > 0):
        yield 3, "rising"
    if _all(steps, 5, lambda step: step < 0):
        yield 3, "falling"
    turns = [earlier * later for earlier, later in pairwise(steps)]
    if _all(turns, 12, lambda turn: turn < 0):
        yield 4, ""
    if _all(z, 15, lambda value: abs(value) < 1):
        yield 7, ""
    eight = z[-8:]
    if _all(z, 8, lambda value: abs(value) > 1) and min(eight) < 0 < max(eight):
        yield 8, ""


def _all(values: Sequence[float], last: int, fits: Callable[[float], bool]) -> bool:
    """Are there so many values, and do the last ones fit?"""
    return len(values) >= last and all(map(fits, values[-last:]))
