"""What `lineside models` shows: tables for people, the same as JSON for scripts."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer
from rich.markup import escape
from rich.table import Table

from pipeline.cli.screen import err, out, print_line
from pipeline.cli.times import shown
from pipeline.errors import MissingExtra

if TYPE_CHECKING:
    from pipeline.contracts.evaluation import Figure
    from pipeline.contracts.signoff import Signoff
    from pipeline.registry.decisions.chain import Chain
    from pipeline.registry.decisions.review import Outcome
    from pipeline.registry.dossier import Dossier
    from pipeline.registry.versions import Version

FIRST = ("escape_rate", "overkill_rate", "review_rate", "accuracy", "auroc")
IDENTITY = ("git_commit", "manifest_sha256", "architecture", "method", "weights", "split", "leaky")


def print_json(value: Any) -> None:
    """Print for scripts."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def warn(chain: Chain, versions: list[Version]) -> None:
    """Print what is wrong with the sign-offs, if anything is."""
    for fault in chain.faults:
        print_line(f"DOES NOT VERIFY: {fault}")
    for left in chain.pending:
        print_line(
            f"note: {left.reviewer} is deciding about {left.recipe}/{left.version} (since "
            f"{shown(left.at)}), or was interrupted; it has no effect yet"
        )
    for left in chain.lost:
        print_line(
            f"note: a decision of {left.reviewer} to {left.act} {left.recipe}/{left.version} "
            f"({left.name}, at {shown(left.at)}) was interrupted or overtaken; it has no effect"
        )
    if differs := disagreement(chain, versions):
        print_line(f"note: {differs}")


def disagreement(chain: Chain, versions: list[Version]) -> str:
    """How MLflow's alias differs from the sign-offs; empty where they agree."""
    from pipeline.registry.versions import CHAMPION

    bearer = next((v for v in versions if CHAMPION in v.aliases), None)
    return chain.alias_disagreement(bearer, {v.version for v in versions})


def versions_table(recipe: str, versions: list[Version]) -> Table:
    """One row a version."""
    table = Table(
        *("version", "alias", "registered", "bundle", "gate", "review"), title=escape(recipe)
    )
    for v in versions:
        table.add_row(
            str(v.version),
            ", ".join(v.aliases),
            shown(v.created_at),
            v.bundle_sha256[:12] or "not by Lineside",
            v.gate,
            escape(_reviewed(v)),
        )
    return table


def version_json(version: Version) -> dict[str, Any]:
    """A version with its gate, for JSON."""
    return asdict(version) | {"gate": version.gate}


def _reviewed(version: Version) -> str:
    """The last decision, in a line; of an older Lineside too."""
    tags = version.tags
    status = tags.get("review.status", "")
    if tags.get("review.by"):
        when = tags.get("review.at", "")[:10]
        return f"{status} by {tags['review.by']}, {when}: {tags.get('review.reason', '')}"
    decisions = [
        f"{word} by {tags[f'{act}.reviewer']}, {tags.get(f'{act}.at', '')[:10]}: "
        f"{tags.get(f'{act}.reason', '')}"
        for act, word in (("signoff", "signed off"), ("withdrawn", "withdrawn"))
        if f"{act}.reviewer" in tags
    ]
    return "; ".join(decisions) or status or "pending"


def dossier_json(seen: Dossier) -> dict[str, Any]:
    """A dossier with its version, for JSON."""
    return asdict(seen) | {"version": version_json(seen.version)}


