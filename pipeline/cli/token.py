"""`lineside token`: access tokens of a station's web service."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.errors import ConfigError

if TYPE_CHECKING:
    from pipeline.daemon.web.tokens import Tokens

token = typer.Typer(help="Access tokens of a station's web service.", no_args_is_help=True)

LineFile = Annotated[Path, typer.Argument(metavar="LINE.yaml", help="The station's line file.")]
Name = Annotated[
    str,
    typer.Argument(help="Name of the program or person that uses the token, such as plc-gateway."),
]


@token.command()
def new(
    line_file: LineFile,
    name: Name,
    scope: Annotated[
        list[str],
        typer.Option(
            help="read: records and frames; judge: review parts; act: send pictures, trigger. "
            "May be repeated."
        ),
    ],
) -> None:
    """Make a token and print it once; it is valid immediately."""
    from pipeline.daemon.web.tokens import Scope
    from pipeline.errors import choices

    if unknown := next((s for s in scope if s not in set(Scope)), None):
        raise ConfigError(f'--scope "{unknown}" unknown; {choices(unknown, Scope)}')
    tokens = _tokens(line_file)
    secret = tokens.new(name, map(Scope, scope))
    typer.echo(f"{tokens.path} has its hash; the token itself is shown this once:", err=True)
    typer.echo(secret)


@token.command("list")
def listed(line_file: LineFile) -> None:
    """List the tokens by name, with their scopes."""
    for known in _tokens(line_file).all():
        typer.echo(f"{known.name}  {', '.join(sorted(known.scopes))}")


@token.command()
def revoke(line_file: LineFile, name: Name) -> None:
    """Revoke a token; a running station refuses it from the next request on."""
    tokens = _tokens(line_file)
    tokens.revoke(name)
    typer.echo(f"{name} has no token in {tokens.path} any more")


def _tokens(line_file: Path) -> Tokens:
    from pipeline import config
    from pipeline.daemon.settings.line import Line
    from pipeline.daemon.web.tokens import Tokens

    line = config.load(line_file, Line)
    if line.http is None or line.http.tokens is None:
        raise ConfigError(
            f"{line_file} names no file of tokens; write, for instance:\n"
            "http:\n  tokens: conf/lines/tokens"
        )
    return Tokens(line.http.tokens)
