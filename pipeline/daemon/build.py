"""Builds a station, ready to run, from its line file."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from pipeline.contracts.records import Record, RecordKind
from pipeline.daemon.challenge.guard import WITHHELD
from pipeline.daemon.challenge.watch import challenge_workers
from pipeline.daemon.images.writer import ImageWriter
from pipeline.daemon.inspection.camera import Camera
from pipeline.daemon.inspection.degraded import DegradedWatch
from pipeline.daemon.inspection.frame_check import FrameCheck, FrameGate
from pipeline.daemon.inspection.listening import ListeningLog
from pipeline.daemon.inspection.recorder import Recorder
from pipeline.daemon.inspection.work_queue import WorkQueue
from pipeline.daemon.inspection.worker import InspectionWorker
from pipeline.daemon.model import raw_pixels
from pipeline.daemon.model.serving import ModelStatus, Serving
from pipeline.daemon.model.shadow import Shadow
from pipeline.daemon.net.held_port import HeldPort
from pipeline.daemon.outbox.dispatcher import Dispatcher
from pipeline.daemon.quality.watch import QualityWatch
from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.runtime.clock_watch import CLOCK_STEP, ClockWatch
from pipeline.daemon.settings.line import CameraSettings, Line
from pipeline.daemon.sources import Frame, Source
from pipeline.daemon.station import Model, Station
from pipeline.daemon.status import StationStatus
from pipeline.daemon.triggers import Trigger
from pipeline.errors import ConfigError, LedgerError
from pipeline.inference.inspector import Inspector
from pipeline.ledger.disk_reserve import DiskReserve, disk_full
from pipeline.ledger.ledger import Ledger
from pipeline.registry.store import Registry

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FixedModel:
    """A model that is never swapped, for benchmarks and tests."""

    inspector: Inspector
    version: str
    since: datetime

    @property
    def current(self) -> FixedModel:
        return self

    @property
    def status(self) -> ModelStatus:
        return ModelStatus(self.version, self.inspector.bundle.sha256, self.since)

    def renew(self) -> None:
        """Does nothing: the model is loaded already."""


@dataclass(frozen=True)
class OpenedCamera:
    """A camera's settings with its opened source and trigger."""

    settings: CameraSettings
    source: Source
    trigger: Trigger | None

    @property
    def reusable(self) -> bool:
        """May it stay open for a station with the same settings?"""
        return all(part.kept_on_reload for part in (self.source, self.trigger) if part is not None)

    def close(self) -> None:
        """Close both."""
        self.source.close()
        if self.trigger is not None:
            self.trigger.close()


@dataclass(frozen=True)
class Components:
    """What a station is assembled from and what may outlive it: a reload keeps what is unchanged.

    Attributes:
        line: the line file.
        cameras: opened.
        serving: the model at work.
        kept: names of the cameras that a station before this one has opened.
    """

    line: Line
    cameras: tuple[OpenedCamera, ...]
    serving: Serving
    kept: frozenset[str] = frozenset()

    def without(self, kept: frozenset[str]) -> Components:
        """The same without those of the kept cameras that are not in `kept`."""
        lost = self.kept - kept
        cameras = tuple(c for c in self.cameras if c.settings.name not in lost)
        return replace(self, cameras=cameras, kept=kept)

    def let_go(self, kept: Collection[str] = ()) -> None:
        """Close the cameras, but for those in `kept`."""
        for camera in self.cameras:
            if camera.settings.name not in kept:
                camera.close()


