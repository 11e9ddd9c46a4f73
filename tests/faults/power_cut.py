"""What a power cut leaves on a disk, at each step of what a block writes.

`recorded` notes the names that a block makes, moves and removes below a folder, what it writes to
files, and what it has put on the disk with fsync. `Recording.disks` then builds the disks that a
cut after each step may leave by the rules of POSIX, which promise no more than this: content is
there once its file was synced, a name once its folder was. What was not synced may be there or
not, whole or torn.
"""

from __future__ import annotations

import os
import random
import stat
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
# Of what was not synced: which names reach the disk, and what becomes of contents.
FATES = (("none", "lost"), ("all", "lost"), ("all", "half"), ("all", "zeros"), ("all", "whole"))

Disk = dict[str, bytes | None]  # what lies where, POSIX below the folder; None: a folder


@dataclass(frozen=True)
class Step:
    """One thing done to a path below the folder; `to` is a rename's, `content` a file's."""

    kind: str
    path: str
    to: str = ""
    content: bytes = b""


@dataclass(eq=False)
class _Node:
    """A file, or a folder where `names` is not None: as programs see it, and on the disk."""

    content: bytes = b""
    content_on_disk: bytes = b""
    names: dict[str, _Node] | None = None
    names_on_disk: dict[str, _Node] = field(default_factory=dict)


# Names given or taken at one stroke: (folder, name) to what it means from then on.
_Change = dict[tuple[_Node, str], _Node | None]


class Recording:
    """The steps of a block, in order, and the folder as it was before.

    Attributes:
        steps: each change, and each fsync.
    """

    def __init__(self, folder: Path) -> None:
        self.steps: list[Step] = []
        self._folder = folder
        self._before = look_at(folder)
        self._unsynced: dict[str, bytes] = {}  # files open or closed, with what they held last
        self._lock = threading.RLock()
        self._busy = False

    def disks(self, drawn: int = 0) -> Iterator[tuple[str, Disk]]:
        """Each disk that a cut may leave, once, with when and how it comes about.

        Args:
            drawn: for each step, so many disks more on which chance decides of every name and
                every content that was not synced.
        """
        seen = set()
        for cut in range(len(self.steps) + 1):
            at = "at the start" if cut == 0 else f"after {self.steps[cut - 1]}"
            for names, contents in (*FATES, *((f"drawn {n}", "drawn") for n in range(drawn))):
                disk = self._after(cut, names, contents)
                key = tuple(sorted(disk.items()))
                if key not in seen:
                    seen.add(key)
                    yield f"cut {at}; names {names}, contents {contents}", disk

    def _after(self, cut: int, names: str, contents: str) -> Disk:
        chance = random.Random(f"{cut} {names}")
        root, pending = _tree(self._before), list[_Change]()
        for step in self.steps[:cut]:
            _take(root, step, pending)
        for change in pending:
            if names == "all" or (names != "none" and chance.random() < 0.5):
                _reach_disk(change)
        return dict(_on_disk(root, "", contents, chance))

    def hear(self, event: str, given: tuple[Any, ...]) -> None:
        """Note an audit event of the interpreter, which comes before the thing is done."""
        with self._lock:
            if self._busy:
                return
            self._busy = True
            try:
                self._note(event, given)
            finally:
                self._busy = False

    def synced(self, descriptor: int) -> None:
        """Note an fsync that was done."""
        with self._lock:
            self._busy = True
            try:
                path = self._below(f"/proc/self/fd/{descriptor}", resolve=True)
                if path is not None:
                    self._catch_up()
                    if stat.S_ISDIR(os.fstat(descriptor).st_mode):
                        self.steps.append(Step("sync folder", path))
                    else:
                        content = (self._folder / path).read_bytes()
                        self._unsynced.pop(path, None)
                        self.steps.append(Step("sync", path, content=content))
            finally:
                self._busy = False

    def end(self) -> None:
        """Note what was written last."""
        with self._lock:
            self._busy = True
            self._catch_up()

    def _note(self, event: str, given: tuple[Any, ...]) -> None:
        if event == "open":
            path = None if isinstance(given[0], int) else self._below(given[0])
            if path is not None and given[2] & WRITES:
                self._catch_up()
                if not (self._folder / path).exists():
                    self.steps.append(Step("create", path))
                    self._unsynced[path] = b""
                else:
                    self._unsynced.setdefault(path, (self._folder / path).read_bytes())
        elif event == "os.rename":
            path, to = self._below(given[0], given[2]), self._below(given[1], given[3])
            if path is not None or to is not None:
                assert path is not None, f"{given}: from outside of the folder"
                assert to is not None, f"{given}: to outside of the folder"
                if (self._folder / path).exists():
                    self._catch_up()
                    self.steps.append(Step("rename", path, to))
                    self._forget(to)
                    for name in [n for n in self._unsynced if _is_in(n, path)]:
                        self._unsynced[to + name[len(path) :]] = self._unsynced.pop(name)
        elif event in ("os.mkdir", "os.remove", "os.rmdir"):
            path = self._below(given[0], given[-1])
            there = path is not None and os.path.lexists(self._folder / path)
            if path is not None and there == (event != "os.mkdir"):
                self._catch_up()
                self.steps.append(Step(event.removeprefix("os."), path))
                self._forget(path)
        elif event in ("os.link", "os.symlink", "os.truncate"):
            assert all(self._below(p) is None for p in given[:2] if isinstance(p, str)), event

    def _catch_up(self) -> None:
        """Note what was written since the last step."""
        for path, known in list(self._unsynced.items()):
            with suppress(FileNotFoundError):
                content = (self._folder / path).read_bytes()
                if content != known:
                    self._unsynced[path] = content
                    self.steps.append(Step("write", path, content=content))

    def _forget(self, path: str) -> None:
        for name in [n for n in self._unsynced if _is_in(n, path)]:
            del self._unsynced[name]

    def _below(self, path: Any, within: int = -1, *, resolve: bool = False) -> str | None:
        """A path as it stands in the steps; None outside of the folder."""
        place = Path(path).readlink() if resolve else Path(os.fsdecode(path))
        if isinstance(within, int) and within >= 0:
            place = Path(f"/proc/self/fd/{within}").readlink() / place
        place = Path(os.path.abspath(place))  # noqa: PTH100
        if not place.is_relative_to(self._folder):
            return None
        return place.relative_to(self._folder).as_posix()


