"""`lineside ledger`: upkeep of a station's ledger."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.screen import print_line

ledger = typer.Typer(help="Look after a station's ledger.", no_args_is_help=True)

LineFile = Annotated[Path, typer.Argument(metavar="LINE.yaml", help="The station's line file.")]


@ledger.command()
def recover(line_file: LineFile) -> None:
    """Put a new ledger in place of a damaged one, with all that can still be read.

    The station must be stopped. The damaged file is kept beside the new one, and numbers go on, so
    that the audit shows what is missing.
    """
    from pipeline import config
    from pipeline.daemon.settings.line import Line
    from pipeline.ledger.upkeep.recovery import recover as put_in_place

    line = config.load(line_file, Line)
    done = put_in_place(line.ledger, line.station, datetime.now(UTC))
    print_line(f"{done.ledger} is a new ledger: {done.detail}")
    print_line(f"`lineside audit {line_file}` shows the records that are missing")
    print_line(
        "records that were due for a sink may be missing there: `lineside outbox` with --replay "
        "SINK --since delivers a period again"
    )


@ledger.command()
def archive(line_file: LineFile) -> None:
    """Move the records of past months into a file each, also while the station runs.

    Audits read them there. Records that an outbox, a kept image or a review needs stay.
    """
    from pipeline import config
    from pipeline.daemon.settings.line import Line
    from pipeline.ledger.upkeep.archiving import ArchivedMonth
    from pipeline.ledger.upkeep.archiving import archive as move

    def show(month: ArchivedMonth) -> None:
        left = f"; {month.left} stay, which something needs" if month.left else ""
        print_line(f"{month.month}: {month.moved} records moved to {month.file}{left}")

    line = config.load(line_file, Line)
    if not move(line.ledger, line.station, datetime.now(UTC), show):
        print_line("no record is of a past month; nothing to archive")
