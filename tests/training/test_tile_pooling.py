"""Parts from the logits of their tiles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.inference.predictor import session
from pipeline.training.export import export
from pipeline.training.head_modules import LinearHead
from pipeline.training.tile_pooling import PooledHead, TilePooling, by_part

GOOD_FIRST, GOOD_LAST, ONLY_BAD = (True, False, False), (False, False, True), (False,) * 3
N_TILES = 4


def tiles(n_parts: int = 6, spread: float = 3) -> Tensor:
    rng = torch.Generator().manual_seed(0)
    return torch.randn((n_parts, N_TILES, 3), generator=rng) * spread


def bad(logits: Tensor, passing: tuple[bool, ...]) -> Tensor:
    found: Tensor = logits.softmax(-1)[..., ~torch.tensor(passing)].sum(-1)
    return found


@pytest.mark.parametrize("passing", [GOOD_FIRST, GOOD_LAST])
def test_by_noisy_or_a_part_is_good_if_all_its_tiles_are(passing: tuple[bool, ...]) -> None:
    parts, _ = TilePooling(0, passing)(tiles())
    expected = 1 - (1 - bad(tiles(), passing)).prod(1)
    torch.testing.assert_close(bad(parts, passing), expected)


@pytest.mark.parametrize("k", [1, 2, 4])
def test_by_top_k_the_log_odds_of_the_worst_tiles_are_averaged(k: int) -> None:
    parts, shares = TilePooling(k, GOOD_FIRST)(tiles())
    expected = bad(tiles(), GOOD_FIRST).logit().topk(k, 1).values.mean(1).sigmoid()
    torch.testing.assert_close(bad(parts, GOOD_FIRST), expected, atol=1e-5, rtol=1e-4)
    assert ((shares > 0).sum(1) == k).all()


@pytest.mark.parametrize("k", [0, 2])
@pytest.mark.parametrize("passing", [GOOD_FIRST, GOOD_LAST, ONLY_BAD])
def test_the_contributions_of_the_tiles_of_a_part_sum_to_one(
    k: int, passing: tuple[bool, ...]
) -> None:
    _, shares = TilePooling(k, passing)(tiles())
    assert (shares >= 0).all()
    torch.testing.assert_close(shares.sum(1), torch.ones(6))


@pytest.mark.parametrize("k", [0, 1])
def test_the_worst_tile_decides_which_class_the_part_is(k: int) -> None:
    given = torch.tensor([[[9.0, 0, 0], [0.0, 0, 9], [9.0, 0, 0], [9.0, 1, 0]]])
    parts, shares = TilePooling(k, GOOD_FIRST)(given)
    assert int(parts.argmax()) == 2
    assert int(shares.argmax()) == 1


@pytest.mark.parametrize("k", [0, 2])
def test_where_no_class_is_good_the_class_that_tiles_show_is_that_of_the_part(k: int) -> None:
    given = torch.zeros((1, N_TILES, 3))
    given[0, 1:3, 2] = 6
    parts, shares = TilePooling(k, ONLY_BAD)(given)
    assert int(parts.argmax()) == 2
    assert int(shares.argmax()) in (1, 2)


@pytest.mark.parametrize("k", [0, 1, 4])
@pytest.mark.parametrize("passing", [GOOD_FIRST, ONLY_BAD])
def test_logits_of_any_size_have_finite_results_and_gradients(
    k: int, passing: tuple[bool, ...]
) -> None:
    given = tiles(spread=300).requires_grad_()
    parts, shares = TilePooling(k, passing)(given)
    torch.autograd.backward(torch.nn.functional.cross_entropy(parts, torch.ones(6).long()))
    assert given.grad is not None
    for found in (parts, shares, given.grad):
        assert torch.isfinite(found).all()


def test_a_temperature_divides_what_the_part_is_and_not_its_tiles() -> None:
    cold, _ = TilePooling(0, GOOD_FIRST)(tiles())
    warm, _ = TilePooling(0, GOOD_FIRST, temperature=2.5)(tiles())
    torch.testing.assert_close(warm, cold / 2.5)


@pytest.mark.parametrize("k", [0, 2])
@pytest.mark.parametrize("passing", [GOOD_LAST, ONLY_BAD])
def test_the_graph_pools_as_torch_does_for_any_number_of_parts(
    k: int, passing: tuple[bool, ...], tmp_path: Path
) -> None:
    rng = torch.Generator().manual_seed(1)
    weights = [torch.randn(shape, generator=rng) for shape in ((5, 4), (4,), (4, 3), (3,))]
    module = PooledHead(LinearHead(*weights), TilePooling(k, passing, 1.7), N_TILES).eval()
    outputs = ("logits", "contributions", "embedding")
    path = tmp_path / "head.onnx"
    export(module, np.zeros(5, np.float32), "features", outputs, path, N_TILES, outputs[:2])
    graph = session(path)
    for n_parts in (1, 3, 7):
        given = torch.randn((n_parts * N_TILES, 5), generator=rng)
        with torch.inference_mode():
            expected = module(given)
        got = graph.run(list(outputs), {"features": given.numpy()})
        assert [len(o) for o in got] == [n_parts, n_parts, n_parts * N_TILES]
        for mine, theirs in zip(got, expected, strict=True):
            np.testing.assert_allclose(mine, theirs.numpy(), atol=1e-4)


def test_tiles_of_a_part_stand_next_to_each_other() -> None:
    assert by_part(torch.arange(12).reshape(6, 2), 3)[1, 0].tolist() == [6, 7]
