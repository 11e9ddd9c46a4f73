"""The `lineside` command: reads the command line, calls what does the work, prints for people.

May call everything but `stages`. Each command imports what it needs when it runs:
--help stays quick.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from pipeline import __version__
from pipeline.cli.architectures import architectures
from pipeline.cli.audit import audit, outbox
from pipeline.cli.challenge.command import challenge
from pipeline.cli.data import data
from pipeline.cli.init import init
from pipeline.cli.key import keys
from pipeline.cli.ledger import ledger
from pipeline.cli.live.attached import watch
from pipeline.cli.models import models
from pipeline.cli.recipes.tune import tune
from pipeline.cli.review import review
from pipeline.cli.run import check, run
from pipeline.cli.screen import err, exit_code, out, print_error, print_line
from pipeline.cli.studies.msa import msa
from pipeline.cli.token import token
from pipeline.errors import DataError, LinesideError

if TYPE_CHECKING:
    from pipeline.contracts.evaluation import Gate

RATES = {
    "accuracy": "accuracy",
    "escape_rate": "escapes",
    "overkill_rate": "overkill",
    "review_rate": "sent to review",
}

app = typer.Typer(
    help="Inspect parts at the line and look after the models that do it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(models, name="models")
app.add_typer(data, name="data")
app.add_typer(token, name="token")
app.add_typer(ledger, name="ledger")
app.add_typer(msa, name="msa")
app.command()(init)
app.command()(tune)
app.add_typer(keys, name="key")
app.command()(run)
app.command()(check)
app.command()(watch)
app.command()(review)
app.command()(audit)
app.command()(challenge)
app.command()(outbox)
app.command()(architectures)


def main() -> None:
    """Run a command; a failure that a person can mend ends with one message and exit code 2.

    Exit code 3: the station must be started again.
    """
    if sys.platform != "linux":
        err.print(f"error: Lineside runs on Linux, this is {sys.platform}", highlight=False)
        sys.exit(2)
    try:
        app()
    except LinesideError as error:
        print_error(error)
        sys.exit(exit_code(error))


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"lineside {__version__}")
        raise typer.Exit


@app.callback()
def lineside(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print and end.")
    ] = False,
) -> None:
    """Set up messages for all commands."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")


@app.command()
def summary(
    recipes: Annotated[
        list[str] | None, typer.Argument(help="Recipes; none: those of conf/recipes.yaml.")
    ] = None,
) -> None:
    """Show how good the built models are, what is registered and what to do next."""
    missing = [name for name in recipes or _listed_recipes() if not _summarise(name)]
    if missing:
        raise DataError(
            f"nothing is built yet for {', '.join(missing)} "
            f"(no data/{missing[0]}/evaluate/metrics.json); run: make repro"
        )


def _listed_recipes() -> list[str]:
    from pipeline import config
    from pipeline.plugins import Strict

    class Recipes(Strict):
        recipes: list[str]

    return config.load(Path("conf/recipes.yaml"), Recipes).recipes


def _summarise(recipe: str) -> bool:
    """Print one recipe's panel; False if it has not been evaluated."""
    folder = Path("data") / recipe
    metrics = _read_json(folder / "evaluate" / "metrics.json")
    if metrics is None:
        return False
    grid = Table.grid(padding=(0, 3))
    for key, name in RATES.items():
        grid.add_row(name, _rate(metrics, key), _interval(metrics, key))
    for key, form in (("auroc", "AUROC {:.3f}"), ("latency_ms_p50", "latency {:.1f} ms a frame")):
        if isinstance(metrics.get(key), int | float):
            grid.add_row(*form.format(metrics[key]).split(" ", 1))
    title = f"{recipe}: {metrics.get('n_test')} test images"
    out.print(Panel(grid, title=escape(title), title_align="left", expand=False))
    evaluation = _read_json(folder / "evaluate" / "evaluation.json") or {}
    gate = _gate(evaluation)
    if gate is not None:
        from pipeline.contracts.evaluation import CheckState
        from pipeline.reporting.wording import verdict

        print_line(verdict(gate))
        for check in gate.checks:
            if check.state.severity > CheckState.PASSED.severity:
                print_line(f"  {check.line}")
    for note in evaluation.get("notes") or []:
        print_line(f"note: {note}")
    _next_steps(recipe, _read_json(folder / "register" / "registration.json"), gate)
    return True


def _gate(evaluation: dict[str, Any]) -> Gate | None:
    """The gate of evaluation.json; None where there is none that can be read."""
    from pydantic import ValidationError

    from pipeline.contracts.evaluation import Gate

    try:
        return Gate.model_validate(evaluation.get("gate"))
    except ValidationError:
        return None


def _next_steps(recipe: str, registration: dict[str, Any] | None, gate: Gate | None) -> None:
    from pipeline.registry.versions import promote_command
    from pipeline.reporting.wording import promote

    if not registration or "version" not in registration:
        print_line("not registered yet; run: make repro")
        return
    version, alias = registration["version"], registration.get("alias")
    print_line(
        f'registered as {registration.get("name", recipe)} version {version}, alias "{alias}"'
    )
    command = _own_command()
    line = next(iter(_lines_of(recipe)), Path("conf/lines/YOURS.yaml"))
    print_line("next, sign it off and put it to work:")
    sign = promote_command(recipe, version) if gate is None else promote(recipe, gate, version)
    print_line(f"  {command}{sign.removeprefix('lineside')}")
    print_line(f"  {command} run {line}")


def _own_command() -> str:
    """`lineside` where the shell finds it, else the path that was used to call it."""
    return "lineside" if shutil.which("lineside") else os.path.relpath(sys.argv[0])


def _lines_of(recipe: str) -> list[Path]:
    pattern = re.compile(rf"^recipe:\s*{re.escape(recipe)}\s*(#.*)?$", re.MULTILINE)
    files = sorted(Path("conf/lines").glob("*.yaml"))
    return [f for f in files if pattern.search(f.read_text("utf-8", errors="replace"))]


def _rate(metrics: dict[str, Any], key: str) -> str:
    value = metrics.get(key)
    return f"{value:.1%}" if isinstance(value, int | float) else "not measured"


def _interval(metrics: dict[str, Any], key: str) -> str:
    interval = metrics.get(f"{key}_ci95")
    if not isinstance(interval, list) or len(interval) != 2 or None in interval:
        return ""
    return f"95 % interval {interval[0]:.1%} to {interval[1]:.1%}"


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        value = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as JSON ({error}); run: make repro") from error
    if not isinstance(value, dict):
        raise DataError(f"{path} holds no JSON object; run: make repro")
    return value
