"""`make bench-gpu`: our fine-tuning on a GPU against timm's own training loop.

ResNet-50 and EfficientNet-B0 from random weights, X-SDD enlarged to 224 x 224, both sides with
AdamW, the same rates, batches and bf16 autocast, channels_last, no compilation.

- own input: images/s inside one long epoch, each side reading the disk its own way: ours
  uint8 shards and the recipe's policy, timm JPEGs and its transforms on a prefetching loader.
- resident: images/s on one batch that lies on the device: the bare step.
- to accuracy: seconds from nothing built until the held-out quarter is judged with 0.90 or more,
  at the same schedule (warm-up, then cosine to 0), with an evaluation and a checkpoint an epoch.
  Ours starts as the stage does, from a head fitted on the random network's features through
  ONNX Runtime (its first evaluation is of that), and validates its running mean of weights; the
  seconds of all that are included.

Busy is NVML's utilisation, sampled during the timed windows; in kernels, the share of time with at
least one kernel on the device, from torch.profiler over 20 steps after them.

timm's loop follows train.py of huggingface/pytorch-image-models with timm's own parts: dataset,
loader, optimiser, scheduler stepped by update, saver, `loss.item()` after each update, evaluation.
Left out: distribution, gradient accumulation and clipping, loss scaling (bf16 needs none), mixup,
EMA, label smoothing, resuming, logging and CSV summaries. Changed in its favour: light
augmentation (crops of 0.8 or more instead of 0.08), as many workers as ours, pinned memory.
Ours runs `finetune.fit` as it is, with its running mean, its clipping and Lightning around it.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import timm
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.gpu import ours, theirs
from benchmarks.gpu.data import SMOKE, Data, Size, prepare
from pipeline.files import write_json

NETWORKS = ("resnet50", "efficientnet_b0")
WHAT = ("own input", "resident", "to accuracy")


@dataclass
class Results:
    """Rows as they come; after each the file is written anew."""

    path: Path | None
    facts: dict[str, Any]
    rows: list[dict[str, Any]] = field(default_factory=list)

    def add(self, row: dict[str, Any]) -> None:
        """Keep a row, say it, write the file."""
        self.rows.append(row)
        told = ", ".join(f"{k} {_short(v)}" for k, v in row.items() if not isinstance(v, list))
        print(f"  {told}", flush=True)
        if self.path:
            write_json(self.path, {**self.facts, "rows": self.rows})

    def of(self, network: str, what: str, side: str) -> dict[str, Any]:
        """A row, empty where it failed."""
        wanted = (network, what, side)
        found = (r for r in self.rows if (r["network"], r["what"], r["side"]) == wanted)
        return next(found, {})


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.2f}" if value < 10 else f"{value:.1f}"
    return "none" if value is None else str(value)


def main() -> None:
    """Measure row by row and print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=Path, help="the folder of X-SDD; else textures are made")
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS))
    parser.add_argument("--what", nargs="+", default=list(WHAT), choices=WHAT)
    parser.add_argument("--smoke", action="store_true", help="tiny, on any device, to try it")
    parser.add_argument("--batch", type=int, default=Size.batch, help="of the images/s")
    parser.add_argument("--epochs", type=int, default=Size.epochs, help="of the schedule")
    parser.add_argument("--goal", type=float, default=Size.goal, help="accuracy of the races")
    parser.add_argument("--limit-s", type=float, default=Size.limit_s, help="of one race")
    parser.add_argument("--json", type=Path, help="write what was measured there, row by row")
    args = parser.parse_args()
    if not torch.cuda.is_available() and not args.smoke:
        raise SystemExit("no CUDA device here: nothing is measured (--smoke tries the program)")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    size = (
        SMOKE
        if args.smoke
        else Size(batch=args.batch, epochs=args.epochs, limit_s=args.limit_s, goal=args.goal)
    )
    torch.backends.cudnn.benchmark = True  # as train.py
    name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    facts = {
        "device": name,
        "torch": torch.__version__,
        "timm": timm.__version__,
        "lightning": version("pytorch-lightning"),
        "cores": os.cpu_count(),
        "batch": size.batch,
        "precision": "bf16" if device.type == "cuda" else "32",
        "goal": size.goal,
    }
    print(", ".join(f"{key} {value}" for key, value in facts.items()), flush=True)
    results = Results(args.json, facts)
    with tempfile.TemporaryDirectory() as folder:
        data = prepare(args.images, Path(folder), size)
        for what in args.what:
            for network in args.networks:
                _measure(network, what, data, size, device, results)
    _print_rates(results, args.networks)
    _print_races(results, args.networks)


