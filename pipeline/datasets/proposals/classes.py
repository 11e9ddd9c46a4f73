"""Proposed classes: which labels mean a good part, and what happens to the others."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pipeline.contracts.sample import Sample
from pipeline.contracts.taxonomy import Disposition, Taxonomy
from pipeline.datasets.annotations.good_names import is_good
from pipeline.errors import DataError, choices, printable

SEVERITY = 5  # in the middle: nothing in the data shows what a defect costs
_UNSURE = frozenset({"unknown", "unsure", "uncertain", "doubtful", "unclear", "maybe", "review"})


@dataclass(frozen=True)
class ProposedClass:
    """One class and why it gets its disposition; `images` that show it."""

    name: str
    disposition: Disposition
    images: int
    reason: str

    @property
    def settings(self) -> dict[str, str | int]:
        """As taxonomy.yaml lists it."""
        found: dict[str, str | int] = {"name": self.name, "disposition": self.disposition.value}
        if self.disposition is not Disposition.PASS:
            found["severity"] = SEVERITY
        return found


def labels_of(samples: Iterable[Sample]) -> dict[str, int]:
    """The labels of a data set and how many images show each, in name order."""
    found: dict[str, int] = {}
    for sample in samples:
        boxed = (box.label for box in sample.boxes)
        for label in {*(sample.labels or (sample.label,)), *boxed}:
            found[label] = found.get(label, 0) + 1
    return dict(sorted(found.items()))


def propose_classes(images: Mapping[str, int], good: Sequence[str] = ()) -> list[ProposedClass]:
    """The classes that labels stand for, good ones first.

    Args:
        images: how many images show each label.
        good: labels of good parts, where they are known; else their names decide.

    Raises:
        DataError: one of `good` is not a label.
    """
    for label in good:
        if label not in images:
            raise DataError(f'no image has the class "{label}"; {choices(label, images)}')
    found = [_proposed(label, n, good) for label, n in images.items()]
    return sorted(found, key=lambda c: c.disposition is not Disposition.PASS)


def of_good_parts(classes: Sequence[ProposedClass]) -> bool:
    """Do all images show good parts, of one class? `method: normal` learns from these alone."""
    shown = [c for c in classes if c.images]
    return len(shown) == 1 and shown[0].disposition is Disposition.PASS


def with_odd_parts(classes: Sequence[ProposedClass]) -> list[ProposedClass]:
    """Good parts alone get a second class: what a part is called that is unlike them."""
    if not of_good_parts(classes) or len(classes) > 1:
        return list(classes)
    why = "what a part is called that is unlike the good ones; no image shows one yet"
    return [*classes, ProposedClass("defective", Disposition.SCRAP, 0, why)]


def _proposed(label: str, images: int, good: Sequence[str]) -> ProposedClass:
    if label in good:
        return ProposedClass(label, Disposition.PASS, images, "as you named it")
    if not good and is_good(label):
        return ProposedClass(label, Disposition.PASS, images, "by its name")
    if _UNSURE.intersection(re.findall(r"[^\W\d_]+", label.lower())):
        return ProposedClass(label, Disposition.REVIEW, images, "by its name a person has to look")
    reason = "the safe choice; rework where such a part can be mended"
    return ProposedClass(label, Disposition.SCRAP, images, reason)


def check_classes(
    classes: Sequence[ProposedClass], home: object, unlisted: Sequence[str] = ()
) -> Taxonomy:
    """The taxonomy of proposed classes.

    Args:
        classes: what is proposed, or decided.
        home: the folder, for the message.
        unlisted: images in it that no list names.

    Raises:
        DataError: there is one class only, none passes, or all do.
    """
    names = ", ".join(printable(c.name) for c in classes)
    beside = (
        f"; or, if the {len(unlisted)} image(s) that no list names, such as "
        f"{printable(unlisted[0])}, show good parts, give --set unlisted=good"
        if unlisted
        else ""
    )
    if len(classes) < 2:
        raise DataError(
            f"all images in {home} are {names}; training needs two classes: add images of "
            f"others; or, if they show good parts, give --good "
            f"{shlex.quote(classes[0].name) if classes else 'CLASS'}: such a recipe learns from "
            f"good parts alone{beside}"
        )
    passing = [c.name for c in classes if c.disposition is Disposition.PASS]
    if not passing:
        raise DataError(
            f"{home} has the classes {names}, and none of these names means a good part; name the "
            "one that passes with --good CLASS, or add images of good parts: a model that has "
            f"seen none can pass none{beside}"
        )
    if len(passing) == len(classes):
        raise DataError(
            f"{home} has the classes {names}, and all of them pass; name with --good only those "
            "whose parts are good"
        )
    return Taxonomy.model_validate({"classes": [c.settings for c in classes]})
