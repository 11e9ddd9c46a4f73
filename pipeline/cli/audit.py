"""`lineside audit` and `lineside outbox`: a station's account, and its undelivered records."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from pipeline.cli.screen import out, print_line
from pipeline.cli.times import moment, shown
from pipeline.errors import DataError

if TYPE_CHECKING:
    from pipeline.daemon.outbox.admin import SinkBacklog
    from pipeline.ledger.audit import Audit, OpenRecord
    from pipeline.ledger.outbox import ListedEntry

SHOWN = 20  # rows of what may be many

LineFile = Annotated[Path, typer.Argument(metavar="LINE.yaml", help="The station's line file.")]
Since = Annotated[
    str | None,
    typer.Option(
        help="Start of the period: 2026-11-23, 2026-11-23T06:00 or with a zone; else local time."
    ),
]
Until = Annotated[str | None, typer.Option(help="End of the period, exclusive.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


def audit(
    line_file: LineFile,
    since: Since = None,
    until: Until = None,
    serial: Annotated[str | None, typer.Option(help="Show this part's records instead.")] = None,
    as_json: AsJson = False,
) -> None:
    """Prove that every trigger got one verdict, also while the station runs; exit 1 otherwise."""
    from pipeline import config
    from pipeline.daemon.settings.line import Line
    from pipeline.ledger.audit import audit as account
    from pipeline.ledger.audit import of_part

    if serial is not None and (since or until):
        raise DataError("--serial shows all records of a part; leave out --since and --until")
    line = config.load(line_file, Line)
    if serial is not None:
        records = of_part(line.ledger, line.station, serial)
        _show_part(serial, records, as_json)
        raise typer.Exit(0 if records else 1)
    found = account(
        *(line.ledger, line.station, moment("--since", since), moment("--until", until)),
        sinks=[sink.outbox for sink in line.sinks],
    )
    if as_json:
        print_line(
            json.dumps({**asdict(found), "balances": found.balances}, ensure_ascii=False, indent=2)
        )
    else:
        _show(found)
    raise typer.Exit(0 if found.balances else 1)


def outbox(
    line_file: LineFile,
    retry: Annotated[
        str | None,
        typer.Option(metavar="SINK", help="Make the dead letters of this sink due again."),
    ] = None,
    replay: Annotated[
        str | None,
        typer.Option(
            metavar="SINK", help="Deliver the records of a period to this sink once more."
        ),
    ] = None,
    since: Since = None,
    until: Until = None,
    limit: Annotated[
        int, typer.Option(min=0, help="Number of entries to list, of each kind.")
    ] = SHOWN,
    as_json: AsJson = False,
) -> None:
    """Show undelivered records, retry dead letters or queue the records of a period once more."""
    from pipeline import config
    from pipeline.daemon.outbox.admin import opened
    from pipeline.daemon.settings.line import Line

    if retry is not None and replay is not None:
        raise DataError("give --retry or --replay, one after the other")
    if replay is None and (since or until):
        raise DataError("--since and --until choose what to --replay; name the sink with it")
    if replay is not None and not (since or until):
        raise DataError("--replay needs a period; give --since, --until or both")
    line = config.load(line_file, Line)
    with opened(line, write=bool(retry or replay)) as outboxes:
        if retry is not None:
            _print_done({"sink": retry, "revived": outboxes.retry(retry)}, as_json)
        elif replay is not None:
            period = moment("--since", since), moment("--until", until)
            _print_done({"sink": replay, "queued": outboxes.replay(replay, *period)}, as_json)
        elif as_json:
            backlogs = [asdict(backlog) for backlog in outboxes.backlogs(limit)]
            print_line(json.dumps({"sinks": backlogs}, ensure_ascii=False, indent=2))
        else:
            _show_backlogs(outboxes.backlogs(limit))


def _print_done(done: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_line(json.dumps(done))
    else:
        what, n = list(done.items())[1]
        print_line(f"{n} record(s) {what} for {done['sink']}")


def _show(found: Audit) -> None:
    since = shown(found.since) if found.since else "the first record"
    period = f"{since} to {shown(found.until) if found.until else 'now'}"
    table = _table(f"station {found.station}, {period}")
    table.add_row("triggers", str(found.triggers))
    for verdict, n in found.verdicts.items():
        table.add_row(verdict, str(n))
    if challenge := sum(found.challenge.values()):
        table.add_row("known parts of challenge runs", str(challenge))
    if found.at_work:
        table.add_row("being inspected", str(len(found.at_work)))
    if found.lost:
        table.add_row("[red]opened, no verdict[/]", f"[red]{len(found.lost)}[/]")
    if found.missing:
        table.add_row("[red]record missing[/]", f"[red]{found.missing}[/]")
    yes = "yes" if found.balances else "[red]NO[/]"
    table.add_row("every trigger received has one verdict", yes)
    table.add_row("times not listening", _not_listening_in_all(found))
    out.print(table)
    _show_lost(found.lost, found.gaps)
    if found.not_listening:
        rest = len(found.not_listening) - SHOWN
        some = "" if rest <= 0 else f", without the {rest} first (--json has all)"
        title = f"not listening: a part that passed then may have no record{some}"
        cells = [
            (n.camera, shown(n.since), shown(n.until) if n.until else "now", n.why)
            for n in found.not_listening
        ]
        out.print(_table(title, cells[-SHOWN:], ("camera", "from", "to", "why")))
    if found.reasons:
        out.print(_table("not inspected", found.reasons.items()))
    if found.judged:
        rows = [
            (j.camera or "-", j.model_version or "-", *j.verdicts.values()) for j in found.judged
        ]
        out.print(_table("by camera and model", rows, ("camera", "model", *found.verdicts)))
    if found.shadowed:
        rows = [(s.model_version, s.frames, s.disagreements) for s in found.shadowed]
        out.print(_table("in shadow", rows, ("model", "frames", "other verdict")))
    if found.waiting:
        rows = [(w.sink, w.due, w.dead) for w in found.waiting]
        out.print(_table("outbox now", rows, ("sink", "due", "dead")))
    if found.events:
        rest = len(found.events) - SHOWN
        title = "events" if rest <= 0 else f"events, without the {rest} first (--json has all)"
        out.print(_table(title, [(shown(e.at), e.kind, e.detail) for e in found.events[-SHOWN:]]))


def _not_listening_in_all(found: Audit) -> str:
    """How many, and how long together within the period."""
    if not found.not_listening:
        return "none"
    end = found.until or datetime.now(UTC).isoformat()
    spans = [
        (max(_at(n.since), _at(found.since or n.since)), min(_at(n.until or end), _at(end)))
        for n in found.not_listening
    ]
    whole = sum(((until - since) for since, until in spans), timedelta())
    return f"{len(spans)}, together {timedelta(seconds=round(whole.total_seconds()))}"


def _at(moment: str) -> datetime:
    return datetime.fromisoformat(moment)


def _show_lost(lost: Sequence[OpenRecord], gaps: Sequence[tuple[int, int]]) -> None:
    for r in lost[:SHOWN]:
        print_line(
            f"no verdict: record {r.seq} ({r.id}), part {r.serial or '-'}, {shown(r.captured_at)}"
        )
    for first, last in gaps[:SHOWN]:
        print_line(
            f"missing: record {first}" if first == last else f"missing: records {first} to {last}"
        )
    hidden = max(0, len(lost) - SHOWN) + max(0, len(gaps) - SHOWN)
    if hidden:
        print_line(f"and {hidden} more; --json has them")


def _show_part(serial: str, records: Sequence[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        rows_json = [{**r, "scores": json.loads(r["scores"])} for r in records]
        print_line(json.dumps(rows_json, ensure_ascii=False, indent=2))
    elif not records:
        print_line(f"no record of part {serial}")
    else:
        keys = ("captured_at", "camera", "verdict", "model_version", "reason", "id")
        rows = [[shown(r[keys[0]]), *(r[key] or "-" for key in keys[1:])] for r in records]
        out.print(_table(f"part {serial}", rows, [key.replace("_", " ") for key in keys]))


def _show_backlogs(backlogs: Sequence[SinkBacklog]) -> None:
    if not backlogs:
        print_line("the station has no sinks")
        return
    rows = [(h.sink if h.known else f"{h.sink} (gone)", h.n_due, h.n_dead) for h in backlogs]
    out.print(_table("outbox", rows, ("sink", "due", "dead")))
    for backlog in backlogs:
        kinds = (
            ("due", backlog.due, backlog.n_due),
            ("dead", backlog.dead, backlog.n_dead),
        )
        for what, entries, n in kinds:
            if entries:
                title = f"{backlog.sink}: the first {len(entries)} of {n} {what}"
                heads = ("record", "captured at", "serial", "verdict", "tries", "last error")
                out.print(_table(title, [_cells(x) for x in entries], heads))


def _cells(x: ListedEntry) -> tuple[object, ...]:
    return x.record, shown(x.captured_at), x.serial, x.verdict, x.attempts, x.error or "-"


def _table(title: str, rows: Any = (), heads: Sequence[str] = ()) -> Table:
    """A table; what is in its cells is not markup, numbers stand right."""
    table = Table(title=escape(title), title_justify="left", show_header=bool(heads))
    for head in heads:
        table.add_column(escape(head))
    for row in rows:
        table.add_row(*(escape(str(cell)) for cell in row))
    return table
