"""Whatever happens to the registry and the models in it, a good model judges every part."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline import config
from pipeline.daemon.model.cache import fetch_champion
from pipeline.daemon.settings.line import Line
from pipeline.registry.decisions.review import Review
from pipeline.registry.push import push
from pipeline.registry.store import Registry
from tests.conftest import SealBundle
from tests.daemon.disk import small_disk
from tests.faults.conftest import SOAK, Plant, Running
from tests.judgements import bundle_file, judged
from tests.registry.conftest import free_port, serving

pytestmark = pytest.mark.slow

OFTEN = {"poll_s": 0.2}
MB = 2**20
SWAP_S = 2  # longer than this no part waits, whatever is loaded beside it
BY_FIRST, BY_SECOND = "model_version = 'cells/1'", "model_version = 'cells/2'"


@pytest.fixture
def plant(plant_with_registry: Plant) -> Plant:
    """Here all concerns the registry."""
    return plant_with_registry


@pytest.fixture
def challenged(champion: Registry, seal_bundle: SealBundle, tmp_path: Path) -> Registry:
    """Version 1 is champion; version 2 waits, and fails parts that version 1 is in doubt of."""
    second = seal_bundle(tmp_path / "second", fail_from=0.4)
    push(champion, "cells", second, judged(second, against="cells/1"))
    return champion


def taken_over(station: Running, move: Callable[[], object]) -> float:
    """Move the alias to version 2 and wait until that judges; returns the seconds it took."""
    started = time.monotonic()
    move()
    station.wait_for(lambda: station.book.count(BY_SECOND), "cells/2 judges", within_s=10)
    return time.monotonic() - started


def moved(registry: Registry) -> Callable[[], object]:
    """Have the alias point to version 2, without the second that a sign-off takes."""
    return lambda: registry.client.set_registered_model_alias("cells", "champion", "2")


def test_a_new_champion_takes_over_between_two_frames(
    plant: Plant, challenged: Registry, recovered: Callable[[str, float], None]
) -> None:
    overload = {"policy": "queue", "waiting": 50 * SWAP_S}
    station = plant.inspecting(plant.line(model=OFTEN, overload=overload))
    seconds = taken_over(station, moved(challenged))
    recovered("alias moved; first verdict of the new model", seconds)
    station.wait_for_more()
    station.end()
    plant.book.assert_no_part_was_missed()
    assert plant.book.count("reason LIKE 'inspection lost%' OR reason LIKE 'overload%'") == 0
    assert plant.book.count("latency_ms > ?", SWAP_S * 1000) == 0
    by = plant.book.ask("SELECT model_version FROM records WHERE model_version != '' ORDER BY seq")
    first = plant.book.count(BY_FIRST)
    assert [version for (version,) in by] == ["cells/1"] * first + ["cells/2"] * (len(by) - first)


def test_what_is_not_fit_is_refused_and_the_old_model_stays(
    plant: Plant, challenged: Registry, recovered: Callable[[str, float], None]
) -> None:
    station = plant.inspecting(plant.line(model={**OFTEN, "require_signoff": True}))

    def refused(why: str) -> None:
        station.wait_for_words(why)
        recovered(f'"{why}" is logged; next verdicts', station.wait_for_more())

    moved(challenged)()
    refused("nobody has signed it off")
    with station.looking_away():  # only what is whole can be signed off
        Review(challenged, "cells").promote(2, "A. Weber", "fewer escapes")
        bundle_file(challenged, 2, "taxonomy.json").write_bytes(b"{}")
    refused("taxonomy.json was altered")
    challenged.client.delete_model_version("cells", "2")
    refused("was deleted in MLflow")
    station.end()
    assert plant.book.count(BY_SECOND) == 0
    plant.book.assert_no_part_was_missed()


def test_a_model_too_large_for_the_ledgers_disk_is_refused_once_and_no_part_notices(
    plant: Plant, challenged: Registry, tmp_path: Path
) -> None:
    os.truncate(bundle_file(challenged, 2, "model.onnx"), 300 * MB)
    with small_disk(tmp_path / "station", 160 * MB) as disk:
        station = plant.inspecting(plant.line(model={**OFTEN, "cache": "station/models"}))
        moved(challenged)()
        station.wait_for_words("cells/2 is refused: no room on the disk")
        free = shutil.disk_usage(disk).free
        station.wait_for_more(100)  # ten looks at the registry
        assert shutil.disk_usage(disk).free > free - 16 * MB  # the ledger grows
        station.end()
        assert station.logged.count("cells/2 is refused") == 1
        assert "the bundle has 314.6 MB and 100.7 MB stay free for records" in station.logged
        assert plant.book.count("verdict = 'NOT_INSPECTED' AND serial != 'c_damaged.png'") == 0
        plant.book.assert_no_part_was_missed()


def test_a_station_starts_without_its_registry_and_follows_that_once_it_is_back(
    plant: Plant,
    challenged: Registry,
    recovered: Callable[[str, float], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file, database = plant.line(model=OFTEN), plant.home / "mlflow.db"
    monkeypatch.chdir(plant.home)
    fetch_champion(config.load(file, Line), challenged)  # as a start before this one did
    away = database.rename(plant.home / "away.db")
    station = plant.inspecting(file)
    assert "starting OFFLINE from the last good model, cells/1" in station.logged
    station.wait_for_more(20)
    away.rename(database)
    seconds = taken_over(station, moved(challenged))
    recovered("registry back with a new champion; its first verdict", seconds)
    station.end()
    plant.book.assert_no_part_was_missed()


@pytest.mark.skipif(not SOAK, reason="mlflow server takes 20 s to start: LINESIDE_SOAK=1")
def test_a_server_of_models_killed_while_parts_come_stops_no_inspection(
    plant: Plant, challenged: Registry, recovered: Callable[[str, float], None]
) -> None:
    port = free_port()
    with serving(plant.home, plant.registry, port=port) as uri:
        station = plant.inspecting(plant.line(model={**OFTEN, "registry": uri}))
        station.wait_for_more()
    station.wait_for_words(f"127.0.0.1:{port}")
    station.wait_for_more(100)
    with serving(plant.home, plant.registry, port=port):
        seconds = taken_over(station, moved(challenged))
        recovered("server back with a new champion; its first verdict", seconds)
        station.end()
    plant.book.assert_no_part_was_missed()


def test_a_withdrawn_model_passes_no_part_until_a_version_is_promoted_again(
    plant: Plant, challenged: Registry, recovered: Callable[[str, float], None]
) -> None:
    """Through a server, at work and after a restart; every trigger has its record."""
    with serving(plant.home, plant.registry) as uri:
        registry, no_model = Registry(uri), "reason LIKE 'no signed model: cells/1 was withdrawn%'"
        file = plant.line(model={"registry": uri, "require_signoff": True, "poll_s": 5})
        station = plant.inspecting(file)
        Review(registry, "cells").withdraw("champion", "B. Sato", "misses cracks")
        started = time.monotonic()
        station.wait_for(lambda: plant.book.count(no_model), "no part is inspected")
        recovered("model withdrawn; first part without one", time.monotonic() - started)
        judged_before = plant.book.count(BY_FIRST)
        station.wait_for_more(50, no_model)
        assert plant.book.count(BY_FIRST) == judged_before
        station.wait_for_words("no part is inspected")
        station.end()
        plant.book.assert_no_part_was_missed()

        station = plant.start(file)
        station.wait_for_more(20, no_model)
        assert plant.book.count(BY_FIRST) == judged_before
        Review(registry, "cells").promote(2, "A. Weber", "fewer escapes")
        started = time.monotonic()
        station.wait_for_more(1, BY_SECOND)
        recovered("another version promoted; its first verdict", time.monotonic() - started)
        live = "SELECT 1 FROM events WHERE kind = 'model live'"
        station.wait_for(lambda: plant.book.ask(live), "the event of the new model")
        station.end()
    assert plant.book.count(BY_FIRST) == judged_before
    events = plant.audit(file)["events"]
    assert [e["kind"] for e in events if e["kind"].startswith("model ")] == [
        "model withdrawn",
        "model live",
    ]


def test_a_challenger_in_shadow_changes_no_verdict_and_its_disagreements_are_counted(
    plant: Plant, challenged: Registry
) -> None:
    file = plant.line(model={**OFTEN, "shadow": True})
    station = plant.inspecting(file)
    in_doubt = "serial = 'd_doubt.png' AND id IN (SELECT record FROM shadows)"
    station.wait_for(lambda: plant.book.count(in_doubt) > 3, "the challenger judges")
    station.end()
    assert plant.book.count(BY_SECOND) == 0
    assert plant.book.count("serial = 'd_doubt.png' AND verdict = 'FAIL'") == 0
    frames = plant.book.count("id IN (SELECT record FROM shadows)")
    disagreements = plant.book.count(in_doubt)
    assert plant.audit(file)["shadowed"] == [
        {"model_version": "cells/2", "frames": frames, "disagreements": disagreements}
    ]
