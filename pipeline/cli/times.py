"""Times on the command line: local time with its offset when shown, ISO 8601 when given.

A time that is given without a zone is local time, so what a command shows can be given back to it.
JSON output stays in UTC, with its zone.
"""

from __future__ import annotations

from datetime import UTC, datetime

from pipeline.errors import DataError


def moment(option: str, given: str | None) -> datetime | None:
    """A time that a person gave; without a zone it is local time. None where none was given.

    Args:
        option: for the message, such as `--since`.
        given: ISO 8601, such as 2026-11-23, 2026-11-23T06:00 or 2026-11-23 06:00+01:00.

    Raises:
        DataError: it is not a time.
    """
    if given is None:
        return None
    try:
        return datetime.fromisoformat(given.strip()).astimezone()
    except (ValueError, OverflowError):
        raise DataError(
            f'{option} "{given}" is not a time; write 2026-11-23, 2026-11-23T06:00 (local time) or '
            "2026-11-23T06:00+01:00"
        ) from None


def shown(at: datetime | str) -> str:
    """A time for people: local, to the second, with its offset: 2026-11-23 06:00:00+01:00.

    Args:
        at: a time, or its text in ISO 8601 as stations store it: in UTC where it has no zone.
    """
    return _local(at).isoformat(" ", "seconds")


def shown_of_day(at: datetime | str) -> str:
    """The time of day, where there is no room for the date: 06:00:00+01:00."""
    return _local(at).isoformat(" ", "seconds").partition(" ")[2]


def _local(at: datetime | str) -> datetime:
    if isinstance(at, str):
        at = datetime.fromisoformat(at)
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return at.astimezone()
