"""Settings of the trained head: what is searched, and what is fixed."""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

from pydantic import Field

from pipeline.plugins import Strict

Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=2)]
Balance = Literal["none", "sqrt", "balanced"]
Scaling = Literal["standardised", "whitened"]
Kind = Literal["kernel", "linear", "discriminant"]
T = TypeVar("T")
Several = Annotated[tuple[T, ...], Field(min_length=1)]


class HeadSettings(Strict):
    """Settings of the trained head.

    Of several values those are taken that are best out of fold, by groups that a head has not
    seen; a single one is fixed. Without folds the first of each.
    """

    kind: Kind | Several[Kind] = Field(
        ("kernel", "linear", "discriminant"),
        description="kernel: logistic regression in the space of a Gaussian kernel. linear: "
        "logistic regression on principal components. discriminant: linear discriminant analysis "
        "with shrinkage, which needs few images.",
    )
    components: Count | Several[Count] = Field(
        (384, 768, 128),
        description="Principal components of the features to keep. A kernel sees as many as come "
        "first here.",
    )
    landmarks: int = Field(
        2048, ge=2, description="Number of training images that the kernel compares with."
    )
    kernel_width: Positive | Several[Positive] = Field(
        (0.5, 0.05, 0.15, 1.5),
        description="1 / mean squared distance units; larger fits finer detail.",
    )
    l2: Positive | Several[Positive] = Field(
        (0.01, 1e-4, 1e-3, 0.1),
        description="Strength of the L2 regularisation; a larger one fits less closely.",
    )
    shrinkage: Share | Several[Share] = Field(
        (0.1, 0.01, 0.03, 0.3, 0.6, 0.9),
        description="How far discriminant analysis draws the covariance within classes towards "
        "equal variances; 1: the nearest class mean decides.",
    )
    balance: Balance | Several[Balance] | Literal["auto"] = Field(
        "auto",
        description="How much more images of rare classes count: none, by the square root of "
        "their rarity, or so much that all classes count the same. auto: all three are tried "
        "where the largest class has twice as many images as the smallest.",
    )
    scaling: Scaling | Several[Scaling] = Field(
        ("standardised", "whitened"),
        description="Whether linear heads see components as large as they are, or all equally "
        "large.",
    )
    objective: Literal["log_loss", "macro_f1", "partial_auroc"] = Field(
        "log_loss",
        description="By what heads are compared out of fold. macro_f1: all classes count the "
        "same, however rare. partial_auroc: good against bad parts alone, where few bad ones "
        "escape.",
    )
    escapes_up_to: float = Field(
        0.1,
        gt=0,
        le=1,
        description="Share of bad parts up to which partial_auroc looks; the promise of "
        "evaluate.yaml.",
    )
    average: int = Field(
        4,
        ge=1,
        le=8,
        description="At most so many heads are averaged, where their mean beats the best alone on "
        "parts that chose neither; 1: the best alone.",
    )
    max_epochs: int = Field(8, ge=1, description="Epochs of L-BFGS, of 10 iterations each.")

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The values of `kind`."""
        return self.kind if isinstance(self.kind, tuple) else (self.kind,)

    @property
    def scalings(self) -> tuple[Scaling, ...]:
        """The values of `scaling`."""
        return self.scaling if isinstance(self.scaling, tuple) else (self.scaling,)

    @property
    def balances(self) -> tuple[Balance, ...]:
        """The values of `balance`; all for auto, the first of which is none."""
        if self.balance == "auto":
            return "none", "sqrt", "balanced"
        return self.balance if isinstance(self.balance, tuple) else (self.balance,)


def each(value: T | tuple[T, ...]) -> tuple[T, ...]:
    """The values to choose from."""
    return value if isinstance(value, tuple) else (value,)
