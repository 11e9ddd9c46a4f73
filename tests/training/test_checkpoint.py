"""A network built again from its files is the one that was trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.errors import TrainingError
from pipeline.training import architectures
from pipeline.training.checkpoint import (
    BLUEPRINT,
    WEIGHTS,
    BackboneRecord,
    keep,
    pooling_of,
    rebuild,
)
from pipeline.training.head_modules import KernelPart, LinearHead, MeanHead
from pipeline.training.network import Features, Network, Together
from pipeline.training.tile_pooling import TilePooling

SIZE_PX = (40, 48)
MEMBERS = ((0.7, 4), (1.5, 2))  # scale and components of each kernel
EYES = (
    BackboneRecord(architecture="lenet5", scales=(1.0, 0.9)),
    BackboneRecord(architecture="alexnet", scales=(1.6,)),
)


def network(eyes: tuple[BackboneRecord, ...], *, head: str = "mean") -> Network:
    """With random weights everywhere."""
    parts = [
        Features(architectures.build(eye.architecture, "none", seed=7), SIZE_PX, eye.scales)
        for eye in eyes
    ]
    features = parts[0] if len(parts) == 1 else Together(parts)
    with torch.no_grad():
        width = features(torch.zeros((1, *SIZE_PX, 1), dtype=torch.uint8)).shape[1]
    rng = torch.Generator().manual_seed(3)

    def drawn(*shape: int) -> torch.Tensor:
        found: torch.Tensor = torch.randn(shape, generator=rng) / width**0.5
        return found

    if head == "linear":
        return Network(features, LinearHead(drawn(width, 4), drawn(4), drawn(4, 3), drawn(3)))
    parts_of = [KernelPart(torch.tensor(s), drawn(6, p), drawn(6, 3)) for s, p in MEMBERS]
    linear = (drawn(width, 4), drawn(4), drawn(4, 3), drawn(3))
    return Network(features, MeanHead(*linear, parts_of))


@pytest.mark.slow
@pytest.mark.parametrize("head", ["linear", "mean"])
@pytest.mark.parametrize("eyes", [EYES[:1], EYES], ids=["one", "two"])
def test_it_gives_what_the_trained_one_gives(
    tmp_path: Path, eyes: tuple[BackboneRecord, ...], head: str
) -> None:
    trained = network(eyes, head=head).eval()
    keep(tmp_path, trained, eyes, SIZE_PX)
    images = np.random.default_rng(0).integers(0, 256, (3, *SIZE_PX, 1), dtype=np.uint8)
    with torch.inference_mode():
        expected, got = (n(torch.from_numpy(images)) for n in (trained, rebuild(tmp_path)))
    assert torch.equal(expected[0], got[0])
    assert torch.equal(expected[1], got[1])
    assert expected[0].std() > 0


def test_the_pooling_of_tiles_is_kept_with_the_network(tmp_path: Path) -> None:
    pooling = TilePooling(2, (True, False, False), temperature=1.5)
    keep(tmp_path, network(EYES[:1], head="linear"), EYES[:1], SIZE_PX, pooling)
    found = pooling_of(tmp_path)
    assert found is not None
    assert (found.k, found.passing, float(found.temperature)) == (2, pooling.passing, 1.5)
    keep(tmp_path, network(EYES[:1], head="linear"), EYES[:1], SIZE_PX)
    assert pooling_of(tmp_path) is None


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    keep(tmp_path, network(EYES[:1]), EYES[:1], SIZE_PX)
    return tmp_path


@pytest.mark.parametrize("name", [BLUEPRINT, WEIGHTS])
def test_a_missing_file_is_named(kept: Path, name: str) -> None:
    (kept / name).unlink()
    with pytest.raises(TrainingError, match=rf"{name} is missing; run `dvc repro`"):
        rebuild(kept)


@pytest.mark.parametrize("name", [BLUEPRINT, WEIGHTS])
def test_a_damaged_file_is_refused(kept: Path, name: str) -> None:
    (kept / name).write_bytes((kept / name).read_bytes()[:-20])
    with pytest.raises(TrainingError, match="do not make a network"):
        rebuild(kept)


def test_weights_of_another_network_are_refused(kept: Path, tmp_path: Path) -> None:
    blueprint = (kept / BLUEPRINT).read_text()
    (kept / BLUEPRINT).write_text(blueprint.replace("lenet5", "alexnet"))
    with pytest.raises(TrainingError, match="do not make a network"):
        rebuild(kept)
