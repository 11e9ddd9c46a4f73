"""The station's state at one moment: what the web service, the terminal and the sinks tell of it.

Pure data. Each worker keeps its own part up to date; `Station.state()` puts them together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from pipeline.contracts.records import Record, Verdict


@dataclass(frozen=True)
class CameraState:
    """One camera.

    Attributes:
        name: of the camera.
        connected: do frames come, or could they?
        trouble: why not, "" when they do.
        frames: how many came since the start of the station.
        frame_age_s: since the last one; None before the first.
        reconnects: how often the source was opened anew.
    """

    name: str
    connected: bool = False
    trouble: str = "not connected yet"
    frames: int = 0
    frame_age_s: float | None = None
    reconnects: int = 0


@dataclass(frozen=True)
class SinkState:
    """One sink.

    Attributes:
        name: of its outbox.
        up: did the last delivery succeed?
        trouble: why not, "" when it did.
        delivered: records since the start of the station.
        due: letters in the outbox.
        dead: letters given up.
    """

    name: str
    up: bool = True
    trouble: str = ""
    delivered: int = 0
    due: int = 0
    dead: int = 0


@dataclass(frozen=True)
class Level:
    """One figure of the parts that a model has judged.

    Attributes:
        now: its exponentially weighted mean; None before the first part.
        first: its plain mean over the first parts (`drift.PARTS`); None until they came.
    """

    now: float | None = None
    first: float | None = None


@dataclass(frozen=True)
class DriftState:
    """What the model at work has seen since it took over.

    A bundle does not say what scores to expect of this line, so the first parts after a model took
    over stand for what is usual: drift before that, or during it, does not show in the scores. For
    the novelty the bundle says it: 1 is the median of the parts that evaluation judged.

    Attributes:
        parts: judged by it.
        defect_score: 0 to 1.
        novelty: distance to the nearest training example, in medians of evaluation; without values
            where the bundle has no examples.
    """

    parts: int = 0
    defect_score: Level = Level()
    novelty: Level = Level()


@dataclass(frozen=True)
class ModelState:
    """The model at work.

    Attributes:
        version: `<recipe>/<version>`.
        bundle_sha256: its bundle's identity.
        since: when it took over.
        trouble: why the newest version was refused or the registry could not be asked, "" if fine.
        shadow: the version that runs beside it, "" for none.
        shadowed: frames that both have judged.
        disagreements: of those, how many got another verdict from it.
        drift: how parts look to the model at work, beside those it saw first.
    """

    version: str
    bundle_sha256: str
    since: datetime
    trouble: str = ""
    shadow: str = ""
    shadowed: int = 0
    disagreements: int = 0
    drift: DriftState = DriftState()


@dataclass(frozen=True)
class StorageState:
    """Where frames are kept.

    Attributes:
        trouble: why frames are not kept as the line file asks, "" if they are.
        kept_bytes: of the frames there.
        quota_bytes: how many there may be; None without a limit.
        days_left: until the quota is reached at the present rate; None when nobody can tell.
        left_out: frames that were wanted and not kept since the start.
    """

    trouble: str = ""
    kept_bytes: int = 0
    quota_bytes: int | None = None
    days_left: float | None = None
    left_out: int = 0


@dataclass(frozen=True)
class LedgerState:
    """The ledger's file, which only grows.

    Attributes:
        size_bytes: of the file and its write-ahead log; None when nobody can tell.
        free_bytes: of its disk; None when nobody can tell.
    """

    size_bytes: int | None = None
    free_bytes: int | None = None


@dataclass(frozen=True)
class StationState:
    """All of it.

    Attributes:
        station, recipe: names.
        at: the moment.
        started_at: when the station started.
        model: the model at work.
        cameras, sinks: one each.
        storage: None where no frames are kept.
        ledger: where the records stand.
        verdicts: records since the start.
        reasons: why parts were NOT_INSPECTED since the start, by kind (`overload`, `unreadable`).
        triggers: since the start; more than the sum of `verdicts` by those being inspected.
        waiting: frames that wait for the network.
        restarts: workers replaced since the start.
        trouble: what keeps the station as a whole from its work, such as a ledger on a full disk.
        last: the last record closed.
    """

    station: str
    recipe: str
    at: datetime
    started_at: datetime
    model: ModelState
    cameras: tuple[CameraState, ...]
    sinks: tuple[SinkState, ...] = ()
    storage: StorageState | None = None
    ledger: LedgerState = LedgerState()
    verdicts: Mapping[Verdict, int] = field(default_factory=dict)
    reasons: Mapping[str, int] = field(default_factory=dict)
    triggers: int = 0
    waiting: int = 0
    restarts: int = 0
    trouble: tuple[str, ...] = ()
    last: Record | None = None

    @property
    def not_ready(self) -> tuple[str, ...]:
        """Why parts that come now may not get a verdict; empty when the station is ready.

        A sink that is away is no reason: its records wait in the outbox.
        """
        away = (f"camera {c.name}: {c.trouble}" for c in self.cameras if not c.connected)
        return (*self.trouble, *away)
