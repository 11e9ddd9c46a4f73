"""YAML to typed model; every error carries file:line, what was given and what is allowed.

Calls `plugins` and `errors`. PyYAML gives the line of each key, pydantic the verdict on it; this
module only brings the two together.
"""

from __future__ import annotations

from pathlib import Path
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError, create_model
from pydantic_core import ErrorDetails

from pipeline.errors import ConfigError, choices
from pipeline.plugins import Plugin

M = TypeVar("M", bound=BaseModel)
Loc = tuple[int | str, ...]


def load(path: Path, model: type[M]) -> M:
    """Read a YAML file into `model`.

    Raises:
        ConfigError: naming every fault found, one a line, each as `file:line key: what to do`.
    """
    root = _compose(path)
    raw = plain(path)
    concrete = _select_plugins(path, root, raw, model)
    try:
        return concrete.model_validate(raw)
    except ValidationError as error:
        lines = [_explain(path, root, raw, concrete, e) for e in error.errors(include_url=False)]
        raise ConfigError("\n".join(dict.fromkeys(lines))) from None


def plain(path: Path) -> dict[str, Any]:
    """The keys and values of a YAML file as they stand."""
    raw: object = yaml.safe_load(path.read_text("utf-8"))
    if not isinstance(raw, dict):
        raise ConfigError(f"{path}:1 holds {type(raw).__name__}; write `key: value` lines")
    return raw


def _compose(path: Path) -> yaml.Node:
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        beside = sorted(p.name for p in path.parent.glob("*.yaml")) if path.parent.is_dir() else []
        there = f"; beside it: {', '.join(beside)}" if beside else ""
        raise ConfigError(f"{path}: no such file{there}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as UTF-8 text ({error})") from None
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{path}:{line} is not valid YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: is not valid YAML: {error}") from None
    if root is None:
        raise ConfigError(f"{path}:1 is empty; write `key: value` lines")
    _refuse_duplicates(path, root)
    return root


def _refuse_duplicates(path: Path, node: yaml.Node) -> None:
    """YAML keeps the last of two equal keys in silence; here that is an error."""
    if isinstance(node, yaml.MappingNode):
        first: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.value in first:
                raise ConfigError(
                    f'{path}:{line} key "{key.value}" stands already in line {first[key.value]}; '
                    "remove one of the two"
                )
            first[key.value] = line
            _refuse_duplicates(path, value)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_duplicates(path, item)


def _select_plugins(path: Path, root: yaml.Node, raw: dict[str, Any], model: type[M]) -> type[M]:
    """Give each field marked with `Plugin` the `Config` of the plugin that the file selects."""
    fields: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        marker = next((m for m in field.metadata if isinstance(m, Plugin)), None)
        given = raw.get(name)
        if marker is None or not isinstance(given, dict) or "type" not in given:
            continue
        chosen = given["type"]
        if chosen not in marker.names():
            raise ConfigError(
                f'{path}:{_line(root, (name, "type"))} {name}.type "{chosen}" unknown; '
                f"{choices(str(chosen), marker.names())}"
            )
        fields[name] = (marker.module(chosen).Config, field)
    return create_model(model.__name__, __base__=model, **fields) if fields else model


def _explain(
    path: Path, root: yaml.Node, raw: Any, model: type[BaseModel], error: ErrorDetails
) -> str:
    loc = tuple(part for part in error["loc"] if part != "[key]")
    where = f"{path}:{_line(root, loc)}"
    dotted = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in loc).lstrip(".")
    given = error.get("input")
    kind, context = error["type"], error.get("ctx", {})
    if kind == "extra_forbidden":
        allowed = _keys_at(model, loc[:-1])
        return f'{where} key "{dotted}" unknown; {choices(str(loc[-1]), allowed)}'
    if kind == "missing":
        return f'{where} key "{dotted}" is missing; add it'
    if kind in ("literal_error", "enum"):
        allowed = [a.strip(" '") for a in context["expected"].replace(" or ", ",").split(",")]
        return f'{where} {dotted} "{given}" unknown; {choices(str(given), allowed)}'
    said = str(context["error"]) if kind == "value_error" else error["msg"]
    shown = f' "{given}"' if isinstance(given, str | int | float) else ""
    return f"{where} {dotted}{shown}: {said[:1].lower()}{said[1:]}"


def _line(node: yaml.Node, loc: Loc) -> int:
    """The 1-based line where `loc` stands, or of the nearest thing around it."""
    line = node.start_mark.line + 1
    for part in loc:
        if isinstance(node, yaml.MappingNode):
            found = next(((k, v) for k, v in node.value if k.value == str(part)), None)
            if found is None:
                continue
            line, node = found[0].start_mark.line + 1, found[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            if part >= len(node.value):
                break
            node = node.value[part]
            line = node.start_mark.line + 1
    return line


def _keys_at(model: type[BaseModel], loc: Loc) -> list[str]:
    """The keys allowed at a place in the file."""
    here: Any = model
    for part in loc:
        here = _inner(here.model_fields[part].annotation) if not isinstance(part, int) else here
        if not (isinstance(here, type) and issubclass(here, BaseModel)):
            return []
    return sorted(f.alias or name for name, f in here.model_fields.items())


def _inner(annotation: Any) -> Any:
    """The model inside `Optional[...]`, `list[...]`, `dict[str, ...]` or `Annotated[...]`."""
    origin = get_origin(annotation)
    if origin is None:
        return annotation
    if origin is Annotated:
        return _inner(get_args(annotation)[0])
    if origin in (Union, UnionType):
        options = [_inner(a) for a in get_args(annotation) if a is not type(None)]
        return options[0] if len(options) == 1 else None
    return _inner(get_args(annotation)[-1]) if origin in (list, tuple, dict) else annotation
