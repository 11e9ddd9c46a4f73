"""What an evaluation found beside its figures: gate, slices, robustness, champion, golden parts.

`evaluate` writes it as evaluation.json, beside metrics.json, which holds numbers only; the report,
the model card and registration read it.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from pipeline.contracts.review import ReviewOutlook
from pipeline.contracts.shares import Figure as Figure
from pipeline.contracts.shares import Share as Share
from pipeline.plugins import Strict

EVALUATION = "evaluation.json"
LESS_IS_BETTER = frozenset({"escape_rate", "overkill_rate", "review_rate"})


class CheckState(StrEnum):
    """Result of one condition of the gate, in the one wording that people read everywhere."""

    NOT_CHECKED = "not checked"
    PASSED = "passed"
    ATTENTION = "attention"
    NOT_PROVEN = "not proven"
    FAILED = "failed"

    @property
    def severity(self) -> int:
        """Rank of the states, 0 (nothing to check) to 4 (failed)."""
        return list(CheckState).index(self)

    @property
    def blocks(self) -> bool:
        """Does it forbid a promotion that does not name it?"""
        return self in (CheckState.NOT_PROVEN, CheckState.FAILED)


class Check(Strict):
    """One condition of the gate."""

    model_config = ConfigDict(populate_by_name=True)

    name: str = Field(
        description="Name of the condition: escapes, overkill, promise, review, ranking, leak, "
        "data, commit, golden, champion."
    )
    state: CheckState = Field(
        description="passed; failed; not proven: too few parts to decide; not checked: there was "
        "nothing to check; attention: no obstacle, but a person should know it."
    )
    sentence: str = Field(
        alias="said",  # its name in evaluation.json
        description="In words: what was found and what was allowed.",
    )
    remedy: str = Field("", description="What would prove it, where it is not proven.")

    @model_validator(mode="before")
    @classmethod
    def _of_an_older_file(cls, raw: Any) -> Any:
        """`passed` is what Lineside 0.1 wrote in place of `state`."""
        return _with_state(raw, keep=False)

    @property
    def title(self) -> str:
        """Its name for people: older files call the promise `supported`."""
        return "promise" if self.name == "supported" else self.name

    @property
    def line(self) -> str:
        """All of it in one line: `escapes not proven: 1 of 9 bad test parts pass ...`."""
        remedy = f"; {self.remedy}" if self.remedy else ""
        return f"{self.title} {self.state}: {self.sentence}{remedy}"


class Gate(Strict):
    """May this model be signed off without an override?"""

    passed: bool = Field(description="No check failed, and none is not proven.")
    state: CheckState = Field(description="That of its worst check.")
    checks: tuple[Check, ...]

    @classmethod
    def of(cls, checks: Iterable[Check]) -> Self:
        """The gate that these checks make."""
        listed = tuple(checks)
        state = max((c.state for c in listed), key=lambda s: s.severity, default=CheckState.PASSED)
        if state is CheckState.NOT_CHECKED:
            raise ValueError("a gate whose every check had nothing to check has no state")
        return cls(passed=not state.blocks, state=state, checks=listed)

    @model_validator(mode="before")
    @classmethod
    def _of_an_older_file(cls, raw: Any) -> Any:
        return _with_state(raw, keep=True)

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.passed == self.state.blocks:
            raise ValueError(f"passed is {self.passed} and state is {self.state}")
        return self

    def in_state(self, state: CheckState) -> tuple[Check, ...]:
        """The checks in that state."""
        return tuple(check for check in self.checks if check.state is state)


def _with_state(raw: Any, *, keep: bool) -> Any:
    """The content of a file without `state`, with the state that its `passed` stands for."""
    if not isinstance(raw, dict) or "state" in raw or not isinstance(raw.get("passed"), bool):
        return raw
    state = CheckState.PASSED if raw["passed"] else CheckState.FAILED
    return {k: v for k, v in raw.items() if keep or k != "passed"} | {"state": state}


class Slice(Strict):
    """The figures of some of the test parts."""

    by: Literal["class", "variant", "group", "source"]
    name: str
    n: int
    accuracy: Share
    escape: Share
    overkill: Share
    review: Share


class Slices(Strict):
    """All slices, and the worst among those with enough parts to compare."""

    slices: tuple[Slice, ...]
    worst: str = Field(description="A sentence; empty where no slice differs from the whole.")
    weakest_class: str = Field(
        "",
        description="A sentence on the class that is recognised least, against the mean of all; "
        "empty where all are recognised alike.",
    )
    counts: dict[str, int] = Field(
        default_factory=dict, description="How many slices of each kind there are, listed or not."
    )
    left_out: str = Field("", description="A sentence; empty where every slice is listed.")

    @property
    def weakest(self) -> str:
        """Where the model is weakest, in words; empty where no slice and no class stands out."""
        return "; ".join(filter(None, (self.weakest_class, self.worst)))


class Changed(Strict):
    """The same test parts under a change of the line."""

    change: str = Field(description="brightness, contrast, blur, noise, jpeg, shift, rotation.")
    strength: float = Field(description="In the unit of the change; 0: no change.")
    unit: str
    auroc: float | None
    accuracy: Share
    escape: Share
    overkill: Share
    review: Share
    complained: Share = Field(
        description="Share of pictures that the image check reports as too far from training."
    )
    broken: str = Field("", description="Why the model counts as broken; empty: it does not.")


class Robustness(Strict):
    """What the line may change before the model breaks, the most harmful change first."""

    n: int = Field(description="Test parts tried under every change; more where it was close.")
    unchanged: Changed
    changes: tuple[Changed, ...]
    first_to_break: str = Field(description="A sentence; empty where nothing breaks it.")
    caught: str = Field("", description="Changes that the image check notices, in words.")

    @property
    def parts_used(self) -> str:
        """How many parts it was tried on, in words."""
        most = max((c.accuracy.n for c in self.changes), default=self.n)
        close = f", up to {most} where escapes or overkill were close to what is accepted"
        return f"{self.n} test parts were used{close if most > self.n else ''}."


class Difference(Strict):
    """Challenger minus champion, with its 95 % interval, from pairs of answers and by groups."""

    champion: float | None
    challenger: float | None
    value: float | None
    low: float | None
    high: float | None
    margin: float | None = Field(
        None, description="By how much the challenger may be worse; none: that is not asked."
    )
    worst: float | None = Field(
        None, description="How much worse it is at most, with 95 % one-sided confidence."
    )
    within: bool | None = Field(
        None,
        description="Do the parts prove that it is worse by no more than the margin? Escapes by "
        "themselves, the others together by Holm's method.",
    )
    more_groups: int | None = Field(
        None, description="Groups that are missing to prove it, were they like these."
    )


class Comparison(Strict):
    """The champion on the same test parts; `not_run` is the reason where it was not run."""

    champion: str = Field(description="<recipe>/<version>, empty where there is none.")
    not_run: str = ""
    out_of_reach: bool = Field(
        False, description="There is a champion, or may be one, but it could not be run."
    )
    n: int = 0
    only_champion_right: int = 0
    only_challenger_right: int = 0
    mcnemar_p: float | None = Field(
        None,
        description="p-value of the exact two-sided McNemar test; the parts of a group count as "
        "one observation.",
    )
    figures: dict[str, Difference] = Field(
        default_factory=dict, description="escape_rate, overkill_rate, review_rate, accuracy, auroc"
    )
    sentence: str = Field(
        "", description="For a person: better, worse, or no significant difference."
    )


class GoldenMiss(Strict):
    """A part that must never be judged wrong, and was."""

    sample_id: str
    wanted: str
    verdict: str
    reason: str


class Golden(Strict):
    """data/<recipe>/golden.csv."""

    n: int
    misses: tuple[GoldenMiss, ...]
    splits: dict[str, int] = Field(
        default_factory=dict,
        description="Number of golden parts in train, val and test. Parts of train prove "
        "little, since the model has learned from them.",
    )

    @property
    def origin(self) -> str:
        """Where they come from, in words: "3 training, 1 validation and 2 test parts"."""
        names = {"train": "training", "val": "validation", "test": "test"}
        found = [
            f"{self.splits[key]} {name}" for key, name in names.items() if self.splits.get(key)
        ]
        *most, last = found or ["unknown"]
        return f"{', '.join(most)} and {last} parts" if most else f"{last} parts"


class Explained(Strict):
    """How the heat maps were made, and how much of them lies inside the defects' masks or boxes."""

    method: str
    n: int
    inside_mask: float | None = Field(
        None,
        description="Median share of attribution inside the mask, or the boxes; None without.",
    )
    area_of_mask: float | None = Field(
        None,
        description="Median share of the image that the mask covers, which is what chance would "
        "give.",
    )
    n_masks: int = 0


