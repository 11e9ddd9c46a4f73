"""The kernel's space: kept once for all that is trained in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from pipeline.training.features.cache import FeatureCache, Recall, compute_again
from pipeline.training.heads import fitting
from pipeline.training.heads.nystroem import NystroemSpace
from pipeline.training.heads.out_of_fold import Folds
from pipeline.training.heads.principal import Principal
from pipeline.training.heads.search import search
from pipeline.training.heads.settings import HeadSettings
from tests.training.heads.kept import Kept

HEAD = HeadSettings(
    kind="kernel", components=8, landmarks=64, kernel_width=0.5, l2=0.01, max_epochs=2
)
SPACE = {"components": 8, "width": 0.5, "landmarks": 64, "seed": 0}
Floats = npt.NDArray[np.float32]


@pytest.fixture
def features() -> Floats:
    return np.random.default_rng(0).standard_normal((90, 20)).astype(np.float32)


@pytest.fixture
def targets() -> Floats:
    halves: Floats = np.eye(2, dtype=np.float32)[np.arange(90) % 2]
    return halves


def space(features: Floats, recall: Recall = compute_again, **changes: Any) -> NystroemSpace:
    return NystroemSpace.of(
        Principal.of(features, 8, 0, recall), **(SPACE | changes), recall=recall
    )


def test_its_features_have_the_kernel_as_their_inner_product(features: Floats) -> None:
    whole = space(features, landmarks=90)
    embedding = Principal.of(features, 8, seed=0).x * 0.5**0.5
    kernel = torch.exp(-torch.cdist(embedding, embedding).square())
    torch.testing.assert_close(whole.x @ whole.x.T, kernel, atol=1e-4, rtol=0)


def test_other_parts_are_seen_as_those_it_was_made_of(features: Floats) -> None:
    principal, made = Principal.of(features, 8, seed=0), space(features)
    torch.testing.assert_close(made.seen(principal.seen(features[:5])), made.x[:5])


def test_it_lies_in_memory_as_training_reads_it(features: Floats) -> None:
    assert space(features).x.is_contiguous()


@pytest.mark.slow
def test_other_regularisation_and_other_labels_find_it(features: Floats, targets: Floats) -> None:
    kept = Kept()
    for l2, labels in ((0.01, targets), (0.5, targets), (0.01, targets[::-1].copy())):
        fitting.fit(features, labels, HEAD.model_copy(update={"l2": l2}), seed=0, recall=kept)
    assert kept.made == 2, "the components and the kernel's space"


@pytest.mark.slow
def test_a_head_of_a_space_that_was_found_is_the_same_to_the_bit(
    features: Floats, targets: Floats, tmp_path: Path
) -> None:
    file = tmp_path / "features.sqlite"
    heads = [
        fitting.fit(features, targets, HEAD, seed=0, recall=FeatureCache(file).recall)[0]
        for _ in range(2)
    ]
    fresh, _ = fitting.fit(features, targets, HEAD, seed=0)
    for head in heads:
        for name, value in fresh.state_dict().items():
            assert torch.equal(head.state_dict()[name], value), name


@pytest.mark.parametrize("change", [{"components": 7}, {"landmarks": 63}, {"width": 0.4}])
def test_other_settings_of_the_kernel_make_another(
    features: Floats, change: dict[str, float]
) -> None:
    kept = Kept()
    space(features, kept)
    made = kept.made
    space(features, kept, **change)
    assert kept.made == made + 1


@pytest.mark.slow
def test_the_folds_of_a_cross_validation_are_kept_too(features: Floats, targets: Floats) -> None:
    kept, folds, made = Kept(), np.arange(90) % 3, []
    for l2 in (0.01, 0.02):
        config = HEAD.model_copy(update={"l2": l2})
        of_parts = Folds(features, np.arange(90), targets, folds, config, 0, recall=kept)
        search(of_parts, (True, False))
        made.append(kept.made)
    assert made == [6, 6]
