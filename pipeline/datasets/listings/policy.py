"""What becomes of images that lie beside those that a list names, but that it does not name."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pipeline.contracts.sample import Sample
from pipeline.datasets.listings.finder import Found
from pipeline.datasets.listings.listing import Listing, some
from pipeline.datasets.location import Place
from pipeline.errors import DataError

Unlisted = Annotated[
    Literal["good", "error", "ignore"] | None,
    Field(
        description="What images count as that lie beside those in the file, but that it does not "
        "name: good parts, an error, or nothing (ignore). None: they are left out and named, and "
        "ingest stops where a class that passes would have no image without them."
    ),
]


def complete(
    samples: list[Sample], found: Found, policy: Unlisted, good: str, file: Place, root: Place
) -> Listing:
    """The listing of an adapter whose images a file names.

    Args:
        samples: those of the images that are named.
        found: what was found on disk.
        policy: the setting `unlisted`.
        good: the label of good parts.
        file: the list of images.
        root: the folder that paths are relative to.

    Raises:
        DataError: there are images that the file does not name and the setting is `error`.
    """
    listing = Listing(samples, found.notes, found.passed_over, found.unlisted)
    if not found.unlisted:
        return listing
    sentence = f"{len(found.unlisted)} image(s) in {root} that {file} does not list"
    if policy == "error":
        raise DataError(
            f"{sentence}: {some(found.unlisted)}; add them to the file, move them away, or set "
            f'source.unlisted in ingest.yaml to good (they are "{good}") or ignore'
        )
    if policy == "good":
        listing += [Sample(path, path, good, path) for path in found.unlisted]
        listing.notes.append(f'{sentence} count as "{good}": {some(found.unlisted, 3)}')
        listing.unlisted = []
    return listing
