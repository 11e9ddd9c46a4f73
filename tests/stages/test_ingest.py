"""Ingest: a data set becomes a manifest, or one clear message."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.contracts.taxonomy import Taxonomy
from pipeline.datasets.adapters import elpv, folder
from pipeline.errors import DataError
from pipeline.imaging.codec import encode_png, read
from pipeline.stages import ingest
from tests.stages.conftest import TAXONOMY, Ran, copy_cells, folder_of


@pytest.fixture
def images(tmp_path: Path) -> Path:
    copy_cells(tmp_path / "images", per_class=12)
    return tmp_path / "images"


def ingested(images: Path, taxonomy: Taxonomy = TAXONOMY) -> tuple[pd.DataFrame, dict[str, object]]:
    out = images.parent / "out"
    out.mkdir()
    ingest.run(folder_of(images), taxonomy, out)
    report: dict[str, object] = json.loads((out / "report.json").read_bytes())
    return pd.read_parquet(out / "manifest.parquet"), report


def test_every_image_is_listed_with_label_split_size_and_hash(images: Path) -> None:
    table, _ = ingested(images)
    assert sorted(table["path"]) == sorted(
        p.relative_to(images).as_posix() for p in images.rglob("*.png")
    )
    assert set(table["label"]) == {"good", "defective"}
    assert set(table["split"]) == {"train", "val", "test"}
    assert set(table["width_px"]) == set(table["height_px"]) == {300}
    assert table["sha256"].str.len().eq(64).all()


@pytest.mark.slow
def test_the_same_seed_gives_the_same_split(images: Path, ran: Ran) -> None:
    first, _ = ingested(images)
    shutil.rmtree(images.parent / "out")
    second, _ = ingested(images)
    pd.testing.assert_frame_equal(first, second)


def test_an_unreadable_image_among_good_ones_is_quarantined_and_listed(images: Path) -> None:
    whole = next((images / "good").glob("*.png")).read_bytes()
    (images / "good" / "cut-off.png").write_bytes(whole[:200])
    (images / "good" / "empty.png").touch()
    table, report = ingested(images)
    assert len(table) == 24
    assert [q["path"] for q in report["corrupt"]] == [  # type: ignore[attr-defined]
        "good/cut-off.png",
        "good/empty.png",
    ]


def test_a_folder_of_unreadable_images_alone_is_an_error(tmp_path: Path) -> None:
    for name in ("good", "defective"):
        (tmp_path / "images" / name).mkdir(parents=True)
        (tmp_path / "images" / name / "a.png").write_text("not an image")
    with pytest.raises(DataError, match="none of the 2 images"):
        ingested(tmp_path / "images")


def test_identical_pictures_share_a_group_whatever_they_are_called(images: Path) -> None:
    original = sorted((images / "good").glob("*.png"))[0]
    shutil.copy(original, images / "good" / "copy.png")
    table, report = ingested(images)
    pair = table[table["path"].isin([f"good/{original.name}", "good/copy.png"])]
    assert pair["group"].nunique() == pair["split"].nunique() == 1
    assert report["identical_pairs"] == 1


def given(images: Path, **settings: object) -> tuple[pd.DataFrame, dict[str, Any], str]:
    """Ingest a data set with its own train and test; table, report's split and what is printed."""
    config = ingest.Config(
        source=folder.Config(type="folder", root=images),
        split=ingest.Split.model_validate(
            {"val_fraction": 0.25, "test_fraction": 0.25, **settings}
        ),
    )
    out = images.parent / "out"
    out.mkdir()
    printed = ingest.run(config, TAXONOMY, out)
    report = json.loads((out / "report.json").read_bytes())
    return pd.read_parquet(out / "manifest.parquet"), report["split"], "\n".join(printed.lines)


@pytest.fixture
def split_images(tmp_path: Path) -> Path:
    """A data set with its own split: test has every third cell of each class."""
    copy_cells(tmp_path / "all", per_class=15)
    root = tmp_path / "images"
    for label in ("good", "defective"):
        for i, path in enumerate(sorted((tmp_path / "all" / label).glob("*.png"))):
            home = root / ("test" if i % 3 == 0 else "train") / label
            home.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, home)
    return root


