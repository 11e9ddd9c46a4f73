"""Which records a request asks for: the same names in the API and on the page."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

from fastapi import HTTPException, Query

from pipeline.contracts.records import Verdict
from pipeline.errors import choices
from pipeline.ledger.queries import RecordFilter

NAMES = ("verdict", "class", "reason", "serial", "camera", "since", "until")
LONGEST = 200
TIME = "ISO 8601, such as 2026-11-28T06:00; without a zone in the station's local time"

_Text = Annotated[str, Query(max_length=LONGEST)]


async def filter_of(
    verdict: Annotated[str, Query(description="PASS, FAIL, REVIEW or NOT_INSPECTED")] = "",
    part_class: Annotated[str, Query(alias="class", max_length=LONGEST)] = "",
    reason: Annotated[str, Query(max_length=LONGEST, description="text in the reason")] = "",
    serial: _Text = "",
    camera: _Text = "",
    since: Annotated[str, Query(description=f"from this time on: {TIME}")] = "",
    until: Annotated[str, Query(description=f"before this time: {TIME}")] = "",
) -> RecordFilter:
    """The filter of a request; raises HTTPException 422 for one that cannot be read."""
    if verdict and verdict not in set(Verdict):
        raise HTTPException(422, f'verdict "{verdict[:50]}" unknown; {choices(verdict, Verdict)}')
    return RecordFilter(
        *(Verdict(verdict) if verdict else None, part_class, reason.strip(), serial, camera),
        since=time_of("since", since),
        until=time_of("until", until),
    )


async def filter_from(given: Mapping[str, str]) -> RecordFilter:
    """The filter in the query of a page's address; errors as of `filter_of`."""
    values = {name: given.get(name, "").strip()[:LONGEST] for name in NAMES}
    return await filter_of(
        *(values[n] for n in ("verdict", "class", "reason", "serial", "camera", "since", "until"))
    )


def time_of(name: str, text: str) -> datetime | None:
    """The time in a parameter, None without one; raises HTTPException 422 for what is none."""
    if not text:
        return None
    try:
        # A plus sign in an address means a space, unless it is encoded.
        at = datetime.fromisoformat(text.strip().replace(" ", "+") if "T" in text else text)
        at = at.astimezone()
        if not 1970 <= at.year <= 9000:
            raise ValueError
    except (ValueError, OverflowError, OSError):
        raise HTTPException(422, f'{name} "{text[:50]}" is not a time; give {TIME}') from None
    return at
