"""Settings of `normal` in `conf/<recipe>/train.yaml`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pipeline.plugins import Strict


class NormalSettings(Strict):
    """How good parts are described, and what chooses between the descriptions."""

    scorer: Literal["auto", "memory", "subspace", "both"] = Field(
        "auto",
        description="What judges a part: the memory of patches, the subspace of pooled features, "
        "or the mean of both; auto: what is best out of fold.",
    )
    memory: int = Field(
        1024, ge=16, le=20_000, description="Patches of good parts that the memory holds."
    )
    pool: int = Field(
        20_000,
        ge=100,
        le=1_000_000,
        description="Patches that those of the memory are chosen from.",
    )
    components: int = Field(
        160, ge=4, le=512, description="Principal components of a patch, at most."
    )
    injected: int = Field(
        200,
        ge=16,
        le=5000,
        description="Good training images that get defects, for the choice; at most.",
    )
