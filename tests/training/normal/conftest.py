"""Real cells, good ones mostly, prepared for a training; and what method `normal` makes of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from pipeline.files import whole_folder
from pipeline.stages import augment, ingest, preprocess
from pipeline.training.features.backbones import BackboneSpec, build
from pipeline.training.network import Features
from pipeline.training.normal import FittedNormal, NormalSettings, fit
from pipeline.training.training_data import TrainingData, gather
from tests.stages.conftest import POLICY, SPEC, TAXONOMY, copy_cells, folder_of

SETTINGS = NormalSettings(memory=64, pool=1000, components=16, injected=16)


def unwatched(steps: Iterable[int], total: int, done: int) -> Iterable[int]:
    """Nobody follows the computing."""
    return steps


def prepared(home: Path, n_bad: int) -> TrainingData:
    """Forty good cells and some bad ones, after augment."""
    images = home / "images"
    copy_cells(images, per_class=40)
    for path in sorted((images / "defective").iterdir())[n_bad:]:
        path.unlink()
    data = home / "data"
    with whole_folder(data / "ingest") as out:
        ingest.run(folder_of(images), TAXONOMY, out, good_only=True)
    with whole_folder(data / "preprocess") as out:
        preprocess.run(SPEC, data, out)
    with whole_folder(data / "augment") as out:
        augment.run(POLICY, data, out)
    return gather(data, 0.0, good_only=True)


@dataclass(frozen=True)
class Fitted:
    """A model of good cells, and what it was fitted on."""

    data: TrainingData
    features: Features
    model: FittedNormal


@pytest.fixture(scope="package")
def features() -> Features:
    """The packaged backbone."""
    built = build([BackboneSpec(weights="packaged")], (96, 96), 0).features
    assert isinstance(built, Features)
    return built


@pytest.fixture(scope="package")
def few(tmp_path_factory: pytest.TempPathFactory, features: Features) -> Fitted:
    """Of good cells and six bad ones."""
    home = tmp_path_factory.mktemp("few")
    data = prepared(home, n_bad=6)
    model = fit(features, data, SETTINGS, 0, home, unwatched)
    return Fitted(data, features, model)


@pytest.fixture(scope="package")
def alone(tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    """Good cells and no bad one."""
    return prepared(tmp_path_factory.mktemp("alone"), n_bad=0)


def noise(n: int, shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Normal numbers, float32."""
    return np.random.default_rng(seed).standard_normal((n, *shape)).astype(np.float32)
