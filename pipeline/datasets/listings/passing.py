"""The check that good parts can be known: each class that passes has images."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from pipeline.contracts.taxonomy import Taxonomy
from pipeline.datasets.listings.listing import some
from pipeline.datasets.location import Place
from pipeline.errors import DataError


def check_passing(
    found: Collection[str], taxonomy: Taxonomy, root: Place, unlisted: Collection[str] = ()
) -> None:
    """Check that each class that passes has an image.

    A taxonomy of which none passes names kinds of defects: parts are classified, and none passes.

    Args:
        found: the classes of which there are images.
        taxonomy: the recipe's classes.
        root: the folder of the images, for the message.
        unlisted: images that no list names, for the message.

    Raises:
        DataError: a class that passes has no image.
    """
    empty = [name for name in taxonomy.good if name not in found]
    if not empty:
        return
    beside = (
        f"{len(unlisted)} image(s) there are not listed: {some(list(unlisted))}; if they are good "
        "parts, set source.unlisted: good in ingest.yaml; else "
        if unlisted
        else ""
    )
    raise DataError(
        f"no image in {root} is {' or '.join(empty)}, which passes (taxonomy.yaml): without "
        f"images of good parts no limit can be chosen; {beside}add images of it, give it the "
        "alias that the data use, or remove it"
    )


def nothing_passes(taxonomy: Taxonomy) -> list[str]:
    """A sentence where no class passes, none elsewhere."""
    if taxonomy.good:
        return []
    return [
        f"no class in taxonomy.yaml passes ({', '.join(taxonomy.names)}): kinds of defects are "
        "classified, no part can pass and no limit is chosen; if there are good parts, give their "
        "class `disposition: pass`"
    ]


def check_several(names: Sequence[str], taxonomy: Taxonomy, root: Place, n_damaged: int) -> None:
    """Check that the images are of two classes at least.

    Args:
        names: the class of each image.
        taxonomy, root: as of `check_passing`.
        n_damaged: images that cannot be read, for the message.

    Raises:
        DataError: all are of one class.
    """
    if len({*names}) != 1:
        return
    others = ", ".join(n for n in taxonomy.names if n != names[0])
    alone = names[0] in taxonomy.good
    raise DataError(
        f"all {len(names)} readable images in {root} are {names[0]} ({n_damaged} are quarantined); "
        f"training needs two classes: add images of {others}"
        + (
            ", or set method: normal in train.yaml, which learns from good parts alone"
            if alone
            else ""
        )
    )
