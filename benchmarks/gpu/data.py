"""How much is done, and the images: as JPEG files for timm, as shards for us."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.model_selection import train_test_split

from benchmarks import steel
from pipeline.contracts.spec import PreprocessSpec
from pipeline.datasets import shards
from pipeline.datasets.shards import Shards
from pipeline.files import write_model
from pipeline.imaging import Pixels, codec


@dataclass(frozen=True)
class Size:
    """How much is done; `--smoke` does next to nothing."""

    side_px: int = 224
    images: int = 4096
    batch: int = 128
    warm_up_steps: int = 10
    warm_up_s: float = 3.0
    window_s: float = 2.0
    windows: int = 3
    epochs: int = 40
    small_batch: int = 64
    limit_s: float = 40.0
    goal: float = 0.90
    workers: int = min(16, max(1, (os.cpu_count() or 2) - 1))


SMOKE = Size(
    side_px=64,
    images=28,
    batch=4,
    warm_up_steps=1,
    warm_up_s=0.0,
    window_s=0.1,
    windows=3,
    epochs=2,
    small_batch=7,
    limit_s=60.0,
    workers=0,
)


@dataclass(frozen=True)
class Data:
    """The same images twice: JPEG files in a folder a class for timm, shards for us.

    Attributes:
        files: holds `many/`, `train/` and `validation/`.
        many: shards of `Size.images` images, by repeating.
        split: shards of the images once, `split` says train or val.
    """

    files: Path
    many: Shards
    split: Shards


def prepare(images: Path | None, home: Path, size: Size) -> Data:
    """Write files and shards below an empty folder.

    Args:
        images: the folder of X-SDD; None: textures are made.
        home: the folder.
        size: how many, how large.
    """
    pictures, labels = _pictures(images, size)
    print(f"{len(pictures)} images of {'X-SDD' if images else 'made textures'}", flush=True)
    rows = np.arange(len(pictures))
    known, _ = train_test_split(rows, test_size=0.25, stratify=labels, random_state=0)
    sides = np.where(np.isin(rows, known), "train", "val")
    repeated = np.resize(rows, size.images)
    jobs = [("many", number, row) for number, row in enumerate(repeated.tolist())]
    for row in rows.tolist():
        jobs.append(("train" if sides[row] == "train" else "validation", row, row))

    def write(job: tuple[str, int, int]) -> None:
        side, number, row = job
        path = home / "files" / side / labels[row] / f"{number:05d}.jpg"
        quality = [cv2.IMWRITE_JPEG_QUALITY, 95]
        cv2.imwrite(str(path), cv2.cvtColor(pictures[row], cv2.COLOR_RGB2BGR), quality)

    for side in ("many", "train", "validation"):
        for label in sorted(set(labels)):
            (home / "files" / side / label).mkdir(parents=True)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(write, jobs))
    return Data(
        files=home / "files",
        many=_shards(
            home / "many", pictures[repeated], labels[repeated], np.full(size.images, "train")
        ),
        split=_shards(home / "split", pictures, labels, sides),
    )


def _pictures(images: Path | None, size: Size) -> tuple[Pixels, npt.NDArray[np.object_]]:
    """uint8 N,H,W,3 and the class of each."""
    shape = (size.side_px, size.side_px)
    names = steel.taxonomy().names
    rng = np.random.default_rng(0)
    if images is None:
        labels = np.resize(np.array(names, object), min(1360, size.images))
        y, x = np.mgrid[: shape[0], : shape[1]]
        made = []
        for label in labels:
            turn = np.pi * names.index(label) / len(names)
            phase, period = rng.uniform(0, 6), rng.uniform(6, 9)
            wave = np.sin((x * np.cos(turn) + y * np.sin(turn)) / period + phase)
            grey = 128 + 50 * wave[:, :, None] + rng.normal(0, 25, (*shape, 3))
            made.append(np.clip(grey, 0, 255).astype(np.uint8))
        return np.stack(made), labels
    found = [p for name in names for p in sorted((images / name).glob("*"))]
    paths = [p for p in found if p.suffix.lower() in codec.SUFFIXES]
    if {path.parent.name for path in paths} != set(names):
        raise SystemExit(f"error: {images} lacks images of a class; it must hold X-SDD's folders")
    if size.images < len(paths):  # some of each class
        each = max(2, size.images // len(names))
        of = {name: [p for p in paths if p.parent.name == name] for name in names}
        paths = [p for name in names for p in of[name][:: len(of[name]) // each][:each]]

    def read(path: Path) -> Pixels:
        return cv2.resize(codec.read(path), shape, interpolation=cv2.INTER_CUBIC).astype(np.uint8)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return np.stack(list(pool.map(read, paths))), np.array(
            [p.parent.name for p in paths], object
        )


def _shards(
    folder: Path, pictures: Pixels, labels: npt.NDArray[Any], sides: npt.NDArray[Any]
) -> Shards:
    """Prepared images as preprocess leaves them."""
    folder.mkdir()
    height, width = pictures.shape[1:3]
    spec = PreprocessSpec.model_validate({"colour": "rgb", "width_px": width, "height_px": height})
    each = shards.images_per_shard(spec)
    for start in range(0, len(pictures), each):
        np.save(folder / shards.name_of(start // each), pictures[start : start + each])
    number = np.arange(len(pictures))
    index = pd.DataFrame(
        {
            "sample_id": [f"{i:05d}" for i in number],
            "label": labels,
            "group": [f"{i:05d}" for i in number],
            "split": sides,
            "given_split": "",
            "fold": -1,
            "variant": "",
            "defect_probability": np.nan,
            "part_label": labels,
            "tile": 0,
            "confidence": 1.0,
            "found": True,
            "shard": number // each,
            "row": number % each,
        }
    )
    index.to_parquet(folder / shards.INDEX, index=False)
    write_model(folder / shards.SPEC, spec)
    return Shards(folder)


def one_hot(stored: Shards) -> npt.NDArray[np.float32]:
    """The class of each image, float32 N,K."""
    names = steel.taxonomy().names
    which = [names.index(label) for label in stored.index["label"]]
    return np.eye(len(names), dtype=np.float32)[which]
