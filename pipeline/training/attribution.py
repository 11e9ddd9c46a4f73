"""Where in a picture a defect score comes from.

Integrated gradients (Sundararajan, Taly and Yan, ICML 2017), by captum, from the feature maps of
some good parts to those of the part in question, averaged over the good parts (expected gradients;
Erion et al., Nature Machine Intelligence 2021). All maps that the head's features are pooled from
are asked, at every level and scale, so nothing that the score is made of is left out: the values of
all places together are the part's score less that of the good parts. What an ordinary Grad-CAM
shows, the last map alone, is 7 x 7 places for a crack of two pixels, and half of the features.

The backbone runs once a picture, without gradients; only pooling and head are differentiated.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
import torch
from captum.attr import IntegratedGradients
from torch import Tensor
from torch.nn.functional import interpolate, one_hot

from pipeline.imaging import Pixels
from pipeline.training.network import Network
from pipeline.training.network import pooled as pooled_maps
from pipeline.training.tile_pooling import TilePooling, by_part

Floats = npt.NDArray[np.float32]
METHOD = "integrated gradients of the pooled feature maps, against good parts (captum)"
STEPS = 4  # of Gauss and Legendre's rule; with 16 the maps are the same to the eye
HOT = 0.003  # of the places
SMOOTH = 0.018  # of the side, deviation: finer than this the maps of two scales disagree


def heat_maps(
    network: Network,
    images: Pixels,
    good: Pixels,
    passing: Sequence[bool],
    batch: int = 8,
) -> Floats:
    """Where each picture looks worse than good parts do.

    Args:
        network: trained, on the CPU.
        images: uint8 N,H,W,C, prepared.
        good: uint8 M,H,W,C, prepared pictures of some good parts (8 are enough); of a recipe whose
            every class is bad, of any parts.
        passing: for each class, is a part of it good?
        batch: pictures at a time.

    Returns:
        float32 N,H,W from 0 to 1: what raises the defect score (where no class passes, the score
        of the likeliest class). The hottest `HOT` of a picture are 1, unless they are fainter than
        those of three pictures in four: faint evidence looks faint.
    """
    if not len(images):
        return np.empty(images.shape[:3], np.float32)
    raised = np.maximum(attributions(network, images, good, passing, batch), 0)
    # Not the single hottest place: a maximum comes from one place, which would outshine all others.
    hottest = np.quantile(raised, 1 - HOT, axis=(1, 2))
    scale = np.maximum(hottest, np.quantile(hottest, 0.75)).clip(np.finfo(np.float32).tiny)
    heat: Floats = (raised / scale[:, None, None]).clip(0, 1).astype(np.float32)
    return heat


def attributions(
    network: Network, images: Pixels, good: Pixels, passing: Sequence[bool], batch: int = 8
) -> Floats:
    """What each place adds to the log odds that the part is bad, against the mean good part.

    Args: as of `heat_maps`.

    Returns:
        float32 N,H,W, in nats; over a picture they sum to its score less the mean score of `good`,
        as closely as `STEPS` allow.
    """
    references = _maps(network, good)
    parts = [images[i : i + batch] for i in range(0, len(images), batch)]
    found: Floats = np.concatenate([_batch(network, part, references, passing) for part in parts])
    return found


def logits(network: Network, images: Pixels, batch: int = 8) -> Floats:
    """The network's logits for uint8 N,H,W,C: float32 N,K."""
    parts = [torch.from_numpy(images[i : i + batch]) for i in range(0, len(images), batch)]
    with torch.inference_mode():
        return np.concatenate([network(part)[0].numpy() for part in parts])


def pooled(logits: Floats, pooling: TilePooling, n_tiles: int) -> tuple[Floats, Floats]:
    """Logits P,K of parts and contributions P,T of their tiles, of the tiles' logits P*T,K."""
    with torch.inference_mode():
        parts, contributions = pooling(by_part(torch.from_numpy(logits), n_tiles))
    return parts.numpy(), contributions.numpy()


def score(logits: Tensor, passing: Sequence[bool], likeliest: Tensor) -> Tensor:
    """Log odds N of logits N,K: bad classes against good; without good ones, one against the rest.

    Args:
        logits: float N,K.
        passing: for each of the K classes, is a part of it good?
        likeliest: the class asked about where none passes, int N.
    """
    good = torch.tensor(passing).expand_as(logits)
    if not any(passing):
        good = ~one_hot(likeliest, logits.shape[1]).bool()
    bad, fine = (logits.masked_fill(m, -torch.inf).logsumexp(1) for m in (good, ~good))
    return bad - fine


def _maps(network: Network, images: Pixels) -> list[Tensor]:
    with torch.no_grad():
        return [m.float() for m in network.features.every_map(torch.from_numpy(images))]


def _batch(
    network: Network, images: Pixels, references: Sequence[Tensor], passing: Sequence[bool]
) -> Floats:
    maps = _maps(network, images)
    with torch.no_grad():
        likeliest = network.head(pooled_maps(maps))[0].argmax(1)

    def judge(*given: Tensor) -> Tensor:
        asked = given[-1]
        return score(network.head(pooled_maps(given[:-1]))[0], passing, asked)

    method, size_px = IntegratedGradients(judge), images.shape[1:3]
    total = torch.zeros((len(images), 1, *size_px))
    n = len(references[0])
    for i in range(n):
        shares = method.attribute(
            tuple(maps),
            baselines=tuple(
                r[i : i + 1].expand_as(m) for r, m in zip(references, maps, strict=True)
            ),
            additional_forward_args=likeliest,
            n_steps=STEPS,
            method="gausslegendre",
        )
        for share in shares:
            total += _spread(share.sum(1, keepdim=True), size_px) / n
    deviation_px = SMOOTH * min(size_px)
    return np.stack([cv2.GaussianBlur(t[0], (0, 0), deviation_px) for t in total.numpy()])


def _spread(places: Tensor, size_px: tuple[int, int]) -> Tensor:
    """Enlarge N,1,h,w to the picture's size; the sum over places stays."""
    large = interpolate(places.detach().float(), size_px, mode="bilinear", antialias=True)
    return large * (places.shape[2] * places.shape[3] / (size_px[0] * size_px[1]))
