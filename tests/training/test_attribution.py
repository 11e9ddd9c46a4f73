"""Heat maps: they lie where a defect lies, and add up to the score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest
import torch

from pipeline.datasets.adapters import elpv
from pipeline.imaging import Pixels, codec
from pipeline.imaging.overlay import inside
from pipeline.training import architectures
from pipeline.training.attribution import attributions, heat_maps, logits, score
from pipeline.training.head_modules import LinearHead
from pipeline.training.heads import fitting
from pipeline.training.heads.settings import HeadSettings
from pipeline.training.network import Features, Network

pytestmark = pytest.mark.slow

N, SIZE_PX, SPOT_PX = 48, 75, 12
PASSING = (True, False)


@dataclass(frozen=True)
class Parts:
    """Real cells, some with a dark square that nobody knows in advance where."""

    clean: Pixels
    spotted: Pixels
    masks: Pixels


@pytest.fixture(scope="module")
def parts() -> Parts:
    config = elpv.Config(type="elpv")
    root = elpv.root(config)
    sure = [s for s in elpv.read(config) if s.defect_probability == 0.0]
    clean = np.stack([codec.read(root / s.path)[::4, ::4, :1] for s in sure[:: len(sure) // N][:N]])
    spotted, masks = clean.copy(), np.zeros(clean.shape[:3], np.uint8)
    rng = np.random.default_rng(0)
    for picture, mask in zip(spotted, masks, strict=True):
        y, x = rng.integers(8, SIZE_PX - SPOT_PX - 8, 2)
        mask[y : y + SPOT_PX, x : x + SPOT_PX] = 255
        picture[mask > 0] //= 4
    return Parts(clean, spotted, masks)


@pytest.fixture(scope="module")
def network(parts: Parts) -> Network:
    """Knows the first half of the parts, clean and spotted."""
    backbone = architectures.build("tf_efficientnet_lite0", "packaged", seed=0)
    features = Features(backbone, (SIZE_PX, SIZE_PX), (1.0, 1.4))
    known = np.concatenate([parts.clean[: N // 2], parts.spotted[: N // 2]])
    with torch.inference_mode():
        values = features(torch.from_numpy(known)).numpy()
    targets = np.eye(2, dtype=np.float32).repeat(N // 2, axis=0)
    config = HeadSettings(components=16, landmarks=48, l2=0.05, max_epochs=4)
    head, _ = fitting.fit(values, targets, config, seed=0)
    return Network(features, head).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def unseen(parts: Parts) -> slice:
    return slice(N // 2, N // 2 + 8)


def odds(network: Network, images: Pixels) -> npt.NDArray[np.float32]:
    said = logits(network, images)
    return said[:, 1] - said[:, 0]


def test_the_places_add_up_to_the_score_against_good_parts(
    network: Network, parts: Parts, unseen: slice
) -> None:
    good, asked = parts.clean[:4], parts.spotted[unseen]
    found = attributions(network, asked, good, PASSING).sum(axis=(1, 2))
    expected = odds(network, asked) - odds(network, good).mean()
    assert found == pytest.approx(expected, abs=0.05 * float(np.abs(expected).max()))


def test_the_heat_lies_where_the_defect_lies(network: Network, parts: Parts, unseen: slice) -> None:
    heats = heat_maps(network, parts.spotted[unseen], parts.clean[:4], PASSING)
    masks = parts.masks[unseen]
    shares = [inside(heat, mask) for heat, mask in zip(heats, masks, strict=True)]
    assert np.median(shares) > 3 * (masks[0] > 0).mean()


def test_heat_runs_from_cold_to_one(network: Network, parts: Parts, unseen: slice) -> None:
    heats = heat_maps(network, parts.spotted[unseen], parts.clean[:4], PASSING)
    assert heats.shape == parts.spotted[unseen].shape[:3]
    assert heats.dtype == np.float32
    assert (heats.min(), heats.max()) == (0, 1)


def test_faint_evidence_looks_faint_beside_strong(
    network: Network, parts: Parts, unseen: slice
) -> None:
    both = np.concatenate([parts.clean[unseen], parts.spotted[unseen]])
    heats = heat_maps(network, both, parts.clean[:4], PASSING)
    assert heats[:8].sum() < heats[8:].sum() / 2


def test_a_part_is_explained_alike_whichever_others_share_its_batch(
    network: Network, parts: Parts, unseen: slice
) -> None:
    good, asked = parts.clean[:2], parts.spotted[unseen][:3]
    together, one_by_one = (attributions(network, asked, good, PASSING, batch=b) for b in (3, 1))
    assert together == pytest.approx(one_by_one, abs=1e-4)


def test_no_part_gives_no_map(network: Network, parts: Parts) -> None:
    assert heat_maps(network, parts.clean[:0], parts.clean[:2], PASSING).shape[0] == 0


def test_where_no_class_passes_the_class_it_is_taken_for_is_explained(
    network: Network, parts: Parts, unseen: slice
) -> None:
    asked, good = parts.spotted[unseen][:2], parts.clean[:2]
    assert (odds(network, asked) > 0).all()
    all_bad = attributions(network, asked, good, (False, False))
    assert all_bad == pytest.approx(attributions(network, asked, good, PASSING), abs=1e-4)


def test_a_fine_tuned_network_with_its_linear_head_is_explained_too(
    network: Network, parts: Parts
) -> None:
    old, rng = network.head, torch.Generator().manual_seed(0)
    weight = torch.randn((len(old.shift), 2), generator=rng)
    head = LinearHead(old.projection, old.shift, weight, torch.zeros(2))
    tuned = Network(network.features, head)
    good, asked = parts.clean[:2], parts.spotted[:2]
    found = attributions(tuned, asked, good, PASSING).sum(axis=(1, 2))
    expected = odds(tuned, asked) - odds(tuned, good).mean()
    assert found == pytest.approx(expected, abs=0.05 * float(np.abs(expected).max()))


def test_the_score_of_several_bad_classes_is_that_any_of_them_holds() -> None:
    said = torch.tensor([[1.0, 2.0, 0.5]])
    anything = torch.tensor([0])
    p = said.softmax(1)[0]
    expected = torch.log((p[1] + p[2]) / p[0])
    assert score(said, (True, False, False), anything)[0] == pytest.approx(float(expected))
