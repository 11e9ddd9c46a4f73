"""The champion: asked for in the registry, and never missed in silence."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.contracts.bundle import Bundle, open_bundle
from pipeline.errors import NoChampion, RegistryUnreachable
from pipeline.evaluation.champion import find_champion
from pipeline.registry.versions import Version


@dataclass
class Registry:
    """As `registry.store.Registry`, with one champion, none, or out of reach."""

    bundle: Bundle
    trouble: Exception | None = None
    uri: str = "http://127.0.0.1:9"
    pulled: list[Path] = field(default_factory=list)

    def versions(self, recipe: str) -> list[Version]:
        if self.trouble is not None:
            raise self.trouble
        return [Version(recipe, 3, self.bundle.sha256, "run", ("champion",))]

    def pull(self, version: Version, into: Path) -> Bundle:
        self.pulled.append(into)
        shutil.copytree(self.bundle.folder, into)
        return open_bundle(into, version.bundle_sha256)


def test_it_is_pulled_once_and_kept(sealed_bundle: Bundle, tmp_path: Path) -> None:
    registry = Registry(sealed_bundle)
    for _ in range(2):
        found = find_champion(registry, "cells", tmp_path / "cache")  # type: ignore[arg-type]
        assert found.name == "cells/3"
        assert found.bundle is not None
        assert found.bundle.sha256 == sealed_bundle.sha256
    assert len(registry.pulled) == 1


def test_a_damaged_copy_is_pulled_anew(sealed_bundle: Bundle, tmp_path: Path) -> None:
    registry = Registry(sealed_bundle)
    find_champion(registry, "cells", tmp_path / "cache")  # type: ignore[arg-type]
    (registry.pulled[0] / "taxonomy.json").write_text("{}")
    found = find_champion(registry, "cells", tmp_path / "cache")  # type: ignore[arg-type]
    assert found.bundle is not None
    assert len(registry.pulled) == 2


def test_without_one_nothing_is_amiss(sealed_bundle: Bundle, tmp_path: Path) -> None:
    registry = Registry(sealed_bundle, NoChampion("sign one off"))
    found = find_champion(registry, "cells", tmp_path)  # type: ignore[arg-type]
    assert (found.missing, found.out_of_reach) == ("no champion is signed off yet", False)


def test_before_the_first_registration_there_is_none(sealed_bundle: Bundle, tmp_path: Path) -> None:
    registry = Registry(sealed_bundle, uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
    assert not find_champion(registry, "cells", tmp_path).out_of_reach  # type: ignore[arg-type]


def test_one_out_of_reach_is_said_to_be(sealed_bundle: Bundle, tmp_path: Path) -> None:
    registry = Registry(sealed_bundle, RegistryUnreachable("nobody answers"))
    found = find_champion(registry, "cells", tmp_path)  # type: ignore[arg-type]
    assert (found.missing, found.out_of_reach) == ("nobody answers", True)
