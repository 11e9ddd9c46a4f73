"""YAML to typed model; every error carries file:line, what was given and what is allowed.

Calls `plugins` and `errors`. PyYAML gives the line of each key, pydantic the verdict on it; this
module only brings the two together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, Field, ValidationError, create_model
from pydantic_core import ErrorDetails
from yaml.constructor import SafeConstructor
from yaml.resolver import BaseResolver

from pipeline.errors import ConfigError, choices, hidden
from pipeline.plugins import Plugin

MOST_VALUES = 100_000  # in one file, those of an alias counted each time it is used
MOST_DEPTH = 100
MOST_DIGITS = 1000

M = TypeVar("M", bound=BaseModel)
Loc = tuple[int | str, ...]


def load(path: Path, model: type[M]) -> M:
    """Read a YAML file into `model`.

    Raises:
        ConfigError: naming every fault found, one a line, each as `file:line key: what to do`.
    """
    root = _compose(path)
    raw = _mapping(path, root)
    concrete = _select_plugins(path, root, [((), raw)], model)
    try:
        return concrete.model_validate(raw)
    except ValidationError as error:
        found = error.errors(include_url=False)
        # A list whose items are wrong is also too short to pydantic; one fault is enough.
        inner = {e["loc"][:n] for e in found for n in range(len(e["loc"]))}
        faults = [e for e in found if e["type"] != "too_short" or e["loc"] not in inner]
        lines = [_explain(path, root, concrete, e) for e in faults]
        raise ConfigError("\n".join(dict.fromkeys(lines))) from None


def plain(path: Path) -> dict[str, Any]:
    """The keys and values of a YAML file as they stand; raises ConfigError as `load` does."""
    return _mapping(path, _compose(path))


def _mapping(path: Path, root: yaml.Node) -> dict[str, Any]:
    raw = _build(path, root, (), count(1))
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
        raise ConfigError(f"{path}:1 is not valid YAML: {error}") from None
    except RecursionError:
        raise ConfigError(f"{path}:1 is nested too deeply") from None
    if root is None:
        raise ConfigError(f"{path}:1 is empty; write `key: value` lines")
    return root


def _build(
    path: Path, node: yaml.Node, around: tuple[yaml.Node, ...], values: Iterator[int]
) -> Any:
    """The value of a node. PyYAML's own constructor loses the line and the second of equal keys.

    Args:
        path: of the file, for messages.
        node: what is read.
        around: the nodes that it stands in, from the outermost.
        values: counts all values of the file. A few lines of aliases of aliases are billions.
    """
    where = f"{path}:{node.start_mark.line + 1}"
    if next(values) > MOST_VALUES:
        top = (*around, node)[:2][-1]  # what stands under one key at the top of the file
        raise ConfigError(
            f"{path}:{top.start_mark.line + 1} the file holds more than {MOST_VALUES:,} values, "
            "those of an alias (*name) counted each time it is used; use fewer aliases"
        )
    if len(around) > MOST_DEPTH:
        raise ConfigError(f"{where} is nested too deeply; at most {MOST_DEPTH} levels are read")
    if any(node is outer for outer in around):
        raise ConfigError(f"{where} contains itself")
    if isinstance(node, yaml.ScalarNode):
        if node.tag.endswith((":int", ":float")) and len(node.value) > MOST_DIGITS:
            raise ConfigError(
                f"{where} a number has {len(node.value):,} characters; at most {MOST_DIGITS:,} "
                "are read"
            )
        try:
            return SafeConstructor().construct_object(node)
        except Exception:  # an unknown tag, or text that does not fit its tag: a dozen types
            raise ConfigError(f'{where} "{node.value[:40]}" is not {node.tag[-20:]}') from None
    if node.tag not in (BaseResolver.DEFAULT_MAPPING_TAG, BaseResolver.DEFAULT_SEQUENCE_TAG):
        raise ConfigError(f"{where} has the tag {node.tag}; tags of your own are not read")
    if isinstance(node, yaml.SequenceNode):
        return [_build(path, item, (*around, node), values) for item in node.value]
    found: dict[str, Any] = {}
    lines: dict[str, int] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise ConfigError(f"{path}:{line} has a key that is not a word")
        if key.value in found:
            raise ConfigError(
                f'{path}:{line} key "{key.value}" stands already in line {lines[key.value]}; '
                "remove one of the two"
            )
        lines[key.value] = line
        found[key.value] = _build(path, value, (*around, node), values)
    return found


def _select_plugins(
    path: Path, root: yaml.Node, given: Sequence[tuple[Loc, Any]], model: type[M]
) -> type[M]:
    """`model`, each field marked with `Plugin` taking the `Config`s that the file selects there.

    Args:
        path: of the file, for messages.
        root: its nodes, for their lines.
        given: all that is read as this model, each with its place in the file.
        model: what is read.
    """
    fields: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        values = [((*loc, name), raw[name]) for loc, raw in given if _has(raw, name)]
        items = [item for loc, value in values for item in _items(loc, value)]
        marker = next((m for m in field.metadata if isinstance(m, Plugin)), None)
        for there in _models_in(field.annotation):
            if marker is None:
                chosen: Any = _select_plugins(path, root, items, there)
            else:
                chosen = _chosen(path, root, items, marker) or there
            if chosen is not there:
                fields[name] = (_replaced(field.annotation, there, chosen), field)
    return create_model(model.__name__, __base__=model, **fields) if fields else model


def _chosen(path: Path, root: yaml.Node, items: Sequence[tuple[Loc, Any]], marker: Plugin) -> Any:
    """The `Config` of the plugin, or the choice between those, that some items select."""
    configs: dict[str, type[BaseModel]] = {}
    for loc, item in items:
        if not _has(item, "type"):
            continue
        if item["type"] not in marker.names():
            raise ConfigError(
                f"{path}:{_line(root, (*loc, 'type'))} {_dotted((*loc, 'type'))} "
                f'"{item["type"]}" unknown; {choices(str(item["type"]), marker.names())}'
            )
        configs[item["type"]] = marker.module(item["type"]).Config
    if len(configs) < 2:
        return next(iter(configs.values()), None)
    # `X | Y` cannot be written of types that are only known when this runs.
    either: Any = Union[tuple(configs.values())]  # noqa: UP007
    return Annotated[either, Field(discriminator="type")]


def _has(raw: Any, key: str) -> bool:
    return isinstance(raw, dict) and key in raw


def _items(loc: Loc, value: Any) -> list[tuple[Loc, Any]]:
    """What stands at a place: a list's items, or the one thing."""
    if isinstance(value, list):
        return [((*loc, i), item) for i, item in enumerate(value)]
    return [(loc, value)]


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    """The models that an annotation names, however deep."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in get_args(annotation) for model in _models_in(inner)]


def _replaced(annotation: Any, old: type[BaseModel], new: Any) -> Any:
    """An annotation with one of its models changed for another."""
    if annotation is old:
        return new
    inner = tuple(_replaced(a, old, new) for a in get_args(annotation))
    origin = get_origin(annotation)
    if not inner or inner == get_args(annotation):
        return annotation
    if origin is Annotated:
        return Annotated[inner]
    # `X | Y` cannot be written of a tuple that is only known when this runs.
    return Union[inner] if origin in (Union, UnionType) else origin[inner]  # noqa: UP007


def _dotted(loc: Loc) -> str:
    return "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in loc).lstrip(".")


def _explain(path: Path, root: yaml.Node, model: type[BaseModel], error: ErrorDetails) -> str:
    reported = tuple(part for part in error["loc"] if part != "[key]")
    loc, _ = _descend(model, reported)
    given = error.get("input")
    kind, context = error["type"], error.get("ctx", {})
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        loc = (*loc, context["discriminator"].strip("'"))
    where = f"{path}:{_line(root, loc)}"
    dotted = _dotted(loc)
    if kind == "union_tag_invalid":
        allowed = context["expected_tags"].replace("'", "").split(", ")
        return f'{where} {dotted} "{context["tag"]}" unknown; {choices(context["tag"], allowed)}'
    if kind == "extra_forbidden":
        allowed = _keys_at(model, reported[:-1])
        return f'{where} key "{dotted}" unknown; {choices(str(loc[-1]), allowed)}'
    if kind in ("missing", "union_tag_not_found"):
        return f'{where} key "{dotted}" is missing; add it'
    if kind in ("literal_error", "enum"):
        allowed = [a.strip(" '") for a in context["expected"].replace(" or ", ",").split(",")]
        return f'{where} {dotted} "{given}" unknown; {choices(str(given), allowed)}'
    reason = str(context["error"]) if kind == "value_error" else error["msg"]
    shown = f' "{hidden(str(given), paths=True)}"' if isinstance(given, str | int | float) else ""
    return f"{where} {dotted}{shown}: {reason[:1].lower()}{reason[1:]}"


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


def _keys_at(model: type[BaseModel], reported: Loc) -> list[str]:
    """The keys allowed at a place in the file."""
    _, here = _descend(model, reported)
    if not (isinstance(here, type) and issubclass(here, BaseModel)):
        return []
    return sorted(field.alias or name for name, field in here.model_fields.items())


def _descend(model: type[BaseModel], reported: Loc) -> tuple[Loc, Any]:
    """Where the file has what pydantic reports, and what type it is there.

    Where a key chooses between models, pydantic reports its value like a key of the file.
    """
    here: Any = model
    loc: list[int | str] = []
    for part in reported:
        options = get_args(here) if get_origin(here) in (Union, UnionType) else ()
        chosen = next((m for m in options if _is_chosen(m, part)), None)
        if chosen is not None:
            here = chosen
            continue
        loc.append(part)
        if isinstance(here, type) and issubclass(here, BaseModel):
            field = here.model_fields.get(str(part))
            here = field.annotation if field else None
        elif get_origin(here) in (list, tuple, dict):
            here = get_args(here)[1 if get_origin(here) is dict else 0]
        here = _bare(here)
    return tuple(loc), here


def _is_chosen(model: Any, value: int | str) -> bool:
    """Is it a model with a key whose only value is this?"""
    fields = getattr(model, "model_fields", {}).values()
    return any(f.annotation == Literal[value] for f in fields)


def _bare(annotation: Any) -> Any:
    """What is inside `Optional[...]` or `Annotated[...]`; a choice of several as it is."""
    if get_origin(annotation) is Annotated:
        return _bare(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        options = [a for a in get_args(annotation) if a is not type(None)]
        return _bare(options[0]) if len(options) == 1 else annotation
    return annotation
