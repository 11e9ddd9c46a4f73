"""`lineside models`: look at the registered versions of a recipe and decide about them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from pipeline.cli import model_tables as tables
from pipeline.cli.key import KeyOption, LineOption, check_lines, load
from pipeline.cli.screen import out, print_line
from pipeline.errors import RegistryError

if TYPE_CHECKING:
    from pipeline.registry.decisions.chain import Chain
    from pipeline.registry.decisions.review import Review
    from pipeline.registry.store import Registry
    from pipeline.registry.versions import Version

models = typer.Typer(
    help="Compare, sign off, withdraw and roll back the registered versions of a recipe.",
    no_args_is_help=True,
)

Recipe = Annotated[str, typer.Argument(help="Name of the registered model, e.g. solar-cell.")]
Which = Annotated[
    str | None,
    typer.Argument(metavar="VERSION", help="Number of the version, or an alias of it."),
]
Number = Annotated[str | None, typer.Option("--version", help="The same as an option.")]
Reviewer = Annotated[
    str, typer.Option(help="Name of the person who is responsible for the decision.")
]
Reason = Annotated[str, typer.Option(help="Reason, a sentence for later readers.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
Uri = Annotated[
    str | None,
    typer.Option("--registry", help="MLflow's address; none: MLFLOW_TRACKING_URI, else mlflow.db."),
]


@models.command("list")
def list_versions(recipe: Recipe, registry: Uri = None, as_json: Json = False) -> None:
    """Show the versions of a recipe, the gate's results and what people decided."""
    store = _reading(registry)
    chain, versions = _all(store, recipe)
    if as_json:
        tables.print_json(
            {
                "recipe": recipe,
                "versions": [tables.version_json(v) for v in versions],
                "faults": list(chain.faults),
                "disagreement": tables.disagreement(chain, versions),
            }
        )
        return
    if versions:
        out.print(tables.versions_table(recipe, versions))
    else:
        print_line(f"no version of {recipe} is registered; run: make repro")
    tables.warn(chain, versions)


@models.command()
def show(
    recipe: Recipe,
    number: Annotated[
        str | None,
        typer.Argument(
            metavar="VERSION", help="Number or alias; none: the challenger, else the newest."
        ),
    ] = None,
    version: Number = None,
    registry: Uri = None,
    as_json: Json = False,
) -> None:
    """Show one version: gate, figures, sign-offs, hashes and where its files are."""
    from pipeline.registry.dossier import read_dossier

    store = _reading(registry)
    chain, versions = _all(store, recipe)
    if number is None and version is None:
        waiting = [v for v in versions if "challenger" in v.aliases]
        number = str((waiting or versions)[-1].version) if versions else "challenger"
    seen = read_dossier(store, store.version(recipe, _one(recipe, number, version)))
    shown = seen.version.version
    signed = [
        r
        for r in chain.records
        if r.version == shown or (r.act == "rollback" and r.previous == shown)
    ]
    if as_json:
        tables.print_json(
            {
                **tables.dossier_json(seen),
                "signoffs": [r.model_dump() for r in signed],
                "faults": list(chain.faults),
            }
        )
        return
    tables.print_dossier(seen)
    if signed:
        out.print(tables.signoff_table(signed, f"sign-offs of {seen.version.name}"))
    tables.warn(chain, versions)


@models.command()
def compare(
    recipe: Recipe,
    numbers: Annotated[
        list[str] | None,
        typer.Argument(metavar="VERSION", help="Numbers of two versions, or aliases."),
    ] = None,
    version: Annotated[
        list[str] | None,
        typer.Option("--version", help="The same, once for each of the two."),
    ] = None,
    registry: Uri = None,
    as_json: Json = False,
) -> None:
    """Put the figures of two versions side by side, and the settings that differ."""
    from pipeline.registry.dossier import read_dossier

    wanted = [*(numbers or ()), *(version or ())]
    if len(wanted) != 2:
        raise RegistryError(
            f"give two versions to compare, not {len(wanted)}: lineside models compare {recipe} 1 2"
        )
    store = _reading(registry)
    left, right = (read_dossier(store, store.version(recipe, which)) for which in wanted)
    names = tables.ordered({*left.figures, *right.figures})
    tags = {v: tables.identity(d) for v, d in (("a", left), ("b", right))}
    settings = [
        (key, one, other)
        for key in sorted({**tags["a"], **left.params, **tags["b"], **right.params})
        if (one := (tags["a"] | left.params).get(key))
        != (other := (tags["b"] | right.params).get(key))
    ]
    if as_json:
        tables.print_json(
            {
                "a": left.version.name,
                "b": right.version.name,
                "figures": {
                    name: {
                        "a": tables.figure_json(left, name),
                        "b": tables.figure_json(right, name),
                        "difference": tables.difference(left, right, name),
                    }
                    for name in names
                },
                "params": {key: {"a": one, "b": other} for key, one, other in settings},
            }
        )
        return
    table = Table("figure", left.version.name, right.version.name, "difference")
    for name in names:
        difference = tables.difference(left, right, name)
        table.add_row(
            name,
            tables.figure_text(left.figures.get(name)),
            tables.figure_text(right.figures.get(name)),
            "" if difference is None else f"{difference:+.4f}",
        )
    out.print(table)
    if settings:
        table = Table("differs", left.version.name, right.version.name)
        for key, one, other in settings:
            table.add_row(escape(key), escape(one or "-"), escape(other or "-"))
        out.print(table)
    print_line("differences are b - a, without an interval: the parts tested may not be the same")
    for seen in (left, right):
        if seen.missing:
            print_line(f"note: {seen.version.name}: {seen.missing}")