def _measure(
    network: str, what: str, data: Data, size: Size, device: torch.device, results: Results
) -> None:
    rates = {"timm": theirs.rate, "ours": ours.rate}
    races = {"timm": theirs.race, "ours": ours.race}
    for side in ("timm", "ours"):
        row: dict[str, Any] = {"network": network, "what": what, "side": side}
        started = time.perf_counter()
        try:
            if what == "to accuracy":
                race = races[side](network, data, size, device)
                best = max((share for _, share in race.readings), default=None)
                row |= {"seconds": race.seconds, "best": best, "readings": race.readings}
            else:
                watch = rates[side](network, data, size, device, what == "resident")
                row |= {
                    "images_per_s": statistics.median(watch.rates),
                    "busy": watch.busy,
                    "in_kernels": watch.in_kernels,
                    "windows": watch.rates,
                }
        except Exception as error:  # the other rows are worth having
            traceback.print_exc()
            row["error"] = f"{type(error).__name__}: {error}"
        finally:
            # Lightning sets it for the process; timm's users do not.
            torch.use_deterministic_algorithms(False)
            if device.type == "cuda":
                torch.cuda.empty_cache()
        row["took_s"] = time.perf_counter() - started
        results.add(row)


def _print_rates(results: Results, networks: Sequence[str]) -> None:
    table = Table(title=f"training, {results.facts['device']}, batches of {results.facts['batch']}")
    for head in ("network", "input", "timm", "ours", "ratio", "busy", "in kernels"):
        table.add_column(head)
    for network in networks:
        for what in ("resident", "own input"):
            theirs, ours = (results.of(network, what, side) for side in ("timm", "ours"))
            table.add_row(
                network,
                what,
                *(
                    f"{r['images_per_s']:.0f}/s" if "images_per_s" in r else "-"
                    for r in (theirs, ours)
                ),
                _ratio(ours.get("images_per_s"), theirs.get("images_per_s")),
                *(
                    " / ".join(
                        "-" if r.get(key) is None else f"{r[key]:.0%}" for r in (theirs, ours)
                    )
                    for key in ("busy", "in_kernels")
                ),
            )
    Console(width=110).print(table)
    print("busy and in kernels: timm / ours; ratio: ours over timm, medians of the windows")


def _print_races(results: Results, networks: Sequence[str]) -> None:
    table = Table(
        title=f"seconds to accuracy {results.facts['goal']:.2f}, {results.facts['device']}"
    )
    for head in ("network", "timm", "ours", "timm / ours", "accuracies seen"):
        table.add_column(head)
    for network in networks:
        theirs, ours = (results.of(network, "to accuracy", side) for side in ("timm", "ours"))
        table.add_row(
            network,
            *(
                "not reached" if r.get("seconds") is None else f"{r['seconds']:.1f}"
                for r in (theirs, ours)
            ),
            _ratio(theirs.get("seconds"), ours.get("seconds")),
            "; ".join(_climb(r.get("readings")) for r in (theirs, ours)),
        )
    Console(width=110).print(table)


def _climb(readings: Sequence[tuple[float, float]] | None) -> str:
    if not readings:
        return "-"
    shares = [share for _, share in readings]
    return f"{shares[0]:.3f} to {max(shares):.3f} in {len(shares)}"


def _ratio(above: float | None, below: float | None) -> str:
    return f"{above / below:.2f}" if above and below else "-"


if __name__ == "__main__":
    main()
