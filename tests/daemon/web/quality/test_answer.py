"""What is answered of a period, also from a ledger of millions of records."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipeline.daemon.quality.chart import Plan
from pipeline.daemon.web.quality.answer import answered
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.quality.events import add_event
from tests.daemon.web.quality.conftest import FAILS, fill


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger.sqlite", "west-1")


def asked(ledger: Ledger, plan: Plan | None = None) -> dict[str, Any]:
    now = datetime.now(UTC)
    with closing(ledger), ledger.reading() as db:
        return answered(db, plan or Plan(), now - timedelta(days=7), now, now)


def test_the_answer_has_chart_classes_reasons_and_drift(ledger: Ledger) -> None:
    fill(ledger, FAILS * 2)
    found = asked(ledger)
    chart = found["chart"]
    assert (chart["type"], chart["baseline"], chart["lacking"]) == ("p", None, "")
    assert chart["centre"] == pytest.approx(0.02)
    assert [bar["name"] for bar in found["pareto"]] == ["crack", "hole"]
    assert found["pareto"][-1]["together"] == 1.0
    assert found["reasons"] == {"overload": 24, "unreadable": 12}
    assert len(chart["points"]) == 24
    assert found["verdicts"][0]["yield"] == 0.98
    assert found["verdicts"][1]["pictures"]["unreadable"] == 1
    assert found["drift"][0]["novelty"] == 1.1


def test_few_parts_have_a_chart_without_limits_and_the_numbers_that_lack(ledger: Ledger) -> None:
    fill(ledger, FAILS[:5])
    chart = asked(ledger)["chart"]
    assert (chart["type"], chart["lacking"], chart["centre"]) == (None, "parts", None)
    assert (chart["subgroups"], chart["subgroups_needed"]) == (5, 20)
    assert (chart["parts"], chart["parts_needed"]) == (500, 1000)
    assert chart["points"][0]["upper"] is None


def test_an_empty_ledger_is_answered_too(ledger: Ledger) -> None:
    found = asked(ledger)
    assert (found["chart"]["points"], found["pareto"], found["verdicts"]) == ([], [], [])


def test_signals_of_the_chart_that_is_shown_are_listed(ledger: Ledger) -> None:
    for plan in (Plan(""), Plan("top"), Plan("top", "day")):
        now, key = datetime.now(UTC), f"{plan.camera} by {plan.per}"
        add_event(ledger, now, "quality signal", key, asdict(plan), key)
    signals = asked(ledger, Plan("top"))["signals"]
    assert [signal["detail"] for signal in signals] == ["top by hour"]
