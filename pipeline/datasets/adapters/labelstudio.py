"""A choices project of Label Studio, exported as JSON: one image a task, one choice an annotator.

Left out: annotations that were skipped or cancelled, those without a choice, and tasks that no
annotator has answered.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Literal
from urllib.parse import parse_qs, unquote, urlsplit

from pydantic import BaseModel, Field, RootModel, model_validator

from pipeline.contracts.sample import Sample
from pipeline.datasets.adapters._files import load, once
from pipeline.datasets.annotations.recognition import Recognition, Tree
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
        description="Name of the Choices tag that gives the class. None: the only one there is.",
    )
    good: str | None = Field(
        None,
        description="The choice that good parts have. With it, the share of annotators who chose "
        "another becomes the defect probability, and a tie goes to the defect.",
    )
    unlisted: Unlisted = None

    @model_validator(mode="after")
    def _good_has_a_name(self) -> Config:
        if self.unlisted == "good" and self.good is None:
            raise ValueError("unlisted: good needs the label of good parts: set good")
        return self


class _Result(BaseModel):
    type: str
    from_name: str = ""
    value: dict[str, Any] = {}


class _LabelStudioAnnotation(BaseModel):
    was_cancelled: bool = False
    skipped: bool = False
    result: list[_Result] = []


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

    Raises:
        DataError: the export is missing, of another form or without answers, a task names no image
            in the root, one that another named, or has an answer that is not one choice.
    """
    expected = "Label Studio's export of a choices project in the format JSON, not JSON-MIN"
    tasks = load(config.file, _LabelStudioExport, expected).root
    controls = _controls(config, tasks)
    named: list[Named] = []
    answers: list[list[str]] = []
    unanswered: list[Named] = []
    for task in tasks:
        where = f"{config.file}: task {task.id}"
        votes = [v for a in task.annotations if (v := _vote(a, controls, where)) is not None]
        if votes:
            named.append(Named(_given(config, task, where), where))
            answers.append(votes)
        elif isinstance(task.data.get(config.field), str):
            unanswered.append(Named(_given(config, task, where), where))
    _check_votes(config, tasks, {vote for votes in answers for vote in votes})
    home = root(config)
    found = find(home, config.file, named, unanswered)
    seen: dict[str, str] = {}
    samples: list[Sample] = []
    for (_, where), path, votes in zip(named, found.paths, answers, strict=True):
        once(seen, path, where)
        samples.append(
            Sample(
                id=path,
                path=path,
                label=_majority(votes, config.good),
                group=path,
                defect_probability=None
                if config.good is None
                else sum(v != config.good for v in votes) / len(votes),
            )
        )
    good = config.good or ""
    listing = complete(samples, found, config.unlisted, good, config.file, home)
    if left_out := len(tasks) - len(named):
        listing.notes.append(f"{left_out} task(s) of {config.file} have no answer and are left out")
    return listing


def _check_votes(config: Config, tasks: list[_Task], voted: set[str]) -> None:
    if not voted:
        raise DataError(
            f"{config.file} has {len(tasks)} tasks and no answer that counts; label some images "
            "and export again"
        )
    if config.good is not None and config.good not in voted:
        raise DataError(
            f'{config.file}: nobody chose "{config.good}" (source.good in ingest.yaml); '
            f"{choices(config.good, voted)}, or leave it out"
        )


def _controls(config: Config, tasks: list[_Task]) -> set[str]:
    """The name of the Choices tag whose answers count; empty where there are no answers."""
    there = {
        result.from_name
        for task in tasks
        for annotation in task.annotations
        for result in annotation.result
        if result.type == "choices"
    }
    if config.control is not None:
        if there and config.control not in there:
            raise DataError(
                f'{config.file} has no answers to "{config.control}" (source.control in '
                f"ingest.yaml); {choices(config.control, there)}"
            )
        return {config.control}
    if len(there) > 1:
        raise DataError(
            f"{config.file} has answers to {', '.join(sorted(there))}; set source.control in "
            "ingest.yaml to the one that is the class"
        )
    return there


def _vote(annotation: _LabelStudioAnnotation, controls: set[str], where: str) -> str | None:
    """What an annotator chose; None for one who gave no answer."""
    if annotation.was_cancelled or annotation.skipped:
        return None
    results = [r for r in annotation.result if r.type == "choices" and r.from_name in controls]
    if not results:
        return None
    given = [r.value.get("choices") for r in results]
    match given:
        case [[str(choice)]]:
            return choice
    raise DataError(
        f"{where} has an annotation that reads {given}; expected one choice an image (in Label "
        'Studio, choice="single")'
    )


def _majority(votes: list[str], good: str | None) -> str:
    """What most chose; of a tie not the good label, then what was given first."""
    counts = Counter(votes)
    return max(counts, key=lambda choice: (counts[choice], choice != good))


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
