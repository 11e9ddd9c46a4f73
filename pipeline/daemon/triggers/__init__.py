"""Triggers, one file each: what announces a part in front of the camera.

Without a trigger every frame of the source is one. A module here has a `Config(TriggerConfig)`
whose `type` is the file's name and whose `open` returns a `Trigger`. May call `contracts`,
`daemon.clock` and `daemon.heartbeat`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from pydantic import Field

from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.runtime.heartbeat import Heartbeat
from pipeline.daemon.sources import Answer
from pipeline.plugins import PluginConfig

# What a plugin may rely on.
__all__ = ["Call", "Trigger", "TriggerConfig"]


@dataclass(frozen=True)
class Call:
    """One trigger.

    Attributes:
        at: when it came, in UTC.
        at_s: the same moment on the clock's monotonic scale; latency counts from it.
        serial: of the part, "" where the trigger does not give one.
        answer: is called with the record once it is closed, where a client waits for the verdict.
        refused: why the part is not to be inspected, such as `late: ...`; "" where it is.
        recorded: is called once the part's record is committed or, while the ledger cannot be
            written, kept in memory: from then on its sender may forget it.
    """

    at: datetime
    at_s: float
    serial: str = ""
    answer: Answer | None = None
    refused: str = ""
    recorded: Callable[[], None] = lambda: None


class Trigger(ABC):
    """An opened trigger.

    Attributes:
        connected: could a call come now? One that needs a connection sets and unsets it.
        records_ahead: how many calls may be recorded while an earlier one waits for its frame. 0:
            the next call is taken when the one before has its frame.
        kept_on_reload: may it stay open for the next station when the line file is reloaded? Not
            where callers wait for answers, which the station that ends has to give.
        loss_unnoticed_s: how long `connected` may be wrong after the connection was lost.
        resumed: what became of triggers that were sent before the present connection; "" where
            nothing is known.
    """

    connected = True
    records_ahead = 0
    kept_on_reload = True
    loss_unnoticed_s = 0.0
    resumed = ""

    @abstractmethod
    def calls(self, heartbeat: Heartbeat) -> Iterator[Call]:
        """Yield one call a part until `heartbeat.stopping`; beats at least every second.

        Each part has a record: one that must not be judged is yielded as `refused`. When the
        station is reloaded and the settings are the same, it is called again, and may go on with
        the connection that it has.

        It may be called again after it has raised, to connect again.

        Raises:
            SourceLost: the connection to what triggers is lost; the station retries indefinitely.
        """

    def left(self) -> Iterable[Call]:
        """Parts that are known of and were never yielded, when the station ends; none come twice.

        They are recorded as NOT_INSPECTED. Callers who wait for an answer get None instead:
        theirs was no trigger. It may be asked more than once, and beside a worker that hangs.
        """
        return ()

    def close(self) -> None:  # noqa: B027  # most triggers have nothing to let go of
        """Release what `open` acquired, once no thread reads any more."""


class TriggerConfig(PluginConfig):
    """Base class of every trigger's `Config`."""

    max_age_ms: float = Field(
        500,
        gt=0,
        description="Largest age in milliseconds of the latest frame at the trigger; where it "
        "is older, the part is NOT_INSPECTED.",
    )
    wait_ms: float = Field(
        500,
        ge=0,
        description="Milliseconds to wait for a frame that is recent enough, before the part "
        "becomes NOT_INSPECTED.",
    )

    def open(self, clock: Clock) -> Trigger:
        """Check the settings and return quickly: connecting is for `calls`.

        Raises:
            ConfigError: settings that can never work.
            MissingExtra: the trigger's package is not installed.
        """
        raise NotImplementedError(f"trigger {self.type} has no open()")

    def open_for(self, station: str, camera: str, clock: Clock) -> Trigger:
        """Open for one camera of a station, for a trigger whose name must be unique.

        Raises:
            ConfigError: settings that can never work.
            MissingExtra: the trigger's package is not installed.
        """
        return self.open(clock)
