"""Prepared images with masks: a grey ground with grain, and round dark defects on the bad parts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.contracts.spec import PreprocessSpec
from pipeline.contracts.taxonomy import Taxonomy
from pipeline.datasets import shards
from pipeline.datasets.shards import Shards, name_of
from pipeline.files import write_model
from pipeline.imaging import Pixels

TAXONOMY = Taxonomy.model_validate(
    {
        "classes": [
            {"name": "good", "disposition": "pass"},
            {"name": "pit", "disposition": "scrap"},
            {"name": "stain", "disposition": "rework"},
        ]
    }
)
SIDE = 64
Store = Callable[..., Shards]


def disc(x: float, y: float, radius: float) -> Pixels:
    """255 inside a circle, uint8 SIDE,SIDE."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    return np.where(np.hypot(columns - x, rows - y) <= radius, 255, 0).astype(np.uint8)


def ground(seed: int, level: float = 150, grain: float = 3, channels: int = 1) -> Pixels:
    """A part without defects, uint8 SIDE,SIDE,channels."""
    noise = np.random.default_rng(seed).normal(level, grain, (SIDE, SIDE, channels))
    return noise.clip(0, 255).astype(np.uint8)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Write labels, masks and grounds as shards: a masked pixel is darker than its ground."""

    def write(
        labels: list[str],
        masks: list[Pixels] | None,
        grounds: list[Pixels] | None = None,
        depth: int = 60,
        **columns: list[str],
    ) -> Shards:
        n = len(labels)
        images = grounds or [ground(i) for i in range(n)]
        if masks is not None:
            images = [
                np.where(m[:, :, None] > 0, np.maximum(g, depth) - depth, g).astype(np.uint8)
                for g, m in zip(images, masks, strict=True)
            ]
            np.save(tmp_path / name_of(0, shards.MASKS), np.stack(masks))
        np.save(tmp_path / name_of(0), np.stack(images))
        index = pd.DataFrame(
            {
                "sample_id": [f"s{i}" for i in range(n)],
                "label": labels,
                "group": [f"g{i}" for i in range(n)],
                "split": "train",
                "variant": "",
                "defect_probability": np.nan,
                "shard": 0,
                "row": range(n),
            }
        ).assign(**columns)
        index.to_parquet(tmp_path / shards.INDEX, index=False)
        colour = "grey" if images[0].shape[2] == 1 else "rgb"
        write_model(
            tmp_path / shards.SPEC, PreprocessSpec(colour=colour, width_px=SIDE, height_px=SIDE)
        )
        return Shards(tmp_path)

    return write
