"""Pauses between attempts grow, stay below a limit and are spread by jitter."""

from __future__ import annotations

from pipeline.daemon.runtime.backoff import Backoff


def test_pauses_double_up_to_the_longest_and_start_again() -> None:
    pauses = Backoff(first_s=1, longest_s=10, chance=lambda: 0.0)
    assert [pauses.next_s() for _ in range(6)] == [1, 2, 4, 8, 10, 10]
    pauses.reset()
    assert pauses.next_s() == 1


def test_jitter_shortens_a_pause_by_up_to_half() -> None:
    pauses = Backoff(first_s=1, longest_s=10, chance=lambda: 1.0)
    assert [pauses.next_s() for _ in range(3)] == [0.5, 1, 2]
