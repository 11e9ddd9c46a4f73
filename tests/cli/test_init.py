"""`lineside init`: a folder of images becomes a recipe that the stages run."""

from __future__ import annotations

import io
import json
import shutil
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from pipeline import config
from pipeline.contracts.taxonomy import Taxonomy
from pipeline.imaging.codec import encode_png
from pipeline.plugins import Strict
from pipeline.stages import augment, evaluate, ingest, preprocess, register, train
from tests.imports import ROOT
from tests.stages.conftest import copy_cells
from tests.test_cli import Run, lineside

__all__ = ["lineside"]

STAGES: dict[str, type[Strict]] = {
    "ingest": ingest.Config,
    "preprocess": preprocess.Config,
    "augment": augment.Config,
    "train": train.Config,
    "evaluate": evaluate.Config,
    "register": register.Config,
    "taxonomy": Taxonomy,
}
BEFORE = {"castings", "recipes.yaml", "template"}  # in conf/


class Terminal(io.StringIO):
    """Answers that a person types."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lineside: Run) -> Path:
    """A project without a recipe, as the working folder."""
    for name in ("template", "castings"):
        shutil.copytree(ROOT / "conf" / name, tmp_path / "conf" / name)
    (tmp_path / "conf/recipes.yaml").write_text("# all\nrecipes: []\n")
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    return tmp_path


def settings(project: Path, recipe: str) -> dict[str, Any]:
    """All files of a recipe, loaded as the stages load them."""
    home = Path("conf", recipe)
    assert sorted(p.name for p in home.iterdir()) == sorted(f"{s}.yaml" for s in STAGES)
    assert yaml.safe_load((project / "conf/recipes.yaml").read_text())["recipes"] == [recipe]
    return {name: config.load(home / f"{name}.yaml", kind) for name, kind in STAGES.items()}


def ingested(project: Path, recipe: str) -> dict[str, Any]:
    """The report of ingest by the recipe's own settings."""
    found, out = settings(project, recipe), project / "ingested"
    out.mkdir()
    ingest.run(found["ingest"], found["taxonomy"], out)
    report: dict[str, Any] = json.loads((out / "report.json").read_bytes())
    return report


