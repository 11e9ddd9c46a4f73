"""Settings of a head: one value is fixed, several are searched."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.training.heads.settings import HeadSettings, each


def test_one_value_is_one_to_choose_from() -> None:
    config = HeadSettings.model_validate({"kind": "linear", "l2": 0.1, "scaling": "whitened"})
    assert (config.kinds, each(config.l2), config.scalings) == (("linear",), (0.1,), ("whitened",))


def test_auto_offers_every_balance_none_first() -> None:
    assert HeadSettings().balances == ("none", "sqrt", "balanced")
    assert HeadSettings(balance="sqrt").balances == ("sqrt",)


@pytest.mark.parametrize(
    "given",
    [
        {"l2": []},
        {"l2": 0},
        {"kernel_width": [0.5, -1]},
        {"components": 1},
        {"shrinkage": 1.1},
        {"kind": "forest"},
        {"average": 0},
        {"objective": "accuracy"},
        {"escapes_up_to": 0},
    ],
)
def test_what_no_head_can_be_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(given))):
        HeadSettings.model_validate(given)
