"""The account of a run."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta
from pathlib import Path

from pipeline.contracts.records import Verdict
from pipeline.ledger.account import account_of
from pipeline.ledger.ledger import Ledger
from tests.ledger.test_ledger import AT, closed, path

__all__ = ["path"]


def test_only_records_after_the_given_number_are_counted(path: Path) -> None:
    with closing(Ledger(path, "west-1")) as ledger:
        for i in range(3):
            ledger.close_record(closed(ledger.open_record(AT + timedelta(seconds=i), "part")))
        with ledger.reading() as db:
            found = account_of([db], after=1)
    assert found.triggers == sum(found.verdicts.values()) == 2
    assert found.balances


def test_an_open_record_does_not_balance(path: Path) -> None:
    with closing(Ledger(path, "west-1")) as ledger:
        ledger.open_record(AT, "part")
        with ledger.reading() as db:
            found = account_of([db])
    assert (found.triggers, found.verdicts[Verdict.PASS], found.balances) == (1, 0, False)
