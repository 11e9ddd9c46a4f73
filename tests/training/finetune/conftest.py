"""A network of three levels and images that show which class they are: seconds, not minutes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

from pipeline.contracts.taxonomy import Taxonomy
from pipeline.imaging import Pixels
from pipeline.training.architectures import Architecture, Backbone
from pipeline.training.augmentation import Augmenter, Policy
from pipeline.training.finetune import (
    Examples,
    Finetune,
    HeldOut,
    TrainerSettings,
    Tuned,
    fit,
    settle_batch_norm,
)
from pipeline.training.finetune.start import linear_head
from pipeline.training.heads.settings import HeadSettings
from pipeline.training.network import Features, Network

SIZE_PX, CLASSES = 16, 2
N_TRAIN, N_HELD = 48, 24
TAXONOMY = Taxonomy.model_validate(
    {
        "classes": [
            {"name": "good", "disposition": "pass"},
            {"name": "defective", "disposition": "scrap"},
        ]
    }
)
POLICY = Policy.model_validate(
    {"flip": {"horizontal": True}, "exposure": {"brightness": 0.1, "probability": 1.0}}
)
TRAINER = TrainerSettings(accelerator="cpu", num_workers=0)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """The same sums in every process, and no waiting for each other on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Tiny(nn.Module):
    """Three levels, batch norm, dropout, and a classifier that the features do not use."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 8, 12, 16)
        self.levels = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(a, b, 3, stride=2, padding=1),
                nn.BatchNorm2d(b),
                nn.ReLU(),
                nn.Dropout(0.2),
            )
            for a, b in pairwise(widths)
        )
        self.classifier = nn.Linear(16, 10)


def maps(net: Any, x: Tensor) -> list[Tensor]:
    found = []
    for level in net.levels:
        x = level(x)
        found.append(x)
    return found


class InMemory:
    """Grey images by position: bad ones have a bright spot somewhere."""

    def __init__(self, n: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.labels = np.arange(n) % 2
        self.pixels = rng.integers(60, 120, (n, SIZE_PX, SIZE_PX, 1), dtype=np.uint8)
        for i in np.flatnonzero(self.labels):
            y, x = rng.integers(0, SIZE_PX - 4, 2)
            self.pixels[i, y : y + 4, x : x + 4] += 60
        self.index: Any = None

    def stack(self, positions: npt.NDArray[np.intp]) -> Pixels:
        """Some images, uint8 n,H,W,C."""
        return self.pixels[positions]


def one_hot(labels: npt.NDArray[np.intp]) -> npt.NDArray[np.float32]:
    targets: npt.NDArray[np.float32] = np.eye(CLASSES, dtype=np.float32)[labels]
    return targets


def examples(n: int = N_TRAIN, extra: npt.NDArray[np.intp] | None = None) -> Examples:
    images = InMemory(n, seed=0)
    return Examples(
        images=images,
        names=[f"part-{i}" for i in range(n)],
        targets=one_hot(images.labels),
        weights=np.ones(n, np.float32),
        extra=np.zeros(n, np.intp) if extra is None else extra,
        augmenter=Augmenter.of(POLICY),
    )


def held_out() -> HeldOut:
    images = InMemory(N_HELD, seed=1)
    return HeldOut(
        images=images,
        rows=np.arange(N_HELD),
        ids=np.array([f"held-{i}" for i in range(N_HELD)], object),
        targets=one_hot(images.labels),
        labels=images.labels,
        taxonomy=TAXONOMY,
    )


def network(given: Examples, module: Callable[[], nn.Module] = Tiny) -> Network:
    """A network with the head that fine-tuning starts from."""
    torch.manual_seed(0)
    tiny = Architecture("tiny", maps, head=(), parameters=0, multiply_adds=0, hub=None, top1=None)
    backbone = Backbone(tiny, module().eval().requires_grad_(False), "none")
    features = Features(backbone, (SIZE_PX, SIZE_PX), (1.0,))
    settle_batch_norm(features, given.images, len(given.names))
    with torch.no_grad():
        values = features(torch.from_numpy(given.images.stack(np.arange(len(given.names)))))
    config = HeadSettings(components=8, max_epochs=2)
    return Network(features, linear_head(values.numpy(), given.targets, config, seed=0))


def tune(work: Path, settings: dict[str, Any] | None = None, **given: Any) -> tuple[Network, Tuned]:
    """Fine-tune the tiny network; `settings` of Finetune, the rest goes to `fit`."""
    config = Finetune(**{"epochs": 3, "batch_size": 16, "lr": 3e-3, **(settings or {})})
    shown = given.pop("examples", None) or examples()
    net = given.pop("network", None) or network(shown)
    held = given.pop("held", held_out())
    trainer, seed = given.pop("trainer", TRAINER), given.pop("seed", 0)
    rest = {"work": work, "pretrained": False, **given}
    return net, fit(net, shown, held, config, trainer, seed, **rest)
