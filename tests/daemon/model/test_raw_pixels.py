"""A station scales its cameras' values as those were that the model learned from, or not at all."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from pipeline.contracts.bundle import Bundle
from pipeline.contracts.spec import RawPixels
from pipeline.daemon.model import raw_pixels
from pipeline.daemon.settings.line import Line
from pipeline.errors import BundleError

MONO12 = RawPixels(bit_depth=12)


def compare(at_the_line: RawPixels | None, learned: RawPixels | None) -> None:
    camera: Any = SimpleNamespace(name="west", source=SimpleNamespace(raw=at_the_line))
    line: Any = SimpleNamespace(all_cameras=[camera])
    bundle: Any = SimpleNamespace(preprocess=SimpleNamespace(raw=learned))
    raw_pixels.check(cast(Line, line), cast(Bundle, bundle))


def test_the_same_settings_fit() -> None:
    compare(None, None)
    compare(MONO12, MONO12)


@pytest.mark.parametrize("at_the_line", [None, RawPixels(bit_depth=12, black=64)])
def test_other_settings_refuse_the_model_and_are_named(at_the_line: RawPixels | None) -> None:
    with pytest.raises(BundleError, match=r"camera west: source\.raw is .*make them the same, or"):
        compare(at_the_line, MONO12)


def test_of_a_model_that_learned_from_eight_bits_the_scale_is_not_checked_and_that_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    compare(MONO12, None)
    assert "whether those were scaled alike is not checked" in caplog.text
