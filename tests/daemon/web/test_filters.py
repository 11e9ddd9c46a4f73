"""Which records a request asks for, and what is refused."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from fastapi import HTTPException

from pipeline.contracts.records import Verdict
from pipeline.daemon.web.filters import NAMES, filter_from
from pipeline.ledger.queries import RecordFilter


def read(**given: str) -> RecordFilter:
    return asyncio.run(filter_from(given))


def test_what_is_empty_or_unknown_does_not_matter() -> None:
    assert read() == read(verdict="", since=" ", other="x") == RecordFilter()


def test_every_name_has_its_place() -> None:
    given = {name: name for name in NAMES} | {"verdict": "FAIL"}
    given |= {"since": "2026-11-28T06:00+01:00", "until": "2026-11-28"}
    found = read(**given)
    assert (found.verdict, found.part_class, found.reason) == (Verdict.FAIL, "class", "reason")
    assert (found.serial, found.camera) == ("serial", "camera")
    assert found.since == datetime(2026, 11, 28, 5, 0, tzinfo=UTC)
    assert found.until == datetime(2026, 11, 28).astimezone()


def test_a_plus_sign_that_an_address_made_a_space_is_read() -> None:
    assert read(since="2026-11-28T06:00 01:00").since == datetime(2026, 11, 28, 5, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"verdict": "FIAL"}, 'verdict "FIAL" unknown; did you mean "FAIL"'),
        ({"since": "yesterday"}, 'since "yesterday" is not a time; give ISO 8601'),
        ({"until": "0001-01-01T00:00"}, 'until "0001-01-01T00:00" is not a time'),
        ({"until": "9999-12-31T23:59:59"}, "is not a time"),
    ],
)
def test_what_cannot_be_read_is_named(given: dict[str, str], named: str) -> None:
    with pytest.raises(HTTPException) as refused:
        read(**given)
    assert refused.value.status_code == 422
    assert named in refused.value.detail
