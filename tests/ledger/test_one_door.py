"""The ledger's file is opened in one place for reading and in one for the station's writing."""

from __future__ import annotations

import re

from tests.imports import imports, modules

OPENS = re.compile(r"sqlite3\.connect\(")
# Other files than the ledger: the cache of features, a registry that is a file.
NOT_A_LEDGER = {"pipeline.training.features.cache", "pipeline.registry.connection"}


def test_only_the_reader_and_the_writer_open_the_file() -> None:
    opening = {
        module: len(OPENS.findall(path.read_text("utf-8")))
        for module, path in modules().items()
        if module not in NOT_A_LEDGER
    }
    assert {m: n for m, n in opening.items() if n} == {
        "pipeline.ledger.database": 1,  # every reader, and the reviews of people
        "pipeline.ledger.ledger": 1,  # the station
    }


def test_the_format_is_checked_in_one_place() -> None:
    asking = [m for m, p in modules().items() if 'PRAGMA application_id"' in p.read_text("utf-8")]
    assert asking == ["pipeline.ledger.database"]


def test_the_schema_is_known_to_the_ledger_alone() -> None:
    knowing = [
        module
        for module, path in modules().items()
        if "pipeline.ledger.schema" in imports(path) and not module.startswith("pipeline.ledger.")
    ]
    assert knowing == []


def test_the_outbox_is_counted_once_when_an_older_ledger_is_brought_up_to_date() -> None:
    counts = re.compile(r"count\(\*\)[^;\"]*FROM outbox", re.DOTALL)
    counting = [m for m, p in modules().items() if counts.search(p.read_text("utf-8"))]
    assert counting == ["pipeline.ledger.schema"]
