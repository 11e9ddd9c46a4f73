"""Data sets as people export them: each fault gives the right labels, or one clear message."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest

from pipeline.contracts.taxonomy import Disposition, PartClass, Taxonomy
from pipeline.datasets.adapters import ADAPTERS
from pipeline.errors import DataError
from pipeline.stages import ingest

N = 6
DRAW = np.random.default_rng(1)
TAXONOMY = Taxonomy(
    classes=(
        PartClass(name="good", disposition=Disposition.PASS),
        PartClass(name="scratch", disposition=Disposition.REWORK, severity=3),
        PartClass(name="crack", disposition=Disposition.SCRAP, severity=8),
    )
)
TWO = Taxonomy(classes=TAXONOMY.classes[:2])


def put(path: Path, *, bad: bool = False) -> None:
    """A grey picture that differs from all others, with a bright line where it is bad."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = cv2.resize(DRAW.integers(60, 200, (6, 6), dtype=np.uint8), (48, 48))
    if bad:
        cv2.line(picture, (5, 5), (40, 30), 250, 3)
    cv2.imwrite(str(path), picture)


def coco(home: Path) -> dict[str, Any]:
    """Pictures in `images` and their export: a third good, a third scratch, a third crack."""
    export: dict[str, Any] = {"images": [], "annotations": []}
    export["categories"] = [
        {"id": i, "name": name} for i, name in enumerate(("parts", "scratch", "crack"))
    ]
    for i in range(3 * N):
        put(home / f"images/{i:03d}.png", bad=i % 3 > 0)
        export["images"].append({"id": i, "file_name": f"{i:03d}.png"})
        if i % 3:
            box = {"bbox": [10, 10, 30, 30], "area": 900, "iscrowd": 0, "segmentation": []}
            export["annotations"].append({"image_id": i, "category_id": i % 3, **box})
    return export


def ingested(
    home: Path, taxonomy: Taxonomy, source: dict[str, Any], out: str = "out"
) -> tuple[dict[str, int], dict[str, Any], str]:
    """Images of each class, the report, and what is printed."""
    config = ingest.Config(source=ADAPTERS.configure(source), split=ingest.Split(folds=0))
    (home / out).mkdir()
    printed = ingest.run(config, taxonomy, home / out)
    table = pd.read_parquet(home / out / "manifest.parquet")
    report = json.loads((home / out / "report.json").read_bytes())
    return dict(Counter(table["label"])), report, "\n".join(printed.lines)


def from_coco(
    home: Path, export: dict[str, Any], **more: str
) -> tuple[dict[str, int], dict[str, Any], str]:
    (home / "coco.json").write_text(json.dumps(export))
    source = {"type": "coco", "file": home / "coco.json", "root": home / "images"}
    return ingested(home, TAXONOMY, source | {"severity": ["scratch", "crack"]} | more)


def test_annotations_that_mark_nothing_leave_their_images_good_and_are_named(
    tmp_path: Path,
) -> None:
    export = coco(tmp_path)
    for i in (0, 3):
        nothing = {"segmentation": [], "area": 0, "bbox": [0, 0, 0, 0], "iscrowd": 0}
        export["annotations"].append({"image_id": i, "category_id": 1, **nothing})
    counts, report, printed = from_coco(tmp_path, export)
    assert counts == {"good": N, "scratch": N, "crack": N}
    assert "mark nothing (no area, or iscrowd without a mask): 000.png, 003.png" in printed
    assert report["notes"][0] in (tmp_path / "out/report.html").read_text("utf-8").replace(
        "&#34;", '"'
    )


def test_good_images_that_the_export_leaves_out_stop_ingest_and_are_named(tmp_path: Path) -> None:
    export = coco(tmp_path)
    marked = {a["image_id"] for a in export["annotations"]}
    export["images"] = [i for i in export["images"] if i["id"] in marked]
    with pytest.raises(DataError) as raised:
        from_coco(tmp_path, export)
    message = str(raised.value)
    assert "is good, which passes" in message
    assert f"{N} image(s) there are not listed: 000.png, 003.png" in message
    assert "015.png" in message
    assert "source.unlisted: good" in message


def test_good_images_that_the_export_leaves_out_can_count_as_good(tmp_path: Path) -> None:
    export = coco(tmp_path)
    marked = {a["image_id"] for a in export["annotations"]}
    export["images"] = [i for i in export["images"] if i["id"] in marked]
    counts, _, printed = from_coco(tmp_path, export, unlisted="good")
    assert counts == {"good": N, "scratch": N, "crack": N}
    assert f"{N} image(s) in {tmp_path}/images that" in printed


def test_an_image_that_the_export_leaves_out_beside_others_is_named(tmp_path: Path) -> None:
    export = coco(tmp_path)
    del export["images"][0]
    counts, report, printed = from_coco(tmp_path, export)
    assert counts == {"good": N - 1, "scratch": N, "crack": N}
    assert report["unlisted"] == {"n": 1, "paths": ["000.png"]}
    assert "1 image(s) beside those that are listed are left out: 000.png" in printed


def test_ids_that_are_text_on_one_side_are_the_same_ids(tmp_path: Path) -> None:
    export = coco(tmp_path)
    for image in export["images"]:
        image["id"] = str(image["id"])
    assert from_coco(tmp_path, export)[0] == {"good": N, "scratch": N, "crack": N}


def test_paths_of_another_system_are_found_and_reported(tmp_path: Path) -> None:
    export = coco(tmp_path)
    for image in export["images"]:
        image["file_name"] = "images\\1/" + image["file_name"]
    counts, _, printed = from_coco(tmp_path, export)
    assert counts == {"good": N, "scratch": N, "crack": N}
    assert f"{3 * N} path(s) of {tmp_path}/coco.json stand for a file of another path" in printed


