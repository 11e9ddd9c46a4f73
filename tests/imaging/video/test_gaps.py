"""Missing pictures, found by the times of the others before any that refers to them is decoded."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from pipeline.imaging.video.gaps import Read, with_gaps

GROUP = 12


def reads(shown: list[int], duration: int = 0) -> list[Read]:
    """Packets in order of decoding, by when they are shown; key pictures at multiples of 12."""
    packets: list[Any] = [
        SimpleNamespace(pts=pts * 10, duration=duration, is_keyframe=pts % GROUP == 0)
        for pts in shown
    ]
    return [Read(number, packet, []) for number, packet in enumerate(packets)]


def in_order(n: int) -> list[int]:
    return list(range(n))


def with_b(n: int) -> list[int]:
    """Three by three: the last is decoded first, but for key pictures, which begin a group."""
    shown = []
    for key in range(0, n, GROUP):
        shown.append(key)
        inner = list(range(key + 1, key + GROUP))
        for i in range(0, len(inner), 3):
            shown += [inner[i : i + 3][-1], *inner[i : i + 3][:-1]]
    return shown


def gaps(shown: list[int], duration: int = 0) -> list[tuple[int, int]]:
    """When the pictures are shown whose packets bring word of a gap, and whose are spoilt first."""
    found = [r for r in with_gaps(iter(reads(shown, duration))) if r.gap >= 0]
    return [(shown[r.number], shown[r.gap]) for r in found]


def without(shown: list[int], *missing: int) -> list[int]:
    return [pts for pts in shown if pts not in missing]


def test_where_no_picture_is_missing_there_is_no_gap() -> None:
    for shown in (in_order(200), with_b(204)):
        assert gaps(shown) == []
        assert gaps(shown, duration=10) == []


def test_every_packet_is_passed_on_in_order() -> None:
    given = reads(with_b(120))
    assert [r.packet for r in with_gaps(iter(given))] == [r.packet for r in given]


def test_without_b_pictures_the_next_one_is_spoilt() -> None:
    # Its predecessor's number says so, so that a key picture there would end the damage at once.
    assert gaps(without(in_order(100), 52)) == [(53, 51)]


def test_of_a_missing_picture_those_decoded_after_it_are_spoilt_though_they_are_shown_before() -> (
    None
):
    shown = without(with_b(120), 66)  # 64 and 65 refer to it
    ((_, spoilt),) = gaps(shown)
    assert shown.index(spoilt) <= shown.index(64)
    assert spoilt > 60


def test_what_is_missing_behind_a_key_picture_does_not_let_it_end_the_damage() -> None:
    shown = without(with_b(120), 63)
    assert gaps(shown) == [(60, 60)]


def test_a_missing_end_of_a_group_does_not_spoil_the_next_group() -> None:
    shown = without(with_b(120), 59)  # 57 and 58 were shown before it
    ((_, spoilt),) = gaps(shown)
    assert spoilt < 60


def test_two_gaps_are_two() -> None:
    assert [noticed for noticed, _ in gaps(without(in_order(200), 52, 130, 131))] == [53, 132]


def test_of_times_that_are_not_even_nothing_follows() -> None:
    uneven = [pts + (pts % 2) * 3 for pts in range(0, 400, 2)]
    assert gaps(uneven) == []
