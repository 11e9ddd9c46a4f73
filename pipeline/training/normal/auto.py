"""`method: auto`: a model of good parts while too few bad ones are known."""

from __future__ import annotations

from pipeline.training.training_data import TrainingData

# From here on a classifier is taken: as many as a head is trained on in "few shots" of
# BENCHMARKS.md. Where the two methods cross on a data set was not measured.
ENOUGH_PARTS, ENOUGH_GROUPS = 20, 3


def too_few(data: TrainingData) -> str:
    """Why a classifier is not trained yet, and what it takes; "" where enough bad parts are known.

    Args:
        data: the images that cameras took are looked at, those of the training split.
    """
    index = data.index
    bad = index[~index["part_label"].isin(data.taxonomy.good)]
    parts, groups = int(bad["sample_id"].nunique()), int(bad["group"].nunique())
    if parts >= ENOUGH_PARTS and groups >= ENOUGH_GROUPS:
        return ""
    known = (
        f"{parts} bad training part{'' if parts == 1 else 's'} of {groups} "
        f"group{'' if groups == 1 else 's'} are known"
        if parts
        else "no bad training part is known"
    )
    return (
        f"method auto: normal, since {known}; a retraining takes the classifier from "
        f"{ENOUGH_PARTS} of {ENOUGH_GROUPS} groups on"
    )
