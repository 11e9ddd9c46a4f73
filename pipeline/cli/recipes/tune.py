"""`lineside tune`: the few settings of the pictures that matter, tried on a recipe's own images."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from pipeline.cli.screen import err, out, print_line
from pipeline.errors import MissingExtra, printable

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.training.tuning.figures import Estimate
    from pipeline.training.tuning.search import Tried, TuningResult


def tune(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="A folder of conf/.")],
    write: Annotated[
        bool, typer.Option("--write", help="Write what is surely better to the recipe's YAML.")
    ] = False,
    parts: Annotated[
        int, typer.Option("--parts", min=40, help="At most so many training images are used.")
    ] = 1000,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
) -> None:
    """Try fit, size, tiles, scales and ROI on the training images, and show what each is worth."""
    try:
        from pipeline.training.tuning import recipe as recipes
        from pipeline.training.tuning.search import search
    except ImportError as error:
        raise MissingExtra(error.name or "torch", "lineside tune", "train") from error
    asked = recipes.read(recipe)
    found = search(asked.trials, asked.probe(parts, _watch).measure)
    if as_json:
        typer.echo(json.dumps([_entry(t, found) for t in found.tried], indent=2))
    else:
        show(recipe, asked.folder, found)
    if not write:
        return
    if found.chosen is None:
        err.print("nothing is surely better; nothing is written", highlight=False)
        return
    written = recipes.write(asked, found.chosen.trial)
    err.print(f"written: {', '.join(map(str, written))}; run: dvc repro", highlight=False)


def _watch(what: str, items: Iterable[Any], total: int, found: int) -> Iterator[Any]:
    from rich.progress import track

    quiet = not err.is_terminal
    if quiet:
        err.print(f"{what} ({total})", markup=False, highlight=False)
    left = total - found
    yield from track(items, what, left, console=err, transient=True, disable=quiet)


def show(recipe: str, folder: Path, found: TuningResult) -> None:
    """Print the table of trials and what to take; `folder` has the recipe's YAML."""
    assert found.now.measured is not None
    scores = found.now.measured.scores
    table = Table(title=f"{printable(recipe)}: {len(scores.labels)} training images, out of fold")
    table.add_column("settings")
    for name in (f"{scores.objective} (95 %)", "escapes at 5 % overkill", "gain (95 %)", "ms"):
        table.add_column(name, justify="right")
    table.add_column("")
    for row in found.tried:
        table.add_row(*_cells(row), row.verdict)
    out.print(table)
    for row in found.tried:
        if row.reason:
            print_line(f"not tried, {row.trial.name}: {row.reason}")
    print_line(
        "settings are compared by a plain head on backbone features, five folds by group; the "
        "recipe's own head ranks better. ms: preparation and features of one frame, measured on "
        "this machine"
    )
    if found.chosen is None:
        print_line("nothing tried is surely better than the settings as they are")
        return
    assert found.chosen.measured is not None
    print_line(f"to take: {found.chosen.trial.name}")
    for file, changes in found.chosen.trial.changes(found.now.trial).items():
        print_line(f"  {folder / file}: {_listed(changes)}")
    if found.chosen.trial.spec.roi != found.now.trial.spec.roi:
        print_line("  look at the ROI: what is left out is the same in the images looked at only")


def _cells(row: Tried) -> tuple[str, str, str, str, str]:
    if row.measured is None:
        return row.trial.name, "", "", "", ""
    escapes = row.measured.scores.escapes()
    return (
        row.trial.name,
        _interval(row.measured.scores.figure(), ""),
        "" if escapes is None else f"{escapes:.1%}",
        "" if row.gain is None else _interval(row.gain, "+"),
        f"{row.measured.ms:.1f}",
    )


def _interval(found: Estimate, sign: str) -> str:
    return f"{found.value:{sign}.3f} ({found.low:{sign}.3f} to {found.high:{sign}.3f})"


def _listed(changes: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}: {json.dumps(value)}" for key, value in changes.items())


def _entry(row: Tried, found: TuningResult) -> dict[str, Any]:
    assert found.now.measured is not None
    entry: dict[str, Any] = {
        "settings": row.trial.name,
        "changes": row.trial.changes(found.now.trial),
        "verdict": row.verdict,
        "chosen": row is found.chosen,
        "reason": row.reason,
    }
    if row.measured is not None:
        figure = row.measured.scores.figure()
        entry |= {
            "objective": row.measured.scores.objective,
            "figure": [figure.value, figure.low, figure.high],
            "escapes_at_5_percent_overkill": row.measured.scores.escapes(),
            "gain": None if row.gain is None else [row.gain.value, row.gain.low, row.gain.high],
            "ms": row.measured.ms,
        }
    return entry
