"""The account of a run: triggers received and the verdicts of their records."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.contracts.records import Verdict
from pipeline.ledger.queries import period
from pipeline.ledger.tally import tally

# The account in one query: it balances when triggers = passed + failed + review + not_inspected.
ACCOUNT = """
SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'records'), 0) - :after AS triggers,
       count(*) FILTER (WHERE verdict = 'PASS') AS passed,
       count(*) FILTER (WHERE verdict = 'FAIL') AS failed,
       count(*) FILTER (WHERE verdict = 'REVIEW') AS review,
       count(*) FILTER (WHERE verdict = 'NOT_INSPECTED') AS not_inspected
FROM records WHERE seq > :after
"""


@dataclass(frozen=True)
class Account:
    """Number of triggers and their verdicts."""

    triggers: int
    verdicts: dict[Verdict, int]

    @property
    def balances(self) -> bool:
        """triggers = PASS + FAIL + REVIEW + NOT_INSPECTED."""
        return self.triggers == sum(self.verdicts.values())


def account_of(files: Sequence[sqlite3.Connection], after: int = 0) -> Account:
    """Triggers and verdicts of all records with a number above `after`.

    Args:
        files: the ledger and its archives.
        after: number.
    """
    row = files[0].execute(ACCOUNT, {"after": after}).fetchone()
    verdicts = {
        Verdict.PASS: row["passed"],
        Verdict.FAIL: row["failed"],
        Verdict.REVIEW: row["review"],
        Verdict.NOT_INSPECTED: row["not_inspected"],
    }
    if len(files) > 1:
        found = tally(files, after + 1, after + row["triggers"], period(None, None))
        verdicts = dict.fromkeys(Verdict, 0)
        for (verdict, *_), n in found.groups.items():
            if verdict is not None:
                verdicts[Verdict(verdict)] += n
    return Account(row["triggers"], verdicts)
