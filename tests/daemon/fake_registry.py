"""A registry in memory over real bundles, whose downloads and aliases a test commands."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from pipeline.contracts.bundle import Bundle, open_bundle
from pipeline.contracts.signoff import Act, Signoff
from pipeline.errors import BundleError
from pipeline.files import whole_folder
from pipeline.registry.decisions.chain import HEAD, PREFIX, read_chain
from pipeline.registry.download import KEEP_FREE_BYTES
from pipeline.registry.store import Registry
from pipeline.registry.versions import Version


class FakeRegistry(Registry):
    """Versions of `cells`, numbered from 1.

    Attributes:
        aliases: alias to version.
        pulled: the versions that were downloaded, in order.
        damaged: versions whose files do not arrive as they were sealed.
        refuses: raised instead of a download, by version.
        keeps_free_bytes: how much of the disk the last download was to leave.
        failure: raised instead of any answer.
        answers: cleared, it does not answer at all.
        asked: how often it was asked for the versions.
    """

    def __init__(self, *bundles: Bundle, **aliases: int) -> None:
        super().__init__("http://nowhere.invalid")
        self.aliases = aliases
        self.pulled: list[int] = []
        self.damaged: set[int] = set()
        self.refuses: dict[int, Exception] = {}
        self.keeps_free_bytes = 0
        self.failure: Exception | None = None
        self.asked = 0
        self.answers = threading.Event()
        self.answers.set()
        self._bundles = dict(enumerate(bundles, start=1))
        self._tags: dict[str, str] = {}

    @property
    def client(self) -> Any:
        """In place of MLflow's client: it finds the sign-offs among the tags."""
        return SimpleNamespace(search_registered_models=self._registered_models)

    def _registered_models(self, _query: str) -> list[SimpleNamespace]:
        if self.failure is not None:
            raise self.failure
        return [SimpleNamespace(tags=dict(self._tags))]

    def versions(self, recipe: str) -> list[Version]:
        self.asked += 1
        self.answers.wait()
        if self.failure is not None:
            raise self.failure
        return [
            Version(recipe, n, b.sha256, "run", tuple(a for a, v in self.aliases.items() if v == n))
            for n, b in self._bundles.items()
        ]

    def pull(self, version: Version, into: Path, keep_free_bytes: int = KEEP_FREE_BYTES) -> Bundle:
        self.pulled.append(version.version)
        self.keeps_free_bytes = keep_free_bytes
        if (refused := self.refuses.get(version.version)) is not None:
            raise refused
        with whole_folder(into) as aside:
            source = self._bundles[version.version].folder
            shutil.copytree(source, aside, dirs_exist_ok=True)
            if version.version in self.damaged:
                (aside / "model.onnx").write_bytes(b"half a download")
            try:
                open_bundle(aside, version.bundle_sha256)
            except BundleError as error:
                raise BundleError(f"{version.name}: model.onnx was altered") from error
        return open_bundle(into, version.bundle_sha256)

    def replace(self, number: int, bundle: Bundle) -> None:
        """Have a version hold another bundle."""
        self._bundles[number] = bundle

    def sign(self, number: int, act: Act = "promote") -> None:
        """Sign a version off, or withdraw it."""
        last = read_chain("cells", self._tags).last
        record = Signoff(
            seq=1 if last is None else last.seq + 1,
            act=act,
            recipe="cells",
            version=number,
            bundle_sha256=self._bundles[number].sha256,
            reviewer="A. Weber",
            reason="fewer escapes",
            at="2026-11-22T12:00:00.000000+00:00",
            gate="passed",
            previous=None if last is None or act == "withdraw" else last.version,
            parent="" if last is None else last.sha256,
        ).sealed()
        self._tags |= {PREFIX + record.name: record.model_dump_json(), HEAD: record.name}