@models.command()
def promote(
    recipe: Recipe,
    reviewer: Reviewer,
    reason: Reason,
    number: Which = None,
    version: Number = None,
    override: Annotated[
        str,
        typer.Option(
            help="Reason to promote although the gate failed or the version was rejected."
        ),
    ] = "",
    accept: Annotated[
        list[str] | None,
        typer.Option(
            help="Name of a check of the gate that is not proven and is accepted; repeatable."
        ),
    ] = None,
    key: KeyOption = None,
    line: LineOption = None,
    registry: Uri = None,
    as_json: Json = False,
) -> None:
    """Sign a version off: it becomes the champion, which stations run."""
    outcome = _review(registry, recipe, key, reviewer, line).promote(
        _one(recipe, number, version), reviewer, reason, override, accept or ()
    )
    tables.print_outcome(outcome, as_json, _reach(_registry(registry), outcome.version))


@models.command()
def reject(
    recipe: Recipe,
    reviewer: Reviewer,
    reason: Reason,
    number: Which = None,
    version: Number = None,
    key: KeyOption = None,
    registry: Uri = None,
    as_json: Json = False,
) -> None:
    """Reject a version: it stops being the challenger, and a promotion needs an override."""
    review = _review(registry, recipe, key)
    tables.print_outcome(review.reject(_one(recipe, number, version), reviewer, reason), as_json)


@models.command()
def withdraw(
    recipe: Recipe,
    reviewer: Reviewer,
    reason: Reason,
    number: Which = None,
    version: Number = None,
    key: KeyOption = None,
    line: LineOption = None,
    registry: Uri = None,
    as_json: Json = False,
) -> None:
    """Withdraw the champion without another: stations that need sign-offs inspect nothing."""
    review = _review(registry, recipe, key, reviewer, line, champion=False)
    tables.print_outcome(review.withdraw(_one(recipe, number, version), reviewer, reason), as_json)


@models.command()
def rollback(
    recipe: Recipe,
    reviewer: Reviewer,
    reason: Reason,
    key: KeyOption = None,
    line: LineOption = None,
    registry: Uri = None,
    as_json: Json = False,
) -> None:
    """Withdraw the champion and return to the one before it."""
    review = _review(registry, recipe, key, reviewer, line)
    tables.print_outcome(review.rollback(reviewer, reason), as_json)


@models.command()
def history(recipe: Recipe, registry: Uri = None, as_json: Json = False) -> None:
    """Show every decision about a recipe and whether all verify; exit 1 when they do not."""
    chain, versions = _all(_reading(registry), recipe)
    if as_json:
        tables.print_json(
            {
                "recipe": recipe,
                "verified": not chain.faults,
                "faults": list(chain.faults),
                "records": [r.model_dump() for r in chain.records],
                "pending": [r.model_dump() for r in chain.pending],
                "lost": [r.model_dump() for r in chain.lost],
                "disagreement": tables.disagreement(chain, versions),
            }
        )
    elif not chain.records and not chain.faults:
        print_line(f"nobody has decided about a version of {recipe} yet")
        tables.warn(chain, versions)
    else:
        out.print(tables.signoff_table(chain.records, f"decisions about {recipe}"))
        if not chain.faults and chain.last:
            print_line(f"verified: {len(chain.records)} record(s), the last is {chain.last.name}")
        tables.warn(chain, versions)
    if chain.faults:
        raise typer.Exit(1)


def _one(recipe: str, number: str | None, version: str | None) -> str:
    """The version given by position or as `--version`; RegistryError unless exactly one is."""
    wanted = {which for which in (number, version) if which is not None}
    if len(wanted) == 1:
        return wanted.pop()
    found = f"VERSION is {number} and --version {version}" if wanted else "no version is given"
    raise RegistryError(
        f"{found}; give one, a number or an alias, after {recipe} or as --version (those that "
        f"there are: lineside models list {recipe})"
    )


def _reading(uri: str | None) -> Registry:
    """The registry for a command that only reads: MLflow takes seconds to import."""
    from pipeline.registry.reading import ReadingRegistry

    return ReadingRegistry(uri)


def _registry(uri: str | None) -> Registry:
    from pipeline.registry.store import Registry

    return Registry(uri)


def _review(
    uri: str | None,
    recipe: str,
    key: Path | None,
    reviewer: str | None = None,
    lines: list[Path] | None = None,
    *,
    champion: bool = True,
) -> Review:
    """The review of a recipe; with a reviewer, whose decision the stations would follow."""
    from pipeline.registry.decisions.review import Review

    store, signing = _registry(uri), None if key is None else load(key)
    review = Review(store, recipe, signing)
    if reviewer is not None:
        check_lines(lines, recipe, reviewer.strip(), signing, store, champion=champion)
    return review


def _all(store: Registry, recipe: str) -> tuple[Chain, list[Version]]:
    """The sign-offs and the versions of a recipe; raises RegistryError where it is unknown."""
    from pipeline.registry.decisions.signoffs import SignoffLog

    chain, versions = SignoffLog(store, recipe).read(), store.versions(recipe)
    if not versions:
        store.require(recipe)
    return chain, versions


def _reach(store: Registry, version: Version) -> str:
    """Why stations elsewhere cannot fetch a version; "" where they can."""
    from pipeline.registry.location import out_of_reach_elsewhere

    try:
        return out_of_reach_elsewhere(store.source(version))
    except RegistryError as error:  # the decision stands
        return f"where its files lie cannot be read ({error})"
