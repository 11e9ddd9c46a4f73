"""What a larger input would gain where pictures are much shrunk: few trials beside a training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

from pipeline.contracts.spec import PreprocessSpec
from pipeline.datasets.manifest_reader import read_manifest
from pipeline.datasets.proposals.fit import MUCH_SHRUNK, shrinking
from pipeline.errors import LinesideError
from pipeline.training.settings import Settings
from pipeline.training.tuning.probe import Probe, training_parts
from pipeline.training.tuning.search import Tried, search
from pipeline.training.tuning.trials import Trial, trials

PARTS = 300  # training images at most: some twenty seconds on two cores


def try_larger(
    source: Path,
    spec: PreprocessSpec,
    config: Settings,
    cache: Path | None,
    work: Path,
    progress: Callable[..., Iterator[Any]],
) -> dict[str, Any]:
    """Try larger inputs and tiles on some training images, as `lineside tune` does.

    Args:
        source: the recipe's data folder; `ingest/` is read.
        spec: how pictures are prepared.
        config: of the networks.
        cache: a file that keeps features.
        work: a folder for prepared pictures, which are removed.
        progress: as of `stages.progress`.

    Returns:
        For report.json, under `larger`: the trials with their gain, and all in words; nothing where
        pictures are not much shrunk, the part is located first, or no trial is wanted.
    """
    if not config.trials:
        return {}
    data = read_manifest(source / "ingest")
    width, height = (round(median(data.table[side])) for side in ("width_px", "height_px"))
    if spec.locate is not None or shrinking(spec, width, height) < MUCH_SHRUNK:
        return {}
    now, *others = trials(spec, config.scales, (width, height))
    larger = [trial for trial in others if _pixels(trial) > _pixels(now)]
    try:
        parts = training_parts(data, PARTS)
        probe = Probe(
            *(parts, source / "ingest", config.networks, config.seed, cache, work),
            lambda what, items, total, found: progress(items, what, total, done=found),
        )
        found = search([now, *larger], probe.measure)
    except LinesideError as error:
        return {"larger": {"in_words": f"what more pixels would gain was not tried: {error}"}}
    rows = found.tried[1:]
    before = found.now.measured
    assert before is not None, "it is measured or an error"
    trialled = [_in_words(row, before.scores.objective, before.ms) for row in rows]
    words = f"on {len(parts.table)} training images, by a plain head, {'; '.join(trialled)}"
    return {"larger": {"in_words": words, "trials": [_facts(row) for row in rows]}}


def _pixels(trial: Trial) -> int:
    return trial.spec.width_px * trial.spec.height_px * trial.spec.n_tiles


def _in_words(row: Tried, objective: str, before_ms: float) -> str:
    if row.measured is None or row.gain is None:
        return f"{row.trial.name} could not be tried ({row.reason})"
    gain, ms = row.gain, row.measured.ms - before_ms
    return (
        f"{row.trial.name} changed {objective} by {gain.value:+.3f} ({gain.low:+.3f} to "
        f"{gain.high:+.3f}) for {ms:+.0f} ms a frame"
    )


def _facts(row: Tried) -> dict[str, Any]:
    gain = row.gain
    return {
        "settings": row.trial.name,
        "gain": None if gain is None else [gain.value, gain.low, gain.high],
        "ms": None if row.measured is None else row.measured.ms,
        "reason": row.reason,
    }
