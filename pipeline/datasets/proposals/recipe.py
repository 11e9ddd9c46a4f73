"""A proposed recipe: what stands in `conf/<recipe>/`, each choice with its reason above it."""

from __future__ import annotations

import re
import shutil
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pipeline.contracts.sample import SPLITS
from pipeline.datasets.annotations.recognition import Recognition
from pipeline.datasets.checks.examination import Examination
from pipeline.datasets.proposals.classes import ProposedClass, of_good_parts
from pipeline.datasets.proposals.grouping import ProposedGroups
from pipeline.datasets.proposals.pixels import ProposedPixels
from pipeline.datasets.splits import Shares, assign, complete
from pipeline.errors import DataError, printable
from pipeline.files import sole_writer, whole_folder, write_whole

TEMPLATE = Path("conf/template")
RECIPES = Path("conf/recipes.yaml")
RESERVED = ("lines", TEMPLATE.name)  # folders of conf/ that are not recipes
FROM_TEMPLATE = ("augment.yaml", "evaluate.yaml", "train.yaml")
# What is different where all images show good parts, from the recipe that shows it.
GOOD_PARTS, OF_GOOD_PARTS = Path("conf/castings"), ("evaluate.yaml", "train.yaml")
COLUMNS = 98
SPLIT: dict[str, Any] = {"val_fraction": 0.2, "test_fraction": 0.2, "seed": 0}


@dataclass(frozen=True)
class ProposedRecipe:
    """All that a recipe needs.

    Attributes:
        command: the command that proposed it.
        found: how the folder is read.
        samples: how many images it has.
        classes, groups, pixels: what is proposed for them.
        split: settings of `split` beside the groups.
        split_reason: why, "" without.
        doubts: what will stop the build or be left out of it, in sentences.
    """

    command: str
    found: Recognition
    samples: int
    classes: Sequence[ProposedClass]
    groups: ProposedGroups
    pixels: ProposedPixels
    split: Mapping[str, Any]
    split_reason: str = ""
    doubts: Sequence[str] = ()

    def files(self, name: str) -> dict[str, str]:
        """The YAML that is proposed, by file name."""
        return {
            "ingest.yaml": self._ingest(),
            "preprocess.yaml": self._preprocess(),
            "register.yaml": "# Tags of your own, on the run and on the version.\n"
            + _block({"tags": {"product": name}}),
            "taxonomy.yaml": self._taxonomy(),
        }

    def _ingest(self) -> str:
        lines = [
            _comment(
                f"Made by `{self.command}`; what stands above a setting is why it was chosen. "
                "Change what you know better."
            ),
            _comment(f"{self.samples} images; {self.found.reason}."),
            _block({"source": self.found.settings}),
            *(_comment(f"Doubt: {doubt}") for doubt in self.doubts),
            "split:\n",
            _comment(_sentence(self.groups.reason), indent=2),
        ]
        if self.groups.alternative:
            lines.append(f"  # {self.groups.alternative}\n")
        lines.append(_block({"groups": self.groups.settings}, indent=2))
        if self.split_reason:
            lines.append(_comment(_sentence(self.split_reason), indent=2))
        return "".join([*lines, _block(self.split, indent=2)])

    def _taxonomy(self) -> str:
        lines = [
            _comment(
                "The classes, in the order of the network's outputs. disposition: pass, rework, "
                "scrap or review (a person looks); severity: 0 harmless to 10 dangerous, of "
                "several defects of a part the gravest gives its class. Nothing in the data shows "
                "what a defect costs: set both."
            ),
            "classes:\n",
        ]
        for c in self.classes:
            lines.append(f"  # {c.images} image(s); {c.disposition.value}: {c.reason}\n")
            lines.append(f"  - {_flow(c.settings)}\n")
        return "".join(lines)

    def _preprocess(self) -> str:
        spec, why = self.pixels.spec, self.pixels.reasons
        lines = [
            _comment(
                "What is done to the pixels of every image, in training and at the line alike. "
                f"More steps: {TEMPLATE}/preprocess.yaml and docs/data.md."
            ),
            "spec:\n",
            _comment(_sentence(why["colour"]), indent=2),
            _block({"colour": spec.colour}, indent=2),
        ]
        if "tiles" in why:
            lines.append(_comment(_sentence(why["tiles"]), indent=2))
        if spec.tiles is not None:
            lines.append(f"  tiles: {_flow(spec.tiles.model_dump())}\n")
        lines += [
            _comment(_sentence(why["size"]), indent=2),
            _block({"width_px": spec.width_px, "height_px": spec.height_px}, indent=2),
            _comment(_sentence(why["fit"]), indent=2),
            _block({"fit": spec.fit}, indent=2),
        ]
        return "".join(lines)


