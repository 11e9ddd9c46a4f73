"""`make bench-pictures`: what fit, size and scales of the template are worth, on all sets.

Every development set by the template's settings, each change alone, judged by the probe of
`lineside tune`: a kernel ridge on backbone features, five folds by group.
All pictures of these sets are square, so fits differ only on a part of them: "band" is the middle
half of each picture's height, twice as wide as high; a defect outside of it is lost to all alike.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import development_sets
from pipeline import config as yaml_config
from pipeline.contracts.spec import PreprocessSpec, Roi
from pipeline.datasets.manifest import Manifest
from pipeline.datasets.manifest_reader import read_manifest
from pipeline.files import write_json
from pipeline.stages import preprocess, progress, train
from pipeline.training.tuning.probe import Probe, training_parts
from pipeline.training.tuning.trials import Trial

TEMPLATE = Path("conf/template")


def main() -> None:
    """Print a table a set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--sets", nargs="+", default=development_sets.SETS)
    parser.add_argument("--parts", type=int, default=1000, help="at most so many of a set")
    parser.add_argument("--trials", nargs="+", help="only these beside the first; none: all")
    parser.add_argument("--cache", type=Path, help="file that keeps features")
    parser.add_argument("--json", type=Path, help="write the figures there")
    args = parser.parse_args()
    settings = yaml_config.load(TEMPLATE / "train.yaml", train.Config)
    spec = yaml_config.load(TEMPLATE / "preprocess.yaml", preprocess.Config).spec
    found: dict[str, Any] = {}
    for name in args.sets:
        with tempfile.TemporaryDirectory() as folder:
            home = Path(folder)
            development_sets.ingested(name, home)
            data = training_parts(_all_to_learn(read_manifest(home)), args.parts)
            probe = Probe(
                *(data, home, settings.networks, settings.seed, args.cache, home / "work", _watch)
            )
            for kind, tried in _trials(spec, settings.scales, data).items():
                first, *others = tried
                wanted = [t for t in others if not args.trials or t.name in args.trials]
                if not wanted:
                    continue
                title = f"{name}, {kind}: {len(data.table)} images"
                found[f"{name}, {kind}"] = _compare(title, probe, [first, *wanted])
        if args.json:
            write_json(args.json, found)


def _all_to_learn(data: Manifest) -> Manifest:
    return Manifest(data.table.assign(split="train"), data.taxonomy, data.root, data.report)


def _trials(
    spec: PreprocessSpec, scales: tuple[float, ...], data: Manifest
) -> dict[str, list[Trial]]:
    def sized(width: int, height: int, **more: Any) -> PreprocessSpec:
        return spec.model_copy(update={"width_px": width, "height_px": height, **more})

    width, height = (int(data.table[side].median()) for side in ("width_px", "height_px"))
    roi = Roi(x_px=0, y_px=height // 4, width_px=width, height_px=height // 2)
    letterbox = {"fit": "letterbox"}
    band = {"roi": roi}
    return {
        "whole": [
            Trial("224x224 letterbox", "now", sized(224, 224, **letterbox), scales),
            Trial("224x224 stretch", "fit", sized(224, 224, fit="stretch"), scales),
            Trial("160x160", "size", sized(160, 160), scales),
            Trial("320x320", "size", sized(320, 320), scales),
            Trial("scales [1.0]", "scales", sized(224, 224), (1.0,)),
            Trial("scales [1.0, 0.5]", "scales", sized(224, 224), (1.0, 0.5)),
        ],
        "band": [
            Trial("224x224 letterbox", "now", sized(224, 224, **letterbox, **band), scales),
            Trial("224x224 stretch", "fit", sized(224, 224, fit="stretch", **band), scales),
            Trial("320x160 stretch", "size", sized(320, 160, fit="stretch", **band), scales),
        ],
    }


def _compare(title: str, probe: Probe, tried: list[Trial]) -> list[dict[str, Any]]:
    table = Table(title=title)
    for column in ("settings", "figure", "escapes at 5 % overkill", "gain", "ms a frame"):
        table.add_column(column, justify="left" if column == "settings" else "right")
    rows, now = [], None
    for trial in tried:
        measured = probe.measure(trial)
        now = measured if now is None else now
        figure, gain = measured.scores.figure(), measured.scores.gain_over(now.scores)
        escapes = measured.scores.escapes()
        table.add_row(
            trial.name,
            f"{measured.scores.objective} {figure.value:.4f}",
            "" if escapes is None else f"{escapes:.1%}",
            f"{gain.value:+.4f} ({gain.low:+.4f} to {gain.high:+.4f})",
            f"{measured.ms:.1f}",
        )
        rows.append(
            {
                "settings": trial.name,
                "objective": measured.scores.objective,
                "figure": figure.value,
                "escapes": escapes,
                "gain": [gain.value, gain.low, gain.high],
                "ms": measured.ms,
            }
        )
    Console(width=120).print(table)
    return rows


def _watch(what: str, items: Iterable[Any], total: int, found: int) -> Iterator[Any]:
    return progress(items, what, total, done=found)


if __name__ == "__main__":
    main()
