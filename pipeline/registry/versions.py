"""What the registry holds for a recipe: versions with their aliases and tags."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, get_args

from pipeline.contracts.evaluation import CheckState
from pipeline.contracts.signoff import GateVerdict
from pipeline.errors import RegistryError, printable

CHAMPION = "champion"
CHALLENGER = "challenger"
PREVIOUS = "previous"
SHA256_TAG = "bundle_sha256"
GATE_TAG = "gate"  # a CheckState; a version without was registered by an older Lineside
REVIEW_TAG = "review.status"  # for people: pending, approved, rejected or withdrawn
SIGNER_TAG = "review.by"  # who decided so
RECORD_TAG = "review.record"  # the name of the sign-off that decided so
COMPARED_TAG = "compared_with"  # the champion that the gate compared it with, absent for none


@dataclass(frozen=True)
class Version:
    """One registered version of a recipe.

    Attributes:
        recipe, version: what it is called.
        bundle_sha256: identity of the bundle, "" if it was not registered by Lineside.
        run_id: the MLflow run that logged it.
        aliases: champion, challenger, previous: those that point to it.
        tags: all tags, with the last decision about it under `review.`.
        created_at: when it was registered, ISO 8601 in UTC, "" where unknown.
        description: markdown for the reviewer.
    """

    recipe: str
    version: int
    bundle_sha256: str
    run_id: str
    aliases: tuple[str, ...] = ()
    tags: dict[str, str] = field(default_factory=dict)
    created_at: str = ""
    description: str = ""

    @property
    def name(self) -> str:
        """`<recipe>/<version>`, as records carry it."""
        return f"{self.recipe}/{self.version}"

    @property
    def signed_by(self) -> str:
        """Who signed it off, for people to read; "" where it is not signed off."""
        return self.tags.get(SIGNER_TAG, "") if self.tags.get(REVIEW_TAG) == "approved" else ""

    @property
    def gate(self) -> GateVerdict:
        """The gate's result when it was registered."""
        found = self.tags.get(GATE_TAG)
        return next((verdict for verdict in get_args(GateVerdict) if verdict == found), "unknown")


def detail_tag(state: CheckState) -> str:
    """The tag that lists the checks of one result: `gate.not_proven`."""
    return f"{GATE_TAG}.{state.replace(' ', '_')}"


GATE_DETAILS = tuple(detail_tag(state) for state in CheckState if state is not CheckState.PASSED)


def promote_command(recipe: str, version: int | str) -> str:
    """The command that signs a version off."""
    name = shlex.quote(recipe)
    return f"lineside models promote {name} --version {version} --reviewer NAME --reason TEXT"


def rollback_command(recipe: str) -> str:
    """The command that goes back to the champion before."""
    return f"lineside models rollback {shlex.quote(recipe)} --reviewer NAME --reason TEXT"


def withdraw_command(recipe: str, version: int | str) -> str:
    """The command that takes the champion back without another in its place."""
    name = shlex.quote(recipe)
    return f"lineside models withdraw {name} --version {version} --reviewer NAME --reason TEXT"


def iso_time(stamp_ms: int | None) -> str:
    """MLflow's milliseconds as ISO 8601 in UTC, "" where there are none."""
    if not stamp_ms:
        return ""
    return datetime.fromtimestamp(stamp_ms / 1e3, UTC).isoformat(timespec="seconds")


def numbers(versions: Iterable[Version]) -> str:
    """`1, 2, 5`, for messages."""
    return ", ".join(str(v.version) for v in versions)


def from_mlflow(entry: Any, aliases: dict[str, str]) -> Version:
    """One of MLflow's model versions; `aliases` is alias to version number."""
    number = str(entry.version)
    return Version(
        recipe=entry.name,
        version=int(number),
        bundle_sha256=entry.tags.get(SHA256_TAG, ""),
        run_id=entry.run_id or "",
        aliases=tuple(sorted(a for a, v in aliases.items() if v == number)),
        tags=dict(entry.tags),
        created_at=iso_time(entry.creation_timestamp),
        description=entry.description or "",
    )


def recipe_filter(recipe: str) -> str:
    """The filter of MLflow's searches for a recipe.

    Raises:
        RegistryError: no registered model can bear the name, or MLflow could not search for it.
    """
    if not recipe.strip() or any(c in "'\"`/:\\" or not c.isprintable() for c in recipe):
        raise RegistryError(
            f'the recipe "{printable(recipe)}" cannot name a registered model; give the name of a '
            "folder under conf/, without quotes, / : \\ and control characters"
        )
    return f"name = '{recipe}'"


def find_version(versions: list[Version], recipe: str, wanted: int | str, where: str) -> Version:
    """The version of a number, or that an alias points to.

    Raises:
        RegistryError: there is none; those that there are are named.
    """
    for version in versions:
        if str(version.version) == str(wanted) or wanted in version.aliases:
            return version
    what = f"version {wanted}" if str(wanted).isdigit() else f'version with alias "{wanted}"'
    there = f"versions there: {numbers(versions)}" if versions else "none is registered"
    raise RegistryError(f"{recipe} has no {what} at {where}; {there}")
