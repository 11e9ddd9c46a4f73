"""`lineside key`: keys that sign decisions about models."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.errors import ConfigError, SignoffError

if TYPE_CHECKING:
    from pipeline.registry.decisions.keys import SigningKey
    from pipeline.registry.store import Registry

LINES = Path("conf/lines")
PASSWORD = "LINESIDE_KEY_PASSWORD"

keys = typer.Typer(help="Keys that sign decisions about models.", no_args_is_help=True)

KeyFile = Annotated[Path, typer.Argument(metavar="FILE", help="File of the private key.")]
KeyOption = Annotated[
    Path | None,
    typer.Option(
        "--key",
        envvar="LINESIDE_SIGNING_KEY",
        help="File of your key, which signs the decision; none: it is not signed.",
    ),
]
LineOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--line",
        help="Line file of a station that is to follow the decision, repeatable; none: those in "
        f"{LINES} with this recipe.",
    ),
]


@keys.command()
def new(
    file: KeyFile,
    password: Annotated[
        bool, typer.Option("--password", help=f"Encrypt it; asked for, or {PASSWORD}.")
    ] = False,
) -> None:
    """Make a key in a new file and print its public key, for `model.signers` in line files."""
    from pipeline.registry.decisions.keys import SigningKey

    secret = _password("password of the new key", confirm=True) if password else ""
    if password and not secret:
        raise ConfigError(f"--password: none was given; set {PASSWORD}, or use a terminal")
    made = SigningKey.make(file, secret)
    typer.echo(f"{file} has your key: keep it to yourself; its public key:", err=True)
    typer.echo(made.public)


@keys.command()
def show(file: KeyFile) -> None:
    """Print the public key of a key."""
    typer.echo(load(file).public)


def load(file: Path) -> SigningKey:
    """The key of a file; its password is asked for on a terminal, or taken from the environment.

    Raises:
        RegistryError: it cannot be used.
        MissingExtra: the package for signatures is not installed.
    """
    from pipeline.registry.decisions.keys import SigningKey, is_encrypted

    secret = _password(f"password of {file}") if is_encrypted(file) else ""
    return SigningKey.load(file, secret)


def check_lines(
    lines: Sequence[Path] | None,
    recipe: str,
    reviewer: str,
    key: SigningKey | None,
    registry: Registry,
    *,
    champion: bool,
) -> None:
    """Check that stations would follow a decision, before it is made.

    Args:
        lines: their line files; None: those in the folder `conf/lines` that have this recipe, as
            far as they can be read.
        recipe: what is decided about.
        reviewer, key: who decides, and what signs it.
        registry: where.
        champion: does the decision make a version the champion?

    Raises:
        SignoffError: a station would not follow it; the message names its line file.
        ConfigError: a line file that was named cannot be read or has another recipe.
    """
    from pipeline import config
    from pipeline.daemon.settings.line import Line
    from pipeline.registry.decisions.trust import Trust

    for file in lines or sorted(LINES.glob("*.yaml")):
        try:
            line = config.load(file, Line)
        except ConfigError:
            if lines:
                raise
            continue  # `lineside run` has its message
        if line.recipe != recipe:
            if lines:
                raise ConfigError(f"{file}: recipe is {line.recipe}; the decision is of {recipe}")
            continue
        trust = Trust(line.model.signers, line.model.require_login)
        try:
            trust.check_signer(reviewer, lambda: registry.login, key, champion=champion)
        except SignoffError as error:
            raise SignoffError(f"{file}: {error}") from None


def _password(what: str, *, confirm: bool = False) -> str:
    given = os.environ.get(PASSWORD, "")
    if given or not sys.stdin.isatty():
        return given
    return str(typer.prompt(what, hide_input=True, confirmation_prompt=confirm, err=True))
