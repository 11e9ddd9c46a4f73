"""Trees of annotation tools go through ingest and preprocess by YAML only."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from pipeline import config as yaml_config
from pipeline.contracts.taxonomy import Taxonomy
from pipeline.datasets.adapters import recognise
from pipeline.datasets.manifest import Manifest
from pipeline.datasets.manifest_reader import read_manifest
from pipeline.datasets.shards import Shards
from pipeline.files import whole_folder
from pipeline.imaging.codec import encode_png
from pipeline.stages import ingest, preprocess

TAXONOMY = """
classes:
  - {name: good, disposition: pass}
  - {name: stain, disposition: rework, severity: 2}
  - {name: crack, disposition: scrap, severity: 8}
"""
PREPROCESS = "spec: {colour: grey, width_px: 32, height_px: 32}"
SPLIT = {"val_fraction": 0.25, "test_fraction": 0.25, "folds": 0}
KINDS = ((), ("stain",), ("stain", "crack"))  # of every third picture
SIDES = (24, 12, 48, 36)  # of each box, in a picture of 96 by 48 pixels
N = 36
ROBOFLOW = {"train": range(18), "valid": range(18, 27), "test": range(27, N)}

Write = Callable[[Path], None]


def put(path: Path, seed: int) -> None:
    """A picture that is like no other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(seed).integers(0, 255, (6, 12, 3), dtype=np.uint8)
    large = cv2.resize(coarse, (96, 48), interpolation=cv2.INTER_CUBIC)
    path.write_bytes(encode_png(np.asarray(large, np.uint8)))


def put_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


def yolo(home: Path) -> None:
    for i in range(N):
        put(home / f"images/train/{i}.png", i)
        numbers = [("stain", "crack").index(kind) for kind in KINDS[i % 3]]
        lines = [f"{number} 0.375 0.5 0.25 0.5" for number in numbers]
        put_text(home / f"labels/train/{i}.txt", "\n".join(lines))
    put_text(home / "data.yaml", "train: images/train\nval: images/train\nnames: [stain, crack]")


def voc(home: Path) -> None:
    left, top, right, bottom = SIDES
    box = (
        f"<bndbox><xmin>{left}</xmin><ymin>{top}</ymin><xmax>{right}</xmax>"
        f"<ymax>{bottom}</ymax></bndbox>"
    )
    for i in range(N):
        put(home / f"JPEGImages/{i}.png", i)
        objects = [f"<object><name>{kind}</name>{box}</object>" for kind in KINDS[i % 3]]
        put_text(home / f"Annotations/{i}.xml", f"<annotation>{''.join(objects)}</annotation>")


def roboflow(home: Path) -> None:
    left, top, right, bottom = SIDES
    box = {"bbox": [left, top, right - left, bottom - top], "area": 576, "iscrowd": 0}
    categories = [{"id": i, "name": name} for i, name in enumerate(("parts", "stain", "crack"))]
    numbers = {c["name"]: c["id"] for c in categories}
    for split, rows in ROBOFLOW.items():
        images, annotations = [], list[dict[str, object]]()
        for i in rows:
            name = f"p{i}_png.rf.{i:032x}.jpg"
            put(home / split / name, i)
            images.append({"id": i, "file_name": name, "width": 96, "height": 48})
            annotations += [
                {"id": 10 * i + n, "image_id": i, "category_id": numbers[kind], **box}
                for n, kind in enumerate(KINDS[i % 3])
            ]
        export = {"images": images, "annotations": annotations, "categories": categories}
        put_text(home / split / "_annotations.coco.json", json.dumps(export))


def loco(home: Path) -> None:
    """A third of the images good in train, the others in test, the defective with two masks."""
    for i in range(N):
        kind = ("good", "stain", "crack")[i % 3]
        put(home / ("train/good" if kind == "good" else f"test/{kind}") / f"{i}.png", i)
        for n in range(2 if kind != "good" else 0):
            drawn = np.zeros((48, 96, 1), np.uint8)
            drawn[10 + 20 * n, 5:9] = 200 + n
            mask = home / f"ground_truth/{kind}/{i}/{n:03d}.png"
            mask.parent.mkdir(parents=True, exist_ok=True)
            mask.write_bytes(encode_png(drawn))


