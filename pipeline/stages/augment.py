"""Augment: build the policy, prove that it keeps images trainable, and show what it does."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydantic import Field

from pipeline.datasets.shards import Shards
from pipeline.errors import DataError
from pipeline.files import write_json
from pipeline.imaging import Pixels
from pipeline.imaging.codec import encode_png
from pipeline.imaging.sheet import contact_sheet
from pipeline.plugins import Strict
from pipeline.stages import Report, run_stage
from pipeline.training.augmentation import Augmenter, Policy


class Config(Strict):
    """`conf/<recipe>/augment.yaml`."""

    policy: Policy = Field(description="What may happen to a training image.")
    views_on_sheet: int = Field(5, ge=1, le=16, description="Augmented views of each example.")
    examples_per_class: int = Field(3, ge=1, le=16, description="Examples a class on its sheet.")


def run(config: Config, source: Path, out: Path) -> Report:
    """Write policy.json and one before/after sheet `<class>.png` a class into `out`.

    Args:
        config: the policy.
        source: the recipe's data folder; `preprocess/` is read.
        out: an empty folder.

    Raises:
        DataError: the policy changes shape or type, or blackens or whitens whole images.
    """
    stored = Shards(source / "preprocess")
    augmenter = Augmenter.of(config.policy)
    write_json(out / "policy.json", augmenter.serialise())
    reloaded = Augmenter.read(out / "policy.json")
    training = np.flatnonzero(stored.index["split"] == "train")
    labels = stored.index["label"].to_numpy()
    checked = 0
    for name in sorted(set(labels[training])):
        tiles: list[tuple[str, Pixels]] = []
        for position in training[labels[training] == name][: config.examples_per_class]:
            image, sample_id = stored[position], str(stored.index["sample_id"].iat[position])
            tiles.append((f"{sample_id} before", image))
            for view in range(config.views_on_sheet):
                made = reloaded(image, seed=0, sample_id=sample_id, view=view)
                _refuse_blank(image, made, sample_id)
                tiles.append((f"view {view + 1}", made))
                checked += 1
        sheet = contact_sheet(tiles, columns=config.views_on_sheet + 1)
        (out / f"{name.replace('/', '_')}.png").write_bytes(encode_png(sheet))
    effects = [k for k, v in config.policy.model_dump().items() if v is not None]
    return Report([f"{', '.join(effects) or 'no effect'}; {checked} views checked"])


def _refuse_blank(image: Pixels, made: Pixels, sample_id: str) -> None:
    if made.std() < 1 <= image.std():
        raise DataError(
            f"the policy turns {sample_id} into one flat grey; weaken exposure in augment.yaml"
        )


def main(argv: Sequence[str] = sys.argv) -> None:
    """`python -m pipeline.stages.augment RECIPE`."""
    run_stage("augment", Config, run, argv)


if __name__ == "__main__":
    main()
