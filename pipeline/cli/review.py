"""`lineside review`: people's reviews of inspected parts."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.times import shown
from pipeline.errors import DataError

if TYPE_CHECKING:
    from pipeline.contracts.records import Record


def review(
    line_file: Annotated[
        Path, typer.Argument(metavar="LINE.yaml", help="The station's line file.")
    ],
    listed: Annotated[
        bool, typer.Option("--list", help="Show the parts that wait for a review.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
    record: Annotated[str | None, typer.Option(help="Id of the part's record.")] = None,
    part_class: Annotated[
        str | None, typer.Option("--class", help="True class of the part.")
    ] = None,
    reviewer: Annotated[str | None, typer.Option(help="Name of the reviewer.")] = None,
    comment: Annotated[str, typer.Option(help="Reason, where it is not obvious.")] = "",
) -> None:
    """Record the true class of a part, also while the station runs; the next training uses it."""
    from pipeline import config
    from pipeline.daemon.model.cache import cached_taxonomy
    from pipeline.daemon.settings.line import Line
    from pipeline.ledger.review.reviews import opened

    if listed and (record or part_class or reviewer or comment):
        raise DataError(
            "--list takes no review; leave it out to give one, or leave out --record, --class, "
            "--reviewer and --comment to see what waits"
        )
    line = config.load(line_file, Line)
    with opened(line.ledger, line.station) as reviews:
        if listed:
            _show(reviews.waiting(), None if line.keep is None else line.keep.folder, as_json)
            return
        if record is None or part_class is None or reviewer is None:
            raise DataError("give --record, --class and --reviewer; --list shows what waits")
        given, judged = reviews.add(
            *(record, part_class, reviewer, comment, datetime.now(UTC)), cached_taxonomy(line)
        )
        n = len(reviews.of(record))
    if as_json:
        typer.echo(json.dumps(asdict(given), indent=2, ensure_ascii=False))
        return
    station = " ".join(filter(None, (judged.verdict, judged.part_class)))
    typer.echo(
        f"{judged.serial or record}: {given.part_class} ({reviewer}); the station: {station}"
    )
    if n > 1:
        typer.echo(f"this is review {n} of the part; the last one counts")
    if not judged.image:
        typer.echo("no frame of this part was kept, so training cannot learn from it")


def _show(waiting: list[Record], folder: Path | None, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps([asdict(r) for r in waiting], indent=2, ensure_ascii=False))
        return
    if not waiting:
        typer.echo("no part waits for a review")
    for r in waiting:
        typer.echo(f"{r.id}  {shown(r.captured_at)}  {r.verdict:<13}  {r.part_class}  {r.serial}")
        typer.echo(f"  {r.image if folder is None else folder / r.image}: {r.reason}")
