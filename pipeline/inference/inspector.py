"""The path of one frame: prepare, measure its health, predict, decide."""

from __future__ import annotations

import time
from dataclasses import dataclass

from pipeline.contracts.bundle import Bundle
from pipeline.contracts.records import Decision
from pipeline.imaging import Pixels
from pipeline.imaging.prepare import prepare
from pipeline.imaging.quality import Quality, complaint, measure
from pipeline.inference.decide import decide
from pipeline.inference.predictor import Floats, Predictor


@dataclass(frozen=True)
class Inspection:
    """All that is known of one inspected frame.

    Attributes:
        decision: the verdict.
        probabilities: float32 K.
        embedding: float32 D.
        quality: brightness, contrast and sharpness of the prepared frame.
        prepare_ms, predict_ms, total_ms: time spent, in milliseconds; total is from the decoded
            frame to its verdict.
    """

    decision: Decision
    probabilities: Floats
    embedding: Floats
    quality: Quality
    prepare_ms: float
    predict_ms: float
    total_ms: float


class Inspector:
    """What evaluation measures and the daemon runs: one bundle, one frame at a time."""

    def __init__(self, bundle: Bundle, threads: int = 0) -> None:
        self.bundle = bundle
        self._predictor = Predictor(bundle, threads)

    def inspect(self, rgb: Pixels) -> Inspection:
        """Judge one decoded frame, uint8 height x width x 3 RGB.

        Raises:
            UnreadableImage: the frame does not contain the recipe's ROI.
        """
        started = time.perf_counter()
        image = prepare(rgb, self.bundle.preprocess)
        prepared = time.perf_counter()
        prediction = self._predictor.predict(image[None])
        predicted = time.perf_counter()
        probabilities = prediction.probabilities[0]
        quality = measure(image)
        decision = decide(
            probabilities,
            self.bundle.taxonomy,
            self.bundle.operating_point,
            complaint(quality, self.bundle.reference),
        )
        return Inspection(
            decision=decision,
            probabilities=probabilities,
            embedding=prediction.embedding[0],
            quality=quality,
            prepare_ms=(prepared - started) * 1e3,
            predict_ms=(predicted - prepared) * 1e3,
            total_ms=(time.perf_counter() - started) * 1e3,
        )
