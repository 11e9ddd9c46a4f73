"""Fits candidates: their logits of other parts, and the head that goes into the graph."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

import numpy as np
import torch
from pytorch_lightning.loggers import Logger
from torch import Tensor
from torch.nn.functional import cross_entropy

from pipeline.training import Floats
from pipeline.training.features.cache import Recall, compute_again
from pipeline.training.head_modules import Head, KernelPart, LinearHead, MeanHead
from pipeline.training.heads.candidates import EXPONENT, Candidate, default
from pipeline.training.heads.lda import discriminants
from pipeline.training.heads.logistic import logistic, solve
from pipeline.training.heads.nystroem import NystroemSpace
from pipeline.training.heads.principal import Principal
from pipeline.training.heads.settings import HeadSettings, each

ABSENT = 1e-9  # probability of a class without an image


@dataclass(frozen=True)
class HeadChoice:
    """A head, or several whose logits are averaged.

    Attributes:
        members: their settings.
        temperatures: what the logits of each are divided by.
    """

    members: tuple[Candidate, ...]
    temperatures: tuple[float, ...]


def first_of(config: HeadSettings) -> HeadChoice:
    """Without a choice: the first of all settings."""
    return HeadChoice((default(config),), (1.0,))


def judged(
    principal: Principal,
    targets: Floats,
    asked: Tensor,
    candidates: Iterable[Candidate],
    config: HeadSettings,
    seed: int,
    recall: Recall = compute_again,
    weights: Floats | None = None,
) -> dict[Candidate, Floats]:
    """Logits float32 M,K of `asked` by each candidate.

    Args:
        principal: of the N images to learn from.
        targets: theirs, float32 N,K.
        asked: components of the M images to judge, float32 M,P.
        candidates: settings of heads; those of one space are fitted together.
        config: landmarks and epochs.
        seed: of the landmarks.
        recall: keeps kernel spaces.
        weights: how much each image counts, float32 N; None: all alike.
    """
    known, found = torch.from_numpy(targets), {}
    counted = _counted(known, weights)
    by_space = sorted(candidates, key=lambda c: repr(c.space))
    for space, listed in groupby(by_space, key=lambda c: c.space):
        alike = list(listed)
        x, seen = _in_space(space, principal, asked, config, seed, recall)
        if space.kind == "discriminant":
            solved = _discriminants(x, known, alike, counted)
        else:
            emphasis = torch.stack([_emphasis(known, c, counted) for c in alike], 1)
            strengths = [c.strength for c in alike]
            model = solve(x, known, strengths, config.max_epochs, emphasis)
            solved = list(zip(model.weight.detach().mT, model.bias.detach(), strict=True))
        for candidate, (weight, bias) in zip(alike, solved, strict=True):
            found[candidate] = (seen @ weight + bias).numpy()
    return found


def fit(
    features: Floats,
    targets: Floats,
    config: HeadSettings,
    seed: int,
    choice: HeadChoice | None = None,
    logger: Logger | Literal[False] = False,
    recall: Recall = compute_again,
    weights: Floats | None = None,
) -> tuple[Head, list[float]]:
    """Train the head that was chosen.

    Args:
        features: float32 N,D.
        targets: float32 N,K; rows sum to 1 (soft labels are welcome).
        config: landmarks and epochs.
        seed: of the components and the choice of landmarks.
        choice: of candidates; without, the first of all settings.
        logger: gets the loss of each epoch of the first member that has any.
        recall: keeps components and kernel spaces.
        weights: how much each image counts in the loss, float32 N; None: all alike.

    Returns:
        The head, and the loss after each epoch of its first member.

    Raises:
        TrainingError: features that are not finite, or a loss that is not.
    """
    choice = first_of(config) if choice is None else choice
    members = choice.members
    # As many as in the search, on whose number their scale depends.
    principal = Principal.of(features, most_components(config), seed, recall)
    known = torch.from_numpy(targets)
    counted = _counted(known, weights)
    p, classes = max(c.components for c in members), targets.shape[1]
    projection = principal.projection[:, :p].contiguous()
    center, p = principal.shift[:p].clone(), projection.shape[1]
    weight, bias = torch.zeros(p, classes), torch.zeros(classes)
    kernels: list[tuple[NystroemSpace, Tensor]] = []
    history: list[float] = []
    for number, (member, temperature) in enumerate(zip(members, choice.temperatures, strict=True)):
        share = 1 / (temperature * len(members))
        x, _ = _in_space(member, principal, principal.x[:1], config, seed, recall)
        if member.kind == "discriminant":
            ((w, b),) = _discriminants(x, known, [member], counted)
            losses = [float(cross_entropy(x @ w + b, known))]
        else:
            model = logistic(
                *(x, known, (member.strength,), config.max_epochs),
                logger=False if number else logger,
                emphasis=_emphasis(known, member, counted)[:, None],
            )
            w, b, losses = model.weight[0].detach().T, model.bias[0].detach(), model.history
        history = history or losses
        bias += b * share
        if member.kind == "kernel":
            space = _kernel(member, principal, config, seed, recall)
            solved = space.factor.double() @ w.double() * share
            bias += solved.sum(0).float()  # the ones that `KernelPart` leaves out
            kernels.append((space, solved.float().contiguous()))
        else:
            unit = _unit(member, principal)
            weight[: len(unit)] += w * unit[:, None] * share
    if not kernels:
        return LinearHead(projection, center, weight, bias), history
    parts = [KernelPart(torch.tensor(s.scale), s.landmarks, w) for s, w in kernels]
    return MeanHead(projection, center, weight, bias, parts), history


def most_components(config: HeadSettings) -> int:
    """How many any candidate may ask for."""
    return max(each(config.components))


def _in_space(
    space: Candidate,
    principal: Principal,
    asked: Tensor,
    config: HeadSettings,
    seed: int,
    recall: Recall,
) -> tuple[Tensor, Tensor]:
    """What a linear model is trained on, float32 N,W, and the same of `asked`."""
    if space.kind == "kernel":
        kernel = _kernel(space, principal, config, seed, recall)
        return kernel.x, kernel.seen(asked)
    unit = _unit(space, principal)
    return principal.x[:, : len(unit)] * unit, asked[:, : len(unit)] * unit


def _kernel(
    space: Candidate, principal: Principal, config: HeadSettings, seed: int, recall: Recall
) -> NystroemSpace:
    return NystroemSpace.of(
        principal, space.components, space.width, config.landmarks, seed, recall
    )


def _unit(space: Candidate, principal: Principal) -> Tensor:
    """By what components are multiplied, for rows of a mean square length of 1 at most."""
    deviation = principal.deviation[: space.components]
    if space.scaling == "standardised":
        return torch.ones_like(deviation)
    whitened: Tensor = 1 / (deviation * len(deviation) ** 0.5)
    return whitened


def _discriminants(
    x: Tensor, targets: Tensor, alike: Sequence[Candidate], weights: Tensor
) -> list[tuple[Tensor, Tensor]]:
    solved = discriminants(x, targets, [c.strength for c in alike], weights)
    prior = (targets * weights[:, None]).mean(0).clamp_min(ABSENT).log()
    never = torch.where(targets.sum(0) > 0, 0.0, float(np.log(ABSENT)))
    return [
        (weight, bias + never + (1 - EXPONENT[c.balance]) * prior)
        for c, (weight, bias) in zip(alike, solved, strict=True)
    ]


def _counted(targets: Tensor, weights: Floats | None) -> Tensor:
    """How much each image counts, N, of mean 1."""
    return (
        torch.ones(len(targets)) if weights is None else torch.from_numpy(weights / weights.mean())
    )


def _emphasis(targets: Tensor, candidate: Candidate, weights: Tensor) -> Tensor:
    """How much each image counts, N, of mean 1."""
    rarity = 1 / (targets * weights[:, None]).mean(0).clamp_min(1e-9)
    counted: Tensor = targets @ rarity ** EXPONENT[candidate.balance] * weights
    return counted / counted.mean()
