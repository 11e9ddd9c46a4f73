"""The path of one frame: prepare, measure its quality, predict, decide."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from pipeline.contracts.bundle import Bundle
from pipeline.contracts.records import Decision
from pipeline.imaging import Pixels
from pipeline.imaging.prepare import Preparation
from pipeline.imaging.quality import Quality, image_reason, measure
from pipeline.inference.decide import decide, looks_failing, worst
from pipeline.inference.novelty import Novelty
from pipeline.inference.predictor import Floats, Prediction, Predictor


@dataclass(frozen=True)
class Inspection:
    """All that is known of one inspected frame.

    The last three give the verdict at any limits, however many tiles there are: PASS
    exactly if `defect_score` is below `pass_below` and nothing is `complained` of, FAIL exactly if
    `failing_score` reaches `fail_from`, else REVIEW. The tile that decides depends on the limits (a
    FAIL ranks before a REVIEW of a higher score), so its own score is nothing to choose limits by.

    Attributes:
        decision: the verdict; where the spec cuts tiles, that of the worst, unless the graph pools
            them.
        probabilities: float32 K, of the worst tile, or of the part where tiles are pooled.
        embedding: float32 D, likewise.
        quality: brightness, contrast and sharpness, likewise.
        tile: which tile was the worst, or contributed most, row by row from 0.
        novelty: distance to the nearest training example, of the tile farthest from all of them;
            None where the bundle has no examples.
        image_reason: why that picture is unlike all that the network has learned from, if it is.
        confidence: of the place where the part was found, 0 to 1; 1 when none was looked for.
        prepare_ms, predict_ms, total_ms: time spent, in milliseconds; total is from the decoded
            frame to its verdict.
        defect_score: the highest of all tiles, or that of the part, 0 to 1.
        failing_score: the highest of those tiles that look like a class that fails; -1 where each
            looks like one that people look at.
        complained: the picture of some tile is unlike all that the network has learned from.
    """

    decision: Decision
    probabilities: Floats
    embedding: Floats
    quality: Quality
    tile: int
    novelty: float | None
    image_reason: str | None
    confidence: float
    prepare_ms: float
    predict_ms: float
    total_ms: float
    defect_score: float
    failing_score: float
    complained: bool


class Inspector:
    """What evaluation measures and the daemon runs: one bundle, one frame at a time."""

    def __init__(self, bundle: Bundle, threads: int = 0) -> None:
        self.bundle = bundle
        self.preparation = Preparation.read(bundle.preprocess, bundle.folder)
        self.predictor = Predictor(bundle, threads)
        self._novelty = Novelty.read(bundle)

    def look(self, rgb: Pixels) -> Prediction:
        """Prediction for each tile of a decoded frame, uint8 height x width x 3 RGB.

        Raises:
            UnreadableImage: the frame is too small for the recipe's preparation.
        """
        return self.predictor.predict(self.preparation(rgb).images)

    def inspect(self, rgb: Pixels) -> Inspection:
        """Judge one decoded frame, uint8 height x width x 3 RGB.

        Raises:
            UnreadableImage: the frame is too small for the recipe's preparation.
        """
        started = time.perf_counter()
        part = self.preparation(rgb)
        prepared = time.perf_counter()
        prediction = self.predictor.predict(part.images)
        predicted = time.perf_counter()
        qualities = [measure(image) for image in part.images]
        bundle, novelty = self.bundle, self._novelty
        reasons = [part.reason or image_reason(q, bundle.reference) for q in qualities]
        distances = None if novelty is None else novelty.distance(prediction.embedding)
        if novelty is not None and distances is not None:
            reasons = [
                reason or novelty.reason(d) for reason, d in zip(reasons, distances, strict=True)
            ]
        shares = prediction.contributions
        judged = reasons
        if shares is not None:  # one row: the first objection is that of the part
            judged = [next(filter(None, (reasons[i] for i in shares[0].argsort()[::-1])), None)]
        decisions = [
            decide(scores, bundle.taxonomy, bundle.operating_point, reason)
            for scores, reason in zip(prediction.probabilities, judged, strict=True)
        ]
        failing = [
            decision.defect_score
            for decision, scores in zip(decisions, prediction.probabilities, strict=True)
            if looks_failing(scores, bundle.taxonomy)
        ]
        row = worst(decisions)
        decision, tile = decisions[row], row if shares is None else int(shares[0].argmax())
        if len(part.images) > 1:
            most = "" if shares is None else f"{shares[0].max():.0%} in "
            place = f"{most}tile {tile + 1} of {len(part.images)}"
            decision = replace(decision, reason=f"{place}: {decision.reason}")
        return Inspection(
            decision=decision,
            probabilities=prediction.probabilities[row],
            embedding=prediction.embedding[tile],
            quality=qualities[tile],
            tile=tile,
            novelty=None if distances is None else float(distances.max()),
            image_reason=judged[row],
            confidence=part.confidence,
            prepare_ms=(prepared - started) * 1e3,
            predict_ms=(predicted - prepared) * 1e3,
            total_ms=(time.perf_counter() - started) * 1e3,
            defect_score=max(d.defect_score for d in decisions),
            failing_score=max(failing, default=-1.0),
            complained=any(reason is not None for reason in reasons),
        )