def prepare(line: Line, clock: Clock, former: Components | None = None) -> Components:
    """Open sources, triggers and model, as far as those of `former` cannot be used.

    Raises:
        LinesideError: something is missing or wrong; what was opened here is closed again.
    """
    mine = [] if former is None or former.line.station != line.station else former.cameras
    reusable = {opened.settings.name: opened for opened in mine if opened.reusable}
    kept = frozenset(
        c.name for c in line.all_cameras if c.name in reusable and reusable[c.name].settings == c
    )
    new = open_cameras(line, clock, without=kept)
    opened = {camera.settings.name: camera for camera in new} | {n: reusable[n] for n in kept}
    try:
        for sink in line.sinks:
            sink.open(line.station, clock).close()
        if former is not None and _same_model(former.line, line):
            serving = former.serving
        else:
            serving = Serving.start(line, Registry(line.model.registry), clock)
    except BaseException:
        for camera in new:
            camera.close()
        raise
    return Components(line, tuple(opened[c.name] for c in line.all_cameras), serving, kept)


def _same_model(former: Line, line: Line) -> bool:
    def asked(of: Line) -> tuple[object, ...]:
        return of.recipe, of.model, of.threads, raw_pixels.by_camera(of)

    return asked(former) == asked(line)


@contextmanager
def assembled(line: Line, clock: Clock | None = None) -> Iterator[Station]:
    """A station from its line file; raises LinesideError where something is missing or wrong."""
    clock = clock or Clock()
    with assembled_from(prepare(line, clock), clock) as station:
        yield station


@contextmanager
def assembled_from(
    components: Components, clock: Clock, port: HeldPort | None = None
) -> Iterator[Station]:
    """A station from its components; the web service gives its port to `port` in the end.

    Raises:
        LinesideError: the ledger or the web service cannot be opened.
    """
    line, serving = components.line, components.serving
    outboxes = {sink.outbox: sink.verdicts for sink in line.sinks}
    with closing(Ledger(line.ledger, line.station, outboxes, clock)) as ledger:
        note = note_in(ledger, clock)
        if set_meanwhile := ledger.elapsed.step_while_away(clock.now()):
            log.warning("the clock was %s", set_meanwhile)
            note(CLOCK_STEP, set_meanwhile)
        serving.follower.on_event = note
        note("started", serving.status.version or f"without a model: {serving.status.missing}")
        for found in serving.damaged:
            note("model damaged", found)
        if ledger.closed_at_start:
            log.warning(
                "%d record(s) left open by a crash are now NOT_INSPECTED (station restarted)",
                ledger.closed_at_start,
            )
        station = put_together(line, components.cameras, serving, ledger, clock, components.kept)
        station.add_workers(serving.follower)
        if line.model.shadow:
            _shadow(station, line, Registry(line.model.registry), clock)
        with served(line, station, port):
            yield station


def open_cameras(line: Line, clock: Clock, without: Collection[str] = ()) -> list[OpenedCamera]:
    """Open the sources and triggers of all cameras, but for those in `without`.

    Raises:
        DataError, ConfigError: settings that can never work.
        MissingExtra: the package of a source or trigger is not installed.
    """
    opened = [
        OpenedCamera(
            *(c, c.source.open(clock)),
            None if c.trigger is None else c.trigger.open_for(line.station, c.name, clock),
        )
        for c in line.all_cameras
        if c.name not in without
    ]
    for camera in opened:
        if camera.trigger is not None and not camera.source.live:
            raise ConfigError(
                f"camera {camera.settings.name}: source {camera.settings.source.type} waits until "
                "it is asked, so a trigger finds none of its frames; leave `trigger` out, then "
                "every frame is one"
            )
    return opened


