"""`lineside models`: look at the registered versions of a recipe and decide about them."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from pipeline.cli.screen import out, say

if TYPE_CHECKING:
    from pipeline.contracts.signoff import Signoff
    from pipeline.registry.chain import Chain
    from pipeline.registry.dossier import Dossier, Figure
    from pipeline.registry.review import Outcome
    from pipeline.registry.store import Registry, Version

FIRST = ("escape_rate", "overkill_rate", "review_rate", "accuracy", "auroc")
IDENTITY = ("git_commit", "manifest_sha256", "architecture", "method", "weights", "split", "leaky")

models = typer.Typer(
    help="Compare, sign off and roll back the registered versions of a recipe.",
    no_args_is_help=True,
)

Recipe = Annotated[str, typer.Argument(help="Name of the registered model, e.g. solar-cell.")]
Which = Annotated[str, typer.Argument(help="Number of a version, or an alias of it.")]
Number = Annotated[str, typer.Option("--version", help="Number of the version, or an alias.")]
Reviewer = Annotated[str, typer.Option(help="Who answers for it.")]
Reason = Annotated[str, typer.Option(help="Why, in a sentence for whoever reads it later.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
Uri = Annotated[
    str | None,
    typer.Option("--registry", help="MLflow's address; else MLFLOW_TRACKING_URI, else mlflow.db."),
]


@models.command("list")
def list_versions(recipe: Recipe, registry: Uri = None, as_json: Json = False) -> None:
    """Show the versions of a recipe, what the gate said and what people decided."""
    store = _registry(registry)
    versions = store.versions(recipe)
    if as_json:
        _print_json([_version(v) for v in versions])
        return
    if not versions:
        say(f"no version of {recipe} is registered; run: make repro")
        return
    table = Table(
        *("version", "alias", "registered", "bundle", "gate", "review"), title=escape(recipe)
    )
    for v in versions:
        table.add_row(
            str(v.version),
            ", ".join(v.aliases),
            v.created_at.removesuffix("+00:00").replace("T", " "),
            v.bundle_sha256[:12] or "not by Lineside",
            v.gate,
            escape(_reviewed(v)),
        )
    out.print(table)
    _warn(store, store.signoffs(recipe).read(), versions)


@models.command()
def show(
    recipe: Recipe,
    version: Annotated[
        str | None,
        typer.Argument(help="Number or alias; none: the challenger, else the newest."),
    ] = None,
    registry: Uri = None,
    as_json: Json = False,
) -> None:
    """Show one version: gate, figures, sign-offs, hashes and where its files are."""
    store = _registry(registry)
    versions = store.versions(recipe)
    if version is None:
        waiting = [v for v in versions if "challenger" in v.aliases]
        version = str((waiting or versions)[-1].version) if versions else "challenger"
    seen = store.dossier(store.version(recipe, version))
    chain = store.signoffs(recipe).read()
    number = seen.version.version
    signed = [
        r
        for r in chain.records
        if r.version == number or (r.act == "rollback" and r.previous == number)
    ]
    if as_json:
        _print_json(
            {
                **_dossier(seen),
                "signoffs": [r.model_dump() for r in signed],
                "faults": list(chain.faults),
            }
        )
        return
    _print_dossier(seen)
    if signed:
        out.print(_signoff_table(signed, f"sign-offs of {seen.version.name}"))
    _warn(store, chain, versions)


@models.command()
def compare(
    recipe: Recipe, a: Which, b: Which, registry: Uri = None, as_json: Json = False
) -> None:
    """Put the figures of two versions side by side, and the settings that differ."""
    store = _registry(registry)
    left, right = (store.dossier(store.version(recipe, which)) for which in (a, b))
    names = _ordered({*left.figures, *right.figures})
    tags = {v: _identity(d) for v, d in (("a", left), ("b", right))}
    settings = [
        (key, one, other)
        for key in sorted({**tags["a"], **left.params, **tags["b"], **right.params})
        if (one := (tags["a"] | left.params).get(key))
        != (other := (tags["b"] | right.params).get(key))
    ]
    if as_json:
        _print_json(
            {
                "a": left.version.name,
                "b": right.version.name,
                "figures": {
                    name: {
                        "a": _figure(left, name),
                        "b": _figure(right, name),
                        "difference": _difference(left, right, name),
                    }
                    for name in names
                },
                "params": {key: {"a": one, "b": other} for key, one, other in settings},
            }
        )
        return
    table = Table("figure", left.version.name, right.version.name, "difference")
    for name in names:
        difference = _difference(left, right, name)
        table.add_row(
            name,
            _number(left.figures.get(name)),
            _number(right.figures.get(name)),
            "" if difference is None else f"{difference:+.4f}",
        )
    out.print(table)
    if settings:
        table = Table("differs", left.version.name, right.version.name)
        for key, one, other in settings:
            table.add_row(escape(key), escape(one or "-"), escape(other or "-"))
        out.print(table)
    say("differences are b - a, without an interval: the parts tested may not be the same")
    for seen in (left, right):
        if seen.missing:
            say(f"note: {seen.version.name}: {seen.missing}")


@models.command()
def promote(
    recipe: Recipe,
    version: Number,
    reviewer: Reviewer,
    reason: Reason,
    override: Annotated[
        str, typer.Option(help="Why regardless of a gate that is not passed, or of a rejection.")
    ] = "",
    registry: Uri = None,
    as_json: Json = False,
) -> None:
    """Sign a version off: it becomes the champion, which stations run."""
    _tell(_registry(registry).promote(recipe, version, reviewer, reason, override), as_json)


@models.command()
def reject(
    recipe: Recipe,
    version: Number,
    reviewer: Reviewer,
    reason: Reason,
    registry: Uri = None,
    as_json: Json = False,
) -> None:
    """Refuse a version: it is no challenger then, and is promoted with an override only."""
    _tell(_registry(registry).reject(recipe, version, reviewer, reason), as_json)


@models.command()
def rollback(
    recipe: Recipe,
    reviewer: Reviewer,
    reason: Reason,
    registry: Uri = None,
    as_json: Json = False,
) -> None:
    """Withdraw the champion and return to the one before it."""
    _tell(_registry(registry).rollback(recipe, reviewer, reason), as_json)


@models.command()
def history(recipe: Recipe, registry: Uri = None, as_json: Json = False) -> None:
    """Show every decision about a recipe and whether all verify; exit 1 when they do not."""
    from pipeline.registry.review import disagreement

    store = _registry(registry)
    chain, versions = store.signoffs(recipe).read(), store.versions(recipe)
    if as_json:
        _print_json(
            {
                "recipe": recipe,
                "verified": not chain.faults,
                "faults": list(chain.faults),
                "records": [r.model_dump() for r in chain.records],
                "pending": [r.model_dump() for r in chain.pending],
                "disagreement": disagreement(chain, versions),
            }
        )
    elif not chain.records and not chain.faults:
        say(f"nobody has decided about a version of {recipe} yet")
        _warn(store, chain, versions)
    else:
        out.print(_signoff_table(chain.records, f"decisions about {recipe}"))
        if not chain.faults and chain.last:
            say(f"verified: {len(chain.records)} record(s), the last is {chain.last.name}")
        _warn(store, chain, versions)
    if chain.faults:
        raise typer.Exit(1)


def _registry(uri: str | None) -> Registry:
    from pipeline.registry.store import Registry

    return Registry(uri)


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def _tell(outcome: Outcome, as_json: bool) -> None:
    if not as_json:
        say(outcome.said)
        return
    record = None if outcome.record is None else outcome.record.model_dump()
    _print_json({"said": outcome.said, "version": _version(outcome.version), "record": record})


def _warn(store: Registry, chain: Chain, versions: list[Version]) -> None:
    """Say what is wrong with the sign-offs, if anything is."""
    from pipeline.registry.review import disagreement

    for fault in chain.faults:
        say(f"DOES NOT VERIFY: {fault}")
    for left in chain.pending:
        say(
            f"note: {left.reviewer} is deciding about {left.recipe}/{left.version} (since "
            f"{left.at[:19]}Z), or was interrupted; it has no effect yet"
        )
    if said := disagreement(chain, versions):
        say(f"note: {said}")


def _version(version: Version) -> dict[str, Any]:
    return asdict(version) | {"gate": version.gate}


def _reviewed(version: Version) -> str:
    """The last decision, in a line; of an older Lineside too."""
    tags = version.tags
    status = tags.get("review.status", "")
    if tags.get("review.by"):
        when = tags.get("review.at", "")[:10]
        return f"{status} by {tags['review.by']}, {when}: {tags.get('review.reason', '')}"
    said = [
        f"{word} by {tags[f'{act}.reviewer']}, {tags.get(f'{act}.at', '')[:10]}: "
        f"{tags.get(f'{act}.reason', '')}"
        for act, word in (("signoff", "signed off"), ("withdrawn", "withdrawn"))
        if f"{act}.reviewer" in tags
    ]
    return "; ".join(said) or status or "pending"


def _dossier(seen: Dossier) -> dict[str, Any]:
    return asdict(seen) | {"version": _version(seen.version)}


def _print_dossier(seen: Dossier) -> None:
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
    for name in _ordered(seen.figures):
        figure = seen.figures[name]
        between = "" if figure.low is None else f"{figure.low:.4f} to {figure.high:.4f}"
        table.add_row(escape(name), f"{figure.value:.4f}", between)
    if seen.figures:
        out.print(table)
    if version.description:
        from rich.markdown import Markdown

        out.print(Markdown(version.description))


def _gate(version: Version) -> str:
    why = version.tags.get("gate.failed", "")
    if version.gate == "unknown":
        return "unknown (registered by an older Lineside)"
    return f"{version.gate}: {why}" if why else version.gate


def _signoff_table(records: tuple[Signoff, ...] | list[Signoff], title: str) -> Table:
    table = Table("record", "at", "act", "version", "by", "reason", "gate", title=escape(title))
    for r in records:
        reason = r.reason + (f" (override: {r.override_reason})" if r.override_reason else "")
        instead = f" instead of {r.previous}" if r.act == "rollback" and r.previous else ""
        table.add_row(
            r.name,
            f"{r.at[:19]}Z",
            r.act,
            f"{r.version}{instead}",
            escape(r.reviewer),
            escape(reason),
            r.gate,
        )
    return table


def _ordered(names: set[str] | dict[str, Figure]) -> list[str]:
    """What a reviewer asks first comes first."""
    return sorted(names, key=lambda name: (FIRST.index(name) if name in FIRST else 99, name))


def _identity(seen: Dossier) -> dict[str, str]:
    tags = {key: seen.version.tags[key] for key in IDENTITY if key in seen.version.tags}
    return tags | {"bundle_sha256": seen.version.bundle_sha256, "gate": seen.version.gate}


def _figure(seen: Dossier, name: str) -> dict[str, float | None] | None:
    figure = seen.figures.get(name)
    return None if figure is None else asdict(figure)


def _difference(a: Dossier, b: Dossier, name: str) -> float | None:
    one, other = a.figures.get(name), b.figures.get(name)
    return None if one is None or other is None else other.value - one.value


def _number(figure: Figure | None) -> str:
    if figure is None:
        return "-"
    between = "" if figure.low is None else f" ({figure.low:.4f} to {figure.high:.4f})"
    return f"{figure.value:.4f}{between}"
