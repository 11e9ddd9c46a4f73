"""Source files that a module depends on, read without importing it, for the keys of caches.

What was computed once is found again while the code that computes it is the same: `code_digest`
changes with the module, with every module of ours that it imports, however far, and with nothing
else. Calls nothing else of ours.
"""

from __future__ import annotations

import ast
import hashlib
import re
from functools import cache
from pathlib import Path
from threading import Lock

PACKAGE = Path(__file__).parent
# CPython 3.11 keeps the depth of its parser once for all threads: two at a time are a SystemError.
_PARSING = Lock()


def code_digest(*names: str) -> str:
    """Hash of the source files that modules, by dotted name, rest on, in hexadecimal."""
    reached = set[str]().union(*(closure(name) for name in names))
    found = hashlib.sha256()
    for name in sorted(reached):
        data = modules()[name].read_bytes()
        found.update(f"{name} {len(data)}\n".encode() + data)
    return found.hexdigest()


@cache
def modules() -> dict[str, Path]:
    """Every module of the package by dotted name."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def imports(path: Path) -> tuple[str, ...]:
    """Dotted names that a file imports anywhere in it, type-checking blocks left out."""
    found = list[str]()
    with _PARSING:
        tree = ast.parse(path.read_text("utf-8"))
    only_for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in only_for_types:
            continue
        if isinstance(node, ast.Import):
            found += (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found += (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))
    return tuple(found)


def closure(module: str) -> set[str]:
    """All modules of ours that importing `module` brings along, itself included.

    A plugin package brings all its plugins along, since a configuration may select any.

    Raises:
        KeyError: there is no such module.
    """
    known, todo, seen = modules(), [module], set[str]()
    if module not in known:
        raise KeyError(module)
    while todo:
        name = todo.pop()
        if name in plugin_packages({name} & set(known)):
            todo += [m for m in known if m.startswith(f"{name}.") and m not in seen]
        parts = name.split(".")
        for i in range(1, len(parts) + 1):
            parent = ".".join(parts[:i])
            if parent in known and parent not in seen:
                seen.add(parent)
                todo += [i for i in imports(known[parent]) if i.startswith("pipeline")]
    return seen


def plugin_packages(names: set[str]) -> set[str]:
    """Packages whose modules are loaded by file name from within the modules named."""
    known, found = modules(), set()
    for name in names:
        text = known[name].read_text("utf-8")
        found |= set(re.findall(r'= Plugin\("([\w.]+)"\)', text))
        found |= {name} if "= Plugin(__name__)" in text else set()
    return found
