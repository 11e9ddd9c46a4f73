"""What a report is about, in one strip: date, recipe, version, data, commit, bundle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

DIRTY = "-dirty"  # what `git` of `evaluation.lineage` adds to a commit
SHORT = 12  # characters of a hash that identify it among those of a project


@dataclass(frozen=True)
class Fact:
    """One entry of the strip.

    Attributes:
        name, text: what it is called and what it is.
        whole: all of a text that is cut, "" where it is not.
        alarming: shown in red.
    """

    name: str
    text: str
    whole: str = ""
    alarming: bool = False


def strip(
    recipe: str,
    version: int | None,
    bundle_sha256: str,
    facts: Mapping[str, str],
    lineage: Mapping[str, str],
) -> list[Fact]:
    """The entries in their order.

    Args:
        recipe, version: as it is registered; None: it is not registered yet.
        bundle_sha256: of what was evaluated.
        facts: on the data set (`evaluation.lineage.facts`).
        lineage: of evaluation.json; what it lacks is called not known.
    """
    commit, dirty = lineage.get("git_commit", ""), ""
    if commit.endswith(DIRTY):
        commit, dirty = commit.removesuffix(DIRTY), ", and code or settings differ from it"
    return [
        Fact("Evaluated", _moment(lineage.get("evaluated", ""))),
        Fact("Recipe", recipe),
        Fact("Version", "not registered yet" if version is None else str(version)),
        Fact("Data set", facts.get("source", "not known")),
        Fact("Images", facts.get("images", "not known")),
        Fact(
            "Commit",
            f"{commit[:SHORT]}{dirty}" if commit else "not known",
            whole=commit,
            alarming=bool(dirty) or not commit,
        ),
        Fact("Bundle", bundle_sha256[:SHORT], whole=bundle_sha256),
    ]


def _moment(iso: str) -> str:
    """`2026-11-28 11:30 UTC` of an ISO 8601 time in UTC."""
    if not iso:
        return "not known"
    return f"{datetime.fromisoformat(iso):%Y-%m-%d %H:%M} UTC"
