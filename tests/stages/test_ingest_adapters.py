"""Every adapter feeds ingest by YAML alone, on a tiny tree of real cells."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from upath import UPath

from pipeline.contracts.bundle import Bundle
from pipeline.daemon.clock import Clock
from pipeline.daemon.keeping import Keeper
from pipeline.daemon.ledger import Ledger
from pipeline.daemon.line import Keep, Line, ModelSource
from pipeline.daemon.loop import Station
from pipeline.daemon.reviews import opened
from pipeline.daemon.sources import replay
from pipeline.datasets import manifest
from pipeline.datasets.manifest import Manifest
from pipeline.imaging.codec import encode_png
from pipeline.inference.inspector import Inspector
from pipeline.stages import ingest
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
    return {"type": "csv", "file": "images/list.csv"}


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
    return {"type": "coco", "file": "images/instances.json", "severity": ["defective"]}


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
    return {"type": "labelstudio", "file": "images/export.json", "good": "good"}


def as_masks(home: Path) -> dict[str, object]:
    for path, label in cells(home / "all"):
        name = Path(path).name
        for folder in ("images", "masks"):
            (home / folder).mkdir(exist_ok=True)
        shutil.move(home / "all" / path, home / "images" / name)
        mask = np.zeros((300, 300, 1), np.uint8)
        mask[:20, :20] = 255 if label == "defective" else 0
        (home / "masks" / name).write_bytes(encode_png(mask))
    return {"type": "masks", "root": "images"}


def as_mvtec(home: Path) -> dict[str, object]:
    for i, (path, label) in enumerate(cells(home / "all")):
        side = "train" if label == "good" and i % 3 else "test"
        (home / side / label).mkdir(parents=True, exist_ok=True)
        shutil.move(home / "all" / path, home / side / label)
    return {"type": "mvtec", "root": "images"}


def as_folder(home: Path) -> dict[str, object]:
    cells(home)
    return {"type": "folder", "root": "images"}


def zipped(home: Path, inner: str) -> str:
    """Pack the images, remove them and say where `inner` is now."""
    shutil.make_archive(str(home), "zip", home)
    shutil.rmtree(home)
    return f"zip://{inner}::images.zip" if inner else "images.zip"


def in_memory(home: Path, inner: str) -> str:
    """Move the images into fsspec's store in memory and say where `inner` is now."""
    address = f"memory://{home.parent.name}"
    for path in home.rglob("*"):
        if path.is_file():
            place = UPath(address, path.relative_to(home).as_posix())
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(path.read_bytes())
    shutil.rmtree(home)
    return f"{address}/{inner}".rstrip("/")


def ingested(home: Path, source: dict[str, object]) -> Manifest:
    """Run the stage on a project of these settings."""
    conf = home / "conf/cells"
    conf.mkdir(parents=True, exist_ok=True)
    (conf / "ingest.yaml").write_text(
        yaml.safe_dump({"source": source, "split": {"given": "ignore"}})
    )
    (conf / "taxonomy.yaml").write_text(
        "classes:\n- {name: good, disposition: pass}\n- {name: defective, disposition: scrap}\n"
    )
    ingest.main(["ingest", "cells"])
    return manifest.read(Path("data/cells/ingest"))


@pytest.mark.parametrize(
    "lay_out", [as_csv, as_coco, as_folder, as_labelstudio, as_masks, as_mvtec]
)
def test_a_tree_of_this_kind_is_ingested_by_yaml_alone_and_wherever_it_lies(
    lay_out: Callable[[Path], dict[str, object]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "images").mkdir()
    source = lay_out(tmp_path / "images")
    shutil.rmtree(tmp_path / "images/all", ignore_errors=True)
    monkeypatch.chdir(tmp_path)
    data = ingested(tmp_path, source)
    assert data.table["label"].value_counts().to_dict() == {
        "good": PER_CLASS,
        "defective": PER_CLASS,
    }
    assert pd.crosstab(data.table["label"], data.table["split"]).to_numpy().min() > 0
    assert data.pixels(0).shape == (300, 300, 3)
    key = "file" if "file" in source else "root"
    inner = str(source[key]).removeprefix("images").lstrip("/")
    for move in (zipped, in_memory):
        shutil.copytree("images", "kept")
        moved = ingested(tmp_path, source | {key: move(tmp_path / "images", inner)})
        shutil.move("kept", "images")
        pd.testing.assert_frame_equal(moved.table, data.table)
        assert moved.image(3) == data.image(3)


def test_what_people_say_of_a_stations_parts_is_what_the_next_model_learns(
    tmp_path: Path, sealed_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = cells(tmp_path / "camera")
    keep = Keep(folder=Path("kept"), verdicts=("FAIL", "REVIEW"), pass_share=1)
    line = Line(
        station="west-1",
        recipe="cells",
        model=ModelSource(cache=Path("models")),
        source=replay.Config(type="replay", path=Path("camera")),
        ledger=Path("ledger.sqlite"),
        keep=keep,
    )
    clock, ledger = Clock(), Ledger(line.ledger, line.station)
    source, inspector = line.source.open(clock), Inspector(sealed_bundle, threads=1)
    Station(source, inspector, "cells/1", ledger, clock, Keeper(keep)).run(threading.Event())
    records = {r.serial: r for r in ledger.records()}
    # People look at all parts but two, while the station is still there.
    truth = dict(rows[1:-1])
    with opened(line) as reviews:
        for serial, label in truth.items():
            reviews.add(records[serial].id, label, "A. Weber", "", datetime.now(UTC))
    ledger.close()
    data = ingested(tmp_path, {"type": "line", "ledger": "ledger.sqlite", "images": "kept"})
    learned = dict(zip(data.table["sample_id"], data.table["label"], strict=True))
    assert learned == {records[serial].id: label for serial, label in truth.items()}
    assert any(records[s].part_class != label for s, label in truth.items())
    shown = {records[s].id: (tmp_path / "camera" / s).read_bytes() for s in truth}
    assert {name: data.image(i) for i, name in enumerate(data.table["sample_id"])} == shown
