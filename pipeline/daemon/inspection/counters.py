"""Counts of closed records since the start: for summary, web service and terminal."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pipeline.contracts.records import Record, RecordKind, Verdict, reason_kind

# Upper edges in milliseconds; a takt is rarely shorter than the first or longer than the last.
EDGES_MS = (2.0, 5.0, 10.0, 20.0, 35.0, 50.0, 75.0, 100.0, 150.0, 250.0, 500.0, 1000.0, 2500.0)
REMEMBERED = 100_000  # latencies, for the quantiles of the summary


WRITTEN = "written"  # the step after those that stand in the record
FEWEST = 10  # parts that have to have come before a share means anything
LATEST = 100  # parts by which a station is degraded or not


@dataclass(frozen=True)
class Histogram:
    """Latencies of judged parts: the number in each interval (the last has no upper edge)."""

    edges_ms: Sequence[float]
    counts: Sequence[int]
    sum_ms: float


class _Latencies:
    """Collects a histogram; not thread-safe."""

    def __init__(self) -> None:
        self._counts = [0] * (len(EDGES_MS) + 1)
        self._sum_ms = 0.0

    def add(self, ms: float) -> None:
        self._counts[bisect_left(EDGES_MS, ms)] += 1
        self._sum_ms += ms

    @property
    def histogram(self) -> Histogram:
        return Histogram(EDGES_MS, tuple(self._counts), self._sum_ms)


class Counters:
    """Adds up closed records of parts; of challenge runs only their number. Thread-safe.

    Attributes:
        last: the last record, of whichever kind.
        challenge: number of records of known parts.
        withheld: why no part gets PASS at present, "" where parts may.
    """

    def __init__(self) -> None:
        self.last: Record | None = None
        self.challenge = 0
        self.withheld: Callable[[], str] = lambda: ""
        self._lock = threading.Lock()
        self._verdicts: Counter[Verdict] = Counter()
        self._reasons: Counter[str] = Counter()
        self._by_camera: Counter[tuple[str, Verdict]] = Counter()
        self._latencies: deque[float] = deque(maxlen=REMEMBERED)
        self._whole = _Latencies()
        self._steps: defaultdict[str, _Latencies] = defaultdict(_Latencies)
        self._latest: deque[str] = deque(maxlen=LATEST)  # kinds of reasons; "" for a verdict

    def add_written(self, ms: float) -> None:
        """Count how long the commit of a record took, in milliseconds."""
        with self._lock:
            self._steps[WRITTEN].add(ms)

    def add(self, record: Record) -> None:
        """Count one more closed record."""
        with self._lock:
            self.last = record
            if record.kind is not RecordKind.PART:
                self.challenge += 1
                return
            self._verdicts[record.verdict] += 1
            self._by_camera[record.camera, record.verdict] += 1
            missed = record.verdict is Verdict.NOT_INSPECTED
            kind = reason_kind(record.reason) if missed else ""
            self._latest.append(kind)
            if missed:
                self._reasons[kind] += 1
            elif record.latency_ms is not None:
                self._latencies.append(record.latency_ms)
                self._whole.add(record.latency_ms)
                for step, ms in record.steps_ms.items():
                    self._steps[step].add(ms)

    @property
    def verdicts(self) -> dict[Verdict, int]:
        """Number of records by verdict."""
        with self._lock:
            return {v: self._verdicts[v] for v in Verdict}

    @property
    def by_camera(self) -> dict[tuple[str, Verdict], int]:
        """Number of records by camera and verdict."""
        with self._lock:
            return dict(self._by_camera)

    @property
    def reasons(self) -> dict[str, int]:
        """Number of NOT_INSPECTED records by kind of reason."""
        with self._lock:
            return dict(self._reasons)

    @property
    def histogram(self) -> Histogram:
        """Latencies from trigger to verdict of judged parts."""
        with self._lock:
            return self._whole.histogram

    @property
    def steps(self) -> dict[str, Histogram]:
        """What those latencies consist of, by step, and how long records took to write."""
        with self._lock:
            return {step: found.histogram for step, found in self._steps.items()}

    def degraded(self, share: float) -> str:
        """Why PASS is withheld, or too many of the last parts were not inspected; "" for neither.

        Args:
            share: of the last `LATEST` parts that may be NOT_INSPECTED, 0 to 1. At least ten parts
                have to have come.
        """
        if withheld := self.withheld():
            return withheld
        with self._lock:
            kinds = list(self._latest)
        missed = Counter(kind for kind in kinds if kind)
        n = missed.total()
        if len(kinds) < FEWEST or n <= share * len(kinds):
            return ""
        reasons = ", ".join(f"{kind} {count}" for kind, count in missed.most_common(3))
        return (
            f"{n} of the last {len(kinds)} parts were not inspected (limit {share:.0%}): {reasons}"
        )

    def latency_ms(self, fraction: float) -> float | None:
        """A quantile of the latencies of the last judged parts, None without any."""
        with self._lock:
            known = sorted(self._latencies)
        return known[min(len(known) - 1, int(fraction * len(known)))] if known else None
