"""The account of a run: triggers received and the verdicts of their records."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from pipeline.contracts.records import Verdict

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


def account_of(db: sqlite3.Connection, after: int = 0) -> Account:
    """Triggers and verdicts of all records with a number above `after`."""
    row = db.execute(ACCOUNT, {"after": after}).fetchone()
    return Account(
        triggers=row["triggers"],
        verdicts={
            Verdict.PASS: row["passed"],
            Verdict.FAIL: row["failed"],
            Verdict.REVIEW: row["review"],
            Verdict.NOT_INSPECTED: row["not_inspected"],
        },
    )
