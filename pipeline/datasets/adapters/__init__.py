"""One adapter a file; the file's name is what `source.type` selects in `ingest.yaml`.

An adapter module has `Config` (with a `Literal` type), `read(config) -> list[Sample]` (perhaps a
`listings.listing.Listing`, which also carries what a person should know) and
`root(config) -> Place`, the folder that sample paths are relative to, on disk or elsewhere. It may
have `recognise(tree) -> Recognition | None`, which answers whether a folder is laid out like this;
it raises DataError where the folder is, but with a fault.
"""

from __future__ import annotations

from collections import Counter
from pathlib import PurePosixPath
from typing import Protocol, cast

from pipeline.contracts.sample import Sample
from pipeline.datasets.annotations.recognition import Recognition, Tree
from pipeline.datasets.location import Place, is_folder, opened
from pipeline.errors import DataError, printable
from pipeline.imaging.codec import SUFFIXES
from pipeline.plugins import Plugin, PluginConfig

ADAPTERS = Plugin(__name__)
# One folder a class: any tree of folders looks like that, so it is asked last.
GENERAL = "folder"


class Adapter(Protocol):
    """What the module of an adapter offers."""

    Config: type[PluginConfig]

    def read(self, config: PluginConfig) -> list[Sample]:
        """List the samples; raises DataError when there are none."""

    def root(self, config: PluginConfig) -> Place:
        """The folder that the samples' paths are relative to, opened."""


def adapter(config: PluginConfig) -> Adapter:
    """The adapter that a configuration selects."""
    return cast(Adapter, ADAPTERS.module(config.type))


def recognise(home: Place, kind: str | None = None) -> Recognition:
    """How a folder is to be read, by looking at its files.

    Args:
        home: the folder, on disk or elsewhere.
        kind: the adapter that it is for; None: any.

    Raises:
        DataError: there is no such folder, it has no images, or its layout is not known, fits more
            than one adapter or has a fault; the message names what was seen and what to do.
    """
    if not is_folder(opened(home)):
        raise DataError(f"{home} is not a folder; name the one that holds the images")
    tree = Tree(home)
    if not tree.images:
        raise DataError(f"{home} has no image; known endings: {' '.join(sorted(SUFFIXES))}")
    if kind is not None:
        return _as(kind, tree)
    found: list[Recognition] = []
    faults: list[DataError] = []
    for name in ADAPTERS.names():
        look = getattr(ADAPTERS.module(name), "recognise", None)
        if look is None or name == GENERAL:
            continue
        try:
            seen: Recognition | None = look(tree)
        except DataError as fault:
            faults.append(fault)
        else:
            found += [] if seen is None else [seen]
    if len(found) > 1:
        kinds = "; ".join(f"{seen.source.type}: {seen.reason}" for seen in found)
        raise DataError(
            f"{home} can be read in {len(found)} ways ({kinds}); name one, with --type or as "
            "source.type in ingest.yaml, or move the files of the others away"
        )
    if found:
        return found[0]
    if faults:
        raise faults[0]
    general: Recognition | None = ADAPTERS.module(GENERAL).recognise(tree)
    if general is None:
        raise DataError(
            f"{home} has a layout that is not known: {_seen(tree)}; expected one folder a class, "
            f"or a layout of {', '.join(n for n in ADAPTERS.names() if _recognises(n))} "
            f"(docs/data.md shows each){_of_one_folder(tree)}"
        )
    return general


def _as(kind: str, tree: Tree) -> Recognition:
    if not _recognises(kind):
        raise DataError(f"{kind} needs more than a folder; describe it in ingest.yaml")
    seen: Recognition | None = ADAPTERS.module(kind).recognise(tree)
    if seen is None:
        raise DataError(
            f"{tree.home} is not laid out as {kind} has it: {_seen(tree)} (docs/data.md shows it); "
            "describe it in ingest.yaml if it differs"
        )
    return seen


def _recognises(name: str) -> bool:
    return hasattr(ADAPTERS.module(name), "recognise")


def _of_one_folder(tree: Tree) -> str:
    if len({path.parent for path in tree.images}) > 1:
        return ""
    return (
        "; where all of them are good parts, move them into a folder `good` below this one: the "
        'recipe then learns from these alone (docs/training.md, "Only good parts")'
    )


def _seen(tree: Tree) -> str:
    """The folders with most images and the kinds of other files, in words."""
    homes = Counter(path.parent for path in tree.images).most_common(4)
    where = ", ".join(f"{n} image(s) in {_named(home)}" for home, n in homes)
    others = Counter(p.suffix.lower() for p in tree.files if p.suffix.lower() not in SUFFIXES)
    beside = ", ".join(f"{n} {kind or 'without ending'}" for kind, n in others.most_common(4))
    return where + (f", and beside them {beside}" if beside else "")


def _named(home: PurePosixPath) -> str:
    return "the folder itself" if home == PurePosixPath() else printable(home.as_posix())
