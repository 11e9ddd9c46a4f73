"""What the share of parts that a person looks at depends on: promise, groups, labels, ranking."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pipeline.contracts.shares import Share
from pipeline.plugins import Strict


class PromiseStep(Strict):
    """The limits of one promise, and how much they leave to a person."""

    max_escape: float = Field(description="Share of bad parts that may pass.")
    proven: bool = Field(description="Do the parts prove it? Else no bad one of them passes.")
    review: Share


class Lever(Strict):
    """A change, and the review share of the same policy after it."""

    name: Literal["ranking", "groups", "labels"]
    change: str = Field(description="What is changed, in words.")
    review: float


class LimitGroup(Strict):
    """The group whose parts set the limits: without it fewer parts go to a person."""

    group: str
    review: float = Field(description="Review share of all parts by limits without this group.")
    sentence: str


class ReviewOutlook(Strict):
    """Review share by promise, from scores of heads that had not seen the parts."""

    n: int = Field(description="Out-of-fold and validation parts.")
    now: Share = Field(description="Review share of these parts by the limits of the policy.")
    steps: tuple[PromiseStep, ...] = Field(description="By promise, the strictest first.")
    levers: tuple[Lever, ...] = Field(description="That which lowers review most comes first.")
    limit_group: LimitGroup | None = None
    against_promise: str = Field(description="The steps in words.")
    moved_by: str = Field(
        description="The levers in words, the best one first; empty where none lowers review."
    )

    @property
    def in_words(self) -> list[str]:
        """Steps and levers; the group that sets the limits has a sentence of its own."""
        return [text for text in (self.against_promise, self.moved_by) if text]
