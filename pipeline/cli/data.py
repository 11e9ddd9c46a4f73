"""`lineside data`: inspect a data set before writing YAML."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from pipeline.cli.screen import err, out, print_line
from pipeline.errors import DataError, MissingExtra, choices, printable

if TYPE_CHECKING:
    from pipeline.datasets.annotations.recognition import Recognition
    from pipeline.datasets.proposals.pixels import ProposedPixels
    from pipeline.datasets.scanning import Scan

LINES = 10

Layout = Annotated[
    str | None,
    typer.Option(
        "--type",
        help="Layout of the folder: the name of an adapter. None: recognised by its files.",
    ),
]

data = typer.Typer(help="Inspect a data set before training.", no_args_is_help=True)


@data.callback()
def group() -> None:
    """Keep `check` a command of its own name while it is the only one."""


@data.command("check")
def check_data(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="Where the images are.")],
    kind: Layout = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
    page: Annotated[
        Path | None,
        typer.Option(
            "--html", metavar="FILE", help="Also write an HTML page with pictures to this file."
        ),
    ] = None,
) -> None:
    """Look for damage, copies, conflicts, leaks and wrong labels; exit 1 when leaky or corrupt."""
    try:
        from pipeline.datasets.adapters import adapter
        from pipeline.datasets.annotations import weights
        from pipeline.datasets.checks.examination import examine
        from pipeline.datasets.listings.listing import Listing
        from pipeline.datasets.listings.mask_twins import refuse_masks
        from pipeline.datasets.proposals.pixels import propose_pixels
        from pipeline.reporting.validation import render
    except ImportError as error:
        raise MissingExtra(error.name or "pandas", "lineside data check", "train") from error
    if page:
        _check_writable(page)
    found = source_of(folder, kind)
    config = found.source
    source = adapter(config)
    listing = Listing.of(source.read(config))
    refuse_masks(listing, source.root(config))
    seen = examine(listing, source.root(config), watch=_progress if err.is_terminal else None)
    notes = [*seen.notes, *weights.note([s.sample.weight for s in seen.scans]), *listing.lines()]
    if any(s.sample.defect_probability is not None for s in seen.scans):
        notes.append("the annotators' belief is known: `weights: belief` in ingest.yaml uses it")
    splits = [s.sample.split for s in seen.scans]
    report = {
        "source": found.settings,
        "recognised": found.reason,
        **seen.report(splits),
        **listing.report(),
    }
    pixels = propose_pixels(seen.scans, source.root(config)) if seen.scans else None
    report["pictures"] = None if pixels is None else _fit(pixels)
    if page:
        _write(page, render(seen, splits, report, source.root(config), title=folder, notes=notes))
    if as_json:
        typer.echo(json.dumps(report, indent=2, ensure_ascii=False))
    else:
        print_line(f"read as {config.type}: {found.reason}")
        _show(folder, report)
        _show_fit(report["pictures"])
        for line in notes:
            print_line(line)
        if page:
            print_line(f"page: {page}")
    if report["leaky"] or report["corrupt"]:
        raise typer.Exit(1)


def source_of(folder: str, kind: str | None) -> Recognition:
    """The settings of the adapter that was named, or of the one whose layout the folder has."""
    from pydantic import ValidationError

    from pipeline.datasets.adapters import ADAPTERS, recognise
    from pipeline.datasets.annotations.recognition import Recognition
    from pipeline.datasets.location import locate

    if kind is not None and kind not in ADAPTERS.names():
        raise DataError(f'--type "{kind}" unknown; {choices(kind, ADAPTERS.names())}')
    fields = ADAPTERS.module(kind).Config.model_fields if kind else {}
    needed = {name for name, field in fields.items() if field.is_required()}
    if needed != {"type", "root"}:
        try:
            return recognise(locate(folder), kind)
        except ValueError as error:
            raise DataError(f"{folder}: {error}") from None
    try:
        return Recognition(ADAPTERS.configure({"type": kind, "root": folder}), "as --type names it")
    except ValidationError as error:
        raise DataError(f"{folder}: {error.errors(include_url=False)[0]['msg']}") from None


def _progress(scans: Iterable[Scan], total: int) -> Iterable[Scan]:
    from rich.progress import track

    return track(scans, "reading images", total=total, console=err, transient=True)


def _check_writable(page: Path) -> None:
    """Check before reading all images that the page can be written; creates nothing."""
    try:
        if page.is_dir():
            raise _unwritable(page, os.strerror(errno.EISDIR))
        home = next(p for p in page.absolute().parents if p.exists())
        if not home.is_dir():
            raise _unwritable(page, os.strerror(errno.ENOTDIR))
        if not os.access(home, os.W_OK | os.X_OK):
            raise _unwritable(page, os.strerror(errno.EACCES))
    except OSError as error:
        raise _unwritable(page, error.strerror) from None


def _write(page: Path, html: bytes) -> None:
    try:
        from pipeline.files import write_whole

        write_whole(page, html)
    except OSError as error:
        raise _unwritable(page, error.strerror) from error


def _unwritable(page: Path, reason: str | None) -> DataError:
    return DataError(
        f"--html {page} cannot be written ({reason}); name a file in a folder that you may write to"
    )


def _show(folder: str, report: dict[str, Any]) -> None:
    out.print(_classes(folder, report))
    sides = ", ".join(f"{name} {n}" for name, n in report["splits"].items()) or "none given"
    print_line(f"{report['n']} images; split: {sides}")
    print_line(f"stored as {_counts(report['modes'])}; sizes {_counts(report['sizes'])}")
    if report["rotated_by_exif"]:
        print_line(f"{report['rotated_by_exif']} images are turned upright by their EXIF header")
    print_line(
        f"identical copies {report['identical_pairs']} "
        f"({report['identical_pairs_across_splits']} pairs across splits), clusters of "
        f"near-duplicates {report['near_duplicate_groups']} "
        f"({report['near_duplicate_pairs_across_splits']} pairs across splits)"
    )
    if report["leaky"]:
        print_line("LEAKY: the same part stands on both sides of the split, for example")
        for first, second in report["pairs_shown"][:5]:
            print_line(f"  {first} = {second}")
    _show_lookup(report["lookup"])
    for first, second in report["label_conflicts"][:LINES]:
        print_line(f"conflict: {first} and {second} are the same picture with different labels")
    _more(len(report["label_conflicts"]))
    for item in report["corrupt"]:
        print_line(f"corrupt: {item['path']}: {item['reason']}")
    for item in report["tiny_classes"]:
        print_line(f"tiny class {item['class']}: {item['note']}")
    _show_suspects(report["suspects"])
    for item in report["outliers"][:LINES]:
        print_line(
            f"unusual {item['measure']}: {item['path']} has {item['value']}, "
            f"half of all images have less than {item['median']}"
        )
    _more(report["n_outliers"])


def _fit(pixels: ProposedPixels) -> dict[str, Any]:
    """How pictures fit the usual input, what follows, and what that costs."""
    spec, before = pixels.spec, pixels.before
    return {
        "aspect_ratio": round(before.picture[0] / before.picture[1], 3),
        "padding": round(before.padding, 3),
        "shrunk": round(before.shrunk, 2),
        "defect_px": before.defect_px,
        "texture_px": before.texture_px,
        "proposed": {
            **spec.model_dump(include={"width_px", "height_px", "fit", "tiles"}),
            "roi": None if pixels.roi is None else pixels.roi.model_dump(),
        },
        "lines": before.lines,
        "advice": pixels.advice,
        "cost": pixels.cost,
    }


def _show_fit(pictures: dict[str, Any] | None) -> None:
    if pictures is None:
        return
    for line in pictures["lines"]:
        print_line(line)
    for line in pictures["advice"]:
        print_line(f"  take {line}")
    print_line(f"  {pictures['cost']}")


def _classes(folder: str, report: dict[str, Any]) -> Table:
    sides = list(report["splits"])
    measures = ("brightness", "contrast", "sharpness")
    table = Table("class", "images", *sides, "groups", *measures, title=escape(printable(folder)))
    for column in table.columns[1:]:
        column.justify = "right"
    for name, n in report["classes"].items():
        spread = [report["ranges"][name][m] for m in measures]
        table.add_row(
            escape(printable(name)),
            str(n),
            *(str(report["class_splits"][name][side]) for side in sides),
            str(report["groups"][name]),
            *(f"{q[3]:.0f} ({q[1]:.0f} to {q[5]:.0f})" for q in spread),
        )
    table.caption = "brightness, contrast, sharpness: median (5 to 95 in 100)"
    return table


def _show_lookup(lookup: dict[str, float | None] | None) -> None:
    if lookup is None:
        return
    new_split = lookup["regrouped"]
    other = "" if new_split is None else f", {new_split:.1%} on a new split by group"
    print_line(
        f"{lookup['known']:.1%} of the test images stand outside test too; the label of the most "
        f"similar image there is right for {lookup['given']:.1%}{other}"
    )


def _show_suspects(suspects: dict[str, Any]) -> None:
    print_line(f"labels: {suspects['note']}; {suspects['n']} likely wrong")
    if not suspects["n"]:
        return
    table = Table("likely wrong label", "given", "rather", "probability")
    for item in suspects["images"][:LINES]:
        table.add_row(
            escape(item["path"]),
            escape(printable(item["given"])),
            escape(printable(item["likely"])),
            f"{item['p_given']:.0%} to {item['p_likely']:.0%}",
        )
    out.print(table)
    _more(suspects["n"])


def _more(n: int) -> None:
    if n > LINES:
        print_line(f"  {LINES} of {n} shown; --html FILE shows more, with pictures")


def _counts(numbers: dict[str, int], most: int = 5) -> str:
    shown = ", ".join(f"{name} {n}" for name, n in list(numbers.items())[:most])
    return shown + (f" and {len(numbers) - most} more" if len(numbers) > most else "")