def leak(root: Path) -> None:
    original = sorted((root / "train/good").glob("*.png"))[0]
    shutil.copy(original, root / "test/good/copy.png")


def test_a_given_split_is_kept_and_of_few_shots_none_is_taken_for_validation(
    split_images: Path,
) -> None:
    table, split, printed = given(split_images)
    in_test = table["path"].str.startswith("test/")
    assert set(table.loc[in_test, "split"]) == {"test"}
    assert set(table.loc[~in_test, "split"]) == {"train"}
    assert split["leaky"] is split["regrouped"] is False
    assert "the given split does not leak; it has no validation side" in printed
    assert set(table["given_split"]) == {""}  # it holds: there is nothing to compare with


def test_a_class_that_a_given_split_never_trains_on_is_named(split_images: Path) -> None:
    shutil.rmtree(split_images / "train/defective")
    (split_images / "train/defective").mkdir()
    with pytest.raises(DataError, match=r"no training image of class defective.*given to ignore"):
        given(split_images)


def test_a_given_split_can_be_ignored(split_images: Path) -> None:
    table, split, _ = given(split_images, given="ignore")
    in_test = table["path"].str.startswith("test/")
    assert len(set(table.loc[in_test, "split"])) > 1
    assert set(table["given_split"]) == {""}
    assert split["given"] == ""


def test_a_given_split_that_leaks_is_made_again_by_group(split_images: Path) -> None:
    leak(split_images)
    table, split, printed = given(split_images)
    assert table.groupby("pixels_sha256")["split"].nunique().max() == 1
    assert split["leaky"] is False
    assert "the given split is leaky: 1 identical" in printed
    assert "split again by group" in split["given"]
    assert split["regrouped"] is True


def test_the_pairs_that_a_replaced_split_parted_are_shown(split_images: Path) -> None:
    leak(split_images)
    table, split, printed = given(split_images)
    original = sorted((split_images / "train/good").glob("*.png"))[0].name
    assert split["given_pairs_shown"][0] == [f"train/good/{original}", "test/good/copy.png"]
    assert f"train/good/{original} = test/good/copy.png" in printed
    copy = table["path"] == "test/good/copy.png"
    assert table.loc[copy, "given_split"].tolist() == ["test"]


def test_a_leaky_split_that_is_kept_is_called_leaky(split_images: Path) -> None:
    leak(split_images)
    table, split, printed = given(split_images, on_leak="warn")
    assert (split["leaky"], split["regrouped"]) == (True, False)
    assert table.groupby("pixels_sha256")["split"].nunique().max() == 2
    assert "LEAKY" in printed


def test_a_leaky_split_can_be_an_error(split_images: Path) -> None:
    leak(split_images)
    with pytest.raises(
        DataError, match=r"leaky: 1 identical.*set split\.on_leak to regroup or warn"
    ):
        given(split_images, on_leak="error")


def look_alike(root: Path) -> None:
    """The same shot on the other side, a little darker: near, not identical."""
    original = sorted((root / "train/good").glob("*.png"))[0]
    darker = (read(original) * 0.98).astype(np.uint8)
    (root / "test/good/look-alike.png").write_bytes(encode_png(darker))


def test_a_given_split_that_parts_look_alikes_is_leaky_even_where_they_are_not_joined(
    split_images: Path,
) -> None:
    look_alike(split_images)
    _, split, printed = given(split_images, near_duplicates=False)
    assert (split["leaky"], split["regrouped"]) == (True, False)
    assert "LEAKY: 0 identical and 1 near-duplicate pairs" in printed
    assert "it is kept, since split.near_duplicates is off" in printed


def test_a_given_split_that_parts_look_alikes_is_made_again_where_they_are_joined(
    split_images: Path,
) -> None:
    look_alike(split_images)
    _, split, _ = given(split_images)
    assert (split["leaky"], split["regrouped"]) == (False, True)


