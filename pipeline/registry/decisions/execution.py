"""Carries out a decision that was recorded: MLflow's aliases and tags follow the chain.

Doing it twice changes nothing, so what a crash leaves half done is finished by repeating it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from pipeline.contracts.signoff import Signoff
from pipeline.errors import RegistryError
from pipeline.registry.connection import translate_errors
from pipeline.registry.decisions.chain import Standing
from pipeline.registry.decisions.signoffs import SignoffLog
from pipeline.registry.store import Registry
from pipeline.registry.versions import CHALLENGER, CHAMPION, PREVIOUS, RECORD_TAG, Version

STATUS = {
    "promote": "approved",
    "reject": "rejected",
    "rollback": "approved",
    "withdraw": "withdrawn",
}
ENDS = ("reject", "withdraw")  # acts after which a version waits for nobody any more

log = logging.getLogger(__name__)


def carry_out(
    registry: Registry, signoffs: SignoffLog, record: Signoff, versions: Sequence[Version]
) -> None:
    """Make MLflow's tags and aliases agree with a record.

    Args:
        registry: where the versions are.
        signoffs: of the recipe.
        record: the decision, which took effect.
        versions: of the recipe; that of the record may be missing, as it was deleted in MLflow.

    Raises:
        RegistryError: the registry refuses, or is away; repeating the command finishes it.
    """
    there = {v.version: v for v in versions}
    decided = there.get(record.version)
    with translate_errors(registry.uri):
        out = record.version if record.act in ENDS else None
        if decided is not None:
            _mirror(registry, record, record.version, STATUS[record.act])
        if record.act == "rollback" and record.previous in there:
            _mirror(registry, record, record.previous, "withdrawn")
            out = record.previous
        if record.act != "reject" or (decided is not None and PREVIOUS in decided.aliases):
            _point(registry, signoffs, there)
        if out in there and CHALLENGER in there[out].aliases:
            registry.client.delete_registered_model_alias(record.recipe, CHALLENGER)
    if decided is not None:
        _keep_copy(registry, record, decided.run_id)


def is_carried_out(record: Signoff, version: Version) -> bool:
    """Do the aliases and tags of a version that was rejected or withdrawn agree with the record?"""
    unwanted = {CHALLENGER, PREVIOUS} | ({CHAMPION} if record.act == "withdraw" else set())
    return version.tags.get(RECORD_TAG) == record.name and not unwanted & {*version.aliases}


def _point(registry: Registry, signoffs: SignoffLog, there: dict[int, Version]) -> None:
    """Set the aliases to what the chain names, also where it grows at this moment."""
    client, recipe = registry.client, signoffs.recipe
    standing: Standing | None = None
    while (now := signoffs.read().standing) != standing:
        standing = now
        before = next((v for v in standing.former if v in there), None)
        if before is not None:
            client.set_registered_model_alias(recipe, PREVIOUS, str(before))
        elif any(PREVIOUS in v.aliases for v in there.values()):
            client.delete_registered_model_alias(recipe, PREVIOUS)
        if standing.champion is not None:
            client.set_registered_model_alias(recipe, CHAMPION, str(standing.champion))
        elif standing.withdrawal is not None:
            client.delete_registered_model_alias(recipe, CHAMPION)


def _mirror(registry: Registry, record: Signoff, version: int | None, status: str) -> None:
    """Show the decision on the version's page in MLflow; nothing reads it back."""
    tags = {"by": record.reviewer, "at": record.at[:19] + "Z", "reason": record.full_reason}
    for key, value in (tags | {"status": status, "record": record.name}).items():
        registry.client.set_model_version_tag(record.recipe, str(version), f"review.{key}", value)


def _keep_copy(registry: Registry, record: Signoff, run_id: str) -> None:
    """The record as an artifact of the version's run: a copy, so its loss undoes nothing."""
    text = record.model_dump_json(indent=2) + "\n"
    try:
        with translate_errors(registry.uri):
            registry.client.log_text(run_id, text, f"signoff/{record.seq:04d}.json")
    except RegistryError as error:
        log.warning("the decision stands, but its copy among the run's files: %s", error)
