"""Edits of a recipe's YAML that keep its comments, its order and its quotes."""

from __future__ import annotations

from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError

from pipeline.errors import ConfigError


def edited(path: Path, changes: Mapping[str, Any], under: str, model: type[BaseModel]) -> str:
    """The text of a YAML file with some keys changed; a value of None takes the key away.

    Args:
        path: the file.
        changes: new values by key.
        under: the key at the top of the file below which they stand, "" for the top itself.
        model: what the file has to be afterwards.

    Raises:
        ConfigError: the file cannot be read, has no such key, or would be none of `model`.
    """
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 10_000
    yaml.indent(mapping=2, sequence=4, offset=2)
    try:
        text = path.read_text("utf-8")
        root = yaml.load(text)
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        raise ConfigError(f"{path}: cannot be read ({error})") from None
    home = root[under] if under and isinstance(root, CommentedMap) and under in root else root
    if not isinstance(home, CommentedMap) or (under and home is root):
        raise ConfigError(f'{path}:1 has no key "{under}" with settings below it')
    for key, value in changes.items():
        if value is None:
            home.pop(key, None)
        elif isinstance(value, Mapping | list):
            made = yaml.load(_flow(value))
            home[key] = made
        else:
            home[key] = value
    written = StringIO()
    yaml.dump(root, written)
    try:
        model.model_validate(YAML(typ="safe", pure=True).load(written.getvalue()))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise ConfigError(f"{path}: {where} cannot be written there: {first['msg']}") from None
    return written.getvalue()


def _flow(value: object) -> str:
    """One line of YAML."""
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = True
    yaml.width = 10_000
    made = StringIO()
    yaml.dump(value, made)
    return made.getvalue()