def all_alike(images: Path) -> None:
    """Every good cell once more, a little darker."""
    for path in sorted((images / "good").glob("*.png")):
        darker = (read(path) * 0.98).astype(np.uint8)
        path.with_stem(f"{path.stem}-again").write_bytes(encode_png(darker))


def test_a_split_made_here_that_parts_look_alikes_is_called_leaky(images: Path) -> None:
    all_alike(images)
    table, split, printed = given(images, near_duplicates=False)
    stems = table["path"].str.removesuffix(".png").str.removesuffix("-again")
    assert table.groupby(stems)["split"].nunique().max() == 2
    assert split["leaky"] is True
    assert "LEAKY: 0 identical and" in printed
    assert "-again.png" in printed


def test_a_split_made_here_that_parts_look_alikes_can_be_an_error(images: Path) -> None:
    all_alike(images)
    with pytest.raises(DataError, match=r"the split is leaky.*set split\.near_duplicates to true"):
        given(images, near_duplicates=False, on_leak="error")


def test_groups_are_made_by_the_settings_and_reported_in_their_words(images: Path) -> None:
    table, split, printed = given(
        images, groups={"by": "blocks", "images": 3, "within": "folder"}, near_duplicates=False
    )
    assert table.groupby("group").size().tolist() == [3] * 8
    assert split["by"] == "blocks of 3 neighbouring images of a folder"
    assert "8 groups (by blocks of 3 neighbouring images of a folder)" in printed
    assert table.groupby("group")["split"].nunique().max() == 1


def test_a_part_named_in_the_path_stays_together_with_its_copies(images: Path) -> None:
    for number, path in enumerate(sorted(images.rglob("*.png"))):
        path.rename(path.with_name(f"P{number}_a.png"))
    (one, other, *_) = sorted((images / "good").glob("*.png"))
    shutil.copy(one, images / "good" / f"{other.stem[:-2]}_b.png")
    table, _, _ = given(images, groups={"by": "pattern", "pattern": r"P\d+"})
    kin = table[table["path"].str.contains(f"{one.stem[:-2]}_|{other.stem[:-2]}_")]
    assert len(kin) == 3
    assert kin["group"].nunique() == 1


def test_only_training_images_have_a_fold_and_a_group_has_one(images: Path) -> None:
    table, split, _ = given(images, groups={"by": "blocks", "images": 2}, folds=3)
    in_train = table["split"] == "train"
    assert set(table.loc[in_train, "fold"]) == {0, 1, 2}
    assert set(table.loc[~in_train, "fold"]) == {-1}
    assert table.groupby("group")["fold"].nunique().max() == 1
    assert split["folds"] == 3


def test_fewer_folds_than_wanted_are_reported_with_the_class_that_limits_them(images: Path) -> None:
    groups = {"by": "blocks", "images": 4, "within": "folder"}
    _, split, printed = given(images, groups=groups, folds=5)
    assert 0 <= split["folds"] < 5
    assert re.search(r"\d folds rather than 5: the training images of class \w+ come from", printed)


def test_without_folds_no_image_has_one(images: Path) -> None:
    table, split, printed = given(images, folds=0)
    assert set(table["fold"]) == {-1}
    assert split["folds"] == 0
    assert "folds" not in printed


def test_an_unknown_class_names_the_file_and_the_nearest_spelling(images: Path) -> None:
    (images / "defective").rename(images / "defectiv")
    with pytest.raises(DataError, match=r'defectiv/.*"defectiv" .*did you mean "defective"\?'):
        ingested(images)


def test_an_alias_in_the_taxonomy_merges_two_labels(images: Path) -> None:
    (images / "ok").mkdir()
    for path in sorted((images / "good").glob("*.png"))[:3]:
        path.rename(images / "ok" / path.name)
    table, report = ingested(images)
    assert report["classes"] == {"good": 12, "defective": 12}
    assert set(table["label"]) == {"good", "defective"}


