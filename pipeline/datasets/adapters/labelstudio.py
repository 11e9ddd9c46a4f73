"""A project of Label Studio, exported as JSON: one image a task, with choices or with regions.

Left out: annotations that were skipped or cancelled, those without a choice where there are
choices, and tasks that no annotator has answered.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import parse_qs, unquote, urlsplit

from pydantic import BaseModel, Field, RootModel, model_validator

from pipeline.contracts.sample import Box, Sample
from pipeline.datasets.adapters._files import load, once
from pipeline.datasets.annotations.classes import note, provisional
from pipeline.datasets.annotations.recognition import Recognition, Tree
from pipeline.datasets.annotations.regions import KINDS, Result, regions
from pipeline.datasets.listings.finder import Named, find
from pipeline.datasets.listings.listing import Listing
from pipeline.datasets.listings.policy import Unlisted, complete
from pipeline.datasets.location import Location, Place, opened
from pipeline.errors import DataError, choices
from pipeline.plugins import PluginConfig

LOCAL = "/data/local-files/"
UPLOAD = "/data/upload/"


class Config(PluginConfig):
    """Where the export is and which of its answers is the class."""

    type: Literal["labelstudio"]
    file: Location = Field(description="The project's export in the format JSON (not JSON-MIN).")
    root: Location | None = Field(
        None,
        description="The folder that images are in: Label Studio's document root for local files, "
        "its media/upload (or a copy of the files in it) for uploaded ones. None: that of the "
        "file.",
    )
    field: str = Field("image", description="The key in a task's data that names the image.")
    control: str | None = Field(
        None,
        description="Name of the tag that gives the class: Choices, or one that draws regions, "
        "such as RectangleLabels. None: the only Choices there is, without one all that draw.",
    )
    good: str | None = Field(
        None,
        description="The choice that good parts have, or the label of images without a region. "
        "With it, the share of annotators who gave another becomes the defect probability, and a "
        'tie goes to the defect. None: images without a region are "good".',
    )
    unlisted: Unlisted = None

    @model_validator(mode="after")
    def _good_has_a_name(self) -> Config:
        if self.unlisted == "good" and self.good is None:
            raise ValueError("unlisted: good needs the label of good parts: set good")
        return self


class _LabelStudioAnnotation(BaseModel):
    was_cancelled: bool = False
    skipped: bool = False
    ground_truth: bool = False
    result: list[Result] = []


@dataclass(frozen=True)
class _Answer:
    """What one annotator gave: a choice, or the labels of all regions and their boxes."""

    label: str
    labels: tuple[str, ...] = ()
    boxes: tuple[Box, ...] = ()


class _Task(BaseModel):
    id: int | str
    data: dict[str, Any]
    annotations: list[_LabelStudioAnnotation]


class _LabelStudioExport(RootModel[list[_Task]]):
    pass


def root(config: Config) -> Place:
    """The configured folder, or that of the export."""
    return opened(config.root or config.file.parent)


def read(config: Config) -> Listing:
    """All answered tasks, in the file's order; the label is what most annotators chose.

    Where a reviewer has marked an answer as ground truth, the others do not count. In a project
    without choices the regions decide: an image without any is good, one with some is what they
    are called; of several the gravest by the taxonomy.

    Raises:
        DataError: the export is missing, of another form or without answers, a task names no image
            in the root, one that another named, or has an answer that is not one choice.
    """
    expected = "Label Studio's export of a project in the format JSON, not JSON-MIN"
    tasks = load(config.file, _LabelStudioExport, expected).root
    controls, drawn = _controls(config, tasks)
    good = config.good or ("good" if drawn else None)
    named: list[Named] = []
    answers: list[list[_Answer]] = []
    unanswered: list[Named] = []
    voted: set[str] = set()
    for task in tasks:
        where = f"{config.file}: task {task.id}"
        counted = [a for a in task.annotations if not (a.was_cancelled or a.skipped)]
        there = [
            (a.ground_truth, answer)
            for a in counted
            if (answer := _answer(a, controls, good, drawn, where)) is not None
        ]
        voted |= {answer.label for _, answer in there}
        if there:
            named.append(Named(_given(config, task, where), where))
            reviewed = [answer for truth, answer in there if truth]
            answers.append(reviewed or [answer for _, answer in there])
        elif isinstance(task.data.get(config.field), str):
            unanswered.append(Named(_given(config, task, where), where))
    _check_answers(config, tasks, voted, drawn)
    home = root(config)
    found = find(home, config.file, named, unanswered)
    seen: dict[str, str] = {}
    samples: list[Sample] = []
    for (_, where), path, given in zip(named, found.paths, answers, strict=True):
        once(seen, path, where)
        decided = _decided(given, good, drawn)
        samples.append(
            Sample(
                id=path,
                path=path,
                label=decided.label,
                group=path,
                defect_probability=None
                if config.good is None
                else sum(a.label != config.good for a in given) / len(given),
                labels=decided.labels,
                boxes=decided.boxes,
            )
        )
    listing = complete(samples, found, config.unlisted, good or "", config.file, home)
    listing.notes += note(samples)
    if left_out := len(tasks) - len(named):
        listing.notes.append(f"{left_out} task(s) of {config.file} have no answer and are left out")
    return listing


def _check_answers(config: Config, tasks: list[_Task], given: set[str], drawn: bool) -> None:
    if not given:
        kinds = {r.type for task in tasks for a in task.annotations for r in a.result}
        of = f" (its results are of type {', '.join(sorted(kinds))})" if kinds else ""
        raise DataError(
            f"{config.file} has {len(tasks)} tasks and no answer that counts{of}; submit answers "
            "to a Choices tag, or regions with labels such as RectangleLabels, and export again"
        )
    if config.good is not None and not drawn and config.good not in given:
        raise DataError(
            f'{config.file}: nobody chose "{config.good}" (source.good in ingest.yaml); '
            f"{choices(config.good, given)}, or leave it out"
        )


def _controls(config: Config, tasks: list[_Task]) -> tuple[set[str], bool]:
    """The names of the tags whose answers count, and whether they draw regions."""
    results = [r for task in tasks for a in task.annotations for r in a.result]
    chosen = {result.from_name for result in results if result.type == "choices"}
    drawn = {result.from_name for result in results if result.type in KINDS}
    if config.control is not None:
        if chosen | drawn and config.control not in chosen | drawn:
            raise DataError(
                f'{config.file} has no answers to "{config.control}" (source.control in '
                f"ingest.yaml); {choices(config.control, chosen | drawn)}"
            )
        return {config.control}, config.control in drawn
    if len(chosen) > 1:
        raise DataError(
            f"{config.file} has answers to {', '.join(sorted(chosen))}; set source.control in "
            "ingest.yaml to the one that is the class"
        )
    return (chosen, False) if chosen else (drawn, bool(drawn))


def _answer(
    annotation: _LabelStudioAnnotation,
    controls: set[str],
    good: str | None,
    drawn: bool,
    where: str,
) -> _Answer | None:
    """What an annotator gave; None for one who gave no answer."""
    results = [r for r in annotation.result if r.from_name in controls]
    if drawn:
        there = regions(results, where)
        labels = tuple(label for region in there for label in region.labels)
        boxes = tuple(box for region in there for box in region.boxes())
        return _Answer(provisional(labels) if labels else good or "", labels, boxes)
    given = [r.value.get("choices") for r in results if r.type == "choices"]
    match given:
        case []:
            return None
        case [[str(choice)]]:
            return _Answer(choice)
    raise DataError(
        f"{where} has an annotation that reads {given}; expected one choice an image (in Label "
        'Studio, choice="single")'
    )


def _decided(given: list[_Answer], good: str | None, drawn: bool) -> _Answer:
    """What most gave; of a tie not the good label, then what was given first."""
    if drawn:
        marked = [answer for answer in given if answer.labels]
        if 2 * len(marked) < len(given) or not marked:
            return _Answer(good or "")
        labels = tuple(label for answer in marked for label in answer.labels)
        boxes = tuple(box for answer in marked for box in answer.boxes)
        return _Answer(provisional(labels), labels, boxes)
    counts = Counter(answer.label for answer in given)
    return _Answer(max(counts, key=lambda choice: (counts[choice], choice != good)))


def _given(config: Config, task: _Task, where: str) -> str:
    """The image of a task, without what Label Studio puts before its path."""
    given = task.data.get(config.field)
    if not isinstance(given, str):
        keys = ", ".join(sorted(task.data)) or "nothing"
        raise DataError(
            f"{where} has no text in data.{config.field} (source.field in ingest.yaml); "
            f"its data has {keys}"
        )
    try:
        url = urlsplit(given)
    except ValueError as error:
        raise DataError(f"{where} names {given}, which is not a valid path: {error}") from None
    if LOCAL in url.path:
        return "".join(parse_qs(url.query).get("d", [])).lstrip("/")
    return unquote(url.path.partition(UPLOAD)[2]) if UPLOAD in url.path else given


def recognise(tree: Tree) -> Recognition | None:
    """One file in the folder that is a list of tasks with data and annotations."""
    exports = [path for path in tree.ending(".json", depth=0) if _is_export(tree.json(path))]
    if len(exports) != 1:
        return None
    config = Config(type="labelstudio", file=tree.home / exports[0].as_posix())
    return Recognition(config, f"{exports[0]} has tasks of Label Studio")


def _is_export(content: Any) -> bool:
    first = content[0] if isinstance(content, list) and content else None
    return isinstance(first, dict) and {"data", "annotations"} <= first.keys()
