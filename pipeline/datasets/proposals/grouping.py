"""Proposed groups: which images show one part, by the data set itself or its file names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.contracts.sample import Sample
from pipeline.datasets.grouping import FEWEST, Automatic, Grouping, Pattern, SourceGroups

MOST_VIEWS = 16  # images of one part; more that share a name are a series, not views
SHARE_OF_VIEWS = 0.3  # of the parts at least that have several images
# A name with a digit, which identifies the part, then perhaps the view of it.
_VIEW = "|".join(
    (
        *("front", "back", "rear", "top", "bottom", "left", "right", "side", "upper", "lower"),
        *("[a-z]", r"\d{1,2}"),
        r"(?:cam|camera|view|img|image|shot|pic|pos|angle)[ _-]?\d+",
    )
)
VIEWS = re.compile(rf"([^/]*?\d[^/]*?)(?:[ _-]((?i:{_VIEW})))?\.[^./]+$")
_TIME = re.compile(r"20\d{6}([-_])\d{6}")


@dataclass(frozen=True)
class ProposedGroups:
    """What keeps images of one part together.

    Attributes:
        choice: the setting.
        reason: why, in words.
        alternative: another setting that may fit better, "" where none is seen.
    """

    choice: Grouping
    reason: str
    alternative: str = ""

    @property
    def settings(self) -> dict[str, str]:
        """As `split.groups` of ingest.yaml has it."""
        if isinstance(self.choice, Pattern):
            return {"by": "pattern", "pattern": self.choice.pattern.pattern}
        return {"by": self.choice.by}


def propose_groups(samples: Sequence[Sample]) -> ProposedGroups:
    """Groups of the data set itself, else views of one part by their names, else look-alikes."""
    own = Counter(s.group for s in samples)
    if FEWEST <= len(own) < len(samples):
        reason = f"the data set itself names {len(own)} groups of its {len(samples)} images"
        return ProposedGroups(SourceGroups(by="source"), reason)
    if views := _views(samples):
        pattern, n, example = views
        reason = (
            f"file names look like several views of one part ({example}): {len(samples)} images of "
            f"{n} parts. Not so? Then by: automatic"
        )
        return ProposedGroups(Pattern(by="pattern", pattern=re.compile(pattern)), reason)
    return automatic(samples)


def automatic(samples: Sequence[Sample]) -> ProposedGroups:
    """Only what looks alike, where nothing names the part."""
    reason = (
        "nothing names the part that an image shows, so only near-duplicates are kept together. "
        "Where several images show one part, define it: by: pattern, blocks, time or source "
        "(docs/data.md)"
    )
    marks = {found[1] if (found := _TIME.search(s.path)) else "" for s in samples}
    alternative = ""
    if len(marks) == 1 and (mark := marks.pop()):
        alternative = (
            f'groups: {{by: time, gap_s: 30, clock: name, format: "%Y%m%d{mark}%H%M%S", '
            f'pattern: "(20\\\\d{{6}}{mark}\\\\d{{6}})"}}   # the file names hold times'
        )
    return ProposedGroups(Automatic(by="automatic"), reason, alternative)


def _views(samples: Sequence[Sample]) -> tuple[str, int, str] | None:
    """A pattern of parts, their number and file names of one; None where no name shows a view."""
    parts: dict[str, list[tuple[str, str]]] = {}  # view and file name of each image
    for sample in samples:
        match = VIEWS.search(sample.path)
        if match is None:
            return None
        name = sample.path.rpartition("/")[2]
        parts.setdefault(match[1], []).append((match[2] or "", name))
    several = [images for images in parts.values() if len(images) > 1]
    if len(parts) < FEWEST or len(several) < SHARE_OF_VIEWS * len(parts):
        return None
    if not all(len(images) <= MOST_VIEWS and _are_views(images) for images in several):
        return None
    pattern = _pattern({view for images in parts.values() for view, _ in images})
    if any(_part(re.compile(pattern), s.path) != _part(VIEWS, s.path) for s in samples):
        pattern = VIEWS.pattern
    return pattern, len(parts), ", ".join(name for _, name in several[0][:2])


def _part(pattern: re.Pattern[str], path: str) -> str | None:
    match = pattern.search(path)
    return None if match is None else match[1]


def _pattern(views: set[str]) -> str:
    """Of names that end with one of these views; an empty one means that some have none."""
    endings = sorted({re.sub(r"\d+", r"\\d+", view) for view in views if view})
    return rf"([^/]*?\d[^/]*?)(?:[ _-](?:{'|'.join(endings)})){'?' if '' in views else ''}\.[^./]+$"


def _are_views(images: Sequence[tuple[str, str]]) -> bool:
    """Does each have a view of its own, and are those that are numbers counted from the first?

    Folders of classes that number their images from 1 have the same names; a series has gaps.
    """
    views = [view for view, _ in images]
    if len(set(views)) < len(views):
        return False
    numbers = sorted(int(view) for view in views if view.isdecimal())
    first = 2 if "" in views else 1  # a name without a number, then _2
    return not numbers or (numbers[0] <= first and numbers[-1] - numbers[0] == len(numbers) - 1)
