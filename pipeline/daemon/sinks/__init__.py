"""Sinks of records, one file each: where closed records are delivered.

A module here has a `Config(SinkConfig)` whose `type` is the file's name and whose `open` returns a
`Sink`. Each sink has an outbox of its own in the ledger, filled in the transaction that closes the
record: what a sink cannot deliver now is tried again, in order, until it is delivered or the record
is too old. So a record is delivered at least once, and its id distinguishes a second delivery from
a second part. May call `contracts`, `files` and, of the daemon, `clock`, `mqtt` and `secret`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from pydantic import Field

from pipeline.contracts.records import Record, Verdict
from pipeline.daemon.runtime.clock import Clock
from pipeline.errors import LinesideError
from pipeline.plugins import NAME, PluginConfig

# What a plugin may rely on.
__all__ = ["BATCH", "RecordRefused", "Sink", "SinkConfig", "SinkDown", "message"]

BATCH = 100  # records given to a sink at once, at most


class SinkDown(LinesideError):
    """The records were not delivered, or it is not known; they are delivered again later.

    Attributes:
        retry_after_s: how long the receiver asked us to wait; None if it did not.
    """

    def __init__(self, why: str, retry_after_s: float | None = None) -> None:
        super().__init__(why)
        self.retry_after_s = retry_after_s


class RecordRefused(LinesideError):
    """The receiver will never accept this record; it becomes a dead letter at once.

    Attributes:
        record: its id. Those before it in the batch were delivered, those after it were not.
    """

    def __init__(self, record: str, why: str) -> None:
        super().__init__(why)
        self.record = record


class Sink(ABC):
    """An opened sink. All methods are called from one thread, the sink's own.

    Attributes:
        batch: how many records it takes at once, at most.
        records_at: the address below which people find each record, "" where there are no pages.
    """

    batch = BATCH
    records_at = ""

    @abstractmethod
    def deliver(self, records: Sequence[Record]) -> None:
        """Hand over closed records in the order of their triggers; returns once they are safe.

        It returns or raises within `timeout_s`, whatever the network does.

        Raises:
            SinkDown: the receiver is away, slow or failing; all of them are given again.
            RecordRefused: one of them will never be taken.
        """

    def announce(self, state: Mapping[str, Any]) -> None:  # noqa: B027  # few sinks do
        """Announce the station's state: `online`, `ready`, `model`, ...; lost if it fails.

        Raises:
            SinkDown: it could not be delivered.
        """

    def notify(self, event: Mapping[str, Any]) -> None:  # noqa: B027  # few sinks do
        """Deliver an event of the station, such as a signal of a control chart, ready for JSON.

        It has `type`, `id`, `station`, `at`, `detail`, `data` and, where there are pages, `url`.

        Raises:
            SinkDown: it could not be delivered; it is given again.
            RecordRefused: the receiver will never accept it.
        """

    def close(self) -> None:  # noqa: B027  # not every sink holds something
        """Release what `open` or `deliver` acquired."""


class SinkConfig(PluginConfig):
    """Base class of every sink's `Config`."""

    name: str = Field(
        "",
        pattern=f"({NAME})?",
        max_length=64,
        description="Name of its outbox, which must never change; none: the type. Two sinks of "
        "one type need two names.",
    )
    verdicts: tuple[Verdict, ...] = Field(
        tuple(Verdict), min_length=1, description="Verdicts that are delivered to it."
    )
    events: bool = Field(
        True,
        description="Are events of the station, such as signals of its control charts, delivered "
        "too? `mqtt` and `webhook` do so.",
    )
    timeout_s: float = Field(
        5, gt=0, le=60, description="Seconds after which a delivery counts as failed."
    )
    give_up_after_days: float = Field(
        7,
        gt=0,
        description="Days after which an undelivered record becomes a dead letter: kept, but "
        "not tried again.",
    )

    @property
    def outbox(self) -> str:
        """The name of its outbox."""
        return self.name or self.type

    def open(self, station: str, clock: Clock) -> Sink:
        """Check the settings and return quickly: connecting is for `deliver`.

        Raises:
            ConfigError: settings that can never work.
            MissingExtra: the sink's package is not installed.
        """
        raise NotImplementedError(f"sink {self.type} has no open()")


def message(record: Record, records_at: str = "") -> dict[str, Any]:
    """The message for a record: its fields, ready for JSON; with `url` where it has a page."""
    fields = {**asdict(record), "verdict": str(record.verdict)}
    return fields | {"url": f"{records_at}{record.id}"} if records_at else fields
