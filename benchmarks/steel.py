"""The 1,360 images of X-SDD, prepared as the recipe `steel-strip` says."""

from __future__ import annotations

from pathlib import Path

from pipeline import config as yaml_config
from pipeline.contracts.taxonomy import Taxonomy
from pipeline.datasets.adapters import folder
from pipeline.datasets.shards import Shards
from pipeline.stages import augment, ingest, preprocess, train
from pipeline.training.augmentation import Augmenter

IMAGES = Path("../shared/data/x-sdd")
RECIPE = Path("conf/steel-strip")


def prepare(images: Path, home: Path) -> Shards:
    """Run ingest and preprocess in an empty folder; stops the program where there are no images."""
    if not images.is_dir():
        raise SystemExit(f"error: {images} is no folder; give the one of X-SDD with --images")
    config = yaml_config.load(RECIPE / "ingest.yaml", ingest.Config)
    source = folder.Config(type="folder", root=images.resolve())
    for name in ("ingest", "preprocess"):
        (home / name).mkdir()
    ingest.run(config.model_copy(update={"source": source}), taxonomy(), home / "ingest")
    spec = yaml_config.load(RECIPE / "preprocess.yaml", preprocess.Config)
    preprocess.run(spec, home, home / "preprocess")
    return Shards(home / "preprocess")


def taxonomy() -> Taxonomy:
    """The seven classes."""
    return yaml_config.load(RECIPE / "taxonomy.yaml", Taxonomy)


def settings() -> train.Config:
    """How the recipe trains."""
    return yaml_config.load(RECIPE / "train.yaml", train.Config)


def augmenter() -> Augmenter:
    """What the recipe does to training images."""
    return Augmenter.of(yaml_config.load(RECIPE / "augment.yaml", augment.Config).policy)
