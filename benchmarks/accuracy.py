"""`make bench-accuracy`: how good is the method on solar cells, by two protocols.

- groups: 5 folds over blocks of 60 neighbouring cells (about a module each), all parts judged by a
  head that saw none of their block; one AUROC over all out-of-fold scores.
- published: 75/25, stratified by annotated probability and cell type as in Deitsch et al. (Solar
  Energy 185, 2019), mean of five seeds. Neighbouring cells fall on both sides: it flatters.

Measured for the recipe as it is shipped, whose training takes a minute, and for the settings in
`benchmarks/three-minutes/`, which take what two cores can do in three.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from rich.console import Console
from rich.table import Table
from sklearn.metrics import accuracy_score, roc_auc_score
from sklearn.model_selection import train_test_split

from pipeline import config as yaml_config
from pipeline.contracts.taxonomy import Taxonomy
from pipeline.datasets import shards
from pipeline.datasets.splits import assign_folds
from pipeline.stages import augment, ingest, preprocess, train
from pipeline.training import methods
from pipeline.training.features.backbone_features import FeatureExtractor
from pipeline.training.heads import fitting, logistic
from pipeline.training.heads.out_of_fold import Folds
from pipeline.training.heads.search import search
from pipeline.training.training_data import classes_of, gather

FOLDS = 5
SEEDS = range(5)
CONF = Path("conf/solar-cell")
SETTINGS = {"shipped": CONF, "three minutes": Path("benchmarks/three-minutes")}


def main() -> None:
    """Print the table."""
    table = Table(title="ELPV")
    for column in ("settings", "protocol", "AUROC", "accuracy", "seconds"):
        table.add_column(column)
    for name, conf in SETTINGS.items():
        started = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            groups, published = measure(conf, Path(folder))
        seconds = f"{time.perf_counter() - started:.0f}"
        shown = (f"{v:.4f}" for v in groups)
        table.add_row(name, f"{FOLDS}-fold over groups, out-of-fold", *shown)
        shown = (f"{v:.4f}" for v in np.mean(published, axis=0))
        table.add_row("", f"75/25, mean of {len(SEEDS)} seeds", *shown, seconds)
        for seed, values in zip(SEEDS, published, strict=True):
            table.add_row("", f"  seed {seed}", *(f"{v:.4f}" for v in values))
    Console().print(table)


def measure(conf: Path, data: Path) -> tuple[tuple[float, float], list[tuple[float, float]]]:
    """AUROC and accuracy by groups, and by the published protocol for each seed.

    Args:
        conf: folder with preprocess.yaml and train.yaml; the rest is the shipped recipe's.
        data: an empty folder.
    """
    for name in ("ingest", "preprocess", "augment"):
        (data / name).mkdir()
    taxonomy = yaml_config.load(CONF / "taxonomy.yaml", Taxonomy)
    ingest.run(yaml_config.load(CONF / "ingest.yaml", ingest.Config), taxonomy, data / "ingest")
    prepared = yaml_config.load(conf / "preprocess.yaml", preprocess.Config)
    preprocess.run(prepared, data, data / "preprocess")
    # Every part is judged by heads that have not seen it: all of them are to learn from.
    listed = data / "preprocess" / shards.INDEX
    pd.read_parquet(listed).assign(split="train").to_parquet(listed, index=False)
    policy = yaml_config.load(CONF / "augment.yaml", augment.Config)
    augment.run(policy, data, data / "augment")

    settings = yaml_config.load(conf / "train.yaml", train.Config)
    gathered = gather(data, settings.soft_labels)
    graph = data / "features.onnx"
    backbones = methods.backbones_of(settings, gathered)
    extractor = FeatureExtractor(
        *(backbones, gathered.augmenter, settings.seed, gathered.sample()),
        *(graph, None, lambda vectors, *_: vectors),
    )
    features = methods.features_of(gathered, extractor, settings.views)
    index, bad = (
        gathered.index,
        classes_of(gathered.index, taxonomy) == taxonomy.names.index("defective"),
    )
    groups_of = index["group"].tolist()
    folds = np.array(assign_folds(index["label"].tolist(), groups_of, FOLDS, settings.seed))
    of_parts = Folds(
        *(features.values, features.image_of, gathered.targets, folds),
        *(settings.head, settings.seed),
    )
    unseen = search(of_parts, taxonomy.passing)
    groups = _figures(bad, unseen.logits)

    published = []
    strata = index["defect_probability"].round(2).astype(str) + index["variant"]
    for seed in SEEDS:
        sides = train_test_split(
            np.arange(len(index)), test_size=0.25, stratify=strata, random_state=seed
        )
        known, asked = (np.sort(side) for side in sides)
        rows = np.flatnonzero(np.isin(features.image_of, known))
        targets = gathered.targets[features.image_of[rows]]
        given = [str(label) for label in index["label"].iloc[known]]
        own = np.array(assign_folds(given, [groups_of[i] for i in known], FOLDS, seed))
        image_of = np.searchsorted(known, features.image_of[rows])
        values, config = features.values[rows], settings.head
        wanted, passing = gathered.targets[known], taxonomy.passing
        found = search(Folds(values, image_of, wanted, own, config, seed), passing)
        head, _ = fitting.fit(values, targets, config, seed, found.choice)
        published.append(_figures(bad[asked], logistic.logits_of(head, features.values[asked])))
    return groups, published


def _figures(bad: npt.NDArray[np.bool_], logits: npt.NDArray[np.float32]) -> tuple[float, float]:
    score = logits[:, 1] - logits[:, 0]
    return float(roc_auc_score(bad, score)), float(accuracy_score(bad, score > 0))


if __name__ == "__main__":
    main()
