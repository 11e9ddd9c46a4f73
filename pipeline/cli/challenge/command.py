"""`lineside challenge`: known parts that prove that the station still finds what it must."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.cli.screen import print_line
from pipeline.cli.times import shown
from pipeline.errors import ConfigError, DataError, StationError

SHOWN = 10


def challenge(
    line_file: Annotated[
        Path, typer.Argument(metavar="LINE.yaml", help="The station's line file.")
    ],
    action: Annotated[str, typer.Argument(metavar="start|show", help="What to do.")] = "show",
    by: Annotated[str, typer.Option(help="Name of who presents the parts, for start.")] = "",
    number: Annotated[
        int | None, typer.Option("--run", help="Show the protocol of this run.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
) -> None:
    """Start a challenge run of a running station, or show the last runs and their protocols."""
    from pipeline import config
    from pipeline.daemon.settings.line import Line
    from pipeline.ledger.challenge.protocol import protocol
    from pipeline.ledger.challenge.runs import begin, open_run, recent, run
    from pipeline.ledger.database import connected
    from pipeline.ledger.lock import in_use

    if action not in ("start", "show"):
        raise DataError(f'"{action}" is unknown; choose start, show')
    line = config.load(line_file, Line)
    if line.challenge is None:
        raise ConfigError(f"{line_file} has no `challenge`; docs/station.md, Challenge runs")
    if action == "start":
        if not by.strip():
            raise DataError("--by is empty; name the person who presents the parts")
        if not in_use(line.ledger):
            raise StationError(f"station {line.station} does not run; start it: lineside run")
        parts = [part.known for part in line.challenge.parts]
        with connected(line.ledger, "challenge runs", line.station, write=True) as db:
            within_s = line.challenge.within_min * 60
            runs = [begin(db, datetime.now(UTC), by.strip(), parts, within_s)]
    with connected(line.ledger, "challenge runs", line.station) as db:
        if action == "show":
            runs = [r for r in (open_run(db), *recent(db, SHOWN)) if r is not None]
        if number is not None:
            runs = [r for r in (run(db, number),) if r is not None]
            if not runs:
                raise DataError(f"{line.ledger} has no challenge run {number}")
        protocols = [protocol(db, line.station, r) for r in runs]
    if as_json:
        print_line(json.dumps(protocols, ensure_ascii=False, indent=2))
    elif not protocols:
        print_line(f"no challenge run yet; lineside challenge {line_file} start --by NAME")
    else:
        _show(protocols[0])
        for earlier in protocols[1:]:
            print_line(_headline(earlier))


def _headline(protocol: dict[str, Any]) -> str:
    result = {None: "open", True: "passed", False: "FAILED"}[protocol["passed"]]
    why = f": {protocol['reason']}" if protocol["reason"] else ""
    started = shown(protocol["started_at"])
    return f"run {protocol['id']}, {started}, {protocol['started_by']}: {result}{why}"


def _show(protocol: dict[str, Any]) -> None:
    print_line(_headline(protocol))
    print_line(f"  model {protocol['model_version'] or 'not taken up yet: a second'}")
    for part in protocol["parts"]:
        sign = {None: "waits", True: "as expected", False: "WRONG"}[part["met"]]
        score = "" if part["score"] is None else f", score {part['score']:.3f}"
        seen = f", seen {part['seen']}{score}" if part["seen"] else ""
        print_line(f"  {part['serial']}: expected {part['expected']}{seen}: {sign}")
