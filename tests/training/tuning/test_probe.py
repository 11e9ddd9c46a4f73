"""The probe of `lineside tune`, on drawn pictures and a random network."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest

from pipeline.datasets.manifest_reader import read_manifest
from pipeline.errors import DataError
from pipeline.training.features.backbones import BackboneSpec
from pipeline.training.tuning.probe import Probe, out_of_fold, training_parts
from pipeline.training.tuning.trials import trials
from tests.stages.conftest import SPEC, Ran

pytestmark = pytest.mark.slow
NETWORK = BackboneSpec(architecture="lenet5", weights="none", scales=(1.0,))


def quiet(what: str, items: Iterable[object], total: int, found: int) -> Iterator[object]:
    yield from items


def test_parts_are_judged_by_heads_that_have_not_seen_their_fold() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(120) % 3
    values = (np.eye(3, 20)[labels] * 4 + rng.normal(size=(120, 20))).astype(np.float32)
    folds = np.arange(120) // 3 % 5
    found = out_of_fold(values, labels, folds, 3)
    assert (found.argmax(axis=1) == labels).mean() > 0.9
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)
    random = out_of_fold(rng.normal(size=(120, 20)).astype(np.float32), labels, folds, 3)
    assert (random.argmax(axis=1) == labels).mean() < 0.6


def test_only_training_parts_are_used_and_whole_groups_are_drawn(ran: Ran) -> None:
    data = read_manifest(ran.data / "ingest")
    every, some = training_parts(data), training_parts(data, 30)
    assert set(every.table["split"]) == {"train"}
    assert 10 < len(some.table) <= 30
    for group in some.table["group"].unique():
        n = (every.table["group"] == group).sum()
        assert (some.table["group"] == group).sum() == n


def test_parts_of_one_class_cannot_be_compared(ran: Ran) -> None:
    data = read_manifest(ran.data / "ingest")
    data.table.loc[:, "label"] = "good"
    with pytest.raises(DataError, match="needs training images of two classes"):
        training_parts(data)


def test_a_trial_is_measured_and_found_in_the_cache_the_second_time(
    ran: Ran, tmp_path: Path
) -> None:
    found_before: list[int] = []

    def watch(what: str, items: Iterable[object], total: int, found: int) -> Iterator[object]:
        if "features" in what:
            found_before.append(found)
        yield from items

    data = training_parts(read_manifest(ran.data / "ingest"))
    cache, work = tmp_path / "features.sqlite", tmp_path / "work"
    probe = Probe(data, ran.data / "ingest", [NETWORK], 0, cache, work, watch)
    now = trials(SPEC.spec, (1.0,), (300, 300))[0]
    first, second = probe.measure(now), probe.measure(now)
    assert found_before == [0, len(data.table)]
    np.testing.assert_array_equal(first.scores.probabilities, second.scores.probabilities)
    assert len(first.scores.labels) == len(data.table)
    assert first.ms > 0
    assert list(work.iterdir()) == []


def test_tiles_speak_for_their_part(ran: Ran, tmp_path: Path) -> None:
    data = training_parts(read_manifest(ran.data / "ingest"), 40)
    probe = Probe(data, ran.data / "ingest", [NETWORK], 0, None, tmp_path, quiet)
    tiled = next(t for t in trials(SPEC.spec, (1.0,), (300, 300)) if t.axis == "tiles")
    measured = probe.measure(tiled)
    assert len(measured.scores.labels) == len(data.table)