def cvat(home: Path) -> None:
    left, top, right, bottom = SIDES
    images = []
    for i in range(N):
        put(home / f"images/{i}.png", i)
        sides = f'xtl="{left}" ytl="{top}" xbr="{right}" ybr="{bottom}"'
        boxes = "".join(f'<box label="{kind}" {sides}/>' for kind in KINDS[i % 3])
        images.append(f'<image id="{i}" name="{i}.png" width="96" height="48">{boxes}</image>')
    put_text(home / "annotations.xml", f"<annotations>{''.join(images)}</annotations>")


def severstal(home: Path) -> None:
    """As SIDES, in run lengths: a row a column of pixels would be the same mask."""
    left, top, right, bottom = SIDES
    runs = " ".join(f"{x * 48 + top + 1} {bottom - top}" for x in range(left, right))
    rows = []
    for i in range(N):
        put(home / f"train_images/{i}.png", i)
        rows += [f"{i}.png,{kind},{runs}" for kind in KINDS[i % 3]]
    put_text(home / "train.csv", "\n".join(["ImageId,ClassId,EncodedPixels", *rows]))


def ingested(home: Path, data: Path, **split: object) -> Manifest:
    """Both stages, with the settings that `recognise` proposes, read from YAML files."""
    conf = data.parent / "conf"
    source = recognise(home).settings
    put_text(conf / "ingest.yaml", yaml.safe_dump({"source": source, "split": SPLIT | split}))
    put_text(conf / "taxonomy.yaml", TAXONOMY)
    put_text(conf / "preprocess.yaml", PREPROCESS)
    taxonomy = yaml_config.load(conf / "taxonomy.yaml", Taxonomy)
    with whole_folder(data / "ingest") as out:
        ingest.run(yaml_config.load(conf / "ingest.yaml", ingest.Config), taxonomy, out)
    with whole_folder(data / "preprocess") as out:
        preprocess.run(yaml_config.load(conf / "preprocess.yaml", preprocess.Config), data, out)
    return read_manifest(data / "ingest")


@pytest.mark.parametrize("write", [yolo, voc, roboflow, cvat, severstal])
def test_a_tree_goes_through_ingest_and_preprocess(write: Write, tmp_path: Path) -> None:
    write(tmp_path / "tree")
    data = ingested(tmp_path / "tree", tmp_path / "data")
    assert data.table["label"].value_counts().to_dict() == {"good": 12, "stain": 12, "crack": 12}
    assert set(data.table["split"]) == {"train", "val", "test"}
    shards = Shards(tmp_path / "data/preprocess")
    assert len(shards) == N
    assert shards[0].shape == (32, 32, 1)


def test_the_split_of_a_tree_is_kept(tmp_path: Path) -> None:
    roboflow(tmp_path / "tree")
    table = ingested(tmp_path / "tree", tmp_path / "data").table
    assert table["split"].value_counts().to_dict() == {"train": 18, "val": 9, "test": 9}


@pytest.mark.parametrize("write", [yolo, voc, roboflow, cvat])
def test_boxes_are_kept_in_pixels_with_their_classes(write: Write, tmp_path: Path) -> None:
    write(tmp_path / "tree")
    data = ingested(tmp_path / "tree", tmp_path / "data")
    for row, label in enumerate(data.table["label"]):
        boxes = [(box.label, box.left, box.top, box.right, box.bottom) for box in data.boxes(row)]
        kinds = {"good": KINDS[0], "stain": KINDS[1], "crack": KINDS[2]}[label]
        assert boxes == [(kind, *SIDES) for kind in kinds]


def test_several_masks_of_an_image_are_joined_on_the_way_to_the_shards(tmp_path: Path) -> None:
    loco(tmp_path / "tree")
    data = ingested(tmp_path / "tree", tmp_path / "data", given="ignore")
    for row, label in enumerate(data.table["label"]):
        mask = data.mask(row)
        rows = [] if mask is None else np.flatnonzero(mask.any(axis=1)).tolist()
        assert rows == ([] if label == "good" else [10, 30])
    shards = Shards(tmp_path / "data/preprocess")
    drawn = [mask for row in range(N) if (mask := shards.mask(row)) is not None]
    assert sorted({bool(mask.any()) for mask in drawn}) == [False, True]


def test_run_lengths_are_masks_on_the_way_to_the_shards(tmp_path: Path) -> None:
    severstal(tmp_path / "tree")
    data = ingested(tmp_path / "tree", tmp_path / "data")
    left, top, right, bottom = SIDES
    expected = np.zeros((48, 96), np.uint8)
    expected[top:bottom, left:right] = 255
    for row, label in enumerate(data.table["label"]):
        mask = data.mask(row)
        assert (mask is None) == (label == "good")
        assert mask is None or np.array_equal(mask, expected)