def test_pictures_that_preprocess_names_are_taken_along_pixel_for_pixel(images: Path) -> None:
    picture = sorted((images / "good").glob("*.png"))[0]
    config = folder_of(images).model_copy(update={"references": {"golden": picture}})
    out = images.parent / "out"
    out.mkdir()
    ingest.run(config, TAXONOMY, out)
    assert (read(out / "reference-golden.png") == read(picture)).all()


def test_a_reference_that_cannot_be_read_names_its_key(images: Path) -> None:
    config = folder_of(images).model_copy(update={"references": {"flat": images / "none.png"}})
    (images.parent / "out").mkdir()
    with pytest.raises(DataError, match=r"references\.flat in ingest\.yaml: .*none\.png cannot be"):
        ingest.run(config, TAXONOMY, images.parent / "out")


def test_the_report_counts_what_the_table_holds(ran: Ran) -> None:
    table = pd.read_parquet(ran.data / "ingest/manifest.parquet")
    report = json.loads((ran.data / "ingest/report.json").read_bytes())
    counts = pd.read_csv(ran.data / "ingest/class-counts.csv", index_col="class")
    assert report["n"] == len(table) == int(counts.to_numpy().sum())
    assert report["splits"] == table["split"].value_counts().to_dict()
    assert report["split"]["leak_checked"] is True
    assert report["split"]["leaky"] is False


