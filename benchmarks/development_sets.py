"""The development sets, as features of the shipped backbone: what heads are compared on.

ELPV and X-SDD by their recipes, castings and pcb-crops by the template's settings, the latter
without `exposure`, which does not exist for black and white pictures. Every image is to learn from;
those who compare make folds by group of their own.
"""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline import config as yaml_config
from pipeline.contracts.spec import Tiles
from pipeline.contracts.taxonomy import Disposition, PartClass, Taxonomy
from pipeline.datasets import shards
from pipeline.datasets.adapters import folder
from pipeline.datasets.grouping import Pattern
from pipeline.datasets.manifest import TAXONOMY
from pipeline.files import write_model
from pipeline.stages import augment, ingest, preprocess, train
from pipeline.training import methods
from pipeline.training.features.backbone_features import FeatureExtractor
from pipeline.training.training_data import classes_of, gather

SHARED = Path("../shared/data")
CONF = Path("conf")
BOARDS = Pattern(by="pattern", pattern=r"(board\d+)_")
Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.intp]


@dataclass(frozen=True)
class DevelopmentSet:
    """Features of one set.

    Attributes:
        values: float32 F,D: the N images as they are, then augmented views.
        image_of: which image each row shows, int F.
        labels: class of each image, int N.
        groups: what must stay on one side of a split, N.
        parts: the part that each image shows, int N: of several tiles the same.
        passing: which of the K classes are good; none of X-SDD's is.
        settings: of the recipe's train stage.
    """

    name: str
    values: Floats
    image_of: Rows
    labels: Rows
    groups: list[str]
    parts: Rows
    passing: tuple[bool, ...]
    settings: train.Config


def taxonomy(folders: Path, passing: str) -> Taxonomy:
    """Classes by the names of folders, one of which is good."""
    names = sorted({path.name for path in folders.iterdir() if path.is_dir()})
    return Taxonomy(
        classes=tuple(
            PartClass(name=n, disposition=Disposition.PASS if n == passing else Disposition.SCRAP)
            for n in names
        )
    )


def load(name: str, kept: Path | None = None, tiles: Tiles | None = None) -> DevelopmentSet:
    """One of `SETS`; its features are computed, or found in the folder `kept`.

    In `tiles` without augmented views: there are enough images then.
    """
    recipe = CONF / RECIPES.get(name, "template")
    settings = yaml_config.load(recipe / "train.yaml", train.Config)
    if tiles is not None:
        settings = settings.model_copy(update={"views": 0})
    classes, changes, policy = _described(name, recipe)
    file = None
    if kept is not None:
        prepared_by = [
            (recipe / f"{stage}.yaml").read_bytes() for stage in ("preprocess", "augment")
        ]
        networks = [(s.architecture, s.weights, s.scales) for s in settings.networks]
        facts = repr((networks, settings.views, settings.seed, changes, policy)).encode()
        facts += b"" if tiles is None else repr(tiles).encode()
        file = (
            kept / f"{name}-{hashlib.sha256(b''.join([*prepared_by, facts])).hexdigest()[:12]}.npz"
        )
    if file is None or not file.is_file():
        with tempfile.TemporaryDirectory() as home:
            found = _computed(recipe, settings, classes, changes, policy, tiles, Path(home))
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            np.savez(file, allow_pickle=False, **found)
    else:
        found = dict(np.load(file))
    return DevelopmentSet(
        name=name,
        values=found["values"],
        image_of=found["image_of"],
        labels=found["labels"],
        groups=found["groups"].tolist(),
        parts=found["parts"] if "parts" in found else np.arange(len(found["labels"])),
        passing=tuple(classes.passing),
        settings=settings,
    )


RECIPES = {"ELPV": "solar-cell", "X-SDD": "steel-strip"}
SETS = ("ELPV", "X-SDD", "castings", "pcb-crops")


def _described(name: str, recipe: Path) -> tuple[Taxonomy, dict[str, Any], dict[str, Any]]:
    """Classes, what differs in ingest.yaml, and what differs in the policy of augment.yaml."""
    if name == "castings":
        root = SHARED / "casting"
        return taxonomy(root / "train", "ok_front"), {"source": _folder(root)}, {}
    if name == "pcb-crops":
        root = SHARED / "pcb-crops"
        changes = {"source": _folder(root), "groups": BOARDS}
        return taxonomy(root, "good"), changes, {"exposure": None}
    changes = {"source": _folder(SHARED / "x-sdd")} if name == "X-SDD" else {}
    return yaml_config.load(recipe / "taxonomy.yaml", Taxonomy), changes, {}


def _with_a_good_class(classes: Taxonomy) -> Taxonomy:
    """Ingest asks for one; of X-SDD none is good. Features do not depend on it."""
    if classes.good:
        return classes
    first = classes.classes[0].model_copy(update={"disposition": Disposition.PASS, "severity": 0})
    return classes.model_copy(update={"classes": (first, *classes.classes[1:])})


def _folder(root: Path) -> folder.Config:
    if not root.is_dir():
        raise SystemExit(f"error: {root} is no folder; see data/README.md there, or leave it out")
    return folder.Config(type="folder", root=root.resolve())


def ingested(name: str, out: Path) -> None:
    """Write what `ingest` makes of one of `SETS`."""
    recipe = CONF / RECIPES.get(name, "template")
    classes, changes, _ = _described(name, recipe)
    _ingest(recipe, classes, changes, out)
    write_model(out / TAXONOMY, classes)


def _ingest(recipe: Path, classes: Taxonomy, changes: dict[str, Any], out: Path) -> None:
    config = yaml_config.load(recipe / "ingest.yaml", ingest.Config)
    if "groups" in changes:
        split = config.split.model_copy(update={"groups": changes["groups"]})
        config = config.model_copy(update={"split": split})
    if "source" in changes:
        config = config.model_copy(update={"source": changes["source"]})
    ingest.run(config, _with_a_good_class(classes), out)


def _computed(
    recipe: Path,
    settings: train.Config,
    classes: Taxonomy,
    changes: dict[str, Any],
    policy: dict[str, Any],
    tiles: Tiles | None,
    home: Path,
) -> dict[str, npt.NDArray[Any]]:
    for name in ("ingest", "preprocess", "augment"):
        (home / name).mkdir()
    _ingest(recipe, classes, changes, home / "ingest")
    prepared = yaml_config.load(recipe / "preprocess.yaml", preprocess.Config)
    if tiles is not None:
        spec = prepared.spec.model_copy(update={"tiles": tiles})
        prepared = prepared.model_copy(update={"spec": spec})
    preprocess.run(prepared, home, home / "preprocess")
    listed = home / "preprocess" / shards.INDEX
    pd.read_parquet(listed).assign(split="train").to_parquet(listed, index=False)
    augmented = yaml_config.load(recipe / "augment.yaml", augment.Config)
    changed = augmented.policy.model_copy(update=policy)
    augment.run(augmented.model_copy(update={"policy": changed}), home, home / "augment")

    data = gather(home, settings.soft_labels)
    extractor = FeatureExtractor(
        *(methods.backbones_of(settings, data), data.augmenter, settings.seed, data.sample()),
        *(home / "features.onnx", None, lambda vectors, *_: vectors),
    )
    features = methods.features_of(data, extractor, settings.views)
    return {
        "values": features.values,
        "image_of": features.image_of,
        "labels": classes_of(data.index, classes),
        "groups": data.index["group"].to_numpy(str),
        "parts": pd.factorize(data.index["sample_id"])[0],
    }
