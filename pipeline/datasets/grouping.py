"""Grouping of images: which images show one part, module or shot, by `split.groups`.

A group never stands on two sides of a split. Identical images, and near-duplicates where
`split.near_duplicates` is set, are joined afterwards whatever the choice.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from pipeline.contracts.sample import Sample
from pipeline.datasets import location
from pipeline.datasets.location import Place
from pipeline.errors import DataError, MissingExtra, UnreadableImage
from pipeline.imaging.codec import is_blank
from pipeline.plugins import Strict

# Train, val and test need one each.
FEWEST = 3

# Exif 2.32, tags 0x8769 (the IFD of the exposure) and 0x9003 in it.
_EXPOSURE, _DATE_TIME_ORIGINAL = 0x8769, 0x9003
_EXIF_FORMAT = "%Y:%m:%d %H:%M:%S"


class SourceGroups(Strict):
    """The groups that the data set names itself, such as a column of a CSV file."""

    by: Literal["source"] = Field(
        description="The groups that the data set gives, such as a CSV's column."
    )

    def words(self, samples: Sequence[Sample]) -> str:
        """Description of a group, for the report."""
        if len({s.group for s in samples}) == len(samples):
            return "image (the data set names no groups)"
        return "groups that the data set names"

    def groups(self, samples: Sequence[Sample], root: Place) -> list[str]:
        """The group of each sample."""
        return [s.group for s in samples]


class Pattern(Strict):
    """Images in whose path a pattern reads the same."""

    by: Literal["pattern"] = Field(description="A regular expression on the path.")
    pattern: re.Pattern[str] = Field(
        description="Regular expression found in the POSIX path below the source's root; images "
        "for which its first parenthesis (without one, the whole match) reads the same show one "
        "part."
    )

    def words(self, samples: Sequence[Sample]) -> str:
        """Description of a group, for the report."""
        return f"part named in the path by {self.pattern.pattern}"

    def groups(self, samples: Sequence[Sample], root: Place) -> list[str]:
        """The group of each sample; raises DataError where the path does not give it."""
        return _matches(self.pattern, samples, "which part it shows")


class Blocks(Strict):
    """Neighbouring images: in many data sets images of one capture session are neighbours."""

    by: Literal["blocks"] = Field(description="Blocks of neighbouring images.")
    images: int = Field(
        ge=1, description="Number of images in a block, in the order of the source."
    )
    within: Literal["folder", "variant"] | None = Field(
        None,
        description="Start again in each folder (where no neighbours lie in two folders) or "
        "in each product variant (where variants take turns). None: through the whole data set.",
    )

    def words(self, samples: Sequence[Sample]) -> str:
        """Description of a group, for the report."""
        where = f" of a {self.within}" if self.within else ""
        return f"blocks of {self.images} neighbouring images{where}"

    def groups(self, samples: Sequence[Sample], root: Place) -> list[str]:
        """The group of each sample, named by the first row of its block."""
        seen: Counter[str] = Counter()
        first: dict[tuple[str, int], str] = {}
        found = []
        for row, sample in enumerate(samples):
            run = _run(sample, self.within)
            block = run, seen[run] // self.images
            seen[run] += 1
            found.append(first.setdefault(block, f"rows-{row:05d}"))
        return found


class Time(Strict):
    """Images taken shortly after each other."""

    by: Literal["time"] = Field(description="Pauses between captures.")
    gap_s: float = Field(
        gt=0,
        allow_inf_nan=False,
        description="Largest pause in seconds between two images of one group.",
    )
    clock: Literal["name", "exif", "modified"] = Field(
        description="Where the capture time is. name: in the path, see `pattern` and `format`; "
        "exif: in the image's EXIF header, to the second; modified: the file's time of change, "
        "which some copies do not keep.",
    )
    pattern: re.Pattern[str] | None = Field(
        None,
        description="For clock name: regular expression whose first parenthesis (without one, "
        "the whole match) is the time.",
    )
    format: str | None = Field(
        None, description="For clock name: format of the time, such as %Y%m%d-%H%M%S (strptime)."
    )

    @field_validator("format")
    @classmethod
    def _reads_what_it_writes(cls, given: str | None) -> str | None:
        if given is None:
            return None
        moment = datetime(2026, 11, 22, 13, 14, 15, 161718, UTC)
        try:
            datetime.strptime(moment.strftime(given), given)
        except (ValueError, re.error) as error:
            raise ValueError(f"is not a format of a time: {error}") from None
        return given

    @model_validator(mode="after")
    def _check_name_format(self) -> Time:
        given = [key for key in ("pattern", "format") if getattr(self, key) is not None]
        if self.clock == "name" and len(given) < 2:
            raise ValueError(
                "clock: name needs pattern and format, such as pattern: (\\d{8}-\\d{6}) and "
                'format: "%Y%m%d-%H%M%S"'
            )
        if self.clock != "name" and given:
            raise ValueError(f"clock: {self.clock} has no use for {' and '.join(given)}; remove it")
        return self

    def words(self, samples: Sequence[Sample]) -> str:
        """Description of a group, for the report."""
        clock = {"name": "in the path", "exif": "in EXIF", "modified": "of the file"}[self.clock]
        return f"captures at most {self.gap_s:g} s apart (time {clock})"

    def groups(self, samples: Sequence[Sample], root: Place) -> list[str]:
        """The group of each sample, named by when it began.

        Raises:
            DataError: a sample has no capture time, or the files' own is asked for and they are
                not on disk.
        """
        taken = self._times(samples, root)
        order = sorted((time, row) for row, time in enumerate(taken) if time is not None)
        found = [s.group for s in samples]
        name, before = "", -float("inf")
        for time, row in order:
            if time - before > self.gap_s:
                name = f"from-{datetime.fromtimestamp(time, UTC).isoformat()}"
            found[row], before = name, time
        return found

    def _times(self, samples: Sequence[Sample], root: Place) -> list[float | None]:
        """Seconds since 1970 of each sample; None for a file that is not an image."""
        if self.clock == "modified":
            if not isinstance(root, Path):
                raise DataError(
                    f"split.groups.clock: modified in ingest.yaml needs files on disk, not {root}; "
                    "set clock: name or exif"
                )
            return [_modified(root / s.path) for s in samples]
        if self.clock == "exif":
            return _exposed(samples, root)
        assert self.pattern is not None
        assert self.format is not None
        texts = _matches(self.pattern, samples, "when it was taken")
        return [
            _seconds(text, self.format, f"{s.path}: its time by split.groups.pattern")
            for text, s in zip(texts, samples, strict=True)
        ]


class Automatic(Strict):
    """Each image is its own group; only near-duplicates belong together."""

    by: Literal["automatic"] = Field(description="Clusters of near-duplicates alone.")

    def words(self, samples: Sequence[Sample]) -> str:
        """Description of a group, for the report."""
        return "clusters of near-duplicates"

    def groups(self, samples: Sequence[Sample], root: Place) -> list[str]:
        """A group for each sample."""
        return [s.id for s in samples]


Grouping = Annotated[SourceGroups | Pattern | Blocks | Time | Automatic, Field(discriminator="by")]


def regroup(choice: Grouping, samples: Sequence[Sample], root: Place) -> list[Sample]:
    """The samples with the groups that were chosen.

    Raises:
        DataError: a sample's group cannot be found, or more than two images make fewer than three
            groups.
    """
    groups = choice.groups(samples, root)
    n_groups = len(set(groups))
    if n_groups < FEWEST <= len(samples):
        raise DataError(
            f"split.groups in ingest.yaml ({choice.words(samples)}) makes {n_groups} group(s) of "
            f"{len(samples)} images; train, val and test need one each: {_REMEDIES[choice.by]}"
        )
    return [replace(s, group=group) for s, group in zip(samples, groups, strict=True)]


_REMEDIES = {
    "source": "name more groups, or choose groups by pattern, blocks, time or automatic",
    "pattern": "let the pattern read more of the path, or give more parts",
    "blocks": "lower split.groups.images, or give more images",
    "time": "lower split.groups.gap_s, or give images of more sessions",
    "automatic": "give more images",
}


def _matches(pattern: re.Pattern[str], samples: Sequence[Sample], purpose: str) -> list[str]:
    """What the pattern reads in each path."""
    found = [pattern.search(s.path) for s in samples]
    texts = [(m[1] if pattern.groups else m[0]) if m else "" for m in found]
    silent = [s.path for s, text in zip(samples, texts, strict=True) if not text]
    if silent:
        raise DataError(
            f"split.groups.pattern {pattern.pattern} in ingest.yaml reads nothing in "
            f"{len(silent)} of {len(samples)} paths, such as {silent[0]}, so nothing gives "
            f"{purpose}; mend the pattern or rename the files"
        )
    return texts


def _run(sample: Sample, within: Literal["folder", "variant"] | None) -> str:
    """Images are counted through in each of these; never past the end of a given split."""
    if within == "folder":
        return PurePosixPath(sample.path).parent.as_posix()
    return f"{sample.split}/{sample.variant if within == 'variant' else ''}"


def _seconds(text: str, form: str, what: str) -> float:
    try:
        time = datetime.strptime(text, form)
        return time.replace(tzinfo=time.tzinfo or UTC).timestamp()
    except (ValueError, OverflowError) as error:
        raise DataError(f"{what} does not fit the time format {form}: {error}") from None


def _modified(place: Place) -> float | None:
    try:
        return float(place.stat().st_mtime)
    except OSError:
        return None


def _exposed(samples: Sequence[Sample], root: Place) -> list[float | None]:
    """Capture times by the clocks of the cameras."""
    texts = [_date_time_original(root / s.path) for s in samples]
    silent = [s.path for s, text in zip(samples, texts, strict=True) if text == ""]
    if silent:
        raise DataError(
            f"{len(silent)} of {len(samples)} images have no EXIF DateTimeOriginal, such as "
            f"{silent[0]}; set split.groups.clock in ingest.yaml to name or modified, or group by "
            "something else"
        )
    return [
        None
        if text is None
        else _seconds(text, _EXIF_FORMAT, f"{s.path}: its EXIF DateTimeOriginal")
        for text, s in zip(texts, samples, strict=True)
    ]


def _date_time_original(place: Place) -> str | None:
    """As EXIF writes it, "" where it does not; None for a file that is not an image."""
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingExtra("pillow", "split.groups with clock: exif", "train") from error
    try:
        data = location.image(place, str(place))
    except UnreadableImage:
        return None
    try:
        with Image.open(BytesIO(data)) as image:
            text = image.getexif().get_ifd(_EXPOSURE).get(_DATE_TIME_ORIGINAL, "")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        # Ingest quarantines what it cannot decode, and an image alone in its group does no harm.
        return "" if _is_image(data) else None
    return str(text).strip("\0 ")


def _is_image(data: bytes) -> bool:
    try:
        is_blank(data)  # at any depth
    except UnreadableImage:
        return False
    return True
