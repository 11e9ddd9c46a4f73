"""Names of numbered classes, in `data.yaml` or in a list, as YOLO's tools write them."""

from __future__ import annotations

from typing import Any

import yaml

from pipeline.datasets.annotations.recognition import Tree
from pipeline.errors import DataError

LISTS = ("classes.txt", "obj.names")  # LabelImg and Label Studio, darknet and CVAT


def description(tree: Tree) -> tuple[dict[str, Any] | None, str]:
    """What data.yaml, or the only YAML file that names classes, has, and its name; None and "".

    Raises:
        DataError: data.yaml is not valid YAML, or several files name classes.
    """
    found: dict[str, dict[str, Any]] = {}
    for path in tree.ending(".yaml", ".yml", depth=1):
        try:
            content = yaml.safe_load(tree.bytes(path))
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            if path.stem == "data":
                raise DataError(f"{tree.home}/{path} is not valid YAML: {error}") from None
            continue
        if isinstance(content, dict) and "names" in content:
            found[str(path)] = content
    if "data.yaml" in found or len(found) == 1:
        name = "data.yaml" if "data.yaml" in found else next(iter(found))
        return found[name], name
    if found:
        raise DataError(
            f"{tree.home} has {len(found)} files that name classes ({', '.join(found)}); keep one"
        )
    return None, ""


def class_names(given: dict[str, Any] | None, file: str, tree: Tree) -> tuple[str, ...] | None:
    """The names of the classes by number; None where no file has them.

    Args:
        given: what `description` found.
        file: its name.
        tree: the data set.

    Raises:
        DataError: the names are not numbered from 0.
    """
    if given is not None:
        match given["names"]:
            case list(names) if names:
                return tuple(map(str, names))
            case dict(names) if names:
                by_number = {str(number): str(name) for number, name in names.items()}
                if by_number.keys() == set(map(str, range(len(names)))):
                    return tuple(by_number[str(i)] for i in range(len(names)))
        raise DataError(
            f"{tree.home}/{file} has names that are not numbered from 0; write them as a list, or "
            "as 0: scratch, 1: dent"
        )
    for path in tree.files:
        if path.name in LISTS:
            lines = tree.bytes(path).decode("utf-8", "replace").splitlines()
            return tuple(line.strip() for line in lines if line.strip()) or None
    return None
