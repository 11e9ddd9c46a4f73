"""What README, docs and changelog name exists, and what they show is valid."""

from __future__ import annotations

import importlib.util
import re
import shlex
from pathlib import Path
from typing import Any, TypeVar

import pytest
import typer.main
import yaml
from markdown_it import MarkdownIt
from markdown_it.token import Token
from pydantic import BaseModel

from pipeline import cli, config
from pipeline.contracts.taxonomy import Taxonomy
from pipeline.daemon.settings.line import Line
from tests.imports import ROOT, modules
from tests.test_vocabulary import ALLOWED, RETIRED

M = TypeVar("M", bound=BaseModel)

FILES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "CHANGELOG.md",
    ROOT / "BENCHMARKS.md",
    ROOT / "data/README.md",
]
PAGES = {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in FILES}
MARKDOWN = MarkdownIt("commonmark").enable("table")
# Ordinary English on a page, though not as a name in the code: a frozen picture or backbone, and
# what people say.
ORDINARY = {"frozen", "keeping", "eye", "eyes", "kin", "say"}
LONGEST_README = 200
# Fragments of a line file stand without a comment that names their file; the rest is this.
SMALLEST_LINE = {
    "station": "west-1",
    "recipe": "cells",
    "model": {"cache": "cache"},
    "source": {"type": "replay", "path": "images"},
    "ledger": "ledger.sqlite",
}


def tokens(page: str) -> list[Token]:
    """All tokens of a page, those inside of paragraphs and cells included."""
    found = MARKDOWN.parse(PAGES[page])
    return [*found, *(inner for token in found for inner in token.children or ())]


def fences(page: str, *languages: str) -> list[str]:
    """The fenced blocks of a page in one of the languages."""
    return [t.content for t in tokens(page) if t.type == "fence" and t.info.strip() in languages]


def code(page: str) -> list[str]:
    """All that stands as code on a page: inline, and the lines of consoles."""
    inline = [t.content for t in tokens(page) if t.type == "code_inline"]
    consoles = "\n".join(fences(page, "", "console")).replace("$ ", "").splitlines()
    return [*inline, *(line.split(" #")[0].strip() for line in consoles)]


def links(page: str) -> list[str]:
    """Where the links of a page lead, and which pictures it shows."""
    return [str(t.attrs.get("href") or t.attrs["src"]) for t in tokens(page) if _leads(t)]


def _leads(token: Token) -> bool:
    return token.type in ("link_open", "image")


