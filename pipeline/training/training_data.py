"""Input of a training: images, targets, and the parts that it is evaluated on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.contracts.taxonomy import Taxonomy
from pipeline.datasets.shards import Shards
from pipeline.datasets.splits import assign_folds
from pipeline.errors import TrainingError
from pipeline.files import read_model
from pipeline.imaging import Pixels
from pipeline.training import Floats
from pipeline.training.augmentation import Augmenter, oversampling
from pipeline.training.augmentation.synthetic import FOLDER, TrainingImages
from pipeline.training.finetune import HeldOut

SAMPLES = 16
# To part validation, either half needs so many bad and so many good parts, of so many groups: 29
# independent parts without a miss prove 10 % at 95 % confidence, fewer set hardly any limit.
ENOUGH_PARTS, ENOUGH_GROUPS = 30, 3


@dataclass(frozen=True)
class TrainingData:
    """`targets` float32 N,K has the order of `images`: those of cameras, then synthetic ones.

    Attributes:
        stored: all prepared images, of every split.
        images: those to learn from.
        weights: how much each counts in the loss, float32 N, 1 on average.
        part_targets: of the parts that cameras' images show, where tiles have labels of their own.
        held: validation images that training may choose by; None where there are none.
        set_aside: ids of the validation parts that it may not, for the limits.
    """

    stored: Shards
    taxonomy: Taxonomy
    augmenter: Augmenter
    oversample: oversampling.Oversample
    images: TrainingImages
    targets: Floats
    weights: Floats
    part_targets: Floats
    held: HeldOut | None
    set_aside: tuple[str, ...] = ()

    @property
    def index(self) -> pd.DataFrame:
        """Of the training images that a camera took."""
        return self.images.index.iloc[: self.images.n_real]

    @property
    def unmarked_tiles(self) -> int:
        """Tiles of a part, which stand next to each other; 1 where tiles have their own labels."""
        return 1 if self.stored.has_marks else self.stored.spec.n_tiles

    @property
    def samples(self) -> npt.NDArray[np.intp]:
        """Some training images, with all their tiles, as positions in `stored`, for comparisons."""
        rows = self.stored.training.reshape(-1, self.stored.spec.n_tiles)
        return rows[:: max(1, rows.size // SAMPLES)].ravel()

    def sample(self) -> Pixels:
        """Those, uint8 N,H,W,C."""
        return self.stored.stack(self.samples)


ReviseTargets = Callable[[Sequence[str], Floats], Floats]


def gather(
    source: Path,
    soft_labels: float,
    revise: ReviseTargets | None = None,
    *,
    good_only: bool = False,
) -> TrainingData:
    """Read what the stages before wrote.

    Args:
        source: the recipe's data folder; `ingest/`, `preprocess/` and `augment/` are read.
        soft_labels: weight of the annotators' belief against the hard label.
        revise: new targets for images that a camera took, from their sample ids and targets.
        good_only: good images are enough.

    Raises:
        TrainingError: the images are of one class only, or none is good where that is enough.
    """
    stored = Shards(source / "preprocess")
    taxonomy = read_model(source / "ingest" / "taxonomy.json", Taxonomy)
    images = TrainingImages(stored, stored.training, Shards(source / "augment" / FOLDER))
    there = images.index["label"].unique().tolist()
    if len(there) < 2 and not (good_only and {*there} & {*taxonomy.good}):
        all_are = f'all {len(images)} training images are "{there[0]}"' if there else "no image"
        raise TrainingError(
            f"training needs images of two classes at least, {source.name} has {all_are}; add "
            f"images of {' or '.join(n for n in taxonomy.names if n not in there)}, look at the "
            "labels and the split that ingest reports, or set method: normal in train.yaml, which "
            "learns from good parts alone"
        )
    targets = soft_targets(images.index, taxonomy, soft_labels)
    if revise is not None:
        ids = images.index["sample_id"].iloc[: images.n_real].tolist()
        targets[: images.n_real] = revise(ids, targets[: images.n_real])
    aside = set_aside(stored.index[stored.index["split"] == "val"], taxonomy)
    return TrainingData(
        stored=stored,
        taxonomy=taxonomy,
        augmenter=Augmenter.read(source / "augment" / "policy.json"),
        oversample=oversampling.read(source / "augment"),
        images=images,
        targets=targets,
        weights=_weights(images.index),
        part_targets=_of_parts(images.index.iloc[: images.n_real], taxonomy, soft_labels),
        held=_held_out(stored, taxonomy, soft_labels, aside),
        set_aside=aside,
    )


def _weights(index: pd.DataFrame) -> Floats:
    """Those of the manifest, divided by their mean: the steps of a training keep their size."""
    weights = index["weight"].to_numpy(np.float32)
    scaled: Floats = weights / weights.mean()
    return scaled


def set_aside(index: pd.DataFrame, taxonomy: Taxonomy) -> tuple[str, ...]:
    """Half of the validation parts, by group, for the limits alone.

    Parts that chose an epoch or a temperature look better than others to what they chose; limits
    that they chose as well would promise too much.

    Args:
        index: of the validation images.
        taxonomy: which classes are bad; where no class passes there are no limits to choose.

    Returns:
        Sample ids, the same for the same images; none where either half would be too small.
    """
    if not any(taxonomy.passing) or not len(index):
        return ()
    parts = index.drop_duplicates("sample_id")
    bad = ~np.array(taxonomy.passing)[classes_of(parts.assign(label=parts["part_label"]), taxonomy)]
    groups = parts["group"].to_numpy(str)
    half = np.array(assign_folds([str(b) for b in bad], groups.tolist(), 2, seed=0))
    for side in (half == 0, half == 1):
        for kind in (side & bad, side & ~bad):
            if kind.sum() < ENOUGH_PARTS or len(np.unique(groups[kind])) < ENOUGH_GROUPS:
                return ()
    return tuple(parts["sample_id"][half == 1])


def _held_out(
    stored: Shards, taxonomy: Taxonomy, soft_labels: float, aside: Sequence[str]
) -> HeldOut | None:
    known = (stored.index["split"] == "val") & ~stored.index["sample_id"].isin(aside)
    rows = np.flatnonzero(known & stored.index["found"])
    if not len(rows):
        return None
    index = stored.index.iloc[rows]
    return HeldOut(
        images=stored,
        rows=rows,
        ids=index["sample_id"].to_numpy(),
        targets=_of_parts(index, taxonomy, soft_labels),
        labels=classes_of(index.assign(label=index["part_label"]), taxonomy),
        taxonomy=taxonomy,
    )


def _of_parts(index: pd.DataFrame, taxonomy: Taxonomy, soft_labels: float) -> Floats:
    """Targets of the parts, for which of several tiles the worst speaks."""
    return soft_targets(index.assign(label=index["part_label"]), taxonomy, soft_labels)


def classes_of(index: pd.DataFrame, taxonomy: Taxonomy) -> npt.NDArray[np.intp]:
    """The class of each image, int N, as a position in the taxonomy."""
    return np.array([taxonomy.names.index(label) for label in index["label"]], np.intp)


def soft_targets(index: pd.DataFrame, taxonomy: Taxonomy, weight: float) -> Floats:
    """Targets N,K: the class, mixed with the annotators' belief where there is one.

    The belief that a part is defective is spread over classes only where the taxonomy has two,
    one passing; elsewhere it does not determine the class.
    """
    targets: Floats = np.eye(len(taxonomy.names), dtype=np.float32)[classes_of(index, taxonomy)]
    if len(taxonomy.names) == 2 and sum(taxonomy.passing) == 1:
        belief = index["defect_probability"].to_numpy(np.float32)[:, None]
        soft = np.where(taxonomy.passing, 1 - belief, belief)
        known = ~np.isnan(belief[:, 0])
        targets[known] = (1 - weight) * targets[known] + weight * soft[known]
    return targets
