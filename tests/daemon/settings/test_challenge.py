"""The section `challenge` of a line file."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline import config
from pipeline.daemon.settings.line import Line
from pipeline.errors import ConfigError

GOOD, BAD = "{serial: G-1, verdict: PASS}", "{serial: RR-1, verdict: FAIL, part_class: crack}"


def load(folder: Path, challenge: str, cameras: str = "source: {type: push}") -> Line:
    path = folder / "line.yaml"
    path.write_text(
        f"station: west-1\nrecipe: cells\nmodel: {{cache: models}}\n{cameras}\n"
        f"ledger: ledger.sqlite\nchallenge: {challenge}\n"
    )
    return config.load(path, Line)


def test_known_parts_are_read_with_what_they_must_be(tmp_path: Path) -> None:
    found = load(tmp_path, f"{{parts: [{BAD}, {GOOD}], every_h: 8}}").challenge
    assert found is not None
    assert [part.known.expected for part in found.parts] == ["FAIL crack", "PASS"]


@pytest.mark.parametrize(
    ("challenge", "message"),
    [
        (f"{{parts: [{GOOD}, {{serial: G-2, verdict: PASS}}]}}", "every part must pass"),
        (f"{{parts: [{BAD}, {{serial: RR-2, verdict: REVIEW}}]}}", "no part must pass"),
        (f"{{parts: [{BAD}, {GOOD}, {BAD}]}}", 'part "RR-1" is there twice'),
        (f"{{parts: [{BAD}, {GOOD}], after_model_change: false}}", "would never be due"),
        (f"{{parts: [{GOOD}, {{serial: RR-1}}]}}", "give `verdict`"),
        (f"{{parts: [{GOOD}, {{serial: RR-1, verdict: BAD}}]}}", "FAIL"),
        (f"{{parts: [{GOOD}, {{serial: R, verdict: FAIL, camera: side}}]}}", 'no camera "side"'),
    ],
)
def test_what_proves_nothing_is_refused_with_its_place(
    tmp_path: Path, challenge: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        load(tmp_path, challenge)
    assert "line.yaml:" in str(error.value)


def test_with_several_cameras_each_part_names_its_own(tmp_path: Path) -> None:
    cameras = "cameras: [{name: a, source: {type: push}}, {name: b, source: {type: push}}]"
    with pytest.raises(ConfigError, match="RR-1: name its `camera`, one of a, b"):
        load(tmp_path, f"{{parts: [{BAD}, {GOOD}]}}", cameras)
