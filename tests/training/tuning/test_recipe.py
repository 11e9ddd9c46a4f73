"""Writing what was found to a recipe's YAML."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from pipeline.contracts.taxonomy import Disposition, PartClass, Taxonomy
from pipeline.datasets.manifest import Manifest
from pipeline.errors import ConfigError, DataError
from pipeline.training.settings import Settings
from pipeline.training.tuning.recipe import Recipe, read, write
from pipeline.training.tuning.trials import trials

PREPROCESS = "spec:\n  width_px: 224   # usual\n  height_px: 224\n  fit: letterbox\n"
TRAIN = "scales: [1.0, 0.715]   # two sizes\n"


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf/a").mkdir(parents=True)
    (tmp_path / "conf/a/preprocess.yaml").write_text(PREPROCESS)
    (tmp_path / "conf/a/train.yaml").write_text(TRAIN)
    from pipeline import config
    from pipeline.contracts.spec import Preprocessing

    classes = (
        PartClass(name="good", disposition=Disposition.PASS),
        PartClass(name="bad", disposition=Disposition.SCRAP),
    )
    table = pd.DataFrame({"width_px": [400] * 3, "height_px": [200] * 3, "path": ["x.png"] * 3})
    data = Manifest(table, Taxonomy(classes=classes), tmp_path, {})
    spec = config.load(Path("conf/a/preprocess.yaml"), Preprocessing).spec
    return Recipe("a", spec, config.load(Path("conf/a/train.yaml"), Settings), data)


def test_both_files_are_written_with_their_comments(recipe: Recipe) -> None:
    tried = trials(recipe.spec, recipe.training.scales, (400, 200))
    by_axis = {trial.axis: trial for trial in tried}
    assert write(recipe, by_axis["fit"]) == [Path("conf/a/preprocess.yaml")]
    assert Path("conf/a/preprocess.yaml").read_text() == PREPROCESS.replace("letterbox", "stretch")
    assert write(recipe, by_axis["scales"]) == [Path("conf/a/train.yaml")]
    assert Path("conf/a/train.yaml").read_text().startswith("scales: [1.0, 0.5]")
    assert "# two sizes" in Path("conf/a/train.yaml").read_text()


def test_a_file_that_cannot_be_read_is_an_error_with_its_name(recipe: Recipe) -> None:
    Path("conf/a/preprocess.yaml").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match=r"conf/a/preprocess\.yaml"):
        read("a")


def test_a_recipe_that_is_not_there_lists_those_that_are(recipe: Recipe) -> None:
    with pytest.raises(DataError, match=r"conf/b/preprocess\.yaml is not there; .*a"):
        read("b")
