"""The head that is fitted is what was chosen, in memory and as a graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from pipeline.inference.predictor import session
from pipeline.training.export import export
from pipeline.training.head_modules import LinearHead, MeanHead
from pipeline.training.heads import fitting, logistic
from pipeline.training.heads.candidates import Candidate
from pipeline.training.heads.fitting import HeadChoice
from pipeline.training.heads.principal import Principal
from pipeline.training.heads.settings import HeadSettings
from tests.training.heads.test_logistic import one_hot
from tests.training.heads.test_search import FAST, lines

pytestmark = pytest.mark.slow

Floats = npt.NDArray[np.float32]
MEMBERS = (
    Candidate("kernel", 2, 0.01, width=0.5),
    Candidate("linear", 12, 0.1, scaling="whitened"),
    Candidate("discriminant", 6, 0.3, "balanced"),
    Candidate("kernel", 12, 1e-5, "sqrt", width=0.05),
)


@pytest.mark.parametrize(
    "members", [MEMBERS, MEMBERS[:1], MEMBERS[1:3]], ids=["mean", "kernel", "linear"]
)
def test_the_fitted_head_has_the_mean_logits_of_its_members(
    members: tuple[Candidate, ...], tmp_path: Path
) -> None:
    """In memory and as an ONNX graph."""
    points, labels = lines(120)
    config = FAST.model_copy(update={"components": 12})
    temperatures = (1.5, 0.5, 2.0, 1.2)[: len(members)]
    choice = HeadChoice(members, temperatures)

    def logits(chosen: HeadChoice) -> Floats:
        head, _ = fitting.fit(points, one_hot(labels), config, 0, chosen)
        return logistic.logits_of(head, points)

    alone = [logits(HeadChoice((m,), (t,))) for m, t in zip(members, temperatures, strict=True)]
    head, history = fitting.fit(points, one_hot(labels), config, 0, choice)
    kernels = any(m.kind == "kernel" for m in members)
    assert type(head) is (MeanHead if kernels else LinearHead)
    assert np.isfinite(history).all()
    made = logistic.logits_of(head, points)
    np.testing.assert_allclose(made, np.mean(alone, axis=0), atol=2e-3)
    export(head, points[0], "features", ("logits", "embedding"), tmp_path / "head.onnx")
    got, place = session(tmp_path / "head.onnx").run(None, {"features": points})
    np.testing.assert_allclose(got, made, atol=1e-3)
    with torch.inference_mode():
        np.testing.assert_allclose(place, head(torch.from_numpy(points))[1].numpy(), atol=1e-4)


@pytest.mark.parametrize("member", MEMBERS[:3], ids=lambda m: m.kind)
def test_a_candidate_is_compared_by_what_it_would_be_as_a_head(member: Candidate) -> None:
    points, labels = lines(120)
    config = FAST.model_copy(update={"components": 12, "max_epochs": 8})
    principal = Principal.of(points, 12, seed=0)
    asked = principal.seen(points[:30])
    looked = fitting.judged(principal, one_hot(labels), asked, [member], config, seed=0)[member]
    head, _ = fitting.fit(points, one_hot(labels), config, 0, HeadChoice((member,), (1.0,)))
    np.testing.assert_allclose(looked, logistic.logits_of(head, points[:30]), atol=0.05)


@pytest.mark.parametrize("member", MEMBERS[:3], ids=lambda m: m.kind)
def test_labels_of_images_that_hardly_count_change_nothing(member: Candidate) -> None:
    points, labels = lines(120)
    doubted = np.arange(120) % 3 == 0
    flipped = np.where(doubted, 1 - labels, labels)
    config, choice = FAST.model_copy(update={"components": 12}), HeadChoice((member,), (1.0,))

    def logits(labels: npt.NDArray[np.intp], weight: float) -> Floats:
        weights = np.where(doubted, weight, 1.0).astype(np.float32)
        head, _ = fitting.fit(points, one_hot(labels), config, 0, choice, weights=weights)
        return logistic.logits_of(head, points)

    assert np.abs(logits(labels, 1) - logits(flipped, 1)).max() > 0.5
    np.testing.assert_allclose(logits(labels, 1e-7), logits(flipped, 1e-7), atol=0.02)


def test_a_class_without_an_image_is_never_the_likeliest() -> None:
    points, labels = lines(60)
    targets = np.pad(one_hot(labels), ((0, 0), (0, 1)))
    for member in MEMBERS:
        head, _ = fitting.fit(
            points, targets, HeadSettings(landmarks=32), 0, HeadChoice((member,), (1.0,))
        )
        assert (logistic.logits_of(head, points).argmax(1) < 2).all(), member
