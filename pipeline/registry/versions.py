"""What the registry holds for a recipe: versions, their aliases and what their tags say."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pipeline.contracts.signoff import GateVerdict
from pipeline.errors import RegistryError, printable

CHAMPION = "champion"
CHALLENGER = "challenger"
PREVIOUS = "previous"
SHA256_TAG = "bundle_sha256"
GATE_TAG = "gate"  # passed or failed; a version without was registered by an older Lineside
REVIEW_TAG = "review.status"  # for people: pending, approved, rejected or withdrawn
RECORD_TAG = "review.record"  # the name of the sign-off that said so
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
    def gate(self) -> GateVerdict:
        """What the gate said when it was registered."""
        said = self.tags.get(GATE_TAG)
        return "passed" if said == "passed" else "failed" if said == "failed" else "unknown"


def moment(stamp_ms: int | None) -> str:
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
        created_at=moment(entry.creation_timestamp),
        description=entry.description or "",
    )


def of_recipe(recipe: str) -> str:
    """The filter of MLflow's searches for a recipe.

    Raises:
        RegistryError: no registered model can bear the name, or MLflow could not search for it.
    """
    if not recipe.strip() or any(c in "'\"`/:\\" or not c.isprintable() for c in recipe):
        raise RegistryError(
            f'the recipe "{printable(recipe)}" is no name of a registered model; it is that of a '
            "folder under conf/, without quotes, / : \\ and control characters"
        )
    return f"name = '{recipe}'"


def one_of(versions: list[Version], recipe: str, wanted: int | str, where: str) -> Version:
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
