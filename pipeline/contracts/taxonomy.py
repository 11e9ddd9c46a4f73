"""The classes of a recipe and what happens to a part of each."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from pydantic import Field, model_validator

from pipeline.errors import DataError, choices
from pipeline.plugins import Strict


class Disposition(StrEnum):
    """What the plant does with a part of this class."""

    PASS = "pass"
    REWORK = "rework"
    SCRAP = "scrap"
    REVIEW = "review"


_GRAVITY = (Disposition.PASS, Disposition.REVIEW, Disposition.REWORK, Disposition.SCRAP)


class PartClass(Strict):
    """One class of parts."""

    name: str = Field(min_length=1, description="Name of the class in records and reports.")
    disposition: Disposition = Field(
        description="What happens to a part of this class: pass, rework, scrap or review."
    )
    severity: int = Field(
        0,
        ge=0,
        le=10,
        description="0 harmless to 10 dangerous; shown in reports. Of several defects of a part "
        "the gravest gives its class.",
    )
    aliases: tuple[str, ...] = Field(
        (), description="Other labels in the data that mean this class."
    )


class Taxonomy(Strict):
    """The ordered classes of a recipe; the order is that of the network's outputs."""

    classes: tuple[PartClass, ...] = Field(
        min_length=2, description="At least two classes, in the order of the network's outputs."
    )

    @model_validator(mode="after")
    def _labels_are_unique(self) -> Taxonomy:
        labels = [label for c in self.classes for label in (c.name, *c.aliases)]
        twice = sorted({label for label in labels if labels.count(label) > 1})
        if twice:
            raise ValueError(f"stands for more than one class: {', '.join(twice)}")
        if all(c.disposition is Disposition.PASS for c in self.classes):
            raise ValueError("every class passes: at least one needs rework, scrap or review")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """Class names in output order."""
        return tuple(c.name for c in self.classes)

    @property
    def good(self) -> tuple[str, ...]:
        """Names of the classes whose parts are good."""
        return tuple(c.name for c in self.classes if c.disposition is Disposition.PASS)

    @property
    def passing(self) -> tuple[bool, ...]:
        """For each class in output order: is a part of it good?"""
        return tuple(c.disposition is Disposition.PASS for c in self.classes)

    def index(self, label: str) -> int:
        """Position of the class that a label or an alias of it means.

        Raises:
            DataError: the label is unknown; the message lists the nearest spelling.
        """
        for i, c in enumerate(self.classes):
            if label == c.name or label in c.aliases:
                return i
        raise DataError(
            f'class "{label}" is not in the taxonomy; {choices(label, self.names)}, '
            "or add it (or an alias) to taxonomy.yaml"
        )

    def gravest(self, labels: Iterable[str]) -> str:
        """The name of the class that weighs most among those that labels mean.

        That is the one of highest severity; of several the one whose part is scrapped rather than
        reworked, reviewed or passed, then the one that stands last.

        Raises:
            DataError: a label is unknown.
        """
        positions = {self.index(label) for label in labels}
        return self.names[max(positions, key=self._weight)]

    def _weight(self, position: int) -> tuple[int, int, int]:
        c = self.classes[position]
        return c.severity, _GRAVITY.index(c.disposition), position