@contextmanager
def recorded(folder: Path) -> Iterator[Recording]:
    """Record what the block does in an existing folder, in this process, from any thread."""
    recording = Recording(folder.resolve())
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        fsync(descriptor)
        recording.synced(descriptor)

    with mock.patch("os.fsync", noted):
        _listening.append(recording)
        try:
            yield recording
        finally:
            _listening.remove(recording)
            recording.end()


def look_at(folder: Path) -> Disk:
    """All that lies in a folder."""
    return {
        path.relative_to(folder).as_posix(): None if path.is_dir() else path.read_bytes()
        for path in sorted(folder.rglob("*"))
    }


def lay_out(disk: Disk, folder: Path) -> None:
    """Fill a new folder with what is on a disk."""
    folder.mkdir(parents=True)
    for name, content in sorted(disk.items()):
        if content is None:
            (folder / name).mkdir(parents=True, exist_ok=True)
        else:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)


_listening: list[Recording] = []


def _hear(event: str, given: tuple[Any, ...]) -> None:
    for recording in _listening:
        recording.hear(event, given)


sys.addaudithook(_hear)


def _is_in(name: str, path: str) -> bool:
    return name == path or name.startswith(f"{path}/")


def _tree(disk: Disk) -> _Node:
    """All of it is on the disk."""
    root = _Node(names={})
    for name, content in sorted(disk.items()):
        parent, last = _parent(root, name)
        node = _Node(names={}) if content is None else _Node(content, content)
        assert parent.names is not None
        parent.names[last] = parent.names_on_disk[last] = node
    return root


def _parent(root: _Node, path: str) -> tuple[_Node, str]:
    """The folder that a path lies in, as programs see it, and the last part of the path."""
    *folders, last = path.split("/")
    for name in folders:
        assert root.names is not None
        root = root.names[name]
    return root, last


def _node(root: _Node, path: str) -> _Node:
    if path == ".":
        return root
    parent, last = _parent(root, path)
    assert parent.names is not None
    return parent.names[last]


def _take(root: _Node, step: Step, pending: list[_Change]) -> None:
    """Take a step: programs see it at once, and the disk when it is synced."""
    if step.kind in ("write", "sync"):
        node = _node(root, step.path)
        node.content = step.content
        if step.kind == "sync":
            node.content_on_disk = step.content
        return
    if step.kind == "sync folder":
        folder = _node(root, step.path)
        for due in [c for c in pending if any(of is folder for of, _ in c)]:
            _reach_disk(due)
            pending.remove(due)
        return
    parent, last = _parent(root, step.path)
    change: _Change
    if step.kind == "create":
        change = {(parent, last): _Node()}
    elif step.kind == "mkdir":
        change = {(parent, last): _Node(names={})}
    elif step.kind == "rename":
        change = {(parent, last): None, _parent(root, step.to): _node(root, step.path)}
    else:
        change = {(parent, last): None}
    for (within, name), meant in change.items():
        assert within.names is not None
        if meant is None:
            del within.names[name]
        else:
            within.names[name] = meant
    pending.append(change)


def _reach_disk(change: _Change) -> None:
    for (folder, name), node in change.items():
        if node is None:
            folder.names_on_disk.pop(name, None)
        else:
            folder.names_on_disk[name] = node


def _on_disk(
    folder: _Node, path: str, contents: str, chance: random.Random
) -> Iterator[tuple[str, bytes | None]]:
    for name, node in sorted(folder.names_on_disk.items()):
        if node.names is not None:
            yield path + name, None
            yield from _on_disk(node, f"{path}{name}/", contents, chance)
            continue
        fates = {
            "lost": node.content_on_disk,
            "half": node.content[: len(node.content) // 2],
            "zeros": bytes(len(node.content)),
            "whole": node.content,
        }
        fate = chance.choice(sorted(fates)) if contents == "drawn" else contents
        synced = node.content == node.content_on_disk
        yield path + name, node.content if synced else fates[fate]
