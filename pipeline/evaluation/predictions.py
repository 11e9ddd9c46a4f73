"""Parts as the station would judge them: from the original image files, through the line's code."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from pipeline.contracts.bundle import Bundle
from pipeline.contracts.taxonomy import Taxonomy
from pipeline.datasets.manifest import Manifest
from pipeline.inference.inspector import Inspection, Inspector
from pipeline.metrics import classification as figures

Rows = npt.NDArray[np.intp]
Watch = Callable[[Iterable[Inspection], int], Iterable[Inspection]]
T = TypeVar("T")
TIMED = 100  # parts, for the latency


@dataclass(frozen=True)
class PartPredictions:
    """Some parts and the station's predictions; arrays have one row a part.

    Attributes:
        rows: where they stand in the manifest's table, int N.
        labels: their classes as positions in the taxonomy, int N.
        inspections: one a part.
        taxonomy: the classes.
    """

    rows: Rows
    labels: Rows
    inspections: list[Inspection]
    taxonomy: Taxonomy

    @property
    def probabilities(self) -> npt.NDArray[np.float32]:
        """Of the classes, float32 N,K; of several tiles that of the one that decides."""
        if not self.inspections:
            return np.empty((0, len(self.taxonomy.names)), np.float32)
        return np.stack([i.probabilities for i in self.inspections])

    @property
    def predicted(self) -> Rows:
        """Most probable class of each part, int N."""
        likeliest: Rows = self.probabilities.argmax(axis=1)
        return likeliest

    @property
    def scores(self) -> npt.NDArray[np.float64]:
        """Defect scores, float64 N: of several tiles the highest, whatever the limits."""
        return np.array([i.defect_score for i in self.inspections], np.float64)

    @property
    def questions(self) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.floating]]:
        """What AUROC is about (`classification.questions`): truth N,Q and scores N,Q.

        Where parts are good or bad, by the scores that the limits were chosen by.
        """
        if any(self.taxonomy.passing):
            return self.bad[:, None], self.scores[:, None]
        return figures.questions(self.labels, self.probabilities, self.taxonomy.passing)

    @property
    def bad(self) -> npt.NDArray[np.bool_]:
        """Whether each part is really bad, bool N."""
        return (~np.array(self.taxonomy.passing))[self.labels]

    @property
    def verdicts(self) -> npt.NDArray[np.str_]:
        """PASS, FAIL or REVIEW, str N."""
        return np.array([str(i.decision.verdict) for i in self.inspections], dtype=np.str_)

    def groups(self, data: Manifest) -> list[str]:
        """The group of each part, N."""
        groups: list[str] = data.table["group"].iloc[self.rows].tolist()
        return groups


def predict_parts(bundle: Bundle, data: Manifest, rows: Rows, watch: Watch) -> PartPredictions:
    """Inspect parts of a data set, one thread a core.

    Args:
        bundle: the model.
        data: the data set.
        rows: which of its parts.
        watch: is given the inspections to come and how many, and passes them on.

    Raises:
        DataError: an image changed since it was ingested.
    """
    inspected = run_inspectors(
        bundle, rows, lambda inspector, row: inspector.inspect(data.pixels(row))
    )
    inspections = list(watch(inspected, len(rows)))
    labels = [data.taxonomy.names.index(name) for name in data.table["label"].iloc[rows]]
    return PartPredictions(rows, np.array(labels, np.intp), inspections, data.taxonomy)


def run_inspectors(
    bundle: Bundle, rows: Rows, question: Callable[[Inspector, int], T]
) -> Iterator[T]:
    """Put a question to the model about each row, in their order, one thread a core.

    A thread to a frame is quicker than all threads for one frame after the other.

    Args:
        bundle: the model.
        rows: what the questions are about.
        question: called from any thread, with an inspector that is that thread's own.
    """
    own = threading.local()

    def answer(row: int) -> T:
        if not hasattr(own, "inspector"):
            own.inspector = Inspector(bundle, threads=1)
        return question(own.inspector, row)

    at_once = os.cpu_count() or 1
    pending: deque[Future[T]] = deque()
    pool = ThreadPoolExecutor(at_once)
    try:
        for row in rows:
            pending.append(pool.submit(answer, int(row)))
            if len(pending) > 2 * at_once:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def latencies_ms(bundle: Bundle, data: Manifest, rows: Rows) -> list[float]:
    """Decoded frame to verdict of some parts, in milliseconds, as a station alone with them."""
    inspector = Inspector(bundle)
    some = rows[:: max(1, len(rows) // TIMED)]
    return [inspector.inspect(data.pixels(int(row))).total_ms for row in some]