class SplitSummary(Strict):
    """How the data set was split, and whether training has seen test parts."""

    by: str = Field(description="What parts of a group have in common: module, batch, ...")
    n_groups: int = Field(description="Groups of the data set.")
    n_test_groups: int = Field(description="Groups of the test parts.")
    leak_checked: bool
    leaky: bool
    naive: dict[str, float | None] | None = Field(
        None,
        description="Figures of the same method on the data set's own split, where that leaks.",
    )


class Evaluation(Strict):
    """All of it."""

    gate: Gate
    something_passes: bool = Field(description="Has the recipe a class that passes?")
    split: SplitSummary
    promise: dict[str, bool | int | float | str | None] = Field(
        description="The policy's settings, its name as `policy`, `supported` (do the validation "
        "parts prove it?) and a sentence."
    )
    limits_from: dict[str, int | str | tuple[str, ...]] = Field(
        description="The parts that the limits were chosen on, and a sentence."
    )
    notes: tuple[str, ...] = Field(description="How the figures are to be read: sentences.")
    shift_parts: int = Field(1000, description="Parts of one shift, for people to picture rates.")
    slices: Slices
    robustness: Robustness | None
    comparison: Comparison
    golden: Golden | None
    explained: Explained | None
    review: ReviewOutlook | None = Field(
        None, description="Review share against promise, and what moves it; none without promises."
    )
    lineage: dict[str, str] = Field(
        description="git commit, dvc.lock hashes, package versions, bundle identity, ..."
    )
