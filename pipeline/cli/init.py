"""`lineside init`: a recipe for a folder of images, proposed by looking at it."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.data import Layout, source_of
from pipeline.cli.screen import err, print_line
from pipeline.errors import DataError, MissingExtra, printable

if TYPE_CHECKING:
    from pipeline.contracts.sample import Sample
    from pipeline.contracts.taxonomy import Disposition
    from pipeline.datasets.annotations.recognition import Recognition
    from pipeline.datasets.checks.examination import Examination
    from pipeline.datasets.listings.listing import Listing
    from pipeline.datasets.location import Place
    from pipeline.datasets.proposals.classes import ProposedClass
    from pipeline.datasets.proposals.grouping import ProposedGroups
    from pipeline.datasets.proposals.pixels import ProposedPixels
    from pipeline.datasets.proposals.recipe import ProposedRecipe


def init(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the recipe shall be called.")],
    folder: Annotated[str, typer.Argument(metavar="DIR", help="Where the images are.")],
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Take what is proposed; needed without a terminal.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Replace the files of a recipe that is there.")
    ] = False,
    kind: Layout = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="A setting of `source` in ingest.yaml, such as missing_mask=good.",
        ),
    ] = None,
    good: Annotated[
        list[str] | None,
        typer.Option("--good", metavar="CLASS", help="A class whose parts pass; may be repeated."),
    ] = None,
) -> None:
    """Look at a folder of images and write a recipe for it, ready for `dvc repro`."""
    try:
        from pipeline.datasets.adapters import adapter
        from pipeline.datasets.proposals import recipe as recipes
        from pipeline.datasets.proposals.classes import of_good_parts
    except ImportError as error:
        raise MissingExtra(error.name or "pandas", "lineside init", "train") from error
    asks = not yes
    if asks and not sys.stdin.isatty():
        raise DataError(
            "nobody can be asked without a terminal; give --yes to take what is proposed"
        )
    recipes.check_name(name)
    templates = recipes.templates()
    recipes.listed(name)
    home = recipes.RECIPES.parent / name
    if home.exists() and not force:
        raise DataError(
            f"{home} is there already; choose another name, or give --force to replace what init "
            "writes there"
        )
    found = _set(source_of(folder, kind), settings or [])
    print_line(f"read as {found.source.type}: {found.reason}")
    root = adapter(found.source).root(found.source)
    samples = _listing(found, root)
    for line in samples.lines():
        print_line(line)
    classes = _classes(samples, good or [], asks=asks)
    if of_good_parts(classes):
        templates |= recipes.templates_of_good_parts()
        print_line(
            "all images show good parts: the recipe learns from these alone (train.yaml, method: "
            "auto), and becomes a classifier when enough bad parts are known"
        )
    groups = _groups(samples, asks=asks)
    seen = _seen(name, samples, root, classes, groups)
    pixels = _pixels(seen, root, asks=asks)
    split, why, doubts = recipes.propose_split(seen, classes)
    command = shlex.join(["lineside", *sys.argv[1:]])
    proposal = recipes.ProposedRecipe(
        *(command, found, len(samples), classes, groups, pixels, split, why, doubts)
    )
    _show(proposal)
    files = {**proposal.files(name), **templates}
    if asks and not typer.confirm(f"Write {len(files)} files to {home}?", default=True):
        raise typer.Exit(1)
    recipes.write_recipe(name, files)
    print_line(f"written: {home} ({', '.join(sorted(files))}); listed in {recipes.RECIPES}")
    print_line(f"next: dvc repro register@{name}   (or make repro for all recipes)")


def _set(found: Recognition, settings: Sequence[str]) -> Recognition:
    """The recognised source with what `--set` changes."""
    import yaml
    from pydantic import ValidationError

    from pipeline.datasets.adapters import ADAPTERS

    wanted = found.settings
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or key == "type":
            raise DataError(f'--set "{setting}" is not KEY=VALUE, such as missing_mask=good')
        try:
            wanted[key] = yaml.safe_load(value)
        except yaml.YAMLError:
            wanted[key] = value
    try:
        return replace(found, source=ADAPTERS.configure(wanted)) if settings else found
    except ValidationError as error:
        (first, *_) = error.errors(include_url=False)
        where = ".".join(map(str, first["loc"]))
        raise DataError(f"--set {where}: {first['msg']}") from None


def _listing(found: Recognition, root: Place) -> Listing:
    """The images of a data set; raises DataError where they cannot be listed, with a remedy."""
    from pipeline.datasets.adapters import adapter
    from pipeline.datasets.listings.listing import Listing
    from pipeline.datasets.listings.mask_twins import refuse_masks

    try:
        samples = Listing.of(adapter(found.source).read(found.source))
        refuse_masks(samples, root)
    except DataError as error:
        if "source" not in str(error):
            raise
        raise DataError(
            f"{error} (lineside init takes settings of source as --type TYPE and --set KEY=VALUE)"
        ) from None
    return samples


def _classes(samples: Sequence[Sample], good: Sequence[str], *, asks: bool) -> list[ProposedClass]:
    from pipeline.datasets.proposals.classes import labels_of, propose_classes, with_odd_parts

    images = labels_of(samples)
    classes = propose_classes(images, good)
    return with_odd_parts([_asked(c) for c in classes] if asks else classes)


def _asked(proposed: ProposedClass) -> ProposedClass:
    """The class with what a person answers."""
    question = f"{printable(proposed.name)} ({proposed.images} images): pass, rework, scrap, review"
    disposition: Disposition = typer.prompt(
        question, proposed.disposition.value, value_proc=_disposition
    )
    if disposition is proposed.disposition:
        return proposed
    return replace(proposed, disposition=disposition, reason="as you decided")


def _disposition(answer: str) -> Disposition:
    from pipeline.contracts.taxonomy import Disposition

    try:
        return Disposition(answer.strip().lower())
    except ValueError:
        raise typer.BadParameter(f"{printable(answer)} is none of these") from None


def _groups(samples: Sequence[Sample], *, asks: bool) -> ProposedGroups:
    from pipeline.datasets.proposals.grouping import automatic, propose_groups

    groups = propose_groups(samples)
    if asks and groups.choice.by == "pattern":
        print_line(groups.reason)
        if not typer.confirm("Keep these together?", default=True):
            return automatic(samples)
    return groups


def _seen(
    name: str,
    samples: Listing,
    root: Place,
    classes: Sequence[ProposedClass],
    groups: ProposedGroups,
) -> Examination:
    """All images, read once; ingest finds them in its cache."""
    from rich.progress import track

    from pipeline.datasets.annotations.classes import classified
    from pipeline.datasets.checks.examination import examine
    from pipeline.datasets.grouping import regroup
    from pipeline.datasets.proposals.classes import check_classes
    from pipeline.datasets.scan_cache import ScanCache
    from pipeline.files import cache_folder

    taxonomy = check_classes(classes, root, samples.unlisted)
    rows = regroup(groups.choice, classified(samples, taxonomy, root), root)
    seen = examine(
        rows,
        root,
        watch=lambda scans, total: track(
            scans, "reading images", total, console=err, transient=True, disable=not err.is_terminal
        ),
        cache=ScanCache(cache_folder("scans") / f"{name}.parquet", root),
    )
    if not seen.scans:
        raise DataError(
            f"none of the {len(samples)} images in {root} can be read: {seen.damaged[0].fault}"
        )
    return seen


def _pixels(seen: Examination, root: Place, *, asks: bool) -> ProposedPixels:
    from pipeline.datasets.proposals.pixels import propose_pixels

    pixels = propose_pixels(seen.scans, root)
    if asks and pixels.spec.tiles is not None:
        print_line(f"{pixels.spec.n_tiles} tiles an image: {pixels.reasons['tiles']}")
        if not typer.confirm("Cut images into tiles?", default=True):
            return pixels.without_tiles
    return pixels


def _show(proposal: ProposedRecipe) -> None:
    for c in proposal.classes:
        print_line(f"class {c.name}: {c.images} image(s), {c.disposition.value} ({c.reason})")
    print_line(f"groups by {proposal.groups.choice.by}: {proposal.groups.reason}")
    if proposal.split_reason:
        print_line(f"split: {proposal.split_reason}")
    spec, why = proposal.pixels.spec, proposal.pixels.reasons
    tiles = "" if spec.tiles is None else f", {spec.tiles.rows} x {spec.tiles.columns} tiles"
    print_line(f"pixels: {spec.colour}, {spec.width_px}x{spec.height_px}, {spec.fit}{tiles}")
    for key in ("colour", "size", "tiles"):
        if key in why:
            print_line(f"  {key}: {why[key]}")
    for line in proposal.pixels.after.lines:
        print_line(f"  {line}")
    if proposal.pixels.roi is not None:
        print_line(f"  {proposal.pixels.advice[-1]}")
    print_line(f"  {proposal.pixels.cost}")
    for doubt in proposal.doubts:
        print_line(f"doubt: {doubt}")
