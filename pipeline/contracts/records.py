"""What a station records: one trigger, one record, one verdict."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

STOPPED = "station stopped"  # kind of reason of parts that waited when the station stopped


class Verdict(StrEnum):
    """The four answers a station can give for a part."""

    PASS = "PASS"
    FAIL = "FAIL"
    REVIEW = "REVIEW"
    NOT_INSPECTED = "NOT_INSPECTED"


class RecordKind(StrEnum):
    """What a trigger was for; rates, reviews and training count parts only."""

    PART = "part"
    CHALLENGE = "challenge"  # a known part of a challenge run


@dataclass(frozen=True)
class Decision:
    """The verdict on one part.

    Attributes:
        verdict: PASS, FAIL or REVIEW.
        part_class: the most probable class (for FAIL and REVIEW the most probable bad one).
        defect_score: probability that the part is not good, 0 to 1.
        reason: why, in words an operator understands.
    """

    verdict: Verdict
    part_class: str
    defect_score: float
    reason: str


@dataclass(frozen=True)
class Record:
    """One closed line of the ledger.

    Attributes:
        id: globally unique, ordered by time.
        station: name of the station.
        captured_at: time of the trigger, ISO 8601 in UTC; where every frame is one, of its capture.
        serial: part serial, or the file name in a replay.
        verdict: exactly one of the four.
        reason: why.
        part_class: the class named by the decision, "" when not inspected.
        defect_score: probability that the part is not good; None when not inspected.
        scores: probability of each class by name; empty when not inspected.
        model_version: `<recipe>/<version>` that judged, "" when none did.
        latency_ms: trigger to verdict, in milliseconds; None for records closed after a crash.
        image: POSIX path of the kept frame in the station's folder of kept frames, "" for none.
        camera: which of the station's cameras saw it.
        frame_age_ms: from capture to trigger; None where there was no frame.
        steps_ms: what the latency of an inspected part consists of, in milliseconds: `waited`
            (for its frame and its turn), `decoded`, `prepared`, `network`; what is left is the
            decision and writing. Empty when not inspected.
        kind: a part of the line, or a known part of a challenge run.
    """

    id: str
    station: str
    captured_at: str
    serial: str
    verdict: Verdict
    reason: str
    part_class: str = ""
    defect_score: float | None = None
    scores: dict[str, float] = field(default_factory=dict)
    model_version: str = ""
    latency_ms: float | None = None
    image: str = ""
    camera: str = ""
    frame_age_ms: float | None = None
    steps_ms: dict[str, float] = field(default_factory=dict)
    kind: RecordKind = RecordKind.PART


@dataclass(frozen=True)
class ChallengePart:
    """What a trigger belongs to whose part a challenge run has presented.

    Attributes:
        run: its number.
        part: which of its known parts it is, from 0; None where this camera need not see it.
    """

    run: int
    part: int | None


@dataclass(frozen=True)
class MissedTrigger:
    """A trigger that came while the ledger could not be written."""

    at: datetime
    serial: str
    camera: str
    presented: ChallengePart | None = None


def reason_kind(reason: str) -> str:
    """The kind of a reason: `overload` of `overload: 16 frames wait`."""
    return reason.partition(":")[0]
