"""The samples of a data set with what else was found on the way: the result of an adapter."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from pipeline.contracts.sample import Sample
from pipeline.datasets.never_parts import PassedOver
from pipeline.errors import printable

NAMED = 20  # of paths in one message


class Listing(list[Sample]):
    """The samples of a data set, and what a person should know about how they were read.

    Attributes:
        notes: sentences on what was read in another way than it was written, or left out.
        passed_over: files in the tree that never are parts.
        unlisted: images in the tree that the list of images does not name and that are left out.
    """

    def __init__(
        self,
        samples: Iterable[Sample] = (),
        notes: Iterable[str] = (),
        passed_over: PassedOver | None = None,
        unlisted: Sequence[str] = (),
    ) -> None:
        super().__init__(samples)
        self.notes = list(notes)
        self.passed_over = passed_over if passed_over is not None else PassedOver()
        self.unlisted = list(unlisted)

    @classmethod
    def of(cls, samples: list[Sample]) -> Listing:
        """What an adapter returned, which may be a plain list."""
        return samples if isinstance(samples, Listing) else cls(samples)

    def lines(self) -> list[str]:
        """All that a person should know, a line each."""
        left_out = (
            f"{len(self.unlisted)} image(s) beside those that are listed are left out: "
            f"{some(self.unlisted)}"
            if self.unlisted
            else ""
        )
        return [line for line in (*self.notes, left_out, self.passed_over.sentence()) if line]

    def report(self) -> dict[str, Any]:
        """The same as plain data."""
        return {
            "notes": self.notes,
            "passed_over": self.passed_over.report(),
            "unlisted": {"n": len(self.unlisted), "paths": list(map(printable, self.unlisted))},
        }


def some(paths: Sequence[str], most: int = NAMED) -> str:
    """The first paths, and how many more there are."""
    more = f" and {len(paths) - most} more" if len(paths) > most else ""
    return ", ".join(map(printable, paths[:most])) + more
