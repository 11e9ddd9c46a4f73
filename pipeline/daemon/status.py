"""The station's status: what `/status`, the metrics, the terminal and the sinks show of it.

Each worker owns its own part (`CameraStatus`, `SinkStatus`, ...); `Station.status()` composes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter

from pipeline.contracts.records import Record, Verdict
from pipeline.daemon.images.writer import StorageStatus
from pipeline.daemon.inspection.camera import CameraStatus
from pipeline.daemon.inspection.drift import DriftStatus
from pipeline.daemon.model.serving import ModelStatus
from pipeline.daemon.outbox.dispatcher import SinkStatus
from pipeline.ledger.database import LedgerStatus

# The keys under which `/status` serves alarms: a public format that outlives the field names.
_KEYS = {"alarm": "trouble", "alarms": "trouble"}


@dataclass(frozen=True)
class StationStatus:
    """The whole station at one moment.

    Attributes:
        station, recipe: names.
        at: the moment.
        started_at: when the station started.
        model: the model at work.
        degraded: why too many of the last parts were not inspected, "" where they are not.
        drift: of the parts that it has judged.
        cameras, sinks: one each.
        storage: None where no frames are kept.
        ledger: where the records stand.
        verdicts: records since the start.
        reasons: why parts were NOT_INSPECTED since the start, by kind (`overload`, `unreadable`).
        triggers: since the start; more than the sum of `verdicts` by those being inspected.
        waiting: frames that wait for the network.
        restarts: workers replaced since the start.
        alarms: what keeps the station as a whole from its work, such as a ledger on a full disk.
        last: the last record closed.
    """

    station: str
    recipe: str
    at: datetime
    started_at: datetime
    model: ModelStatus
    cameras: tuple[CameraStatus, ...]
    sinks: tuple[SinkStatus, ...] = ()
    storage: StorageStatus | None = None
    ledger: LedgerStatus = field(default_factory=LedgerStatus)
    verdicts: Mapping[Verdict, int] = field(default_factory=dict)
    reasons: Mapping[str, int] = field(default_factory=dict)
    triggers: int = 0
    waiting: int = 0
    restarts: int = 0
    alarms: tuple[str, ...] = ()
    last: Record | None = None
    degraded: str = ""
    drift: DriftStatus = field(default_factory=DriftStatus)

    @property
    def not_ready(self) -> tuple[str, ...]:
        """Why parts that come now may not get a verdict; empty when the station is ready.

        A sink that is away is not a reason: its records wait in the outbox.
        """
        missing = (f"no signed model: {self.model.missing}",) if self.model.missing else ()
        away = (f"camera {c.name}: {c.alarm}" for c in self.cameras if not c.connected)
        return (*missing, *self.alarms, *away)

    def as_dict(self) -> dict[str, Any]:
        """All fields and `not_ready`, nested, under the keys of the JSON that `/status` serves."""

        def keyed(fields: list[tuple[str, Any]]) -> dict[str, Any]:
            return {_KEYS.get(key, key): value for key, value in fields}

        served = {**asdict(self, dict_factory=keyed), "not_ready": self.not_ready}
        served["model"]["drift"] = served.pop("drift")
        return served


def status_from(served: Mapping[str, Any]) -> StationStatus:
    """The status in the JSON that `/status` serves; the other way round than `as_dict`.

    Raises:
        ValueError: it is not the status of a station of this version of Lineside.
    """
    try:
        given = dict(served)
        given["alarms"] = given.pop("trouble")
        given.pop("not_ready")
        given["model"] = _with_alarm(given["model"])
        given["drift"] = given["model"].pop("drift")
        given["cameras"] = [_with_alarm(camera) for camera in given["cameras"]]
        given["sinks"] = [_with_alarm(sink) for sink in given["sinks"]]
        if given["storage"] is not None:
            given["storage"] = _with_alarm(given["storage"])
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"it has no {error}") from None
    return TypeAdapter(StationStatus).validate_python(given)


def _with_alarm(part: Mapping[str, Any]) -> dict[str, Any]:
    named = dict(part)
    named["alarm"] = named.pop("trouble")
    return named
