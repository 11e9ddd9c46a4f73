"""`make bench-normal`: method `normal` beside anomalib's PatchCore and PaDiM, in one run.

The same packaged backbone with the same weights, the same prepared images (grey, 224 x 224), the
same division by group: good ones to learn from, other good ones and the bad ones of other groups to
judge. PatchCore takes the maps of stride 8 and 16 and a coreset of 1 % (its published setting for
speed; 10 % takes hours on two cores), PaDiM those of stride 4, 8 and 16 and 100 channels at random.
Seconds of fitting hold everything from prepared images to a model that can judge; of ours the
injected defects, the choice out of fold and the export as well. The latency is that of the graph in
ONNX Runtime beside the template's classifier, image by image in turns.
"""

from __future__ import annotations

import argparse
import logging
import shutil
import tempfile
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from rich.console import Console
from rich.table import Table
from sklearn.metrics import roc_auc_score

from benchmarks.development_sets import BOARDS, SHARED
from pipeline.contracts.bundle import MODEL
from pipeline.contracts.taxonomy import Disposition, PartClass, Taxonomy
from pipeline.datasets import shards
from pipeline.datasets.adapters import elpv, folder
from pipeline.datasets.grouping import Automatic, Grouping, Pattern
from pipeline.datasets.shards import Shards
from pipeline.stages import augment, ingest, preprocess
from pipeline.training.architectures import Backbone
from pipeline.training.export import export
from pipeline.training.features.backbones import BackboneSpec, build
from pipeline.training.head_modules import KernelPart, MeanHead
from pipeline.training.network import Features, Network
from pipeline.training.normal import NormalSettings, fit, write_graph
from pipeline.training.training_data import gather

SIDE_PX = 224
LEARNED, JUDGED = 150, 300  # most good images to learn from; most good and most bad ones to judge
PATCHCORE, PADIM = ("blocks.2", "blocks.4"), ("blocks.1", "blocks.2", "blocks.4")
CORESET = 0.01
TURNS = 60
SETS = ("castings", "ELPV mono", "pcb-crops")
MODULES = Pattern(by="pattern", pattern=r"(m\d+)_")  # 60 neighbouring cells
Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Divided:
    """One data set: prepared good images to learn from, and images to judge with their truth."""

    home: Path
    images: Pixels
    bad: npt.NDArray[np.bool_]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sets", nargs="*", default=[], help=f"of {', '.join(SETS)}; all of them")
    parser.add_argument("--seeds", type=int, default=1, help="divisions of each set")
    parser.add_argument("--learned", type=int, default=LEARNED, help="most good images to learn")
    parser.add_argument("--judged", type=int, default=JUDGED, help="most good and most bad ones")
    given = parser.parse_args()
    sizes = given.learned, given.judged
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    table = Table("set", "seed", "method", "AUROC", "fit s", "their fit / ours")
    for name in given.sets or SETS:
        for seed in range(given.seeds):
            with tempfile.TemporaryDirectory() as home:
                rows = compared(name, seed, Path(home), sizes)
            for method, auroc, seconds in rows:
                ratio = f"{seconds / rows[0][2]:.1f}"
                table.add_row(name, str(seed), method, f"{auroc:.4f}", f"{seconds:.1f}", ratio)
            Console().print(*(f"{name} {seed} {m}: {a:.4f} {s:.1f} s;" for m, a, s in rows))
    Console().print(table)


def compared(
    name: str, seed: int, home: Path, sizes: tuple[int, int]
) -> list[tuple[str, float, float]]:
    """Method, AUROC and seconds of fitting; ours first."""
    divided = division(name, seed, home, sizes)
    backbone = build([BackboneSpec()], (SIDE_PX, SIDE_PX), seed)
    features = backbone.features
    assert isinstance(features, Features)
    rows = [ours(divided, features, seed)]
    latency(features, home)
    rows.append(theirs("PaDiM", divided, backbone.built[0], seed))
    rows.append(theirs("PatchCore", divided, backbone.built[0], seed))
    return rows


def division(name: str, seed: int, home: Path, sizes: tuple[int, int]) -> Divided:
    """Lay the set out as folders, let the stages prepare it, and part it by group."""
    groups = _lay_out(name, home / "images")
    taxonomy = Taxonomy(
        classes=(
            PartClass(name="good", disposition=Disposition.PASS),
            PartClass(name="bad", disposition=Disposition.SCRAP),
        )
    )
    for stage in ("ingest", "preprocess", "augment"):
        (home / stage).mkdir()
    source = folder.Config(type="folder", root=home / "images")
    split = ingest.Split(groups=groups, given="ignore", folds=0)
    ingest.run(ingest.Config(source=source, split=split), taxonomy, home / "ingest", good_only=True)
    spec = {"colour": "grey", "width_px": SIDE_PX, "height_px": SIDE_PX, "fit": "stretch"}
    spec["interpolation"] = "area"
    preprocess.run(preprocess.Config.model_validate({"spec": spec}), home, home / "preprocess")
    listed = home / "preprocess" / shards.INDEX
    index = pd.read_parquet(listed)
    rng = np.random.default_rng(seed)
    own, good = index["group"].to_numpy(str), (index["label"] == "good").to_numpy()
    order = rng.permutation(np.unique(own))
    known = np.isin(own, order[: round(0.6 * len(order))])
    learned = rng.permutation(np.flatnonzero(known & good))[: sizes[0]]
    judged = [rng.permutation(np.flatnonzero(~known & kind))[: sizes[1]] for kind in (good, ~good)]
    sides = np.full(len(index), "none", object)
    sides[learned] = "train"
    index.assign(split=sides).to_parquet(listed, index=False)
    policy = {"policy": {"flip": {"horizontal": True}}}
    augment.run(augment.Config.model_validate(policy), home, home / "augment")
    rows = np.concatenate(judged)
    return Divided(home, Shards(home / "preprocess").stack(rows), ~good[rows])


