"""Where MLflow's alias champion and the sign-offs part, and the commands that bring them together.

What counts is the chain; the alias is what MLflow's pages and plain stations look at.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.registry.chain import Chain
    from pipeline.registry.versions import Version


def disagreement(
    chain: Chain, aliased: Version | None, there: Collection[int] | None = None
) -> str:
    """What the alias says otherwise than the sign-offs do, and the remedy; empty where they agree.

    Args:
        chain: the sign-offs, which name a champion or none.
        aliased: the version that bears the alias champion, None where it is gone.
        there: the numbers of the versions in MLflow; None: as if none was ever deleted.
    """
    standing, recipe = chain.standing, chain.recipe
    signed = standing.champion
    if signed == (aliased.version if aliased else None):
        return ""
    if signed is None and aliased is not None:
        return (
            f"{aliased.name} bears the alias champion without a sign-off (promoted by an older "
            f"Lineside, or by hand): {_said(chain, aliased.version)}; sign it off: "
            f"{promote_command(recipe, aliased.version)}"
        )
    name = f"{recipe}/{signed}"
    if there is not None and signed not in there:
        back = rollback_command(recipe)
        return f"{name}, which was signed off, was deleted in MLflow; go back: {back}"
    points = "is gone"
    if aliased is not None:
        points = f"points to {aliased.name} ({_said(chain, aliased.version)})"
    act = chain.last.act if chain.last else "promote"
    again = rollback_command(recipe) if act == "rollback" else promote_command(recipe, signed or 0)
    return (
        f"{name} was signed off and the alias champion {points}: the command was cut off, or "
        f"somebody moved the alias; repeat what was signed off last: {again}"
    )


def promote_command(recipe: str, version: int | str) -> str:
    """The command that signs a version off."""
    name = shlex.quote(recipe)
    return f"lineside models promote {name} --version {version} --reviewer NAME --reason TEXT"


def rollback_command(recipe: str) -> str:
    """The command that goes back to the champion before."""
    return f"lineside models rollback {shlex.quote(recipe)} --reviewer NAME --reason TEXT"


def _said(chain: Chain, version: int) -> str:
    """What was last decided about a version."""
    said = chain.standing.status.get(version)
    return "nobody has signed it off" if said is None else f"it was {said}"
