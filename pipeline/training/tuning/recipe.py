"""A recipe's settings and images as `lineside tune` takes them, and the writing of the YAML."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median

from pydantic import BaseModel

from pipeline import config as yaml_config
from pipeline.contracts.spec import Preprocessing, PreprocessSpec, Roi
from pipeline.datasets import manifest
from pipeline.datasets.manifest import Manifest
from pipeline.datasets.manifest_reader import read_manifest
from pipeline.datasets.proposals.roi import varying_area
from pipeline.errors import ConfigError, DataError, choices
from pipeline.files import cache_folder, write_whole
from pipeline.imaging import Pixels
from pipeline.training.settings import Settings
from pipeline.training.tuning.edits import edited
from pipeline.training.tuning.probe import MOST_PARTS, Probe, Watch, training_parts
from pipeline.training.tuning.trials import Trial, trials

CONF, DATA = Path("conf"), Path("data")
LOOKED_AT = 48  # pictures, for what is the same in all
# Below which key of each file the settings stand.
UNDER = {"preprocess.yaml": "spec", "train.yaml": ""}


@dataclass(frozen=True)
class Recipe:
    """A recipe in a project's folder.

    Attributes:
        name: of it.
        spec, training: its settings.
        data: its training images.
    """

    name: str
    spec: PreprocessSpec
    training: Settings
    data: Manifest

    @property
    def folder(self) -> Path:
        """Where its YAML is."""
        return CONF / self.name

    @property
    def now(self) -> Trial:
        """The settings as they are."""
        return Trial("as it is", "now", self.spec, self.training.scales)

    @cached_property
    def trials(self) -> list[Trial]:
        """What to try, the settings as they are first."""
        width, height = (round(median(self.data.table[side])) for side in ("width_px", "height_px"))
        return trials(self.spec, self.training.scales, (width, height), self._roi())

    def probe(self, parts: int, watch: Watch[object]) -> Probe:
        """The probe of its training images, at most `parts` of them."""
        return Probe(
            *(training_parts(self.data, parts), DATA / self.name / "ingest"),
            *(self.training.networks, self.training.seed),
            cache_folder("features") / f"{self.name}.sqlite",
            cache_folder("tuning"),
            watch,
        )

    def _roi(self) -> Roi | None:
        """What differs between pictures, where every step sees the picture as the camera does."""
        spec = self.spec
        if any((spec.roi, spec.rectify, spec.locate, spec.unwrap, spec.flat_field)):
            return None
        return varying_area(self._pictures())

    def _pictures(self) -> Iterator[Pixels]:
        n = len(self.data.table)
        shown = min(LOOKED_AT, n)
        return (self.data.pixels(i * n // shown) for i in range(shown))


def read(name: str) -> Recipe:
    """Read a recipe of the project in the working directory.

    Raises:
        ConfigError: its YAML is not right, with file and line.
        DataError: there is no such recipe, its images have not been ingested, or are too few.
    """
    folder = CONF / name
    if not (folder / "preprocess.yaml").is_file():
        there = sorted(path.parent.name for path in CONF.glob("*/preprocess.yaml"))
        raise DataError(
            f"{folder}/preprocess.yaml is not there; {choices(name, there)}"
            if there
            else f"{folder}/preprocess.yaml is not there; go to the project's folder, which has "
            "dvc.yaml and conf/"
        )
    spec = yaml_config.load(folder / "preprocess.yaml", Preprocessing).spec
    training = yaml_config.load(folder / "train.yaml", Settings)
    ingested = DATA / name / "ingest"
    if not (ingested / manifest.TABLE).is_file():
        raise DataError(
            f"{ingested}/{manifest.TABLE} is not there: the images have not been ingested; run: "
            f"dvc repro ingest@{name}"
        )
    data = read_manifest(ingested)
    spec = spec.model_copy(update={"raw": data.raw})
    return Recipe(name, spec, training, training_parts(data, max(MOST_PARTS, len(data.table))))


def write(recipe: Recipe, trial: Trial) -> list[Path]:
    """Write what a trial changes to the recipe's YAML, comments kept; returns the files.

    Raises:
        ConfigError: a file cannot be read or written, or would no longer be right.
    """
    models: dict[str, type[BaseModel]] = {
        "preprocess.yaml": Preprocessing,
        "train.yaml": Settings,
    }
    texts = {}
    for file, changes in trial.changes(recipe.now).items():
        path = recipe.folder / file
        texts[path] = edited(path, changes, UNDER[file], models[file])
    try:
        for path, text in texts.items():
            write_whole(path, text.encode())
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written ({error.strerror})") from error
    return list(texts)
