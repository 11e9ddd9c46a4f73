"""`lineside data check`: exit codes, JSON and the page."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.imaging.codec import encode_png
from tests.stages.conftest import copy_cells
from tests.test_cli import Run, lineside

__all__ = ["lineside"]


def test_data_check_gives_a_ci_job_json_and_exit_code_one_for_a_leak(
    lineside: Run, tmp_path: Path
) -> None:
    copy_cells(tmp_path / "images/train", per_class=4)
    original = next((tmp_path / "images/train/good").glob("*.png"))
    (tmp_path / "images/test/good").mkdir(parents=True)
    (tmp_path / "images/test/good/copy.png").write_bytes(original.read_bytes())
    code, said, _ = lineside("data", "check", "images", "--json")
    report = json.loads(said)
    assert code == 1
    assert {"n", "classes", "leaky", "identical_pairs", "near_duplicate_groups"} <= set(report)
    assert {"label_conflicts", "corrupt", "splits"} <= set(report)
    assert (report["n"], report["leaky"], report["identical_pairs"]) == (9, True, 1)


def test_data_check_of_a_clean_tree_ends_well(lineside: Run, tmp_path: Path) -> None:
    copy_cells(tmp_path / "images", per_class=3)
    code, said, _ = lineside("data", "check", "images")
    assert code == 0
    assert said.startswith("read as folder: one folder a class: defective, good\n")
    assert "6 images; split: none given" in said


def test_data_check_of_a_layout_that_is_not_known_is_one_message(
    lineside: Run, tmp_path: Path
) -> None:
    copy_cells(tmp_path / "images", per_class=2)
    (tmp_path / "images/good").rename(tmp_path / "images/images")
    code, said, complaint = lineside("data", "check", "images")
    assert (code, said) == (2, "")
    assert "images has a layout that is not known: 2 image(s) in defective" in complaint


def test_a_type_that_is_named_is_looked_for_alone(lineside: Run, tmp_path: Path) -> None:
    copy_cells(tmp_path / "images", per_class=3)
    paths = [p.relative_to(tmp_path) for p in sorted(tmp_path.rglob("*.png"))]
    rows = [f"{path.as_posix()},{path.parent.name}" for path in paths]
    (tmp_path / "table.csv").write_text("\n".join(["path,label", *rows]))
    code, said, _ = lineside("data", "check", ".", "--type", "csv")
    assert code == 0
    assert said.startswith("read as csv: table.csv has images in column path, classes in label")
    code, _, complaint = lineside("data", "check", ".", "--type", "coco")
    assert code == 2
    assert "is not laid out as coco has it: 3 image(s) in images/defective" in complaint
    code, _, complaint = lineside("data", "check", ".", "--type", "line")
    assert code == 2
    assert "line needs more than a folder" in complaint


def test_data_check_names_the_settings_for_a_ci_job(lineside: Run, tmp_path: Path) -> None:
    copy_cells(tmp_path / "images", per_class=3)
    report = json.loads(lineside("data", "check", "images", "--json")[1])
    assert report["source"] == {"type": "folder", "root": "images"}
    assert report["recognised"] == "one folder a class: defective, good"


def test_data_check_of_a_missing_folder_is_one_message(lineside: Run) -> None:
    code, _, complaint = lineside("data", "check", "nowhere")
    assert code == 2
    assert complaint.startswith("error: nowhere is not a folder")


def test_data_check_writes_the_page_and_names_it(lineside: Run, tmp_path: Path) -> None:
    copy_cells(tmp_path / "images", per_class=3)
    code, said, _ = lineside("data", "check", "images", "--html", "out/page.html")
    assert code == 0
    assert "page: out/page.html" in said
    assert "OK: no damaged file" in (tmp_path / "out/page.html").read_text("utf-8")


def test_data_check_reports_modes_tiny_classes_and_what_the_suspects_are_worth(
    lineside: Run, tmp_path: Path
) -> None:
    copy_cells(tmp_path / "images", per_class=6)
    _, said, _ = lineside("data", "check", "images")
    assert "stored as grey 12; sizes 300x300 12" in said
    assert "tiny class good: no mistake on all 6 images" in said
    assert "a cheap classifier recognises" in said


def test_a_page_that_cannot_be_written_is_one_message(lineside: Run, tmp_path: Path) -> None:
    copy_cells(tmp_path / "images", per_class=3)
    (tmp_path / "file").touch()
    code, said, complaint = lineside("data", "check", "images", "--html", "file/page.html")
    assert (code, said) == (2, "")
    assert complaint.startswith("error: --html file/page.html cannot be written")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["foo://bar"], "unsupported filesystem: 'foo'"),
        (["nowhere", "--type", "csv"], "nowhere is not a folder"),
        ([".", "--type", "coco"], ". has no image"),
        (["images", "--type", "cocoa"], '--type "cocoa" unknown; did you mean "coco"?'),
        (["nowhere", "--html", ""], "--html . cannot be written"),
        (["x" * 300], "cannot be looked at (File name too long)"),
    ],
)
def test_a_mistake_in_data_check_is_one_message(
    lineside: Run, arguments: list[str], said: str
) -> None:
    code, _, complaint = lineside("data", "check", *arguments)
    assert code == 2
    assert complaint.startswith("error: ")
    assert said in complaint


def test_data_check_of_corrupt_files_alone_lists_them_for_a_ci_job(
    lineside: Run, tmp_path: Path
) -> None:
    for name in ("good", "bad"):
        (tmp_path / "images" / name).mkdir(parents=True)
        (tmp_path / "images" / name / "a\x1b[31m.png").write_text("no image")
        (tmp_path / "images" / name / "b.png").write_text("no image")
    code, said, _ = lineside("data", "check", "images", "--json", "--html", "page.html")
    report = json.loads(said)
    assert (code, report["n"], len(report["corrupt"])) == (1, 0, 4)
    assert report["corrupt"][0]["path"] == "bad/a\\x1b[31m.png"
    assert (tmp_path / "page.html").is_file()


def test_data_check_names_how_pictures_fit_and_what_follows(lineside: Run, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for i in range(6):
        label = ("good", "crack")[i % 2]
        (tmp_path / "images" / label).mkdir(parents=True, exist_ok=True)
        picture = rng.integers(0, 255, (60, 300, 3), np.uint8)
        (tmp_path / f"images/{label}/{i}.png").write_bytes(encode_png(picture))
    _, text, _ = lineside("data", "check", str(tmp_path / "images"))
    shown = " ".join(text.split())
    assert "pictures of 300x60 pixels (5 to 1): borders fill 80% of the network's input" in shown
    assert "take fit: stretch, 448x128: letterbox would fill 80% of the input" in shown
    assert "ms a frame at the line" in shown
    _, text, _ = lineside("data", "check", str(tmp_path / "images"), "--json")
    assert json.loads(text)["pictures"]["proposed"]["fit"] == "stretch"
