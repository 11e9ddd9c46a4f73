"""A frame that is not a picture of the part is refused before anything is prepared."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from pipeline.daemon.inspection.frame_check import FrameCheck, FrameGate
from pipeline.daemon.settings.line import FrameCheckSettings
from pipeline.daemon.sources import Frame
from tests.daemon.conftest import picture

AT = datetime(2026, 11, 23, tzinfo=UTC)


def test_frozen_picture_of_a_camera_is_refused_from_the_limit_on() -> None:
    check = FrameCheck(FrameCheckSettings(frozen_after=3), live=True)
    reasons = [check.reason(picture(200)) for _ in range(4)]
    remedy = "to commission with one picture set `health.frozen_after: 0`"
    assert reasons == [
        None,
        None,
        f"frozen: 3 identical pictures in a row (limit 3; {remedy})",
        f"frozen: 4 identical pictures in a row (limit 3; {remedy})",
    ]


def test_picture_that_moves_again_is_fine_at_once() -> None:
    check = FrameCheck(FrameCheckSettings(frozen_after=2), live=True)
    reasons = [check.reason(picture(b)) is None for b in (200, 200, 128, 200)]
    assert reasons == [True, False, True, True]


@pytest.mark.parametrize(("limit", "live"), [(0, True), (2, False)])
def test_same_picture_is_fine_where_nobody_asked_and_in_a_replay(limit: int, live: bool) -> None:
    check = FrameCheck(FrameCheckSettings(frozen_after=limit), live=live)
    assert [check.reason(picture(200)) for _ in range(9)] == [None] * 9


def test_frame_of_another_size_than_expected_is_refused() -> None:
    check = FrameCheck(FrameCheckSettings(size_px=(1280, 1024)), live=True)
    assert check.reason(picture(200)) == "wrong size: 24x20 px, expected 1280x1024"


def test_frame_of_the_expected_size_is_fine() -> None:
    assert FrameCheck(FrameCheckSettings(size_px=(24, 20)), live=True).reason(picture(200)) is None


def test_limit_that_would_refuse_every_frame_is_refused_itself() -> None:
    with pytest.raises(ValidationError, match="give 2 or more, or 0 for never"):
        FrameCheckSettings(frozen_after=1)


@pytest.fixture
def gate() -> FrameGate:
    return FrameGate(
        {"top": FrameCheck(FrameCheckSettings(frozen_after=3, size_px=(24, 20)), live=True)}
    )


def test_a_frozen_picture_stays_refused_when_a_second_trigger_finds_it(gate: FrameGate) -> None:
    for n in range(2):
        assert gate("top", Frame(AT, float(n), "", None), picture(200)) is None
    frozen = Frame(AT, 2.0, "", None)
    first = gate("top", frozen, picture(200))
    assert first is not None
    assert gate("top", frozen, picture(200)) == first


def test_the_same_frame_for_many_triggers_is_not_a_frozen_picture(gate: FrameGate) -> None:
    once = Frame(AT, 0.0, "", picture(200))
    assert [gate("top", once, picture(200)) for _ in range(10)] == [None] * 10
