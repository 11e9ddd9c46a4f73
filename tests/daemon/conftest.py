"""A folder of parts, a line file and a registry with a champion."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.contracts.bundle import Bundle
from pipeline.daemon.build import FixedModel, OpenedCamera, put_together
from pipeline.daemon.model.cache import fetch_champion
from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.settings.line import CameraSettings, Line, ModelSource
from pipeline.daemon.sources import Source, replay
from pipeline.daemon.station import Station
from pipeline.daemon.triggers import Trigger, TriggerConfig
from pipeline.imaging import Pixels, codec
from pipeline.inference.inspector import Inspector
from pipeline.ledger.ledger import Ledger
from pipeline.registry.decisions.review import Review
from pipeline.registry.push import push
from pipeline.registry.store import Registry
from tests.conftest import SealBundle
from tests.daemon.fake_registry import FakeRegistry
from tests.judgements import judged
from tests.registries import copy_registry, registry_from


def picture(brightness: int) -> Pixels:
    """An even grey picture: 200 is good, 128 in doubt, 50 defective, 250 too bright."""
    return np.full((20, 24, 3), brightness, np.uint8)


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """Four images: a good part, a defective one, one in doubt, and a damaged file."""
    folder = tmp_path / "parts"
    (folder / "tray").mkdir(parents=True)
    (folder / "a_good.png").write_bytes(codec.encode_png(picture(200)))
    (folder / "b_bad.png").write_bytes(codec.encode_png(picture(50)))
    (folder / "c_damaged.png").write_bytes(b"\x89PNG and then nothing")
    (folder / "tray" / "d_doubt.png").write_bytes(codec.encode_png(picture(128)))
    return folder


@pytest.fixture(scope="session")
def promoted(
    empty_registry: Path, seal_bundle: SealBundle, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A folder with a registry in which `sealed_bundle` was registered and promoted."""
    home = tmp_path_factory.mktemp("promoted")
    registry = registry_from(empty_registry, home)
    bundle = seal_bundle(home / "bundle")
    push(registry, "cells", bundle, judged(bundle))
    Review(registry, "cells").promote(1, "A. Weber", "first release")
    return home


@pytest.fixture
def champion(registry: Registry, promoted: Path, tmp_path: Path) -> Registry:
    """A registry whose recipe `cells` has a champion."""
    copy_registry(promoted, tmp_path)
    return registry


def keep(bundle: Bundle, cache: Path) -> None:
    """Fill a station's cache of models as a start with this champion leaves it."""
    source = ModelSource(registry="http://nowhere.invalid", cache=cache)
    fetch_champion(taking(source), FakeRegistry(bundle, champion=1))


def taking(model: ModelSource) -> Line:
    """A line that does nothing but take the model of recipe `cells` from there."""
    ledger = model.cache / "ledger.sqlite"
    return Line.model_construct(station="west-1", recipe="cells", model=model, ledger=ledger)


@pytest.fixture
def kept_model(line: Line, sealed_bundle: Bundle, tmp_path: Path) -> Bundle:
    """The station has run once, and its registry is away.

    It starts with the last good model then. For tests about something else: a station that opens
    a registry is at work for three seconds more before it inspects.
    """
    (tmp_path / "mlflow.db").unlink()
    keep(sealed_bundle, line.model.cache)
    return sealed_bundle


@pytest.fixture
def line(tmp_path: Path, parts: Path, registry: Registry) -> Line:
    """A station that replays `parts` flat out."""
    return Line(
        station="west-1",
        recipe="cells",
        model=ModelSource(registry=registry.uri, cache=tmp_path / "station" / "models"),
        source=replay.Config(type="replay", path=parts),
        ledger=tmp_path / "station" / "ledger.sqlite",
        threads=1,
    )


def station_of(
    line: Line,
    source: Source,
    inspector: Inspector,
    ledger: Ledger,
    clock: Clock | None = None,
    trigger: Trigger | None = None,
    rules: TriggerConfig | None = None,
) -> Station:
    """A station of one camera, whose model stays as it is."""
    clock = clock or Clock()
    assert line.source is not None
    settings = CameraSettings.model_construct(name="camera", source=line.source, trigger=rules)
    model = FixedModel(inspector, "cells/3", clock.now())
    return put_together(line, [OpenedCamera(settings, source, trigger)], model, ledger, clock)


@pytest.fixture
def line_file(line: Line, tmp_path: Path) -> Callable[..., Path]:
    """Write `line` as YAML, the source's settings changed as given."""

    def write(**source: object) -> Path:
        path = tmp_path / "line.yaml"
        assert line.source is not None
        settings = {"type": "replay", "path": str(line.source.model_dump()["path"])} | source
        lines = [
            f"station: {line.station}",
            f"recipe: {line.recipe}",
            "model:",
            f"  registry: {line.model.registry}",
            f"  cache: {line.model.cache}",
            "source:",
            *(f"  {key}: {value}" for key, value in settings.items()),
            f"ledger: {line.ledger}",
            "threads: 1",
        ]
        path.write_text("\n".join(lines) + "\n")
        return path

    return write