def propose_split(
    seen: Examination, classes: Sequence[ProposedClass]
) -> tuple[dict[str, Any], str, list[str]]:
    """Settings of the split, why, and what will stop the build.

    Args:
        seen: the images, with the groups that are proposed.
        classes: their classes.
    """
    labels, good_parts = [s.sample.label for s in seen.scans], of_good_parts(classes)
    taught = tuple(c.name for c in classes if c.images) if good_parts else None
    shares = Shares(0.2, 0.2, 0, taught)
    given, settings, reason = [s.sample.split for s in seen.scans], dict(SPLIT), ""
    doubts = []
    if any(given) and (parted := seen.leaks(given)):
        reason = (
            f"the data set's own split leaks: {len(parted)} group(s) of images stand on different "
            "sides, so ingest splits again by group (on_leak: regroup)"
        )
        given = [""] * len(given)
    elif any(given):
        try:
            completed = complete(given, labels, seen.groups, shares)
            lacking = sorted({*completed} - {*given}, key=SPLITS.index)
            reason = "the data set's own split is kept" + (
                f"; {' and '.join(lacking)} come from its training images" if lacking else ""
            )
        except DataError as error:
            settings = {"given": "ignore", **settings}
            reason = f"the data set's own split cannot be used: {str(error).partition(';')[0]}"
            given = [""] * len(given)
    if not any(given):
        try:
            assign(labels, seen.groups, shares)
        except DataError as error:
            doubts.append(f"ingest will stop here: {error}")
    counts = {name: labels.count(name) for name in set(labels)}
    if seen.damaged:
        first = seen.damaged[0]
        doubts.append(
            f"{len(seen.damaged)} image(s) cannot be read and will be left out, such as "
            f"{first.sample.path}: {first.fault}"
        )
    missing = [c.name for c in classes if c.images and c.name not in counts]
    if missing:
        doubts.append(f"no readable image is of class {', '.join(missing)}")
    return settings, reason, doubts


def check_name(name: str) -> None:
    """Raises DataError where a recipe cannot be called so."""
    if name in RESERVED:
        raise DataError(f"conf/{name} is not a recipe's folder; choose another name")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
        raise DataError(
            f'a recipe cannot be called "{printable(name)}": use letters, digits, - and _, and '
            "begin with neither - nor _"
        )


def templates() -> dict[str, str]:
    """What a proposal takes over as it is, by file name; raises DataError outside of a project."""
    return {name: _read(TEMPLATE / name) for name in FROM_TEMPLATE}


def templates_of_good_parts() -> dict[str, str]:
    """What is different in a recipe that learns from good parts, until bad ones are known."""
    found = {name: _read(GOOD_PARTS / name) for name in OF_GOOD_PARTS}
    return {name: text.replace("method: normal", "method: auto") for name, text in found.items()}


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path.parent} cannot be read here ({_reason(error)}); go to the project's folder, "
            "which has dvc.yaml and conf/"
        ) from None


def listed(name: str) -> str:
    """The text of conf/recipes.yaml with a recipe added, comments and all; as it is if it is there.

    Raises:
        DataError: the file is not there or is not a list of recipes.
    """
    try:
        text = RECIPES.read_text("utf-8")
        names = yaml.safe_load(text)["recipes"] or []
    except (OSError, UnicodeDecodeError, yaml.YAMLError, TypeError, KeyError) as error:
        raise DataError(
            f"{RECIPES} cannot be read ({_reason(error)}); go to the project's "
            "folder, or write `recipes:` and a list below it"
        ) from None
    if name in names:
        return text
    item = _flow([name])[1:-1]
    for new in (_added_to_block(text, item), _added_to_flow(text, item)):
        try:
            if new is not None and yaml.safe_load(new)["recipes"] == [*names, name]:
                return new
        except (yaml.YAMLError, TypeError, KeyError):
            continue
    raise DataError(f"{RECIPES} has a form that cannot be extended; add `- {item}` to its list")


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or "it is not a list in UTF-8"


def _added_to_block(text: str, item: str) -> str | None:
    begin = re.search(r"^recipes:[ \t]*(?:#.*)?$", text, re.MULTILINE)
    if begin is None:
        return None
    last, indent = begin.end(), "  "
    for entry in re.finditer(r"^([ \t]*)-[ \t]+\S.*$", text[begin.end() :], re.MULTILINE):
        last, indent = begin.end() + entry.end(), entry[1]
    return f"{text[:last]}\n{indent}- {item}{text[last:] or chr(10)}"


def _added_to_flow(text: str, item: str) -> str | None:
    found = re.search(r"^recipes:[ \t]*\[([^\]]*)\]", text, re.MULTILINE)
    if found is None:
        return None
    inner = f"{found[1]}, {item}" if found[1].strip() else item
    return f"{text[: found.start(1)]}{inner}{text[found.end(1) :]}"


def write_recipe(name: str, files: Mapping[str, str]) -> None:
    """Write all files of a recipe and list it, or nothing.

    Files of an older recipe of that name that are not among these stay as they are.

    Raises:
        DataError: they cannot be written; nothing is changed then.
    """
    home = RECIPES.parent / name
    is_new = not home.exists()
    try:
        with sole_writer(RECIPES):
            recipes = listed(name)
            with whole_folder(home) as aside:
                if not is_new:
                    shutil.copytree(home, aside, dirs_exist_ok=True, symlinks=True)
                for file, text in files.items():
                    (aside / file).write_text(text, "utf-8")
            try:
                if RECIPES.read_text("utf-8") != recipes:
                    write_whole(RECIPES, recipes.encode())
            except OSError:
                if is_new:
                    shutil.rmtree(home)
                raise
    except OSError as error:
        raise DataError(
            f"{error.filename or home} cannot be written ({error.strerror}); let this user write "
            f"to {RECIPES.parent}/ and make room on the disk"
        ) from error


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _comment(text: str, indent: int = 0) -> str:
    margin = " " * indent + "# "
    lines = textwrap.wrap(
        printable(text), COLUMNS - len(margin), break_long_words=False, break_on_hyphens=False
    )
    return "".join(f"{margin}{line}\n" for line in lines)


def _flow(value: object) -> str:
    """One line of YAML."""
    text = yaml.safe_dump(
        value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10**9
    )
    return text.removesuffix("...\n").strip()


def _block(value: Mapping[str, Any], indent: int = 0) -> str:
    text = yaml.safe_dump(dict(value), sort_keys=False, allow_unicode=True, width=10**9)
    return textwrap.indent(text, " " * indent)