def anchor(heading: str) -> str:
    """A heading's anchor, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES)
def test_every_link_and_picture_is_there(page: str) -> None:
    for link in links(page):
        if re.match(r"\w+:", link):
            continue
        file, _, heading = link.partition("#")
        target = (ROOT / page).parent / file if file else ROOT / page
        assert target.exists(), link
        if heading:
            headings = re.findall(r"^#+ (.*)$", target.read_text("utf-8"), re.MULTILINE)
            assert heading in map(anchor, headings), link


@pytest.mark.parametrize("page", PAGES)
def test_every_path_of_the_project_is_there(page: str) -> None:
    examples = {f"{name}.py" for name in re.findall(r'Literal\["(\w+)"\]', PAGES[page])}
    named = re.findall(r"\b(?:pipeline|tests|benchmarks|deploy)/[\w./@-]*[\w/]", PAGES[page])
    assert [p for p in named if not (ROOT / p).exists() and Path(p).name not in examples] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_module_and_what_it_holds_is_there(page: str) -> None:
    examples = set(re.findall(r'Literal\["(\w+)"\]', PAGES[page]))
    for name in re.findall(r"\b(?:pipeline|benchmarks)(?:\.[a-z_]\w*)+", PAGES[page]):
        if name.rpartition(".")[2] in {"py", *examples}:
            continue
        assert importlib.util.find_spec(name) is not None, name


@pytest.mark.parametrize("page", PAGES)
def test_every_make_target_is_there(page: str) -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = [m[1] for text in code(page) if (m := re.match(r"make ([a-z][a-z-]*)", text))]
    assert [t for t in targets if not re.search(rf"^{t}:", makefile, re.MULTILINE)] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_lineside_command_and_option_is_there(page: str) -> None:
    for text in code(page):
        if match := re.search(r"(?:^|/)lineside( [a-z].*)?$", text):
            _require_command(shlex.split(match[1] or "", posix=False), text)


def _require_command(words: list[str], text: str) -> None:
    command: Any = typer.main.get_command(cli.app)
    while words and hasattr(command, "commands") and re.fullmatch("[a-z]+", words[0]):
        assert words[0] in command.commands, text
        command = command.commands[words.pop(0)]
    known = {option for p in command.params for option in p.opts} | {"--help"}
    assert {w for w in words if w.startswith("--")} <= known, text


@pytest.mark.parametrize("page", PAGES)
def test_every_yaml_block_is_valid(page: str, tmp_path: Path) -> None:
    for block in fences(page, "yaml"):
        file = tmp_path / "block.yaml"
        file.write_text(block, "utf-8")
        comment = re.match(r"# conf/[\w-]+/([\w-]+)\.yaml\n", block)
        if comment is None:
            given = yaml.safe_load(block)
            file.write_text(yaml.safe_dump({**SMALLEST_LINE, **given}), "utf-8")
        config.load(file, _model_of(comment[1] if comment else "line", block))


def _model_of(name: str, block: str) -> type[BaseModel]:
    if name == "taxonomy":
        return Taxonomy
    if "station:" in block or name == "line":
        return Line
    if name == "train":
        from pipeline.training.settings import Settings

        return Settings
    stage = importlib.import_module(f"pipeline.stages.{name}")
    model: type[BaseModel] = stage.Config
    return model


@pytest.mark.parametrize("page", PAGES)
def test_every_table_is_one(page: str) -> None:
    drawn = len(re.findall(r"^ *\|(?:-+\|)+$", PAGES[page], re.MULTILINE))
    assert sum(t.type == "table_open" for t in tokens(page)) == drawn
    ragged = [
        f"{line} {row}"
        for row, line in _rows(PAGES[page])
        if line.count("|") - line.count(r"\|") != row
    ]
    assert ragged == []


def _rows(text: str) -> list[tuple[int, str]]:
    """Each row of a table, and how many bars its table's rule has."""
    rows, bars = [], 0
    for before, line in zip(["", *text.splitlines()], text.splitlines(), strict=False):
        if re.fullmatch(r"\|(?:-+\|)+", line):
            bars = line.count("|")
            rows.append((bars, before))
        elif not line.startswith("|"):
            bars = 0
        elif bars:
            rows.append((bars, line))
    return rows


@pytest.mark.parametrize("page", PAGES)
def test_no_retired_word_stands_on_a_page(page: str) -> None:
    retired = RETIRED.keys() - ORDINARY
    found = [
        f"{page}:{number} {word} -> {RETIRED[word]}: {line}"
        for number, line in enumerate(PAGES[page].splitlines(), 1)
        for word in set(re.findall("[a-z]+", line.lower())) & retired
        if not (word in ALLOWED and ALLOWED[word].search(line))
    ]
    assert found == [], "\n".join(found)


def test_the_readme_is_short() -> None:
    assert len(PAGES["README.md"].splitlines()) <= LONGEST_README


def test_the_readme_leads_to_every_page() -> None:
    assert set(PAGES) - {"README.md", "data/README.md"} <= set(links("README.md"))


def test_the_rooms_of_the_readmes_picture_are_there() -> None:
    (picture,) = (b for b in fences("README.md", "text") if "lineside run" in b)
    rooms = re.findall(r"(?<![\w/])([a-z]+)/([a-z_]*)", picture)
    for folder, module in rooms:
        if folder == "pipeline":
            assert f"pipeline.{module}" in modules()
        else:
            assert f"pipeline.daemon.{folder}{'.' * bool(module)}{module}" in modules()