def put_together(
    line: Line,
    opened: Sequence[OpenedCamera],
    model: Model,
    ledger: Ledger,
    clock: Clock,
    kept: Collection[str] = (),
) -> Station:
    """Build a station from opened cameras, a model and a ledger.

    Cameras in `kept` have gone on listening since the station before.
    """
    reserve = DiskReserve(line.ledger, clock.monotonic_s)
    recorder = Recorder(
        *(ledger, clock),
        takt_ms=line.overload.takt_ms,
        make_room=lambda error: disk_full(error) and reserve.release(),
    )
    work_queue = WorkQueue(line.overload)
    note = note_in(ledger, clock)
    cameras = [
        Camera(camera.settings, camera.source, camera.trigger, recorder, work_queue, clock, note)
        for camera in opened
    ]
    health = {e.settings.name: FrameCheck(line.health, live=e.source.live) for e in opened}
    inspection = InspectionWorker(
        *(work_queue, recorder, lambda: model.current, FrameGate(health)),
        size_tolerance=None if line.health.size_px else line.health.size_tolerance,
    )
    image_writer = None if line.keep is None else ImageWriter(line.keep, ledger, clock)
    station = Station(
        *(line.recipe, ledger, recorder, work_queue, cameras, model, inspection, clock),
        rules=line.supervision,
        reserve=reserve,
        image_writer=image_writer,
        listening=ListeningLog(ledger, cameras, clock, kept),
    )
    dispatchers = [
        Dispatcher(
            *(sink, ledger, clock, lambda: announcement(station.status())),
            records_at="" if line.http is None else line.http.records_at,
        )
        for sink in line.sinks
    ]
    station.add_workers(
        *dispatchers,
        ClockWatch(clock, note),
        DegradedWatch(recorder.counters, line.supervision.degraded_share),
        *challenge_workers(line, ledger, clock, lambda: model.status.version, recorder, inspection),
        QualityWatch(ledger, clock, lambda: (model.status.version, inspection.drift)),
    )

    def pass_on(record: Record, frame: Frame | None) -> None:
        for dispatcher in dispatchers:
            dispatcher.nudge()
        if image_writer is not None and frame is not None:
            image_writer.offer(frame, record, disputed=record.kind is not RecordKind.PART)

    recorder.subscribe(pass_on)
    return station


def announcement(status: StationStatus) -> Mapping[str, Any]:
    """State of the station for sinks to announce; changes seldom. The keys are a public format."""
    return {
        "station": status.station,
        "recipe": status.recipe,
        "online": True,
        "ready": not status.not_ready,
        "not_ready": list(status.not_ready),
        "model": status.model.version,
        "model_trouble": status.model.alarm,
        "cameras": {c.name: c.connected for c in status.cameras},
    }


@contextmanager
def served(line: Line, station: Station, port: HeldPort | None = None) -> Iterator[None]:
    """Run the web service with the station, if the line file has one.

    Args:
        line: the line file.
        station: what is served.
        port: has the port of the service before this one, and gets it in the end.

    Raises:
        ConfigError: the port is taken, or the certificate or the tokens cannot be used.
    """
    if line.http is None:
        yield
        return
    from pipeline.daemon.web.server import Web  # FastAPI is for stations that serve

    port, address = port or HeldPort(), (line.http.host, line.http.port)
    frames = None if line.keep is None else line.keep.folder
    web = Web(line.http, station, frames, port.take(address), line.shifts, line.challenge)
    try:
        station.add_workers(web)
        log.info("web service at %s", web.address)
        yield
    finally:
        if station.kept is None:
            web.close()
        else:
            port.hold(address, web.listener)


def note_in(ledger: Ledger, clock: Clock) -> Callable[[str, str], None]:
    """A function that notes events of the station in its ledger; a failure is logged."""

    def note(kind: str, detail: str) -> None:
        try:
            ledger.note_event(clock.now(), kind, detail)
        except LedgerError as error:
            log.warning("event %s (%s) was not noted: %s", kind, detail, error)

    return note


def _shadow(station: Station, line: Line, registry: Registry, clock: Clock) -> None:
    """Have the challenger judge the same frames as the model at work."""

    def keep(frame: Frame, record: Record) -> None:
        if station.image_writer is not None:
            station.image_writer.offer(frame, record, disputed=True)

    def offer(record: Record, frame: Frame | None) -> None:
        of_line = record.kind is RecordKind.PART and not record.reason.startswith(WITHHELD)
        if frame is not None and of_line:
            shadow.offer(record, frame)

    shadow = Shadow(line, registry, station.ledger, clock, keep)
    station.add_workers(shadow)
    station.with_shadow = shadow.with_shadow
    station.recorder.subscribe(offer)
