"""Extraction of features: the same numbers whether they are computed, resumed or found."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from pipeline.datasets.adapters import elpv
from pipeline.imaging import Pixels, codec
from pipeline.training import Floats, architectures
from pipeline.training.augmentation import Augmenter, Policy
from pipeline.training.export import export
from pipeline.training.features import extraction
from pipeline.training.features.cache import FeatureCache
from pipeline.training.features.extraction import Batch, extract, plan
from pipeline.training.network import Features

N, SIZE_PX = 10, 50
NOISE = Augmenter.of(Policy.model_validate({"sensor_noise": {"probability": 1.0}}))
SHIFT = Augmenter.of(Policy.model_validate({"shift": {"probability": 1.0}}))


class Cells:
    """Some real cells, as `Shards` gives them."""

    def __init__(self, pixels: Pixels) -> None:
        self.pixels = pixels
        names = [f"cell-{i}" for i in range(len(pixels))]
        self.index = pd.DataFrame({"sample_id": names, "tile": 0})

    def stack(self, positions: npt.NDArray[np.intp]) -> Pixels:
        return self.pixels[positions].copy()


@pytest.fixture(scope="module")
def pixels() -> Pixels:
    config = elpv.Config(type="elpv")
    root = elpv.root(config)
    return np.stack([codec.read(root / s.path)[::6, ::6] for s in elpv.read(config)[:N]])


@pytest.fixture
def cells(pixels: Pixels) -> Cells:
    return Cells(pixels.copy())


@pytest.fixture(scope="module")
def graphs(tmp_path_factory: pytest.TempPathFactory, pixels: Pixels) -> dict[float, Path]:
    """One network, at one scale and at another."""
    home = tmp_path_factory.mktemp("graphs")
    backbone = architectures.build("tf_efficientnet_lite0", "none", seed=0)
    found = {scale: home / f"{scale}.onnx" for scale in (1.0, 0.64)}
    for scale, path in found.items():
        features = Features(backbone, (SIZE_PX, SIZE_PX), (scale,))
        export(features, pixels[0], "image", ["features"], path)
    return found


@pytest.fixture
def graph(graphs: dict[float, Path]) -> Path:
    return graphs[1.0]


@pytest.fixture
def cache(tmp_path: Path) -> FeatureCache:
    return FeatureCache(tmp_path / "features.sqlite")


class Watch:
    """Counts what is computed, and stops the training after `stop` images."""

    def __init__(self, stop: int = 10**6) -> None:
        self.computed, self.told, self._stop = 0, (0, 0), stop

    def __call__(self, vectors: Iterable[Floats], total: int, found: int) -> Iterator[Floats]:
        self.told = total, found
        for vector in vectors:
            if self.computed == self._stop:
                raise KeyboardInterrupt
            self.computed += 1
            yield vector


def computed(
    graph: Path,
    cells: Cells,
    cache: FeatureCache,
    augmenter: Augmenter = NOISE,
    batches: list[Batch] | None = None,
    seed: int = 0,
) -> int:
    """How many images had to be computed; what was found must be what is computed."""
    batches = batches or plan(np.arange(len(cells.pixels)), views=1)
    watch = Watch()
    values = extract(graph, cells, augmenter, batches, seed, cache, watch)
    np.testing.assert_array_equal(values, extract(graph, cells, augmenter, batches, seed))
    return watch.computed


def test_features_come_in_the_order_of_the_plan(graph: Path, cells: Cells) -> None:
    batches = plan(np.arange(N), views=1)
    values = extract(graph, cells, NOISE, batches, seed=0)
    assert values.dtype == np.float32
    assert len(values) == 2 * N
    last = extract(graph, cells, NOISE, [Batch(np.array([N - 1]), 0)], seed=0)
    np.testing.assert_array_equal(values[-1], last[0])


def test_the_values_of_an_image_do_not_depend_on_the_others_in_its_batch(
    graph: Path, cells: Cells
) -> None:
    together = extract(graph, cells, NOISE, plan(np.arange(N), views=0), seed=0)
    for other in (np.arange(N)[::-1], np.array([3, 0, 7]), np.array([5])):
        apart = extract(graph, cells, NOISE, plan(other, views=0), seed=0)
        np.testing.assert_array_equal(apart, together[other])


def test_what_was_computed_is_not_computed_again(
    graph: Path, cells: Cells, cache: FeatureCache
) -> None:
    assert computed(graph, cells, cache) == 2 * N
    assert computed(graph, cells, cache) == 0


def test_it_is_reported_how_many_are_found_before_the_rest_is_computed(
    graph: Path, cells: Cells, cache: FeatureCache
) -> None:
    computed(graph, cells, cache, batches=plan(np.arange(4), views=0))
    watch = Watch()
    extract(graph, cells, NOISE, plan(np.arange(N), views=0), 0, cache, watch)
    assert watch.told == (N, 4)
    assert watch.computed == N - 4


def test_an_interrupted_extraction_goes_on_where_it_was(
    graph: Path, cells: Cells, cache: FeatureCache
) -> None:
    batches = plan(np.arange(N), views=1)
    with pytest.raises(KeyboardInterrupt):
        extract(graph, cells, NOISE, batches, 0, cache, Watch(stop=13))
    assert computed(graph, cells, cache) == 2 * N - 13


def test_an_image_that_changed_is_computed_again_with_its_view(
    graph: Path, cells: Cells, cache: FeatureCache
) -> None:
    computed(graph, cells, cache)
    cells.pixels[3, 0, 0] ^= 1
    assert computed(graph, cells, cache) == 2


def test_an_image_is_found_in_another_place(graph: Path, cells: Cells, cache: FeatureCache) -> None:
    computed(graph, cells, cache)
    cells.pixels, cells.index = cells.pixels[::-1], cells.index[::-1].reset_index(drop=True)
    assert computed(graph, cells, cache) == 0


def test_another_name_makes_another_view_of_the_same_image(
    graph: Path, cells: Cells, cache: FeatureCache
) -> None:
    computed(graph, cells, cache)
    cells.index.loc[3, "sample_id"] = "renamed"
    assert computed(graph, cells, cache) == 1
    cells.index.loc[4, "tile"] = 1
    # Names say which tile as soon as there are tiles.
    assert computed(graph, cells, cache) == N


def test_another_policy_or_seed_makes_other_views_of_the_same_images(
    graph: Path, cells: Cells, cache: FeatureCache
) -> None:
    computed(graph, cells, cache)
    assert computed(graph, cells, cache, augmenter=SHIFT) == N
    assert computed(graph, cells, cache, seed=1) == N
    assert computed(graph, cells, cache, batches=plan(np.arange(N), views=2)) == N


def test_another_network_finds_nothing(
    graphs: dict[float, Path], cells: Cells, cache: FeatureCache
) -> None:
    computed(graphs[1.0], cells, cache)
    assert computed(graphs[0.64], cells, cache) == 2 * N


def test_views_by_other_code_are_made_again(
    graph: Path, cells: Cells, cache: FeatureCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed(graph, cells, cache)
    monkeypatch.setattr("pipeline.training.features.extraction.CODEC_VERSION", "99")
    assert computed(graph, cells, cache) == N


def test_a_damaged_cache_changes_no_feature(
    graph: Path, cells: Cells, cache: FeatureCache, tmp_path: Path
) -> None:
    computed(graph, cells, cache)
    file = tmp_path / "features.sqlite"
    content = bytearray(file.read_bytes())
    for place in range(len(content) // 2, len(content), 5000):
        content[place] ^= 1
    file.write_bytes(content)
    assert computed(graph, cells, cache) > 0


class Recording(nn.Module):
    """Features of no interest, which note how they are computed."""

    def forward(self, image: Tensor) -> Tensor:
        self.cudnn = torch.backends.cudnn.enabled, torch.backends.cudnn.allow_tf32
        return image.float().mean((1, 2))


def test_features_on_a_gpu_are_computed_with_cudnn_and_in_full_precision(
    cells: Cells, graphs: dict[float, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.get_device_name", lambda device: "as if")
    module = Recording()
    on = (module, torch.device("cpu"))
    found = extract(graphs[1.0], cells, SHIFT, plan(np.arange(N), 0), seed=0, on_gpu=on)
    assert module.cudnn == (True, False)
    np.testing.assert_allclose(found, cells.pixels.mean((1, 2)), rtol=1e-5)


def test_the_plan_covers_every_image_once_as_it_is_and_once_a_view() -> None:
    rows = np.arange(21)
    planned = extraction.plan(rows, views=2)
    for view in (None, 0, 1):
        covered = [int(r) for batch in planned if batch.view == view for r in batch.rows]
        assert covered == rows.tolist()


def test_without_extra_views_the_features_come_in_order_of_views_then_images() -> None:
    rows = np.arange(21)
    image_of = np.concatenate([batch.rows for batch in extraction.plan(rows, views=2)])
    assert image_of.tolist() == np.tile(rows, 3).tolist()
    nothing_more = extraction.plan(rows, views=2, extra=np.zeros(21, np.intp))
    assert [(b.rows.tolist(), b.view) for b in nothing_more] == [
        (b.rows.tolist(), b.view) for b in extraction.plan(rows, views=2)
    ]


def test_extra_views_follow_with_numbers_that_the_image_does_not_have_yet() -> None:
    rows = np.array([10, 11, 12])
    planned = extraction.plan(rows, views=1, extra=np.array([0, 2, 1]))
    seen = [(int(row), batch.view) for batch in planned for row in batch.rows]
    assert seen == [
        *((10, None), (11, None), (12, None)),
        *((10, 0), (11, 0), (12, 0)),
        *((11, 1), (12, 1)),
        (11, 2),
    ]


def test_only_rare_classes_are_augmented_when_no_view_is_asked_for() -> None:
    planned = extraction.plan(np.arange(3), views=0, extra=np.array([0, 0, 2]))
    assert [(b.rows.tolist(), b.view) for b in planned] == [([0, 1, 2], None), ([2], 0), ([2], 1)]
