"""The champion: asked for in the registry, and never missed in silence."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.contracts.bundle import Bundle, OperatingPoint, open_bundle, seal
from pipeline.contracts.evaluation import Comparison
from pipeline.errors import NoChampion, RegistryUnreachable
from pipeline.evaluation.champion import Champion, compare_with_champion, find_champion
from pipeline.files import write_model
from pipeline.metrics.champion.noninferiority import Margins
from pipeline.registry.versions import Version
from tests.conftest import SealBundle
from tests.evaluation.conftest import parts, predictions, unwatched


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


def test_a_damaged_copy_is_pulled_again(sealed_bundle: Bundle, tmp_path: Path) -> None:
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


def test_one_out_of_reach_is_reported_as_such(sealed_bundle: Bundle, tmp_path: Path) -> None:
    registry = Registry(sealed_bundle, RegistryUnreachable("nobody answers"))
    found = find_champion(registry, "cells", tmp_path)  # type: ignore[arg-type]
    assert (found.missing, found.out_of_reach) == ("nobody answers", True)


def compared(champion: Bundle, bundle: Bundle, root: Path) -> Comparison:
    data = parts(bundle, root, {"a": 200, "b": 190, "bad_a": 50, "bad_b": 60})
    against = Champion("cells/7", champion)
    return compare_with_champion(
        against, bundle, data, predictions(bundle, data), Margins(), 100, unwatched
    )


def test_the_champion_is_judged_by_its_own_limits(
    sealed_bundle: Bundle, seal_bundle: SealBundle, tmp_path: Path
) -> None:
    other = seal_bundle(tmp_path / "other")
    write_model(other.folder / "operating_point.json", OperatingPoint(pass_below=1, fail_from=1))
    found = compared(open_bundle(other.folder, seal(other.folder)), sealed_bundle, tmp_path / "p")
    assert (found.champion, found.not_run) == ("cells/7", "")
    assert found.figures["escape_rate"].champion == 1.0
    assert found.figures["escape_rate"].challenger == 0.0


def test_the_champion_itself_is_not_compared_with_itself(
    sealed_bundle: Bundle, tmp_path: Path
) -> None:
    found = compared(sealed_bundle, sealed_bundle, tmp_path / "parts")
    assert found.not_run == "this bundle is the champion itself"


def test_a_champion_of_another_taxonomy_is_named_and_not_compared(
    sealed_bundle: Bundle, seal_bundle: SealBundle, tmp_path: Path
) -> None:
    other = seal_bundle(tmp_path / "other").folder
    path = other / "taxonomy.json"
    path.write_text(path.read_text().replace("defective", "broken"))
    found = compared(open_bundle(other, seal(other)), sealed_bundle, tmp_path / "parts")
    assert found.not_run == "it knows the classes good, broken, this one good, defective"


def test_a_champion_that_cannot_judge_these_images_is_named_and_not_compared(
    sealed_bundle: Bundle, seal_bundle: SealBundle, tmp_path: Path
) -> None:
    other = seal_bundle(tmp_path / "other").folder
    spec = json.loads((other / "preprocess.json").read_bytes())
    spec["roi"] = {"x_px": 0, "y_px": 0, "width_px": 9000, "height_px": 9000}
    (other / "preprocess.json").write_text(json.dumps(spec))
    found = compared(open_bundle(other, seal(other)), sealed_bundle, tmp_path / "parts")
    assert found.not_run.startswith("it cannot judge these images")


def test_one_out_of_reach_stays_out_of_reach_in_the_comparison(
    sealed_bundle: Bundle, tmp_path: Path
) -> None:
    data = parts(sealed_bundle, tmp_path / "parts", {"a": 200, "bad_a": 50})
    gone = Champion("cells/7", missing="no answer", out_of_reach=True)
    test = predictions(sealed_bundle, data)
    found = compare_with_champion(gone, sealed_bundle, data, test, Margins(), 100, unwatched)
    assert (found.champion, found.not_run, found.out_of_reach) == ("cells/7", "no answer", True)
