"""Frames that are no picture of the part."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from pipeline.daemon.inspection.frame_check import FrameHealth, Health
from tests.daemon.conftest import picture


def test_frozen_picture_of_a_camera_is_complained_of_from_the_limit_on() -> None:
    health = FrameHealth(Health(frozen_after=3), live=True)
    said = [health.complaint(picture(200)) for _ in range(4)]
    assert said == [
        None,
        None,
        "frozen: 3 identical pictures in a row (limit 3)",
        "frozen: 4 identical pictures in a row (limit 3)",
    ]


def test_picture_that_moves_again_is_fine_at_once() -> None:
    health = FrameHealth(Health(frozen_after=2), live=True)
    said = [health.complaint(picture(b)) is None for b in (200, 200, 128, 200)]
    assert said == [True, False, True, True]


@pytest.mark.parametrize(("limit", "live"), [(0, True), (2, False)])
def test_same_picture_is_fine_where_nobody_asked_and_in_a_replay(limit: int, live: bool) -> None:
    health = FrameHealth(Health(frozen_after=limit), live=live)
    assert [health.complaint(picture(200)) for _ in range(9)] == [None] * 9


def test_frame_of_another_size_than_expected_is_complained_of() -> None:
    health = FrameHealth(Health(size_px=(1280, 1024)), live=True)
    assert health.complaint(picture(200)) == "wrong size: 24x20 px, expected 1280x1024"


def test_frame_of_the_expected_size_is_fine() -> None:
    assert FrameHealth(Health(size_px=(24, 20)), live=True).complaint(picture(200)) is None


def test_limit_that_would_refuse_every_frame_is_refused_itself() -> None:
    with pytest.raises(ValidationError, match="give 2 or more, or 0 for never"):
        Health(frozen_after=1)
