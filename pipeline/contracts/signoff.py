"""A sign-off: one decision of a person about one version, chained to the decision before by hash.

The chain makes a change visible; it does not make one impossible. Who may write to the registry
may also write a chain of his own: that is a matter of MLflow's users and rights, or of signatures,
which stations can require.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Any, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, field_validator, model_serializer

from pipeline.plugins import Strict

Act = Literal["promote", "reject", "rollback", "withdraw"]
GateVerdict = Literal["passed", "attention", "not proven", "failed", "unknown"]

# Twice their lengths, as JSON escapes quotes, and the rest fit in MLflow's 5,000 characters.
NAME_LENGTH = 100
TEXT_LENGTH = 1000


class Signoff(Strict):
    """One record of the chain; it never changes."""

    seq: int = Field(
        ge=1,
        description="Position in the chain of the recipe: 1 for the first decision, without gaps.",
    )
    act: Act
    recipe: str
    version: int = Field(
        description="Number of the version decided about; for a rollback, of the version restored."
    )
    bundle_sha256: str = Field(
        description="The version's bundle identity at the time of the decision."
    )
    reviewer: str = Field(min_length=1, max_length=NAME_LENGTH)
    reason: str = Field(min_length=1, max_length=TEXT_LENGTH)
    at: str = Field(description="Time of the decision, ISO 8601 in UTC, with microseconds.")
    gate: GateVerdict = Field(
        description="Result of the gate at the time; for a promotion, as in evaluation.json."
    )
    override_reason: str = Field(
        "",
        max_length=TEXT_LENGTH,
        description="Why the version was promoted although the gate failed; empty where it passed.",
    )
    accepted: tuple[str, ...] = Field(
        (),
        description="Checks of the gate that are not proven and that the reviewer accepted by "
        "name; written only where there are any.",
    )
    previous: int | None = Field(
        description="Number of the champion before; None where there was none, and for a rejection "
        "or withdrawal."
    )
    parent: str = Field(description="`sha256` of the record before; empty for the first.")
    login: str = Field(
        "",
        max_length=NAME_LENGTH,
        description="The user as which the registry's server knew the reviewer; empty where it "
        "knows no users. Written only where there is one.",
    )
    key: str = Field(
        "",
        max_length=60,
        description="Public key of the signature, `ed25519:` and Base64; written only with one.",
    )
    sha256: str = Field("", description="SHA-256 over all other fields but the signature.")
    signature: str = Field(
        "",
        max_length=100,
        description="Ed25519 signature over `lineside sign-off <sha256>` in Base64; written only "
        "where the reviewer has a key.",
    )

    @field_validator("at")
    @classmethod
    def _has_its_zone(cls, at: str) -> str:
        if datetime.fromisoformat(at).tzinfo is None:
            raise ValueError("a time without its zone")
        return at

    @model_serializer(mode="wrap")
    def _as_long_signed(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Records of before there were these fields keep their text, and with it their hash."""
        fields: dict[str, Any] = handler(self)
        for added in ("accepted", "login", "key", "signature"):
            if not getattr(self, added):
                fields.pop(added, None)
        return fields

    @property
    def full_reason(self) -> str:
        """The reason with what was accepted and overridden: all that the reviewer answers for."""
        accepted = ", ".join(self.accepted)
        return (
            self.reason
            + (f" (accepted as not proven: {accepted})" if accepted else "")
            + (f" (override: {self.override_reason})" if self.override_reason else "")
        )

    @property
    def expected_sha256(self) -> str:
        """SHA-256 over the canonical JSON of all other fields but `signature`.

        Sorted keys, no spaces, UTF-8.
        """
        fields: dict[str, Any] = self.model_dump(mode="json", exclude={"sha256", "signature"})
        text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def sealed(self) -> Self:
        """The same record bearing its hash."""
        return self.model_copy(update={"sha256": self.expected_sha256})

    @property
    def makes_champion(self) -> bool:
        """Does it make `version` the champion?"""
        return self.act in ("promote", "rollback")

    @property
    def name(self) -> str:
        """`<seq 4 digits>.<first 8 of the hash>`: unique though two may claim the same place."""
        return f"{self.seq:04d}.{self.sha256[:8]}"
