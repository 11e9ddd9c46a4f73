"""What the gate is asked about an evaluation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.contracts.bundle import Bundle
from pipeline.contracts.evaluation import CheckState, Gate, SplitSummary
from pipeline.evaluation.gate import judge_gate
from pipeline.metrics.champion.comparison import not_compared
from pipeline.metrics.gating import GateRules
from tests.evaluation.conftest import parts, predictions

GOOD = {f"good_{i}": 200 for i in range(40)}
BAD = {f"bad_{i}": 50 for i in range(40)}
PROMISE = {"max_escape": 0.2, "max_overkill": 0.2, "supported": True, "said": "at most 20 %"}


def gate(
    bundle: Bundle,
    root: Path,
    brightness: dict[str, int],
    noticed: dict[str, Any] | None = None,
    **changed: object,
) -> Gate:
    data = replace(parts(bundle, root, brightness), report=noticed or {})
    metrics: dict[str, Any] = {
        "auroc": 1.0,
        "auroc_ci95": [0.9, 1.0],
        "operating_point": bundle.operating_point.model_dump(),
        **changed,
    }
    found = {"leaky": False, "leak_checked": True} | metrics.pop("split", {})
    split = SplitSummary(by="part", n_groups=80, n_test_groups=80, **found)
    test, compared = predictions(bundle, data), not_compared("", "nobody asked")
    return judge_gate(GateRules(), data, test, metrics, PROMISE, None, compared, split=split)


def failed(found: Gate) -> list[str]:
    return [check.name for check in found.checks if check.state.blocks]


def test_a_model_that_keeps_its_promise_passes(sealed_bundle: Bundle, tmp_path: Path) -> None:
    assert gate(sealed_bundle, tmp_path / "parts", GOOD | BAD).passed


def test_a_nearly_black_test_part_asks_for_attention(sealed_bundle: Bundle, tmp_path: Path) -> None:
    seen = {"nearly_black": ["bad_0.png"]}
    found = gate(sealed_bundle, tmp_path / "parts", GOOD | BAD, noticed=seen)
    (check,) = found.in_state(CheckState.ATTENTION)
    assert check.line.startswith("data attention: 1 test part has a nearly black picture")


def test_a_split_that_nobody_has_searched_for_leaks_is_not_checked(
    sealed_bundle: Bundle, tmp_path: Path
) -> None:
    found = gate(sealed_bundle, tmp_path / "parts", GOOD | BAD, split={"leak_checked": False})
    assert "leak" in [check.name for check in found.in_state(CheckState.NOT_CHECKED)]


def test_escapes_beyond_the_promise_fail_the_gate(sealed_bundle: Bundle, tmp_path: Path) -> None:
    missed = BAD | {f"bad_{i}": 200 for i in range(20)}
    assert failed(gate(sealed_bundle, tmp_path / "parts", GOOD | missed)) == ["escapes"]


@pytest.mark.parametrize(
    ("changed", "check"),
    [
        ({"split": {"leaky": True}}, "leak"),
        ({"operating_point": {"pass_below": 0.0, "fail_from": 1.1}}, "promise"),
        ({"auroc": None, "auroc_ci95": None}, "ranking"),
    ],
)
def test_what_the_figures_show_is_put_to_the_gate(
    sealed_bundle: Bundle, tmp_path: Path, changed: dict[str, Any], check: str
) -> None:
    assert failed(gate(sealed_bundle, tmp_path / "parts", GOOD | BAD, **changed)) == [check]
