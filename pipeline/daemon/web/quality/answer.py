"""What is answered of the quality in a period, ready for JSON; the keys are a public format."""

from __future__ import annotations

import sqlite3
from dataclasses import asdict
from datetime import datetime
from itertools import islice
from typing import Any

from pipeline.daemon.quality.chart import (
    LEAST_PARTS,
    LEAST_SUBGROUPS,
    Chart,
    Plan,
    Point,
    chart_of,
    is_usable,
)
from pipeline.daemon.quality.history import OF_PICTURES, drift, pareto, reasons, stretches
from pipeline.daemon.quality.subgroups import day_of, subgroups, whole_hours
from pipeline.daemon.quality.watch import KIND
from pipeline.ledger.quality.baselines import baselines
from pipeline.ledger.quality.counts import progress, read_counts, read_drift, read_inspected
from pipeline.ledger.quality.events import latest_events

MOST_SIGNALS = 20
SIGNALS_READ = 500  # of all charts
MOST_BASELINES = 20


def answered(
    db: sqlite3.Connection, plan: Plan, since: datetime, until: datetime, now: datetime
) -> dict[str, Any]:
    """All that is known of a period: chart, signals, classes, verdicts, reasons, drift, pictures.

    Args:
        db: of the ledger.
        plan: of the chart.
        since: with a time zone; the chart begins with that day.
        until: with a time zone.
        now: with a time zone.
    """
    known = [baseline for baseline in baselines(db) if plan.fits(baseline)]
    period = (day_of(since), until, plan.camera)
    found = subgroups(read_inspected(db, *period), plan.per, plan.size, now)
    chart = chart_of(found, known[0] if known else None)
    counts = read_counts(db, *period, by_hour=whole_hours(*period[:2]))
    counted = progress(db)
    signals = (
        {"at": event.at, "detail": event.detail, "data": event.data}
        for event in latest_events(db, KIND, SIGNALS_READ)
        if plan == Plan(event.data["camera"], event.data["per"], event.data["size"])
    )
    return {
        "at": now.isoformat(),
        "camera": plan.camera,
        "per": plan.per,
        "size": plan.size,
        "since": day_of(since).isoformat(),
        "until": until.isoformat(),
        "counted": {"records": counted.last, "share": round(counted.share, 4)},
        "chart": _chart(chart),
        "baselines": [asdict(baseline) for baseline in known[:MOST_BASELINES]],
        "signals": list(islice(signals, MOST_SIGNALS)),
        "pareto": [asdict(bar) for bar in pareto(counts)],
        "reasons": dict(reasons(counts).most_common()),
        "verdicts": [
            {
                "since": stretch.since.isoformat(),
                "verdicts": {str(v): n for v, n in sorted(stretch.verdicts.items())},
                "yield": stretch.yield_share,
                "score": stretch.score,
                "reasons": dict(stretch.reasons.most_common()),
                "pictures": stretch.bad_pictures,
            }
            for stretch in stretches(counts, plan.per)
        ],
        "picture_reasons": list(OF_PICTURES),
        "drift": [
            {**asdict(sample), "period": sample.period.isoformat()}
            for sample in drift(read_drift(db, day_of(since), until), plan.per)
        ],
    }


def _chart(chart: Chart) -> dict[str, Any]:
    limits = chart.limits
    return {
        "type": None if limits is None else limits.chart,
        "centre": None if limits is None else limits.centre,
        "sigma_z": None if limits is None else limits.sigma_z,
        "baseline": None if chart.baseline is None else chart.baseline.seq,
        "lacking": chart.lacking,
        "subgroups": chart.usable,
        "subgroups_needed": LEAST_SUBGROUPS,
        "parts": sum(point.of.n for point in chart.points if is_usable(point.of)),
        "parts_needed": LEAST_SUBGROUPS * LEAST_PARTS,
        "points": [_point(point) for point in chart.points],
    }


def _point(point: Point) -> dict[str, Any]:
    return {
        "since": point.of.since.isoformat(),
        "until": point.of.until.isoformat(),
        "parts": point.of.n,
        "fails": point.of.fails,
        "share": point.of.share,
        "lower": point.lower,
        "upper": point.upper,
        "complete": point.of.complete,
        "tested": point.usable,
        "signals": [{"test": s.test, "side": s.side, "new": s.new} for s in point.signals],
    }
