"""Which pictures damage spoils, and what FFmpeg's log reports of it."""

from __future__ import annotations

import pytest

from pipeline.imaging.video.damage import Damage, reason


@pytest.mark.parametrize(
    ("level", "text"),
    [
        (16, "error while decoding MB 3 4\n"),
        (24, "RTP: missed 2 packets\n"),
        (48, "Frame num gap 3 1\n"),
    ],
)
def test_errors_losses_and_gaps_of_numbers_are_reasons(level: int, text: str) -> None:
    assert reason([(48, "h264", "nal_unit_type: 1\n"), (level, "h264", text)]) == text.strip()


def test_other_warnings_and_what_developers_read_are_none() -> None:
    assert reason([(24, "swscaler", "deprecated pixel format"), (48, "rtsp", "a packet")]) == ""


def test_damage_lasts_until_a_clean_key_picture() -> None:
    damage = Damage(intra_only=False)
    assert damage.fault(0, is_key=True) == ""
    damage.add(2, "lost")
    faults = [damage.fault(n, is_key=n == 4) for n in (1, 2, 3, 4, 5)]
    assert [bool(f) for f in faults] == [False, True, True, False, False]
    assert faults[1] == "stream damaged: lost; nothing is judged until a clean key picture"


def test_a_key_picture_that_is_damaged_itself_does_not_end_it() -> None:
    damage = Damage(intra_only=False)
    damage.fault(0, is_key=True)
    damage.add(3, "lost")
    assert damage.fault(3, is_key=True)
    assert damage.fault(4, is_key=False)


def test_before_the_first_key_picture_nothing_is_judged_nor_reported_as_lost() -> None:
    damage = Damage(intra_only=False)
    damage.add(0, "lost")
    assert damage.unreported == ""
    assert damage.fault(1, is_key=False)
