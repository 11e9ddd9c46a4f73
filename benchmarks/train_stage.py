"""`make bench-train-stage`: how long `train` takes on solar-cell, cold and warm.

A project of its own in a temporary folder, so that no cache is there: ingest, preprocess and
augment once, then `train` as DVC calls it, in a process of its own, start and imports included.
Cold is the first run; for each warm one only `head.l2` in train.yaml has changed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import yaml
from rich.console import Console
from rich.table import Table

from pipeline.files import write_json

COLD_TARGET_S, WARM_TARGET_S = 60, 10


def main() -> None:
    """Print the seconds beside their targets."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--recipe", default="solar-cell", help="a folder of conf/")
    parser.add_argument("--repeats", type=int, default=3, help="of the warm run")
    parser.add_argument("--json", type=Path, help="write the seconds there")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        shutil.copytree("conf", home / "conf")
        (home / "pipeline").symlink_to(Path("pipeline").resolve())
        for stage in ("ingest", "preprocess", "augment"):
            _seconds(home, stage, args.recipe)
        cold = _seconds(home, "train", args.recipe)
        warm = []
        settings = home / "conf" / args.recipe / "train.yaml"
        for turn in range(args.repeats):
            _change_l2(settings, 1.1 ** (turn + 1))
            warm.append(_seconds(home, "train", args.recipe))
    table = Table(title=f"train {args.recipe}, {os.cpu_count()} cores")
    for column in ("features", "seconds", "target"):
        table.add_column(column)
    table.add_row("cold", f"{cold:.1f}", str(COLD_TARGET_S))
    listed = ", ".join(f"{value:.1f}" for value in warm)
    table.add_row(
        f"warm, head.l2 changed, median of {listed}", f"{median(warm):.1f}", str(WARM_TARGET_S)
    )
    Console().print(table)
    if args.json:
        write_json(args.json, {"cold_s": cold, "warm_s": warm})


def _seconds(home: Path, stage: str, recipe: str) -> float:
    """Run one stage in the project; its own lines are passed on."""
    started = time.perf_counter()
    command = [sys.executable, "-m", f"pipeline.stages.{stage}", recipe]
    # Neither registry nor caches of the project that this is started from.
    there = {k: v for k, v in os.environ.items() if k not in ("MLFLOW_TRACKING_URI", "DVC_ROOT")}
    there["PYTHONPATH"] = str(home)  # an installed Lineside must not take the place of this one
    subprocess.run(command, cwd=home, env=there, check=True)
    return time.perf_counter() - started


def _change_l2(path: Path, factor: float) -> None:
    settings = yaml.safe_load(path.read_text("utf-8"))
    head = settings.setdefault("head", {})
    head["l2"] = 0.015 * factor
    path.write_text(yaml.safe_dump(settings), "utf-8")


if __name__ == "__main__":
    main()