def print_dossier(seen: Dossier) -> None:
    """Print all that a reviewer asks of a version."""
    version = seen.version
    grid = Table.grid(padding=(0, 3))
    rows = {
        "version": version.name,
        "alias": ", ".join(version.aliases) or "none",
        "registered": version.created_at,
        "gate": _gate(version),
        "review": _reviewed(version),
        "champion": version.tags.get("comparison", ""),
        "bundle": version.bundle_sha256 or "not by Lineside",
        **{key: version.tags.get(key, "") for key in IDENTITY},
        "run": version.run_id,
        "files": seen.artifacts,
        "": ", ".join(seen.files),
        "model": seen.model,
        "page": seen.page,
        "note": seen.missing,
    }
    for key, value in rows.items():
        if value:
            grid.add_row(key, escape(value))
    out.print(grid)
    table = Table("figure", "value", "95 % interval")
    for name in ordered(seen.figures):
        figure = seen.figures[name]
        between = "" if figure.low is None else f"{figure.low:.4f} to {figure.high:.4f}"
        table.add_row(escape(name), f"{figure.value:.4f}", between)
    if seen.figures:
        out.print(table)
    if version.description:
        from rich.markdown import Markdown

        out.print(Markdown(version.description))


def _gate(version: Version) -> str:
    from pipeline.registry.versions import GATE_DETAILS

    if version.gate == "unknown":
        return "unknown (registered by an older Lineside)"
    details = [version.tags[tag] for tag in reversed(GATE_DETAILS) if tag in version.tags]
    return "\n".join([version.gate, *details])


def _by(record: Signoff) -> str:
    """Who has decided, and what shows that."""
    login = f" (login {record.login})" if record.login else ""
    if not record.signature:
        return record.reviewer + login
    from pipeline.registry.decisions.keys import is_genuine

    try:
        signed = "signed" if is_genuine(record) else "SIGNATURE NOT GENUINE"
    except MissingExtra:
        signed = "signature not verified"
    return f"{record.reviewer}{login}, {signed}"


def signoff_table(records: tuple[Signoff, ...] | list[Signoff], title: str) -> Table:
    """One row a decision."""
    table = Table("record", "at", "act", "version", "by", "reason", "gate", title=escape(title))
    for r in records:
        instead = f" instead of {r.previous}" if r.act == "rollback" and r.previous else ""
        table.add_row(
            r.name,
            shown(r.at),
            r.act,
            f"{r.version}{instead}",
            escape(_by(r)),
            escape(r.full_reason),
            r.gate,
        )
    return table


def ordered(names: set[str] | dict[str, Figure]) -> list[str]:
    """What a reviewer asks first comes first."""
    return sorted(names, key=lambda name: (FIRST.index(name) if name in FIRST else 99, name))


def identity(seen: Dossier) -> dict[str, str]:
    """What a version is made of."""
    tags = {key: seen.version.tags[key] for key in IDENTITY if key in seen.version.tags}
    return tags | {"bundle_sha256": seen.version.bundle_sha256, "gate": seen.version.gate}


def figure_json(seen: Dossier, name: str) -> dict[str, float | None] | None:
    """A figure with its interval, for JSON; None where there is none."""
    figure = seen.figures.get(name)
    return None if figure is None else asdict(figure)


def difference(a: Dossier, b: Dossier, name: str) -> float | None:
    """b - a; None where one of them lacks the figure."""
    one, other = a.figures.get(name), b.figures.get(name)
    return None if one is None or other is None else other.value - one.value


def figure_text(figure: Figure | None) -> str:
    """A figure with its interval, for a cell of a table."""
    if figure is None:
        return "-"
    between = "" if figure.low is None else f" ({figure.low:.4f} to {figure.high:.4f})"
    return f"{figure.value:.4f}{between}"


def print_outcome(outcome: Outcome, as_json: bool, warning: str = "") -> None:
    """Print what a decision has changed; a warning goes to stderr, or into the JSON."""
    if not as_json:
        print_line(outcome.summary)
        if warning:
            err.print(f"warning: {outcome.version.name}: {warning}", markup=False, highlight=False)
        return
    record = None if outcome.record is None else outcome.record.model_dump()
    version = version_json(outcome.version)
    answer = {"said": outcome.summary, "version": version, "record": record}
    print_json(answer | ({"warning": warning} if warning else {}))
