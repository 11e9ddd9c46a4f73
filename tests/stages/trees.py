"""The same real cells laid out as each adapter expects them; each returns the `source` to write,
with the name of the folder as its place."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np

from pipeline.imaging.codec import encode_png
from tests.stages.conftest import copy_cells

PER_CLASS = 15
Rows = list[tuple[str, str]]


def cells(home: Path) -> Rows:
    """Real cells below `home/good` and `home/defective`: path below home, and label."""
    copy_cells(home, per_class=PER_CLASS)
    return [(p.relative_to(home).as_posix(), p.parent.name) for p in sorted(home.rglob("*.png"))]


def as_csv(home: Path) -> dict[str, object]:
    lines = [f"{path},{label}" for path, label in cells(home)]
    (home / "list.csv").write_text("path,label\n" + "\n".join(lines) + "\n")
    return {"type": "csv", "file": f"{home.name}/list.csv"}


def as_coco(home: Path) -> dict[str, object]:
    rows = cells(home)
    export = {
        "images": [{"id": i, "file_name": path} for i, (path, _) in enumerate(rows)],
        "categories": [{"id": 1, "name": "defective"}],
        "annotations": [
            {"image_id": i, "category_id": 1}
            for i, (_, label) in enumerate(rows)
            if label == "defective"
        ],
    }
    (home / "instances.json").write_text(json.dumps(export))
    return {"type": "coco", "file": f"{home.name}/instances.json", "severity": ["defective"]}


def as_labelstudio(home: Path) -> dict[str, object]:
    tasks = [
        {
            "id": i,
            "data": {"image": f"/data/local-files/?d={path}"},
            "annotations": [
                {"result": [{"type": "choices", "from_name": "c", "value": {"choices": [label]}}]}
            ],
        }
        for i, (path, label) in enumerate(cells(home))
    ]
    (home / "export.json").write_text(json.dumps(tasks))
    return {"type": "labelstudio", "file": f"{home.name}/export.json", "good": "good"}


def as_masks(home: Path) -> dict[str, object]:
    for path, label in cells(home / "all"):
        name = Path(path).name
        for folder in ("images", "masks"):
            (home / folder).mkdir(exist_ok=True)
        shutil.move(home / "all" / path, home / "images" / name)
        mask = np.zeros((300, 300, 1), np.uint8)
        mask[:20, :20] = 255 if label == "defective" else 0
        (home / "masks" / name).write_bytes(encode_png(mask))
    return {"type": "masks", "root": home.name}


def as_mvtec(home: Path) -> dict[str, object]:
    for i, (path, label) in enumerate(cells(home / "all")):
        side = "train" if label == "good" and i % 3 else "test"
        (home / side / label).mkdir(parents=True, exist_ok=True)
        shutil.move(home / "all" / path, home / side / label)
    return {"type": "mvtec", "root": home.name}


def as_folder(home: Path) -> dict[str, object]:
    cells(home)
    return {"type": "folder", "root": home.name}