@pytest.fixture
def project(tmp_path: Path, images: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    conf = tmp_path / "conf" / "cells"
    conf.mkdir(parents=True)
    (conf / "taxonomy.yaml").write_text(
        "classes:\n- {name: good, disposition: pass}\n- {name: defective, disposition: scrap}\n"
    )
    (conf / "ingest.yaml").write_text(
        f"source:\n  type: folder\n  root: {images}\nsplit: {{val_fraction: 0.3}}\n"
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refusal(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    """What the stage's command says when it ends in an error."""
    with pytest.raises(SystemExit) as stopped:
        ingest.main(["ingest", *argv])
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert "Traceback" not in said
    return said


def test_the_command_writes_the_recipes_folder(project: Path) -> None:
    ingest.main(["ingest", "cells"])
    assert (project / "data/cells/ingest/manifest.parquet").is_file()


def test_a_misspelt_key_ends_the_command_with_file_line_and_spelling(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    conf = project / "conf/cells/ingest.yaml"
    conf.write_text(conf.read_text().replace("val_fraction", "val_fracton"))
    said = refusal(capsys, "cells")
    assert 'conf/cells/ingest.yaml:4 key "split.val_fracton" unknown' in said
    assert 'did you mean "val_fraction"?' in said


@pytest.mark.parametrize(
    ("split", "said"),
    [
        (
            "groups: {by: patern}",
            'ingest.yaml:4 split.groups.by "patern" unknown; did you mean "pattern"? choose ',
        ),
        ("groups: {images: 60}", 'ingest.yaml:4 key "split.groups.by" is missing; add it'),
        (
            "groups: {by: pattern, patern: P}",
            'key "split.groups.patern" unknown; did you mean "pattern"? choose by, pattern',
        ),
        ("groups: {by: pattern}", 'ingest.yaml:4 key "split.groups.pattern" is missing; add it'),
        ("groups: {by: time, gap_s: -1, clock: exif}", 'split.groups.gap_s "-1": input should be'),
        ("groups: {by: time, gap_s: 1, clock: name}", "split.groups: clock: name needs pattern"),
        ("groups: {by: automatic}, near_duplicates: false", "split: groups by automatic are"),
        ("folds: 1", 'split.folds "1": one fold leaves nothing to train on'),
    ],
)
def test_an_impossible_split_ends_the_command_with_its_line(
    project: Path, capsys: pytest.CaptureFixture[str], split: str, said: str
) -> None:
    conf = project / "conf/cells/ingest.yaml"
    conf.write_text(conf.read_text().replace("{val_fraction: 0.3}", "{" + split + "}"))
    assert said in refusal(capsys, "cells")


def test_groups_too_few_for_three_sides_end_the_command_with_the_remedy(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    conf = project / "conf/cells/ingest.yaml"
    conf.write_text(
        conf.read_text().replace("{val_fraction: 0.3}", "{groups: {by: blocks, images: 60}}")
    )
    said = refusal(capsys, "cells")
    assert "split.groups in ingest.yaml (blocks of 60 neighbouring images) makes 1 group(s)" in said
    assert "lower split.groups.images" in said
    assert [p for p in (project / "data").rglob("*") if p.is_file()] == []


def test_an_unknown_adapter_lists_those_there_are(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    conf = project / "conf/cells/ingest.yaml"
    conf.write_text(conf.read_text().replace("type: folder", "type: foldr"))
    said = refusal(capsys, "cells")
    assert 'ingest.yaml:2 source.type "foldr" unknown; did you mean "folder"? choose ' in said


def test_a_missing_image_folder_shows_what_was_expected_and_leaves_nothing_behind(
    project: Path, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(images)
    assert "is not a folder (source.root in ingest.yaml)" in refusal(capsys, "cells")
    assert [p for p in (project / "data").rglob("*") if p.is_file()] == []


def test_a_failure_leaves_the_former_output_as_it_was(
    project: Path, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ingest.main(["ingest", "cells"])
    before = (project / "data/cells/ingest/manifest.parquet").read_bytes()
    shutil.rmtree(images)
    refusal(capsys, "cells")
    assert (project / "data/cells/ingest/manifest.parquet").read_bytes() == before
    assert [p.name for p in (project / "data/cells").iterdir()] == ["ingest"]


def test_an_unknown_recipe_lists_those_there_are(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "got bolts; choose cells" in refusal(capsys, "bolts")


def test_the_page_shows_the_split_that_was_decided_and_why(split_images: Path) -> None:
    leak(split_images)
    given(split_images)
    page = (split_images.parent / "out/report.html").read_text("utf-8")
    assert "LEAKY as given; split again by group, and no leak is left" in page
    assert "The given split is leaky: 1 identical" in page
    assert "Copies and near-duplicates on one side" in page


def test_an_alias_is_not_a_class_of_its_own_in_the_report(images: Path) -> None:
    original = sorted((images / "good").glob("*.png"))[0]
    (images / "ok").mkdir()
    shutil.copy(original, images / "ok/copy.png")
    _, report = ingested(images)
    assert report["label_conflicts"] == []
    assert set(report["groups"]) == {"good", "defective"}  # type: ignore[call-overload]


def test_a_large_group_and_few_groups_in_test_are_named_with_a_remedy(images: Path) -> None:
    groups = {"by": "blocks", "images": 3, "within": "folder"}
    _, split, printed = given(images, groups=groups, near_duplicates=False)
    assert split["test_groups"]["bad"] == {"all": 4, "test": 1}
    assert "the largest of 3 image(s)" in printed
    assert re.search(r"the largest group, rows-\d+, has 3 of 24 images \(12%\)", printed)
    assert "test has bad parts of 1 group(s) only, of 4 in all" in printed
    page = (images.parent / "out/report.html").read_text()
    assert "Test has good parts of 1 group(s) only" in page


def test_belief_becomes_a_weight_where_the_recipe_asks_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = elpv.read
    monkeypatch.setattr(elpv, "read", lambda config: every(config)[::16])
    source = elpv.Config(type="elpv", defective_above=0)
    lines = {}
    for name in ("plain", "belief"):
        (tmp_path / name).mkdir()
        config = ingest.Config.model_validate(
            {"source": source, "split": {}, "weights": "belief" if name == "belief" else None}
        )
        lines[name] = "\n".join(ingest.run(config, TAXONOMY, tmp_path / name).lines)
    plain, table = (pd.read_parquet(tmp_path / n / "manifest.parquet") for n in lines)
    assert set(plain["weight"]) == {1.0}
    unsure = table["weight"] < 1
    assert 0 < unsure.sum() < len(table) == 164
    bad = table["label"] == "defective"
    assert table.loc[bad, "weight"].tolist() == table.loc[bad, "defect_probability"].tolist()
    assert f"{unsure.sum()} of 164 images count less than 1" in lines["belief"]
    assert "count less" not in lines["plain"]
