"""Method `normal` on real cells: fitted on good ones, one graph, its choice on record."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.errors import TrainingError
from pipeline.inference.predictor import session
from pipeline.training.network import Features
from pipeline.training.normal import fit, write_graph
from pipeline.training.training_data import TrainingData
from tests.training.normal.conftest import SETTINGS, Fitted, unwatched

pytestmark = pytest.mark.slow


def test_the_graph_gives_what_torch_gives_with_an_anomaly_map(few: Fitted, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    assert write_graph(few.model, few.data, path) <= 1e-4
    images = few.data.sample()
    got = session(path).run(["logits", "embedding", "heat"], {"image": images})
    with torch.inference_mode():
        expected = few.model.network(torch.from_numpy(images))
    for g, e in zip(got, expected, strict=True):
        np.testing.assert_allclose(g, e.numpy(), atol=1e-3)
    assert got[2].shape == (len(images), *got[2].shape[1:])
    assert got[2].ndim == 3


def test_unseen_bad_cells_score_higher_than_unseen_good_ones(few: Fitted) -> None:
    stored = few.data.stored
    held = np.flatnonzero(stored.index["split"] != "train")
    with torch.inference_mode():
        logits = few.model.network(torch.from_numpy(stored.stack(held)))[0].numpy()
    odds = logits[:, 1] - logits[:, 0]
    bad = (stored.index["label"].iloc[held] == "defective").to_numpy()
    assert np.mean(odds[bad][:, None] > odds[~bad]) > 0.6


def test_a_foreign_patch_is_hot_where_it_lies(few: Fitted) -> None:
    image = few.data.images[0]
    marked = image.copy()
    marked[40:64, 40:64] = np.random.default_rng(0).integers(0, 256, (24, 24, 1))
    with torch.inference_mode():
        before, after = few.model.network(torch.from_numpy(np.stack([image, marked])))[2].numpy()
    row, column = np.unravel_index((after - before).argmax(), before.shape)
    centre = (np.array([row, column]) + 0.5) / before.shape * 96
    assert np.abs(centre - 52).max() <= 16
    assert after[row, column] > 0.1 + before[row, column]
    assert 0 <= after.min() <= after.max() <= 1


def test_the_choice_and_its_runner_up_are_printed_and_kept(few: Fitted) -> None:
    facts = few.model.facts["normal"]
    assert facts["compared"] > 20
    assert facts["scorer"] != facts["runner_up"]
    assert 0 <= facts["runner_up_auroc"] <= 1
    assert facts["scorer"] in few.model.lines[0]
    assert facts["runner_up"] in few.model.lines[1]
    assert few.model.params()["train.chosen.scorer"] == facts["scorer"]
    assert few.model.consulted.by_out_of_fold == ("scorer", "scale of the scores")


def test_few_known_bad_parts_choose_together_with_injected_defects(few: Fitted) -> None:
    known = int((few.data.index["label"] == "defective").sum())
    assert few.model.facts["normal"]["known_bad"] == known > 0
    assert few.model.facts["normal"]["chosen_by"] == (
        f"{known} known bad images and {few.model.facts['normal']['injected']} good images with "
        "injected defects"
    )


def test_every_camera_image_has_a_score_by_a_model_that_has_not_seen_it(few: Fitted) -> None:
    unseen = few.model.out_of_fold
    assert unseen is not None
    assert unseen.shape == (len(few.data.index), 2)
    np.testing.assert_allclose(unseen.sum(1), 1, atol=1e-5)


def test_good_parts_alone_are_enough(
    alone: TrainingData, features: Features, tmp_path: Path
) -> None:
    model = fit(features, alone, SETTINGS, 0, tmp_path, unwatched)
    assert model.facts["normal"]["chosen_by"].endswith("good images with injected defects")
    assert model.facts["normal"]["known_bad"] == 0


def test_the_same_seed_gives_the_same_network(
    alone: TrainingData, features: Features, tmp_path: Path
) -> None:
    twice = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        model = fit(features, alone, SETTINGS, 0, tmp_path / name, unwatched)
        with torch.inference_mode():
            twice.append(model.network(torch.from_numpy(alone.sample()))[0].numpy())
    np.testing.assert_array_equal(twice[0], twice[1])


def test_too_few_good_parts_are_an_error_that_counts_them(few: Fitted, tmp_path: Path) -> None:
    targets = few.data.targets.copy()
    targets[:] = [0, 1]
    targets[:9] = [1, 0]
    with pytest.raises(
        TrainingError, match="there are 9 training images of them; 10 are the least"
    ):
        fit(few.features, replace(few.data, targets=targets), SETTINGS, 0, tmp_path, unwatched)
