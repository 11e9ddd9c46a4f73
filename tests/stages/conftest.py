"""One small recipe of real cells, run through all six stages once for all tests of the stages."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.contracts.taxonomy import Taxonomy
from pipeline.datasets.adapters import elpv, folder
from pipeline.files import whole_folder
from pipeline.registry.store import Registry
from pipeline.stages import augment, evaluate, ingest, preprocess, register, train
from tests.workers import made_once

TAXONOMY = Taxonomy.model_validate(
    {
        "classes": [
            {"name": "good", "disposition": "pass", "aliases": ["ok"]},
            {"name": "defective", "disposition": "scrap"},
        ]
    }
)
PER_CLASS = 60


@dataclass(frozen=True)
class Ran:
    """A recipe after all six stages.

    Attributes:
        images: folder of class folders, the data set.
        data: what the stages wrote.
        registry: where it was registered.
        train: settings of the training.
    """

    images: Path
    data: Path
    registry: Registry
    train: train.Config


def copy_cells(root: Path, per_class: int = PER_CLASS) -> None:
    """Lay out cells on which annotators agreed, spread over the data set, a folder a class."""
    config = elpv.Config(type="elpv")
    source = elpv.root(config)
    for label, belief in (("good", 0.0), ("defective", 1.0)):
        (root / label).mkdir(parents=True)
        sure = [s for s in elpv.read(config) if s.defect_probability == belief]
        for sample in sure[:: len(sure) // per_class][:per_class]:
            shutil.copy(source / sample.path, root / label)


def folder_of(images: Path) -> ingest.Config:
    """Settings of ingest for a folder of class folders."""
    return ingest.Config(
        source=folder.Config(type="folder", root=images),
        split=ingest.Split(val_fraction=0.25, test_fraction=0.25, folds=3),
    )


SPEC = preprocess.Config.model_validate(
    {"spec": {"colour": "grey", "width_px": 96, "height_px": 96}}
)
POLICY = augment.Config.model_validate(
    {"policy": {"flip": {"horizontal": True}, "exposure": {"probability": 1.0}}}
)
TRAIN = train.Config.model_validate(
    {"head": {"components": 32, "landmarks": 64, "max_epochs": 4}, "trials": False}
)

EVALUATE = evaluate.Config.model_validate(
    {
        "bootstrap_draws": 100,
        "robustness": {"parts": 8, "most_parts": 8},
        "explanation": {"each": 2},
    }
)


def build(
    data: Path,
    config: ingest.Config,
    spec: preprocess.Config = SPEC,
    training: train.Config = TRAIN,
) -> None:
    """Run the stages from ingest to evaluate."""
    with whole_folder(data / "ingest") as out:
        ingest.run(config, TAXONOMY, out)
    with whole_folder(data / "preprocess") as out:
        preprocess.run(spec, data, out)
    with whole_folder(data / "augment") as out:
        augment.run(POLICY, data, out)
    with whole_folder(data / "train") as out:
        train.run(training, data, out)
    with whole_folder(data / "evaluate") as out:
        evaluate.run(EVALUATE, data, out)


@pytest.fixture(scope="session")
def ran(tmp_path_factory: pytest.TempPathFactory, empty_registry: Path) -> Ran:
    def make(home: Path) -> None:
        copy_cells(home / "images")
        shutil.copy(empty_registry, home / "mlflow.db")
        made = at(home)
        build(made.data, folder_of(made.images))
        with whole_folder(made.data / "register") as out:
            register.run(register.Config(), {"train.seed": "0"}, {}, made.registry, made.data, out)

    def at(home: Path) -> Ran:
        registry = Registry(f"sqlite:///{home / 'mlflow.db'}")
        return Ran(home / "images", home / "data/cells", registry, TRAIN)

    return at(made_once(tmp_path_factory, "recipe", make))
