"""Ages on a scale that nobody can set, and what is said of a clock that somebody did set."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipeline.contracts.records import Record, Verdict
from pipeline.ledger.elapsed import BootClock, step
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.listening import ListeningRows
from pipeline.ledger.outbox import Outbox

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
YEAR = timedelta(days=365)


class Machine(BootClock):
    """A machine that is switched on and off."""

    def __init__(self) -> None:
        self.boots, self.seconds = 1, 100.0

    def boot_id(self) -> str:
        return f"boot-{self.boots}"

    def boot_s(self) -> float:
        return self.seconds

    def restart(self) -> None:
        self.boots, self.seconds = self.boots + 1, 10.0


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def opened(tmp_path: Path, machine: Machine) -> Callable[[], closing[Ledger]]:
    return lambda: closing(
        Ledger(tmp_path / "ledger.sqlite", "west-1", {"mes": list(Verdict)}, machine)
    )


def judge(ledger: Ledger) -> None:
    identity = ledger.open_record(NOON, "A-17")
    ledger.close_record(Record(identity, "west-1", NOON.isoformat(), "A-17", Verdict.PASS, ""))


def age_s(ledger: Ledger) -> float:
    (entry,) = Outbox(ledger, "mes").due(10)
    return entry.age_s


def test_an_entry_ages_while_no_station_runs(
    opened: Callable[[], closing[Ledger]], machine: Machine
) -> None:
    with opened() as ledger:
        judge(ledger)
        ListeningRows(ledger).still([], NOON)
    machine.seconds += 3600
    with opened() as ledger:
        assert age_s(ledger) == 3600


def test_an_entry_ages_from_boot_to_boot_without_the_time_in_which_the_machine_was_off(
    opened: Callable[[], closing[Ledger]], machine: Machine
) -> None:
    with opened() as ledger:
        judge(ledger)
        machine.seconds += 50
        ListeningRows(ledger).still([], NOON)
    machine.restart()
    with opened() as ledger:
        assert age_s(ledger) == 50 + 10
        ListeningRows(ledger).still([], NOON)
    machine.restart()
    machine.seconds += 5
    with opened() as ledger:
        assert age_s(ledger) == 50 + 10 + 15


def test_an_entry_of_an_older_ledger_ages_from_now_on(
    opened: Callable[[], closing[Ledger]], machine: Machine
) -> None:
    with opened() as ledger:
        judge(ledger)
        with ledger.writing() as db:
            db.execute("UPDATE outbox SET queued_s = NULL")
        assert age_s(ledger) == 0
    with opened() as ledger:
        machine.seconds += 7
        assert age_s(ledger) == 7


@pytest.mark.parametrize(("by", "words"), [(YEAR, "forward"), (-YEAR, "back")])
def test_a_clock_that_was_set_while_no_station_ran_is_noticed(
    opened: Callable[[], closing[Ledger]], machine: Machine, by: timedelta, words: str
) -> None:
    with opened() as ledger:
        ListeningRows(ledger).still([], NOON)
    machine.seconds += 60
    with opened() as ledger:
        now = NOON + timedelta(seconds=60)
        assert ledger.elapsed.step_while_away(now) == ""
        assert ledger.elapsed.step_while_away(now + by) == (
            f"set {words} by 365 days, 0:00:00, from 2026-01-01T12:01:00 to "
            f"{now + by:%Y-%m-%dT%H:%M:%S} UTC"
        )


def test_after_a_boot_only_a_clock_that_is_behind_is_known_to_be_wrong(
    opened: Callable[[], closing[Ledger]], machine: Machine
) -> None:
    with opened() as ledger:
        ListeningRows(ledger).still([], NOON)
    machine.restart()
    with opened() as ledger:
        assert ledger.elapsed.step_while_away(NOON + YEAR) == ""
        assert "set back by" in ledger.elapsed.step_while_away(NOON - YEAR)


def test_a_new_ledger_knows_of_no_step(
    opened: Callable[[], closing[Ledger]],
) -> None:
    with opened() as ledger:
        assert ledger.elapsed.step_while_away(NOON) == ""


def test_a_clock_that_is_a_little_fast_is_not_set() -> None:
    assert step(NOON, NOON + timedelta(seconds=1)) == ""


def test_the_time_since_the_boot_goes_on_and_the_boot_has_its_name() -> None:
    clock = BootClock()
    assert clock.boot_s() <= clock.boot_s()
    assert clock.boot_id() == BootClock().boot_id() != ""
