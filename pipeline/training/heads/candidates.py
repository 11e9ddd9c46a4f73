"""Heads to choose from, each known by its settings alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from itertools import product
from typing import Any

import numpy as np

from pipeline.datasets.splits import FEW_SHOTS
from pipeline.training import Floats
from pipeline.training.heads.settings import Balance, HeadSettings, Kind, Scaling, each

EXPONENT: dict[Balance, float] = {"none": 0.0, "sqrt": 0.5, "balanced": 1.0}
UNEVEN = 2.0  # images of the largest class for one of the smallest
L2_RANGE, WIDTH_RANGE = (1e-7, 1e3), (5e-4, 50.0)  # beyond, float32 is no longer exact enough


@dataclass(frozen=True)
class Candidate:
    """A head before it is fitted.

    Attributes:
        strength: L2 regularisation; of a discriminant its shrinkage.
        width: of the kernel; 0 for the others.
    """

    kind: Kind
    components: int
    strength: float
    balance: Balance = "none"
    width: float = 0.0
    scaling: Scaling = "standardised"

    @property
    def space(self) -> Candidate:
        """The same for all that are fitted on the same numbers."""
        return replace(self, strength=0.0, balance="none")

    @property
    def facts(self) -> dict[str, Any]:
        """For report.json."""
        described = asdict(self)
        strength = described.pop("strength")
        described["shrinkage" if self.kind == "discriminant" else "l2"] = strength
        if self.kind == "kernel":
            described["kernel_width"] = described["width"]
        del described["width"]
        return described

    def __str__(self) -> str:
        name = "shrinkage" if self.kind == "discriminant" else "l2"
        width = f"width {self.width:g}, " if self.kind == "kernel" else ""
        whitened = ", whitened" if self.scaling == "whitened" else ""
        balance = "" if self.balance == "none" else f", balance {self.balance}"
        return (
            f"{self.kind} ({width}{name} {self.strength:g}, {self.components} components"
            f"{whitened}{balance})"
        )


def imbalance(targets: Floats) -> float:
    """Images of the largest class for each of the smallest that has any; targets N,K."""
    counts = targets.sum(axis=0, dtype=np.float64)
    return float(counts.max() / counts[counts > 0].min())


def balances(config: HeadSettings, targets: Floats) -> tuple[Balance, ...]:
    """Those to choose from."""
    if config.balance == "auto" and imbalance(targets) < UNEVEN:
        return ("none",)
    return config.balances


def default(config: HeadSettings) -> Candidate:
    """The first of everything: where nothing can be compared."""
    kind = config.kinds[0]
    return Candidate(
        kind=kind,
        components=each(config.components)[0],
        strength=each(config.shrinkage if kind == "discriminant" else config.l2)[0],
        balance=config.balances[0],
        width=each(config.kernel_width)[0] if kind == "kernel" else 0.0,
        scaling=config.scalings[0] if kind == "linear" else "standardised",
    )


def few_shots(config: HeadSettings, targets: Floats) -> bool:
    """Are there few images of every class, and a linear head among others to take then?

    What folds would choose of these is chance (BENCHMARKS.md).
    """
    several = len(config.kinds) > 1 and "linear" in config.kinds
    return several and float(targets.sum(axis=0).max()) <= FEW_SHOTS


def offered(config: HeadSettings, targets: Floats) -> list[Candidate]:
    """All to begin with: kernels of the first number of components, all of the first balance.

    Of few shots one alone, linear with the least regularisation: about what scikit-learn's
    `LogisticRegression` does by default.
    """
    if few_shots(config, targets):
        scaling, p = config.scalings[0], each(config.components)[0]
        l2, balance = min(each(config.l2)), config.balances[0]
        return [Candidate("linear", p, l2, balance, scaling=scaling)]
    balance, found = config.balances[0], []
    if "kernel" in config.kinds:
        p = each(config.components)[0]
        for width, l2 in product(each(config.kernel_width), each(config.l2)):
            found.append(Candidate("kernel", p, l2, balance, width))
    if "linear" in config.kinds:
        spaces = product(each(config.components), config.scalings)
        for (p, scaling), l2 in product(spaces, each(config.l2)):
            found.append(Candidate("linear", p, l2, balance, scaling=scaling))
    if "discriminant" in config.kinds:
        for p, share in product(each(config.components), each(config.shrinkage)):
            found.append(Candidate("discriminant", p, share, balance))
    return found


def neighbours(
    best: Candidate, tried: Iterable[Candidate], config: HeadSettings, targets: Floats
) -> list[Candidate]:
    """What to try because of the best so far: what is offered only then, and past the edges."""
    if few_shots(config, targets):
        return []
    known = set(tried)
    found = [replace(best, balance=b) for b in balances(config, targets)]
    found += list(_beyond(best, [c for c in known if c.kind == best.kind], config))
    return [c for c in dict.fromkeys(found) if c not in known]


def edges(best: Candidate, tried: Iterable[Candidate], config: HeadSettings) -> list[str]:
    """Settings of which the best is the least or the largest that was tried, in words."""
    alike = [c for c in tried if c.kind == best.kind]
    described = []
    for beyond in _beyond(best, alike, config):
        name, value = "kernel_width", best.width
        if beyond.width == best.width:
            value = best.strength
            name = "shrinkage" if best.kind == "discriminant" else "l2"
        described.append(f"{name} {value:g} is at the edge of what was tried")
    return list(dict.fromkeys(described))


def _beyond(best: Candidate, alike: list[Candidate], config: HeadSettings) -> Iterator[Candidate]:
    if best.kind == "discriminant":
        shares = [c.strength for c in alike]
        if len(each(config.shrinkage)) > 1:
            if best.strength == min(shares) > 1e-4:
                yield replace(best, strength=best.strength / 3)
            if best.strength == max(shares) < 1:
                yield replace(best, strength=1.0)
        return
    if len(each(config.l2)) > 1:
        for value in _outside(best.strength, [c.strength for c in alike], 10, L2_RANGE):
            yield replace(best, strength=value)
    if best.kind == "kernel" and len(each(config.kernel_width)) > 1:
        for value in _outside(best.width, [c.width for c in alike], 3, WIDTH_RANGE):
            yield replace(best, width=value)


def _outside(
    value: float, tried: list[float], step: float, allowed: tuple[float, float]
) -> Iterator[float]:
    if value == min(tried) and value / step >= allowed[0]:
        yield value / step
    if value == max(tried) and value * step <= allowed[1]:
        yield value * step
