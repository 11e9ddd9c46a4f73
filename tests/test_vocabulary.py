"""One word for one thing: words that the glossary retired stay out of names and texts."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.imports import ROOT, modules

TESTS = sorted((ROOT / "tests").rglob("*.py"))
# Each retired word, and what stands for it today.
RETIRED = {
    "anew": "again, new",
    "books": "ledger, recorder",
    "give_up": "give up (dead letter)",
    "buried": "given up (dead letter)",
    "cease": "clear (an alarm)",
    "complaint": "reason",
    "complaints": "reasons",
    "employ": "add, start (a worker)",
    "eye": "camera, backbone",
    "eyes": "cameras, backbones",
    "familiar": "novelty",
    "familiarity": "novelty",
    "frozen": "backbone features",
    "inbox": "bounded queue",
    "intake": "work queue",
    "keeper": "image writer, retention",
    "keeping": "image writer, retention",
    "kin": "group",
    "letter": "outbox entry",
    "letters": "outbox entries",
    "pigeonhole": "backlog of a sink",
    "pigeonholes": "backlogs of sinks",
    "postman": "dispatcher",
    "postmen": "dispatchers",
    "postroom": "outbox admin",
    "pulse": "heartbeat",
    "rival": "champion, challenger",
    "said": "notified, reported",
    "say": "report, log",
    "says": "reports",
    "spoken": "translated, reported",
    "tell": "deliver, notify, report, log",
    "telling": "delivering, notifying, reporting",
    "tells": "delivers, notifies, reports",
    "told": "delivered, notified, reported",
    "trouble": "alarm",
    "troubles": "alarms",
    "whoever": "who (only of people)",
}
# Where a retired word is the field's own: a picture that does not change is frozen, a dead letter
# is dead, and a line file of today keeps its keys.
ALLOWED = {
    "frozen": re.compile(r"frozen_after|is_frozen|frozen picture|frozen\b(?=.*picture)"),
    "letter": re.compile(r"dead[ _]letters?", re.IGNORECASE),
    "letters": re.compile(r"dead[ _]letters?|letters, digits", re.IGNORECASE),
    "eye": re.compile(r"\beye\(|np\.eye|torch\.eye"),
}
# Of those, what does not stand in docstrings and comments either; the rest are words there.
RETIRED_IN_DOCS = {
    *("anew", "books", "buried", "cease", "complaint", "complaints", "employ", "inbox", "intake"),
    *("keeper", "kin", "pigeonhole", "postman", "postroom", "pulse", "said", "spoken", "tell"),
    *("telling", "tells", "told", "trouble", "troubles", "whoever"),
}
FOR_EVER = re.compile(r"\bfor ever\b")  # indefinitely
IS_NO = re.compile(r"\bis no (?!longer\b|more\b|such\b|\w+er than\b)[a-z]+")


def documentation(path: Path) -> Iterator[tuple[int, str]]:
    """All lines of docstrings and comments, without what stands in backticks."""
    source = path.read_text("utf-8")
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT or token.string.startswith('"""'):
            for i, line in enumerate(token.string.splitlines()):
                yield token.start[0] + i, re.sub(r"`[^`]*`", "", line)


def words_of(name: str) -> list[str]:
    """`_told`, `ToldAgain` -> their words in lower case."""
    return [w.lower() for w in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)]


def names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """All names that a module gives: of classes, functions, arguments, variables, attributes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.attr
        elif isinstance(node, ast.alias) and node.asname:
            yield node.lineno, node.asname


def texts(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """All texts that people read, which are those with a space in them; docstrings left out."""
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
            continue
        if id(node) not in docstrings and " " in node.value.strip():
            yield node.lineno, node.value


def retired_in(path: Path) -> list[str]:
    """Each place of a module that uses a retired word, with what to write instead."""
    found = []
    tree = ast.parse(path.read_text("utf-8"))
    where = path.relative_to(ROOT)
    for line, name in names(tree):
        for word in set(words_of(name)) & RETIRED.keys():
            allowed = ALLOWED.get(word)
            if not (allowed and allowed.search(name)):
                found.append(f"{where}:{line} name {name}: {word} -> {RETIRED[word]}")
    for line, text in texts(tree):
        for word in set(re.findall(r"[a-z]+", text.lower())) & RETIRED.keys():
            allowed = ALLOWED.get(word)
            if not (allowed and allowed.search(text)):
                found.append(f"{where}:{line} text {text!r}: {word} -> {RETIRED[word]}")
        if hit := IS_NO.search(text):
            found.append(f"{where}:{line} text {text!r}: {hit[0]} -> is not a ...")
    return sorted(set(found))


@pytest.mark.parametrize("module", modules())
def test_no_retired_word_stands_in_a_name_or_a_message(module: str) -> None:
    found = retired_in(modules()[module])
    assert found == [], "\n".join(found)


# What every plugin and every stage calls by the same name.
CONVENTIONS = {"Config"}


def test_no_two_classes_have_one_name() -> None:
    """Also with and without an underscore: a reader of both cannot tell them apart."""
    homes: dict[str, list[str]] = {}
    for path in modules().values():
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef) and node.name not in CONVENTIONS:
                where = f"{path.relative_to(ROOT)}:{node.lineno}"
                homes.setdefault(node.name.lstrip("_"), []).append(where)
    assert {name: places for name, places in homes.items() if len(places) > 1} == {}


@pytest.mark.parametrize("module", modules())
def test_no_retired_word_stands_in_a_docstring_or_a_comment(module: str) -> None:
    path, found = modules()[module], list[str]()
    for line, text in documentation(path):
        where = f"{path.relative_to(ROOT)}:{line}"
        for word in sorted(set(re.findall(r"[a-z]+", text.lower())) & RETIRED_IN_DOCS):
            found.append(f"{where} {word} -> {RETIRED[word]}")
        if FOR_EVER.search(text):
            found.append(f"{where} for ever -> indefinitely")
        if hit := IS_NO.search(re.sub(r"\b[Tt]here is no\b", "", text)):
            found.append(f"{where} {hit[0]} -> is not a ...")
    assert found == [], "\n".join(found)


@pytest.mark.parametrize("path", TESTS, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_no_retired_word_stands_in_the_name_of_a_test(path: Path) -> None:
    found = retired_in_sentences(path)
    assert found == [], "\n".join(found)


def retired_in_sentences(path: Path) -> list[str]:
    """Each function, fixture or class of a test file whose name uses a retired word."""
    found = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        sentence, where = " ".join(words_of(node.name)), f"{path.relative_to(ROOT)}:{node.lineno}"
        for word in sorted(set(sentence.split()) & RETIRED.keys()):
            allowed = ALLOWED.get(word)
            if not (allowed and allowed.search(sentence)):
                found.append(f"{where} {node.name}: {word} -> {RETIRED[word]}")
        if hit := IS_NO.search(sentence.replace("there is no ", "")):
            found.append(f"{where} {node.name}: {hit[0]} -> is not a ...")
    return found


def test_no_module_bears_a_retired_word() -> None:
    wrong = [m for m in modules() for part in m.split(".") for w in words_of(part) if w in RETIRED]
    assert wrong == []
