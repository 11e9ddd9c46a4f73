"""The account of a run: triggers received and the verdicts of their records."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.contracts.records import RecordKind, Verdict
from pipeline.ledger.queries import period
from pipeline.ledger.tally import tally

# The account in one query: it balances when triggers = passed + failed + review + not_inspected +
# challenge.
ACCOUNT = """
SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'records'), 0) - :after AS triggers,
       count(*) FILTER (WHERE verdict = 'PASS' AND kind = 'part') AS passed,
       count(*) FILTER (WHERE verdict = 'FAIL' AND kind = 'part') AS failed,
       count(*) FILTER (WHERE verdict = 'REVIEW' AND kind = 'part') AS review,
       count(*) FILTER (WHERE verdict = 'NOT_INSPECTED' AND kind = 'part') AS not_inspected,
       count(*) FILTER (WHERE verdict IS NOT NULL AND kind != 'part') AS challenge
FROM records WHERE seq > :after
"""


@dataclass(frozen=True)
class Account:
    """Number of triggers, verdicts of parts, and how many were known parts of challenge runs."""

    triggers: int
    verdicts: dict[Verdict, int]
    challenge: int = 0

    @property
    def balances(self) -> bool:
        """triggers = PASS + FAIL + REVIEW + NOT_INSPECTED + challenge."""
        return self.triggers == sum(self.verdicts.values()) + self.challenge


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
    challenge: int = row["challenge"]
    if len(files) > 1:
        found = tally(files, after + 1, after + row["triggers"], period(None, None))
        verdicts, challenge = dict.fromkeys(Verdict, 0), 0
        for (verdict, *_, kind), n in found.groups.items():
            if verdict is not None and kind == RecordKind.PART:
                verdicts[Verdict(verdict)] += n
            elif verdict is not None:
                challenge += n
    return Account(row["triggers"], verdicts, challenge)
