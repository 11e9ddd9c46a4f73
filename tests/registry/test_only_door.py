"""The registry is the only door to MLflow: nothing else in the package imports it."""

from __future__ import annotations

import ast

from tests.imports import modules


def test_mlflow_is_imported_in_the_registry_only() -> None:
    wrong = []
    for module, path in modules().items():
        if module.startswith("pipeline.registry"):
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):  # type-checking blocks too
            if isinstance(node, ast.Import):
                names = [a.name for a in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            else:
                continue
            if any(n.split(".")[0].startswith("mlflow") for n in names):
                wrong.append(f"{module}:{node.lineno}")
    assert wrong == []


def test_no_one_else_uses_mlflows_client() -> None:
    """Not by way of `Registry.client` either; `connect` is the registry's own."""
    wrong = [
        f"{module}:{node.lineno}"
        for module, path in modules().items()
        if not module.startswith("pipeline.registry")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if (
            isinstance(node, ast.Attribute)
            and node.attr == "client"
            and "registry" in ast.unparse(node.value).lower()
        )
        or (
            isinstance(node, ast.ImportFrom)
            and node.module == "pipeline.registry.connection"
            and "connect" in [a.name for a in node.names]
        )
    ]
    assert wrong == []
