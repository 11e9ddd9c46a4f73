"""Heat maps are made while no part waits, and never beside one."""

from __future__ import annotations

import threading

import pytest

from pipeline.contracts.bundle import Bundle
from pipeline.daemon.web.live import heat_maps
from pipeline.daemon.web.live.heat_maps import HeatMap, HeatMaps
from pipeline.imaging import Pixels, codec
from pipeline.inference.inspector import Inspector
from pipeline.inference.occlusion import steps
from pipeline.inference.predictor import Prediction, Predictor
from tests.daemon.waiting import until
from tests.daemon.web.conftest import TIMEOUT_S, Held, Serve, Served
from tests.pooled import pooled


def sent(served: Served, brightness: int = 50) -> str:
    identity: str = served.send(brightness).json["id"]
    return identity


def made(served: Served, identity: str) -> HeatMap:
    """The map of a part, once it is there."""
    maps: HeatMaps = served.web.service.api.heat_maps
    found = list[HeatMap]()

    def done() -> bool:
        found.append(maps.ask(identity, "defective"))
        return found[-1].jpeg is not None or found[-1].failure != ""

    until(done, "the heat map", TIMEOUT_S)
    return found[-1]


def test_a_heat_map_is_a_picture_that_names_its_model(serve: Serve) -> None:
    served = serve()
    found = made(served, sent(served))
    assert found.jpeg is not None
    assert codec.decode(found.jpeg).shape == (448, 448, 3)
    assert (found.model_version, found.done, found.failure) == ("cells/3", 1.0, "")


def test_where_tiles_are_pooled_the_tile_that_adds_most_has_a_heat_map(
    serve: Serve, sealed_bundle: Bundle
) -> None:
    served = serve(inspector=Inspector(pooled(sealed_bundle)))
    found = made(served, sent(served))
    assert (found.jpeg is not None, found.failure) == (True, "")


def test_a_heat_map_is_made_once(serve: Serve) -> None:
    served = serve()
    identity = sent(served)
    assert made(served, identity).jpeg is made(served, identity).jpeg


def test_nothing_is_judged_for_a_heat_map_while_a_part_is_inspected(
    serve: Serve, sealed_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    inspector = Held(sealed_bundle)
    inspector.let_go.set()
    served = serve(inspector=inspector)
    identity = sent(served)
    judged = list[bool]()
    predict = Predictor.predict

    def noted(predictor: Predictor, images: Pixels) -> Prediction:
        if predictor is not inspector.predictor:
            judged.append(served.station.work_queue.idle)
        return predict(predictor, images)

    monkeypatch.setattr(Predictor, "predict", noted)
    inspector.let_go.clear()
    inspector.at_work.clear()
    waiting = threading.Thread(target=served.send, args=(200,))
    waiting.start()
    assert inspector.at_work.wait(TIMEOUT_S)
    maps: HeatMaps = served.web.service.api.heat_maps
    assert maps.ask(identity, "defective").done == 0
    # It waits; how long is not asserted, only that nothing was judged until the part was done.
    threading.Event().wait(10 * heat_maps.IDLE_EVERY_S)
    assert judged == []
    inspector.let_go.set()
    waiting.join(TIMEOUT_S)
    assert made(served, identity).jpeg is not None
    assert judged == [True] * (steps() + 1)  # once to find the tile


def test_a_part_whose_picture_is_gone_has_no_heat_map(serve: Serve) -> None:
    served = serve()
    first = sent(served, 200)
    sent(served, 200)  # the last PASS is all that is held
    assert made(served, first).failure == "the picture is not kept, or no longer"


def test_of_too_many_requests_the_oldest_gives_way_and_may_ask_again(
    serve: Serve, sealed_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heat_maps, "MOST_WAITING", 1)
    served = serve()
    maps: HeatMaps = served.web.service.api.heat_maps
    identities = [sent(served) for _ in range(4)]
    for identity in identities:
        maps.ask(identity, "defective")
    assert [made(served, i).jpeg is not None for i in identities] == [True] * 4
