"""`python -m benchmarks.preprocess`: preparing images against the bare OpenCV loop, and memory.

Camera pictures are real cells enlarged to 1280 x 1024 and saved as JPEG. The bare loop reads and
shrinks them with as many threads and keeps nothing; ours also verifies each file, writes shards
with an index and draws the contact sheet. Both run in turn, several times.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

import cv2
import numpy as np
import pandas as pd

from pipeline.contracts.sample import Sample
from pipeline.contracts.spec import PreprocessSpec
from pipeline.contracts.taxonomy import Taxonomy
from pipeline.datasets import manifest
from pipeline.datasets.adapters import elpv, folder
from pipeline.datasets.scanning import scan
from pipeline.files import write_json
from pipeline.imaging import codec
from pipeline.stages import preprocess

N_PICTURES, ROUNDS = 1_200, 5
SIDE_PX = 224
MANY = (5_000, 50_000)
TAXONOMY = Taxonomy.model_validate(
    {
        "classes": [
            {"name": "good", "disposition": "pass"},
            {"name": "defective", "disposition": "scrap"},
        ]
    }
)


def main() -> None:
    """Print the figures; with a number and a folder, prepare so many images and print the peak."""
    if len(sys.argv) == 3:
        _prepare(Path(sys.argv[2]), int(sys.argv[1]))
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        return
    with tempfile.TemporaryDirectory() as home:
        _throughput(Path(home, "pictures"))
    for n in MANY:
        with tempfile.TemporaryDirectory() as home:
            command = [sys.executable, "-m", "benchmarks.preprocess", str(n), home]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            print(f"peak memory at {n} images: {float(done.stdout.split()[-1]):.0f} MiB")


def _throughput(home: Path) -> None:
    home.mkdir()
    paths = _camera_pictures(home)
    bytes_each = sum(p.stat().st_size for p in paths) / len(paths)
    print(f"{len(paths)} pictures of 1280x1024, JPEG, {bytes_each / 1e3:.0f} kB each")
    for colour, size in (("rgb", SIDE_PX), ("grey", SIDE_PX)):
        spec = PreprocessSpec.model_validate(
            {"colour": colour, "width_px": size, "height_px": size, "interpolation": "area"}
        )
        bare, ours, stored = [], [], 0
        for turn in range(ROUNDS):
            data = home.parent / f"{colour}-{turn}"
            _ingested(data, home, [p.name for p in paths])
            flag = cv2.IMREAD_COLOR if colour == "rgb" else cv2.IMREAD_GRAYSCALE
            bare.append(_seconds(lambda f=flag: _bare(paths, f)))  # type: ignore[misc]
            out = data / "preprocess"
            out.mkdir()
            ours.append(
                _seconds(lambda d=data, o=out, s=spec: preprocess.run(_config(s), d, o))  # type: ignore[misc]
            )
            stored = sum(file.stat().st_size for file in out.glob("images-*.npy"))
        rates = len(paths) / median(bare), len(paths) / median(ours)
        ratio = median(b / o for b, o in zip(bare, ours, strict=True))
        print(
            f"{colour}: bare imread + resize {rates[0]:.0f}/s, preprocess {rates[1]:.0f}/s, "
            f"ratio {ratio:.2f} (median of {ROUNDS}); "
            f"{stored / len(paths) / 1e3:.1f} kB an image in shards"
        )


def _seconds(act: Callable[[], object]) -> float:
    started = time.perf_counter()
    act()
    return time.perf_counter() - started


def _bare(paths: list[Path], flag: int) -> None:
    def one(path: Path) -> None:
        picture = cv2.imread(str(path), flag)
        assert picture is not None
        cv2.resize(picture, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in pool.map(one, paths):
            pass


def _camera_pictures(home: Path) -> list[Path]:
    config = elpv.Config(type="elpv")
    rng = np.random.default_rng(0)
    for i, sample in enumerate(elpv.read(config)[::2][:N_PICTURES]):
        cell = codec.read(elpv.root(config) / sample.path)
        large = cv2.resize(cell, (1280, 1024), interpolation=cv2.INTER_CUBIC).astype(np.int16)
        noisy = np.clip(large + rng.integers(-6, 7, large.shape, np.int16), 0, 255)
        quality = [cv2.IMWRITE_JPEG_QUALITY, 90]
        cv2.imwrite(str(home / f"{i:04d}.jpg"), noisy.astype(np.uint8), quality)
    return sorted(home.iterdir())


def _prepare(home: Path, n: int) -> None:
    """Prepare n small pictures, 500 real ones over and over."""
    config = elpv.Config(type="elpv")
    pictures = home / "pictures"
    pictures.mkdir()
    for i, sample in enumerate(elpv.read(config)[::5][:500]):
        cell = codec.read(elpv.root(config) / sample.path)
        cv2.imwrite(str(pictures / f"{i:04d}.png"), cv2.resize(cell, (96, 96)))
    names = sorted(p.name for p in pictures.iterdir())
    _ingested(home / "data", pictures, [names[i % len(names)] for i in range(n)])
    (home / "data/preprocess").mkdir()
    spec = PreprocessSpec(colour="grey", width_px=64, height_px=64)
    preprocess.run(_config(spec), home / "data", home / "data/preprocess")


def _config(spec: PreprocessSpec) -> preprocess.Config:
    return preprocess.Config(spec=spec)


def _ingested(data: Path, root: Path, names: list[str]) -> None:
    """A manifest as ingest writes it, without its search for duplicates."""
    out = data / "ingest"
    out.mkdir(parents=True)
    source = folder.Config(type="folder", root=root)
    known = {name: scan(_sample(name), root) for name in set(names)}
    table = pd.DataFrame(
        {
            "sample_id": [f"{i}" for i in range(len(names))],
            "path": names,
            "label": [("good", "defective")[i % 2] for i in range(len(names))],
            "group": [f"{i}" for i in range(len(names))],
            "split": "train",
            "given_split": "",
            "fold": 0,
            "variant": "",
            "defect_probability": np.nan,
            "sha256": [known[name].sha256 for name in names],
            "mask": "",
            "mask_sha256": "",
        }
    )
    manifest.write(out, table, TAXONOMY, source)
    write_json(out / manifest.REPORT, {})


def _sample(name: str) -> Sample:
    return Sample(name, name, "good", name)


if __name__ == "__main__":
    main()
