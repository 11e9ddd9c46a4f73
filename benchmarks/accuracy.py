"""`make bench-accuracy`: how good is the shipped solar-cell method, by two protocols.

- groups: 5 folds over blocks of 60 neighbouring cells (about a module each), all parts judged by a
  head that saw none of their block; one AUROC over all out-of-fold scores.
- published: 75/25, stratified by annotated probability and cell type as in Deitsch et al. (Solar
  Energy 185, 2019), mean of five seeds. Neighbouring cells fall on both sides: it flatters.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from sklearn.metrics import accuracy_score, roc_auc_score
from sklearn.model_selection import train_test_split

from pipeline import config as yaml_config
from pipeline.contracts.taxonomy import Taxonomy
from pipeline.datasets.shards import Shards
from pipeline.datasets.splits import assign_folds
from pipeline.stages import augment, ingest, preprocess, progress, train
from pipeline.training import architectures, extraction, probe
from pipeline.training.augmentation import Augmenter
from pipeline.training.export import export
from pipeline.training.network import Features

FOLDS = 5
SEEDS = range(5)


def main() -> None:
    """Print the table."""
    started = time.perf_counter()
    conf = Path("conf/solar-cell")
    settings = yaml_config.load(conf / "train.yaml", train.Config)
    taxonomy = yaml_config.load(conf / "taxonomy.yaml", Taxonomy)
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        for name in ("ingest", "preprocess"):
            (data / name).mkdir()
        ingest.run(yaml_config.load(conf / "ingest.yaml", ingest.Config), taxonomy, data / "ingest")
        preprocess.run(
            yaml_config.load(conf / "preprocess.yaml", preprocess.Config),
            data,
            data / "preprocess",
        )
        stored = Shards(data / "preprocess")
        policy = yaml_config.load(conf / "augment.yaml", augment.Config).policy
        rows = np.arange(len(stored))
        backbone = architectures.build(settings.architecture, settings.weights, settings.seed)
        graph = data / "features.onnx"
        network = Features(backbone, stored.spec.shape[:2], settings.scales)
        export(network, stored[0], "image", ["features"], graph)
        batches = extraction.plan(rows, settings.views)
        augmenter = Augmenter.of(policy)
        computed = extraction.extract(graph, stored, augmenter, batches, settings.seed)
        features = np.concatenate(list(progress(computed, "features", total=len(batches))))
    index = stored.index
    targets = train.soft_targets(index, taxonomy, settings.soft_labels)
    bad = (index["label"] == "defective").to_numpy()
    n = len(index)

    labels, groups_of = index["label"].tolist(), index["group"].tolist()
    folds = np.array(assign_folds(labels, groups_of, FOLDS, settings.seed), np.intp)
    image_of = np.tile(rows, 1 + settings.views)
    unseen = probe.out_of_fold(
        features, image_of, targets, folds, settings.head, settings.seed, groups_of
    )
    scores = unseen[:, 1]
    groups = (roc_auc_score(bad, scores), accuracy_score(bad, scores > 0.5))

    published = []
    strata = index["defect_probability"].round(2).astype(str) + index["variant"]
    for seed in SEEDS:
        known, unseen = train_test_split(rows, test_size=0.25, stratify=strata, random_state=seed)
        fitted = np.concatenate([known + view for view in range(0, len(features), n)])
        head, _ = probe.fit(features[fitted], targets[fitted % n], settings.head, seed)
        judged = probe.predict(head, features[unseen])[:, 1]
        published.append(
            (roc_auc_score(bad[unseen], judged), accuracy_score(bad[unseen], judged > 0.5))
        )

    table = Table(title=f"ELPV, {settings.architecture}, method {settings.method}")
    for column in ("protocol", "AUROC", "accuracy"):
        table.add_column(column)
    table.add_row(f"{FOLDS}-fold over groups, out-of-fold", *(f"{v:.4f}" for v in groups))
    table.add_row("75/25, mean of 5 seeds", *(f"{v:.4f}" for v in np.mean(published, axis=0)))
    for seed, values in zip(SEEDS, published, strict=True):
        table.add_row(f"  seed {seed}", *(f"{v:.4f}" for v in values))
    Console().print(table)
    print(f"{time.perf_counter() - started:.0f} s in all")


if __name__ == "__main__":
    main()
