"""From a line file to a station that is ready to run."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from pipeline.contracts.records import Verdict
from pipeline.daemon.books import Books
from pipeline.daemon.camera import Camera
from pipeline.daemon.clock import Clock
from pipeline.daemon.inspection import Inspection
from pipeline.daemon.intake import Intake
from pipeline.daemon.ledger import Ledger
from pipeline.daemon.line import Camera as CameraSettings
from pipeline.daemon.line import Line
from pipeline.daemon.loop import Station
from pipeline.daemon.models import fetch_champion
from pipeline.daemon.sources import Source
from pipeline.daemon.state import ModelState
from pipeline.daemon.triggers import Trigger
from pipeline.errors import BundleError, LedgerError, LinesideError
from pipeline.inference.inspector import Inspector
from pipeline.registry.store import Registry

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fixed:
    """A model that stays as it is."""

    inspector: Inspector
    version: str
    since: datetime

    @property
    def state(self) -> ModelState:
        return ModelState(self.version, self.inspector.bundle.sha256, self.since)

    def renew(self) -> None:
        """Nothing else can be loaded."""


@dataclass(frozen=True)
class Eye:
    """A camera's settings, and what they opened."""

    settings: CameraSettings
    source: Source
    trigger: Trigger | None


@contextmanager
def assembled(line: Line, clock: Clock | None = None) -> Iterator[Station]:
    """Open sources, model and ledger in that order, so that what fails leaves nothing behind.

    Raises:
        LinesideError: whatever is missing or wrong, in words for the line engineer.
    """
    clock = clock or Clock()
    eyes = [
        Eye(c, c.source.open(clock), None if c.trigger is None else c.trigger.open(clock))
        for c in line.all_cameras
    ]
    bundle, version = fetch_champion(line, Registry(line.model.registry))
    inspector = Inspector(bundle, line.threads)
    warm_up(inspector)
    model = Fixed(inspector, version.name, clock.now())
    with closing(Ledger(line.ledger, line.station, outboxes(line))) as ledger:
        if ledger.closed_at_start:
            log.warning(
                "%d record(s) left open by a crash are now NOT_INSPECTED (station restarted)",
                ledger.closed_at_start,
            )
        station = put_together(line, eyes, model, ledger, clock)
        with served(line, station):
            yield station


def put_together(
    line: Line, eyes: Sequence[Eye], model: Fixed, ledger: Ledger, clock: Clock
) -> Station:
    """A station of parts that are open already."""
    books = Books(ledger, clock, takt_ms=line.overload.takt_ms)
    intake = Intake(line.overload)
    cameras = [
        Camera(eye.settings, eye.source, eye.trigger, books, intake, clock, note_in(ledger, clock))
        for eye in eyes
    ]
    inspection = Inspection(intake, books, lambda: model)
    return Station(
        *(line.recipe, ledger, books, intake, cameras, model, inspection, clock), line.supervision
    )


@contextmanager
def served(line: Line, station: Station) -> Iterator[None]:
    """Have the station employ its web service, if the line asks for one.

    Raises:
        ConfigError: the port is taken, or the certificate or the tokens cannot be used.
    """
    if line.http is None:
        yield
        return
    from pipeline.daemon.web.server import Web  # FastAPI is for stations that serve

    with closing(Web(line.http, station, None if line.keep is None else line.keep.folder)) as web:
        station.employ(web)
        log.info("web service at %s", web.address)
        yield


def outboxes(line: Line) -> dict[str, tuple[Verdict, ...]]:
    """The name of each sink's outbox, and of which verdicts the sink is told."""
    return {sink.outbox: sink.verdicts for sink in line.sinks}


def note_in(ledger: Ledger, clock: Clock) -> Callable[[str, str], None]:
    """A function that notes events of the station in its ledger, if that can be written."""

    def note(kind: str, detail: str) -> None:
        try:
            ledger.note_event(clock.now(), kind, detail)
        except LedgerError as error:
            log.warning("%s (%s) was not noted: %s", kind, detail, error)

    return note


def warm_up(inspector: Inspector) -> None:
    """Judge one black frame, so that the first part waits no longer than the others.

    Raises:
        BundleError: the graph loads but does not run.
    """
    try:
        inspector.inspect(np.zeros((*inspector.preparation.frame_px, 3), np.uint8))
    except LinesideError:
        raise
    except Exception as error:  # ONNX Runtime raises a dozen unrelated types
        raise BundleError(f"{inspector.bundle.model} does not run: {error}") from error
