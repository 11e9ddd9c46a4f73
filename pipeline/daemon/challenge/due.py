"""When the next challenge run must have passed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta

from pipeline.daemon.settings.challenge import Challenge
from pipeline.ledger.challenge.runs import Cause, ChallengeRun

FIRST, START, MODEL = "first", "start", "model"  # kinds of causes


@dataclass(frozen=True)
class Deadline:
    """When a run must have passed, as of `Elapsed`, and why."""

    at_s: float
    why: str


def next_deadline(
    rules: Challenge,
    shifts: Sequence[str],
    passed: ChallengeRun | None,
    causes: Sequence[Cause],
    now: datetime,
    now_s: float,
) -> Deadline | None:
    """The earliest deadline; None where nothing needs a run.

    Ages are taken on the scale that nobody can set; only the shift is read from the time of day.

    Args:
        rules: of the line file.
        shifts: when shifts begin, as `06:00`, in local time.
        passed: the last run that has passed.
        causes: what a run was needed after since that one was started.
        now: time of day, with a time zone.
        now_s: the same as of `Elapsed`.
    """
    grace_s = rules.grace_min * 60
    words = {
        FIRST: "none has passed yet",
        START: "the station was started",
        MODEL: "another model took over",
    }
    wanted = {START: rules.after_start, MODEL: rules.after_model_change}
    found = [
        Deadline(cause.at_s + grace_s, f"{words[cause.kind]} {cause.detail}".strip())
        for cause in causes
        if wanted.get(cause.kind, True)
    ]
    if passed is not None and passed.ended_s is not None:
        if rules.every_h is not None:
            why = f"the last one passed {rules.every_h:g} h before"
            found.append(Deadline(passed.ended_s + rules.every_h * 3600, why))
        if rules.each_shift:
            begun, following = shift_around(now, shifts)
            since_s = (now - begun).total_seconds()
            if now_s - passed.ended_s > since_s:
                why = f"the shift of {begun:%H:%M} has begun"
                found.append(Deadline(now_s - since_s + grace_s, why))
            else:
                left_s = (following - now).total_seconds()
                why = f"the shift of {following:%H:%M} begins"
                found.append(Deadline(now_s + left_s + grace_s, why))
    return min(found, key=lambda deadline: deadline.at_s, default=None)


def shift_around(now: datetime, shifts: Sequence[str]) -> tuple[datetime, datetime]:
    """When the present shift began and the next one begins, in local time."""
    here = now.astimezone()
    days = (here.date() + timedelta(days=n) for n in (-1, 0, 1, 2))
    starts = [time.fromisoformat(start) for start in shifts]
    begins = sorted(datetime.combine(d, s).astimezone() for d in days for s in starts)
    return max(at for at in begins if at <= here), min(at for at in begins if at > here)