def test_thumbnails_of_a_file_server_are_not_parts_and_are_counted(tmp_path: Path) -> None:
    for name in ("good", "scratch"):
        for i in range(N):
            put(tmp_path / "tree" / name / f"{i}.png", bad=name != "good")
            put(tmp_path / f"tree/{name}/@eaDir/{i}.png/SYNOPHOTO_THUMB_M.jpg")
    source = {"type": "folder", "root": tmp_path / "tree"}
    counts, report, printed = ingested(tmp_path, TWO, source)
    assert counts == {"good": N, "scratch": N}
    assert report["passed_over"]["kinds"] == {"@eaDir": 2 * N}
    assert f"{2 * N} file(s) passed over, never parts: @eaDir {2 * N}; such as good/@e" in printed


def test_a_recipe_of_defects_alone_is_ingested_and_that_is_printed(tmp_path: Path) -> None:
    none = Taxonomy(classes=TAXONOMY.classes[1:])
    for name in ("scratch", "crack"):
        for i in range(N):
            put(tmp_path / "tree" / name / f"{i}.png", bad=name == "crack")
    source = {"type": "folder", "root": tmp_path / "tree"}
    counts, _, printed = ingested(tmp_path, none, source)
    assert counts == {"scratch": N, "crack": N}
    assert "no class in taxonomy.yaml passes (scratch, crack)" in printed


def test_a_class_that_passes_of_which_no_image_can_be_read_stops_at_ingest(
    tmp_path: Path,
) -> None:
    for name in ("good", "scratch", "crack"):
        for i in range(N):
            put(tmp_path / "tree" / name / f"{i}.png", bad=name != "good")
    for path in (tmp_path / "tree/good").iterdir():
        path.write_bytes(b"")
    with pytest.raises(DataError, match="is good, which passes"):
        ingested(tmp_path, TAXONOMY, {"type": "folder", "root": tmp_path / "tree"})


@pytest.mark.parametrize(
    ("head", "separator", "tail"),
    [("sep=;\r\n", ";", ""), ("", ";", ";\r\n" * 5), ("", ",", ",\r\n"), ("\ufeff", "\t", "")],
)
def test_a_table_of_a_spreadsheet_is_read(
    tmp_path: Path, head: str, separator: str, tail: str
) -> None:
    rows = []
    for name in ("good", "scratch"):
        for i in range(N):
            put(tmp_path / f"img/{name}{i}.png", bad=name != "good")
            rows.append(f"img/{name}{i}.png{separator}{name}\r\n")
    text = f"{head}path{separator}label\r\n{''.join(rows)}{tail}"
    (tmp_path / "table.csv").write_text(text, "utf-8", newline="")
    counts, _, _ = ingested(tmp_path, TWO, {"type": "csv", "file": tmp_path / "table.csv"})
    assert counts == {"good": N, "scratch": N}


def tasks(home: Path, result: Callable[[bool], list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Label Studio's tasks of pictures of which each second is bad."""
    found = []
    for i in range(2 * N):
        put(home / f"upload/{i:03d}.png", bad=i % 2 > 0)
        answers = [{"completed_by": 1, "ground_truth": False, "result": result(i % 2 > 0)}]
        image = {"image": f"/data/local-files/?d=upload/{i:03d}.png"}
        found.append({"id": i, "data": image, "annotations": answers})
    return found


def chosen(bad: bool) -> list[dict[str, Any]]:
    value = {"choices": ["scratch" if bad else "good"]}
    return [{"type": "choices", "from_name": "q", "value": value}]


def drawn(bad: bool) -> list[dict[str, Any]]:
    value = {"x": 1, "y": 1, "width": 9, "height": 9, "rectanglelabels": ["scratch"]}
    return [{"type": "rectanglelabels", "from_name": "q", "value": value}] if bad else []


def from_labelstudio(home: Path, export: list[dict[str, Any]]) -> dict[str, int]:
    (home / "export.json").write_text(json.dumps(export))
    source = {"type": "labelstudio", "file": home / "export.json"}
    return ingested(home, TWO, source)[0]


def test_a_reviewed_answer_is_not_outvoted(tmp_path: Path) -> None:
    export = tasks(tmp_path, chosen)
    for task in export[1::4]:
        task["annotations"][0]["ground_truth"] = True
        task["annotations"] += [{"completed_by": n, "result": chosen(False)} for n in (50, 51)]
    assert from_labelstudio(tmp_path, export) == {"good": N, "scratch": N}


def test_a_project_of_rectangles_is_labelled_by_them(tmp_path: Path) -> None:
    export = tasks(tmp_path, drawn)
    assert from_labelstudio(tmp_path, export) == {"good": N, "scratch": N}
    table = pd.read_parquet(tmp_path / "out/manifest.parquet")
    assert table.set_index("path")["boxes"].str.contains("scratch").sum() == N


def test_masks_beside_images_are_not_learned_as_parts_and_can_be_read_as_masks(
    tmp_path: Path,
) -> None:
    for name in ("good", "scratch"):
        for i in range(N):
            put(tmp_path / f"tree/{name}/{i}.jpg", bad=name != "good")
            mask = np.zeros((48, 48), np.uint8)
            mask[20:25, 10:35] = 255 if name != "good" else 0
            cv2.imwrite(str(tmp_path / f"tree/{name}/{i}.png"), mask)
    source = {"root": tmp_path / "tree"}
    with pytest.raises(DataError, match=r"type: masks, .* mask_ending: \.png, label: folder"):
        ingested(tmp_path, TWO, source | {"type": "folder"}, "first")
    settings = {"type": "masks", "mask_ending": ".png", "label": "folder"}
    assert ingested(tmp_path, TWO, source | settings)[0] == {"good": N, "scratch": N}
