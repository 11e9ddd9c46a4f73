"""The worker behind the control charts: counts records, samples drift, notes each signal once."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from pipeline.daemon.inspection.drift import Drift
from pipeline.daemon.quality.chart import Plan, Point, chart_of, subgroups_of
from pipeline.daemon.quality.patterns import Signal
from pipeline.daemon.quality.subgroups import DAY
from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.runtime.heartbeat import Heartbeat
from pipeline.errors import LedgerError
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.quality.baselines import Baseline, baselines, in_force
from pipeline.ledger.quality.counts import DriftSample, add_drift, count_next, period_of
from pipeline.ledger.quality.events import add_event

COUNT_EVERY_S = 5.0
LOOK_EVERY_S = 30.0  # for signals, and to sample drift
PAUSE_S = 0.05  # between two transactions while there is much to count: records come first
KIND = "quality signal"
# Long enough for the longest pattern, and for what came while the station was off.
LOOKS_BACK = {DAY: timedelta(days=40)}
LOOKS_BACK_ELSE = timedelta(days=4)
MEANING = {
    1: "a point beyond the limits",
    2: "nine points in a row on one side of the centre",
    3: "six points in a row that rise or fall",
    4: "fourteen points in a row that go up and down in turn",
    5: "two of three points beyond two standard deviations",
    6: "four of five points beyond one standard deviation",
    7: "fifteen points in a row within one standard deviation",
    8: "eight points in a row beyond one standard deviation, on both sides",
}

log = logging.getLogger(__name__)


class QualityWatch:
    """A worker that keeps the counts of the ledger up to date and looks for signals."""

    name = "quality"
    idle = True
    status = None

    def __init__(
        self, ledger: Ledger, clock: Clock, drift: Callable[[], tuple[str, Drift]]
    ) -> None:
        """Start with what the ledger has.

        Args:
            ledger: of the station.
            clock: of the station.
            drift: version of the model at work, and the drift of what models have judged.
        """
        self._ledger = ledger
        self._clock = clock
        self._drift = drift
        self._next_look_s = clock.monotonic_s()
        self._alarm = ""

    def run(self, heartbeat: Heartbeat) -> None:
        """Count and look until asked to stop."""
        while not heartbeat.stopping:
            self.step(heartbeat)
            heartbeat.wait(COUNT_EVERY_S)

    def step(self, heartbeat: Heartbeat) -> None:
        """Count what is new, and now and then look for signals; a ledger that fails is logged."""
        try:
            while not count_next(self._ledger).done:
                if heartbeat.wait(PAUSE_S):
                    return
            if self._clock.monotonic_s() >= self._next_look_s:
                self._next_look_s = self._clock.monotonic_s() + LOOK_EVERY_S
                heartbeat.beat()
                self.sample()
                self.look()
        except LedgerError as error:
            if not self._alarm:
                log.warning("quality: records are not counted: %s", error)
            self._alarm = str(error)
        else:
            if self._alarm:
                log.warning("quality: records are counted again")
            self._alarm = ""

    def sample(self) -> None:
        """Commit the present drift of the model at work; raises LedgerError."""
        version, followed = self._drift()
        drift = followed.of(version)
        if not drift.parts:
            return
        add_drift(
            self._ledger,
            DriftSample(
                *(period_of(self._clock.now()), version, drift.parts),
                *(drift.defect_score.now, drift.defect_score.first),
                *(drift.novelty.now, drift.novelty.first),
            ),
        )

    def look(self) -> None:
        """Note each signal that is new since its limits were set; raises LedgerError."""
        with self._ledger.reading() as db:
            known = in_force(baselines(db))
        for baseline in known:
            for point in self._points(baseline):
                for signal in point.signals:
                    if signal.new:
                        self._note(baseline, point, signal)

    def _points(self, baseline: Baseline) -> list[Point]:
        """Those of the chart that ended after its limits were set."""
        now = self._clock.now()
        plan = Plan(baseline.camera, baseline.per, baseline.size)
        since = now - LOOKS_BACK.get(baseline.per, LOOKS_BACK_ELSE)
        with self._ledger.reading() as db:
            found = subgroups_of(db, plan, since, now, now)
        set_at = datetime.fromisoformat(baseline.set_at)
        return [point for point in chart_of(found, baseline).points if point.of.until > set_at]

    def _note(self, baseline: Baseline, point: Point, signal: Signal) -> None:
        data = signal_data(baseline, point, signal)
        where = f"camera {baseline.camera}" if baseline.camera else "all cameras"
        detail = (
            f"{where}: {point.of.share:.2%} of {point.of.n} parts failed "
            f"(limits {point.lower:.2%} to {point.upper:.2%}); test {signal.test}: "
            f"{MEANING[signal.test]}{f', {signal.side}' if signal.side else ''}"
        )
        since = point.of.since.isoformat()
        key = f"{KIND}/{baseline.seq}/{signal.test}/{signal.side}/{since}"
        if add_event(self._ledger, self._clock.now(), KIND, detail, data, key):
            log.warning("%s: %s", KIND, detail)


def signal_data(baseline: Baseline, point: Point, signal: Signal) -> dict[str, Any]:
    """A signal as its event has it, ready for JSON; the keys are a public format."""
    return {
        "chart": "fail_share",
        "camera": baseline.camera,
        "per": baseline.per,
        "size": baseline.size,
        "since": point.of.since.isoformat(),
        "until": point.of.until.isoformat(),
        "parts": point.of.n,
        "fails": point.of.fails,
        "share": point.of.share,
        "lower": point.lower,
        "centre": baseline.centre,
        "upper": point.upper,
        "test": signal.test,
        "side": signal.side,
        "baseline": baseline.seq,
    }
