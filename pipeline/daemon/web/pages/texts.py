"""The words on the pages, a file for each language: `texts/en.yaml`, `texts/de.yaml`, ..."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent / "texts"
DEFAULT = "en"
MOST_WISHES = 20  # of a browser: what it sends is not trusted to be short


class Texts:
    """All texts of one language.

    Attributes:
        language: such as `de`, after RFC 5646.
        name: of the language, in itself.
    """

    def __init__(self, language: str, texts: Mapping[str, str]) -> None:
        self.language = language
        self.name = texts["language"]
        self.keys = frozenset(texts)
        self._texts = dict(texts)

    def __call__(self, key: str, **values: object) -> str:
        """The text of a key such as `live.title`, its {places} filled in; KeyError without one."""
        return self._texts[key].format(**values) if values else self._texts[key]


def read_texts(folder: Path = FOLDER) -> dict[str, Texts]:
    """All languages by their code, the default one first."""
    found = {p.stem: Texts(p.stem, _flat(p)) for p in sorted(folder.glob("*.yaml"))}
    return {DEFAULT: found.pop(DEFAULT), **found}


def chosen(texts: Mapping[str, Texts], wish: str, accept_language: str) -> Texts:
    """The language for a browser.

    Args:
        texts: the languages there are.
        wish: what its user has chosen, "" for nothing.
        accept_language: the header that the browser sends (RFC 9110, 12.5.4).
    """
    wishes = [(2.0, wish), *_weighed(accept_language)]
    for _, language in sorted(wishes, key=lambda w: -w[0]):
        code = language.partition("-")[0].strip().lower()
        if code in texts:
            return texts[code]
    return next(iter(texts.values()))


def _weighed(accept_language: str) -> list[tuple[float, str]]:
    found = []
    for part in accept_language.split(",")[:MOST_WISHES]:
        language, _, weight = part.partition(";")
        try:
            q = float(weight.strip().removeprefix("q=")) if weight.strip() else 1.0
        except ValueError:
            q = 0.0
        if 0 < q <= 1:
            found.append((q, language.strip()))
    return found


def _flat(path: Path) -> dict[str, str]:
    """A file's texts by dotted keys."""
    found: dict[str, str] = {}

    def add(prefix: str, values: dict[str, Any]) -> None:
        for key, value in values.items():
            if isinstance(value, dict):
                add(f"{prefix}{key}.", value)
            else:
                found[f"{prefix}{key}"] = str(value)

    add("", yaml.safe_load(path.read_text("utf-8")))
    return found