def _lay_out(name: str, images: Path) -> Grouping:
    """Folders good and bad of links to a set's images; and what belongs together."""
    found: list[tuple[Path, bool, str]] = []
    groups: Grouping = Automatic(by="automatic")
    if name == "castings":
        root = SHARED / "casting"
        found = [(p, p.parent.name == "ok_front", "") for p in sorted(root.rglob("*.jpeg"))]
    elif name == "pcb-crops":
        root, groups = SHARED / "pcb-crops", BOARDS
        found = [(p, p.parent.name == "good", "") for p in sorted(root.glob("*/*"))]
    elif name == "ELPV mono":
        config, groups = elpv.Config(type="elpv"), MODULES
        place = Path(str(elpv.root(config)))
        found = [
            (place / sample.path, sample.defect_probability == 0, f"m{row // 60:02d}_")
            for row, sample in enumerate(elpv.read(config))
            if sample.variant == "mono" and sample.defect_probability in (0, 1)
        ]
    else:
        raise SystemExit(f"error: {name} is no set; choose {', '.join(SETS)}")
    for number, (path, good, module) in enumerate(found):
        home = images / ("good" if good else "bad")
        home.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, home / f"{module}{path.stem}_{number}{path.suffix}")
    return groups


def ours(divided: Divided, features: Features, seed: int) -> tuple[str, float, float]:
    """Method `normal`, judged by its graph in ONNX Runtime."""
    from pipeline.inference.predictor import session

    home = divided.home
    started = time.perf_counter()
    data = gather(home, 0.0, good_only=True)
    model = fit(features, data, NormalSettings(), seed, home, lambda steps, *_: steps)
    write_graph(model, data, home / MODEL)
    seconds = time.perf_counter() - started
    Console().print(*model.lines)
    run = session(home / MODEL)
    logits = [run.run(["logits"], {"image": i[None]})[0][0] for i in divided.images]
    odds = np.array([pair[1] - pair[0] for pair in logits])
    return "lineside normal", float(roc_auc_score(divided.bad, odds)), seconds


def theirs(name: str, divided: Divided, backbone: Backbone, seed: int) -> tuple[str, float, float]:
    """anomalib's PatchCore or PaDiM with the same backbone, in torch."""
    from anomalib.models.image.padim.torch_model import PadimModel
    from anomalib.models.image.patchcore.torch_model import PatchcoreModel

    torch.manual_seed(seed)
    data = gather(divided.home, 0.0, good_only=True)
    architecture = backbone.architecture
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (architecture.mean, architecture.std))

    def batches(images: Pixels) -> Sequence[torch.Tensor]:
        parts = [images[i : i + 16] for i in range(0, len(images), 16)]
        return [
            (torch.from_numpy(p).permute(0, 3, 1, 2).float().expand(-1, 3, -1, -1) - mean) / std
            for p in parts
        ]

    learned = batches(data.images.stack(np.arange(len(data.images))))
    started = time.perf_counter()
    model: Any
    if name == "PatchCore":
        model = PatchcoreModel(backbone=architecture.name, layers=PATCHCORE, pre_trained=False)
    else:
        layers = list(PADIM)
        model = PadimModel(
            backbone=architecture.name, layers=layers, pre_trained=False, n_features=100
        )
    network = model.feature_extractor.feature_extractor
    same = network.load_state_dict(backbone.module.state_dict(), strict=False)
    assert not same.missing_keys, "the same weights, all of them"
    model.train()
    model.feature_extractor.eval()
    with torch.no_grad():
        for batch in learned:
            model(batch)
        if name == "PatchCore":
            model.subsample_embedding(CORESET)
        else:
            model.fit()
    seconds = time.perf_counter() - started
    model.eval()
    with torch.no_grad():
        scores = torch.cat([model(b).pred_score.flatten() for b in batches(divided.images)])
    return f"anomalib {name}", float(roc_auc_score(divided.bad, scores.numpy())), seconds


def latency(features: Features, home: Path) -> None:
    """Print milliseconds an image of our graph and of the template's classifier, in turns."""
    from pipeline.inference.predictor import session

    pair = build([BackboneSpec(scales=(1.0, 0.715))], (SIDE_PX, SIDE_PX), 0).features
    assert isinstance(pair, Features)
    image = np.zeros((SIDE_PX, SIDE_PX, 1), np.uint8)
    with torch.inference_mode():
        n = int(pair(torch.from_numpy(image[None])).shape[1])
    head = MeanHead(
        torch.randn(n, 384) / n,
        torch.zeros(384),
        torch.zeros(384, 2),
        torch.zeros(2),
        [KernelPart(torch.tensor(1.0), torch.randn(2048, 384), torch.randn(2048, 2))],
    )
    classifier = home / "classifier.onnx"
    export(Network(pair, head), image, "image", ["logits", "embedding"], classifier)
    runs = [session(path) for path in (home / MODEL, classifier)]
    spent = np.empty((2, TURNS))
    for turn in range(TURNS):
        for i, run in enumerate(runs):
            started = time.perf_counter()
            run.run(None, {"image": image[None]})
            spent[i, turn] = (time.perf_counter() - started) * 1e3
    ms = np.median(spent[:, 5:], axis=1)
    Console().print(f"normal {ms[0]:.1f} ms, classifier {ms[1]:.1f} ms: ratio {ms[0] / ms[1]:.2f}")


if __name__ == "__main__":
    main()