def pictures(home: Path, n: int, side: int = 64) -> None:
    """Noise that is nothing alike, in n files."""
    home.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(zlib.crc32("/".join(home.parts[-2:]).encode()))
    for i in range(n):
        fields = rng.integers(0, 255, (8, 8, 3), np.uint8)
        picture = fields.repeat(side // 8, 0).repeat(side // 8, 1)
        (home / f"{home.name}{i:03d}.png").write_bytes(encode_png(picture))


def coco_export(home: Path) -> None:
    pictures(home / "images", 12)
    names = sorted(p.name for p in (home / "images").iterdir())
    export = {
        "images": [
            {"id": i, "file_name": name, "width": 64, "height": 64} for i, name in enumerate(names)
        ],
        "annotations": [
            {"id": i, "image_id": i, "category_id": 7, "bbox": [8, 8, 16, 16], "area": 256}
            for i in range(6)
        ],
        "categories": [{"id": 7, "name": "scratch"}],
    }
    (home / "annotations.json").write_text(json.dumps(export))


def mask_tree(home: Path) -> None:
    pictures(home / "images", 12)
    for i, path in enumerate(sorted((home / "images").iterdir())):
        mask = np.zeros((64, 64, 3), np.uint8)
        mask[8:24, 8:24] = 255 * (i < 6)
        (home / "masks").mkdir(exist_ok=True)
        (home / "masks" / path.name).write_bytes(encode_png(mask))


def test_a_folder_a_class_becomes_a_recipe_that_ingest_runs(lineside: Run, project: Path) -> None:
    copy_cells(project / "cells", per_class=8)
    code, said, _ = lineside("init", "mine", "cells", "--yes")
    assert code == 0
    assert "class good: 8 image(s), pass (by its name)" in said
    assert "written: conf/mine" in said
    assert "next: dvc repro register@mine" in said
    report = ingested(project, "mine")
    assert report["classes"] == {"good": 8, "defective": 8}


@pytest.mark.parametrize(
    ("make", "source", "classes"),
    [
        (coco_export, "coco", {"good": 6, "scratch": 6}),
        (mask_tree, "masks", {"good": 6, "defective": 6}),
    ],
)
def test_annotated_images_become_a_recipe_that_ingest_runs(
    make: Any, source: str, classes: dict[str, int], lineside: Run, project: Path
) -> None:
    make(project / "export")
    assert lineside("init", "mine", "export", "--yes")[0] == 0
    assert settings(project, "mine")["ingest"].source.type == source
    assert ingested(project, "mine")["classes"] == classes


def test_the_reasons_stand_above_the_settings(lineside: Run, project: Path) -> None:
    copy_cells(project / "cells", per_class=8)
    lineside("init", "mine", "cells", "--yes")
    text = (project / "conf/mine/ingest.yaml").read_text()
    assert text.startswith("# Made by `lineside init mine cells --yes`")
    assert "# 16 images; one folder a class: defective, good." in text
    assert "# Nothing names the part that an image shows" in text
    assert "# 16 images were looked at, all without colour." in (
        project / "conf/mine/preprocess.yaml"
    ).read_text().replace("  #", "#")


def test_what_is_not_derived_comes_from_the_template(lineside: Run, project: Path) -> None:
    copy_cells(project / "cells", per_class=8)
    (project / "conf/template/evaluate.yaml").write_text("policy: {type: max_overkill}\n")
    lineside("init", "mine", "cells", "--yes")
    assert (project / "conf/mine/evaluate.yaml").read_text() == "policy: {type: max_overkill}\n"


def test_good_parts_alone_become_a_recipe_that_learns_from_these(
    lineside: Run, project: Path
) -> None:
    pictures(project / "parts/good", 30)
    code, printed, _ = lineside("init", "mine", "parts", "--yes")
    assert code == 0
    assert "all images show good parts: the recipe learns from these alone" in printed
    assert "class defective: 0 image(s), scrap (what a part is called" in printed
    assert "doubt" not in printed
    found, out = settings(project, "mine"), project / "ingested"
    assert found["train"].method == "auto"
    assert found["evaluate"].policy.type == "conformal"
    out.mkdir()
    ingest.run(found["ingest"], found["taxonomy"], out, good_only=True)
    assert json.loads((out / "report.json").read_bytes())["classes"] == {"good": 30, "defective": 0}


def test_views_of_one_part_stay_on_one_side(lineside: Run, project: Path) -> None:
    for label in ("good", "bad"):
        pictures(project / "parts" / label, 12)
        for i, path in enumerate(sorted((project / "parts" / label).iterdir())):
            path.rename(path.with_name(f"{label}{i // 2:02d}_{'ab'[i % 2]}.png"))
    lineside("init", "mine", "parts", "--yes")
    assert ingested(project, "mine")["split"]["n_groups"] == 12


def test_a_given_split_without_defects_to_learn_from_is_not_used(
    lineside: Run, project: Path
) -> None:
    pictures(project / "parts/train/good", 8)
    pictures(project / "parts/test/good", 4)
    pictures(project / "parts/test/crack", 8)
    for mask in sorted((project / "parts/test/crack").iterdir()):
        drawn = np.zeros((64, 64, 3), np.uint8)
        drawn[8:40, 8:40] = 255
        target = project / "parts/ground_truth/crack" / f"{mask.stem}_mask.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(encode_png(drawn))
    _, said, _ = lineside("init", "mine", "parts", "--yes")
    assert "the data set's own split cannot be used: the given split has no training image" in said
    assert settings(project, "mine")["ingest"].split.given == "ignore"
    assert ingested(project, "mine")["splits"]["train"] > 0


def test_too_few_images_to_split_are_a_doubt_in_the_output_and_in_the_file(
    lineside: Run, project: Path
) -> None:
    copy_cells(project / "cells", per_class=2)
    code, said, _ = lineside("init", "mine", "cells", "--yes")
    assert code == 0
    assert "doubt: ingest will stop here: class" in said
    assert "# Doubt: ingest will stop here" in (project / "conf/mine/ingest.yaml").read_text()


def test_damaged_images_are_named(lineside: Run, project: Path) -> None:
    copy_cells(project / "cells", per_class=8)
    (project / "cells/good/torn.png").write_bytes(b"")
    _, said, _ = lineside("init", "mine", "cells", "--yes")
    assert "doubt: 1 image(s) cannot be read and will be left out, such as good/torn.png" in said


def test_a_layout_that_is_not_known_writes_nothing_and_names_what_was_looked_for(
    lineside: Run, project: Path
) -> None:
    pictures(project / "parts/images", 4)
    code, _, complaint = lineside("init", "mine", "parts", "--yes")
    assert code == 2
    assert "has a layout that is not known: 4 image(s) in images" in complaint
    assert "or a layout of coco, " in complaint
    assert sorted(p.name for p in (project / "conf").iterdir()) == [
        "castings",
        "recipes.yaml",
        "template",
    ]


def test_without_a_name_of_a_good_part_the_class_has_to_be_named(
    lineside: Run, project: Path
) -> None:
    pictures(project / "parts/type_a", 6)
    pictures(project / "parts/type_b", 6)
    code, _, complaint = lineside("init", "mine", "parts", "--yes")
    assert code == 2
    assert "the classes type_a, type_b" in complaint
    assert "--good CLASS" in complaint
    assert lineside("init", "mine", "parts", "--yes", "--good", "type_b")[0] == 0
    assert settings(project, "mine")["taxonomy"].good == ("type_b",)


def test_a_recipe_that_is_there_is_not_overwritten_without_being_asked_to(
    lineside: Run, project: Path
) -> None:
    copy_cells(project / "cells", per_class=8)
    (project / "conf/mine").mkdir()
    (project / "conf/mine/ingest.yaml").write_text("my own\n")
    code, _, complaint = lineside("init", "mine", "cells", "--yes")
    assert code == 2
    assert "conf/mine is there already; choose another name, or give --force" in complaint
    assert (project / "conf/mine/ingest.yaml").read_text() == "my own\n"
    assert lineside("init", "mine", "cells", "--yes", "--force")[0] == 0
    assert settings(project, "mine")["ingest"].source.type == "folder"


def test_without_a_terminal_it_asks_for_yes(lineside: Run, project: Path) -> None:
    copy_cells(project / "cells", per_class=8)
    code, _, complaint = lineside("init", "mine", "cells")
    assert code == 2
    assert "nobody can be asked without a terminal; give --yes" in complaint


def test_on_a_terminal_a_person_decides(
    lineside: Run, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_cells(project / "cells", per_class=8)
    monkeypatch.setattr(sys, "stdin", Terminal("\nsell\nrework\ny\n"))
    code, said, _ = lineside("init", "mine", "cells")
    assert code == 0
    assert "defective (8 images): pass, rework, scrap, review [scrap]" in said
    (_, defective) = settings(project, "mine")["taxonomy"].classes
    assert defective.disposition == "rework"
    assert "rework: as you decided" in (project / "conf/mine/taxonomy.yaml").read_text()


def test_who_answers_no_at_the_end_finds_nothing_written(
    lineside: Run, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_cells(project / "cells", per_class=8)
    monkeypatch.setattr(sys, "stdin", Terminal("\n\nn\n"))
    assert lineside("init", "mine", "cells")[0] == 1
    assert sorted(p.name for p in (project / "conf").iterdir()) == [
        "castings",
        "recipes.yaml",
        "template",
    ]


def test_a_setting_of_the_source_can_be_given(lineside: Run, project: Path) -> None:
    mask_tree(project / "export")
    for path in sorted((project / "export/masks").iterdir())[6:]:
        path.unlink()
    code = lineside("init", "mine", "export", "--yes", "--set", "missing_mask=good")[0]
    assert code == 0
    assert settings(project, "mine")["ingest"].source.missing_mask == "good"


def test_masks_that_were_left_out_are_an_error_that_names_the_setting(
    lineside: Run, project: Path
) -> None:
    mask_tree(project / "export")
    (project / "export/masks/images000.png").unlink()
    code, _, complaint = lineside("init", "mine", "export", "--yes")
    assert code == 2
    assert "set source.missing_mask: good" in complaint
    assert "--set KEY=VALUE" in complaint


def test_masks_among_the_images_are_never_parts(lineside: Run, project: Path) -> None:
    for label in ("good", "crack"):
        pictures(project / "parts" / label, 6)
        for path in sorted((project / "parts" / label).iterdir()):
            drawn = np.zeros((64, 64, 3), np.uint8)
            drawn[8:24, 8:24] = 255
            path.with_name(f"{path.stem}_mask.png").write_bytes(encode_png(drawn))
    code, _, complaint = lineside("init", "mine", "parts", "--yes")
    assert code == 2
    assert "has masks among its images" in complaint
    assert sorted(p.name for p in (project / "conf").iterdir()) == [
        "castings",
        "recipes.yaml",
        "template",
    ]


def test_good_images_that_an_export_left_out_are_named_with_the_setting(
    lineside: Run, project: Path
) -> None:
    coco_export(project / "export")
    file = project / "export/annotations.json"
    export = json.loads(file.read_text())
    file.write_text(json.dumps(export | {"images": export["images"][:6]}))
    code, _, complaint = lineside("init", "mine", "export", "--yes")
    assert code == 2
    assert "if the 6 image(s) that no list names" in complaint
    assert "give --set unlisted=good" in complaint
    assert lineside("init", "mine", "export", "--yes", "--set", "unlisted=good")[0] == 0
    assert ingested(project, "mine")["classes"] == {"good": 6, "scratch": 6}


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ("missing_mask", "is not KEY=VALUE"),
        ("type=csv", "is not KEY=VALUE"),
        ("missing_mask=god", "--set missing_mask: Input should be"),
        ("colour=red", "--set colour: Extra inputs are not permitted"),
    ],
)
def test_a_setting_that_does_not_fit_is_one_message(
    setting: str, reason: str, lineside: Run, project: Path
) -> None:
    mask_tree(project / "export")
    code, _, complaint = lineside("init", "mine", "export", "--yes", "--set", setting)
    assert code == 2
    assert reason in complaint
