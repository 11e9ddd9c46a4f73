"""The station at work: frame by frame from trigger to closed record."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.contracts.records import Record, Verdict
from pipeline.daemon.clock import Clock
from pipeline.daemon.keeping import Keeper
from pipeline.daemon.ledger import Ledger
from pipeline.daemon.line import Line
from pipeline.daemon.models import fetch_champion
from pipeline.daemon.sources import Frame, Source
from pipeline.errors import BundleError, LinesideError, UnreadableImage
from pipeline.inference.inspector import Inspector
from pipeline.registry.store import Registry

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Summary:
    """One run of a station, counted from its ledger.

    Attributes:
        station, model_version, ledger: who inspected, with what, and where it stands.
        triggers: frames that arrived; it equals the sum of `verdicts`.
        verdicts: how many records bear each verdict.
        balances: whether that equation holds.
        seconds: how long it ran.
        latency_ms_p50, latency_ms_p99: trigger to verdict; None when nothing was inspected.
    """

    station: str
    model_version: str
    ledger: Path
    triggers: int
    verdicts: dict[Verdict, int]
    balances: bool
    seconds: float
    latency_ms_p50: float | None
    latency_ms_p99: float | None

    @property
    def rate_hz(self) -> float:
        """Frames a second."""
        return self.triggers / self.seconds if self.seconds > 0 else 0.0


class Station:
    """One source, one model, one ledger, and a folder of kept frames if there is a keeper."""

    def __init__(
        self,
        source: Source,
        inspector: Inspector,
        model_version: str,
        ledger: Ledger,
        clock: Clock,
        keeper: Keeper | None = None,
    ) -> None:
        self.model_version = model_version
        self.ledger = ledger
        self._source = source
        self._inspector = inspector
        self._clock = clock
        self._keeper = keeper

    def run(
        self, stop: threading.Event, on_record: Callable[[Record], None] | None = None
    ) -> Summary:
        """Inspect until the source ends or `stop` is set; the frame at work is finished first.

        Args:
            stop: set by whoever ends the station; frames that wait to be kept are still written.
            on_record: called with each record after it is in the ledger.

        Raises:
            LedgerError: a record cannot be written, so nothing may be inspected either.
        """
        started_s = self._clock.monotonic_s()
        with self._keeping():
            for frame in self._source.frames(stop):
                identity = self.ledger.open_record(frame.captured_at, frame.serial)
                record = self._judge(frame, identity)
                self.ledger.close_record(record)
                if on_record is not None:
                    on_record(record)
                if self._keeper is not None:
                    self._keeper.offer(frame, record)
                    self._note_kept(self._keeper)
        return self._summary(self._clock.monotonic_s() - started_s)

    @contextmanager
    def _keeping(self) -> Iterator[None]:
        """Have the keeper at work, if there is one, and in the end name all that it kept."""
        if self._keeper is None:
            yield
            return
        try:
            with self._keeper:
                yield
        finally:
            self._note_kept(self._keeper)

    def _note_kept(self, keeper: Keeper) -> None:
        # The file before its name: a crash between the two must not leave a record of a file that
        # is not there.
        for identity, path in keeper.kept():
            self.ledger.note_image(identity, path)

    def _judge(self, frame: Frame, identity: str) -> Record:
        try:
            if frame.pixels is None:
                raise UnreadableImage(frame.fault)
            seen = self._inspector.inspect(frame.pixels)
            decision = seen.decision
        except UnreadableImage as error:
            return self._refused(frame, identity, f"unreadable: {error}")
        except Exception as error:
            # One bad frame must neither stop the line nor go without a record.
            log.exception("frame %s was not inspected", frame.serial)
            return self._refused(
                frame, identity, f"{type(error).__name__}: {' '.join(str(error).split())}"
            )
        names = self._inspector.bundle.taxonomy.names
        return Record(
            id=identity,
            station=self.ledger.station,
            captured_at=frame.captured_at.isoformat(timespec="microseconds"),
            serial=frame.serial,
            verdict=decision.verdict,
            reason=decision.reason,
            part_class=decision.part_class,
            defect_score=decision.defect_score,
            scores={n: round(float(p), 6) for n, p in zip(names, seen.probabilities, strict=True)},
            model_version=self.model_version,
            latency_ms=self._since_ms(frame),
        )

    def _refused(self, frame: Frame, identity: str, reason: str) -> Record:
        return Record(
            id=identity,
            station=self.ledger.station,
            captured_at=frame.captured_at.isoformat(timespec="microseconds"),
            serial=frame.serial,
            verdict=Verdict.NOT_INSPECTED,
            reason=reason,
            latency_ms=self._since_ms(frame),
        )

    def _since_ms(self, frame: Frame) -> float:
        return round((self._clock.monotonic_s() - frame.triggered_s) * 1e3, 3)

    def _summary(self, seconds: float) -> Summary:
        after = self.ledger.started_after
        account = self.ledger.account(after)
        return Summary(
            station=self.ledger.station,
            model_version=self.model_version,
            ledger=self.ledger.path,
            triggers=account.triggers,
            verdicts=account.verdicts,
            balances=account.balances,
            seconds=seconds,
            latency_ms_p50=self.ledger.latency_ms(0.5, after),
            latency_ms_p99=self.ledger.latency_ms(0.99, after),
        )


@contextmanager
def assembled(line: Line, clock: Clock | None = None) -> Iterator[Station]:
    """Open source, model and ledger in that order, so that what fails leaves nothing behind.

    Raises:
        LinesideError: whatever is missing or wrong, in words for the line engineer.
    """
    clock = clock or Clock()
    source = line.source.open(clock)
    bundle, version = fetch_champion(line, Registry(line.model.registry))
    inspector = Inspector(bundle, line.threads)
    warm_up(inspector)
    ledger = Ledger(line.ledger, line.station)
    if ledger.closed_at_start:
        log.warning(
            "%d record(s) left open by a crash are now NOT_INSPECTED (station restarted)",
            ledger.closed_at_start,
        )
    try:
        keeper = None if line.keep is None else Keeper(line.keep)
        yield Station(source, inspector, version.name, ledger, clock, keeper)
    finally:
        ledger.close()


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
