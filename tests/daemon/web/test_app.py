"""What each address of the station answers, and with which status."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any

import pytest

from pipeline.contracts.bundle import Bundle
from pipeline.contracts.records import Record, Verdict
from pipeline.daemon.settings.line import Overload
from pipeline.daemon.status import StationStatus
from pipeline.daemon.web import app, records
from pipeline.daemon.web.records import KeptRecords
from pipeline.errors import LedgerError, SourceLost
from tests.daemon.waiting import until
from tests.daemon.web.conftest import TIMEOUT_S, Fired, Held, Serve


@pytest.mark.parametrize(("brightness", "verdict"), [(200, "PASS"), (50, "FAIL"), (128, "REVIEW")])
def test_a_sent_picture_is_answered_with_its_record(
    serve: Serve, brightness: int, verdict: str
) -> None:
    served = serve()
    reply = served.send(brightness, x_serial="SN-7")
    (record,) = served.station.ledger.records()
    assert (reply.status, reply.json["verdict"], reply.json["serial"]) == (200, verdict, "SN-7")
    assert reply.json == asdict(record)


def test_a_damaged_picture_is_a_part_that_was_not_inspected(serve: Serve) -> None:
    served = serve()
    reply = served.ask("POST", "/inspect", b"\x89PNG and no more", content_type="image/png")
    (record,) = served.station.ledger.records()
    assert (reply.status, reply.json["verdict"]) == (200, "NOT_INSPECTED")
    assert reply.json["reason"].startswith("unreadable: ")
    assert record.id == reply.json["id"]


def test_a_part_refused_for_overload_has_its_record_in_the_answer(
    serve: Serve, sealed_bundle: Bundle
) -> None:
    inspector = Held(sealed_bundle)
    served = serve(inspector=inspector, overload=Overload(policy="reject"))
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(served.send)
        assert inspector.at_work.wait(30)
        second = served.send()
        inspector.let_go.set()
        assert first.result(30).json["verdict"] == "PASS"
    assert (second.status, second.json["verdict"]) == (200, "NOT_INSPECTED")
    assert second.json["reason"] == "overload: another part was being inspected"
    assert served.station.ledger.account().triggers == 2


def test_a_station_with_too_many_clients_refuses_more_and_is_alive(
    serve: Serve, sealed_bundle: Bundle
) -> None:
    inspector = Held(sealed_bundle)
    served = serve(inspector=inspector, connections=1)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(served.send)
        assert inspector.at_work.wait(30)
        second, alive = served.send(), served.ask("GET", "/healthz")
        inspector.let_go.set()
        assert first.result(30).status == 200
    assert (second.status, second.headers["retry-after"]) == (503, "1")
    assert second.detail.startswith("1 wait for verdicts already")
    assert alive.status == 200


def test_without_a_ledger_clients_get_the_reason_instead_of_a_verdict(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = serve()

    def full(*_: object) -> str:
        raise LedgerError("ledger.sqlite: disk full")

    with monkeypatch.context() as patch:
        patch.setattr(served.station.ledger, "open_record", full)
        reply = served.send()
        ready = served.ask("GET", "/readyz")
    assert (reply.status, reply.headers["retry-after"]) == (503, "1")
    assert "disk full" in reply.detail
    assert (ready.status, ready.json["reasons"]) == (503, ["ledger.sqlite: disk full"])
    # The station finds that it can be written again, and both are accounted for.
    until(lambda: not served.station.recorder.alarm)
    assert served.send().json["verdict"] == "PASS"
    assert served.ask("GET", "/readyz").json == {"ready": True, "reasons": [], "degraded": ""}
    assert served.station.ledger.account().verdicts[Verdict.NOT_INSPECTED] == 1


def test_a_late_verdict_is_answered_as_late_and_stands_in_the_ledger(
    serve: Serve, sealed_bundle: Bundle
) -> None:
    inspector = Held(sealed_bundle)
    served = serve(inspector=inspector, answer_within_s=0.1)
    reply = served.send(x_serial="late")
    inspector.let_go.set()
    assert (reply.status, "no verdict within 0.1 s" in reply.detail) == (504, True)
    until(lambda: bool(served.ask("GET", "/records?serial=late").json))
    (record,) = served.ask("GET", "/records?serial=late").json
    assert record["verdict"] == "PASS"


def test_of_several_cameras_one_is_named(serve: Serve) -> None:
    served = serve("top", "side")
    unnamed, unknown = served.send(), served.send(200, "/inspect/bottom")
    named = served.send(200, "/inspect/side")
    assert (unnamed.status, unknown.status) == (404, 404)
    assert unnamed.detail == "name the camera at the end of the path: top, side"
    assert (named.status, named.json["camera"]) == (200, "side")


def test_a_station_that_is_fired_answers_with_the_verdict_on_the_latest_frame(
    serve: Serve,
) -> None:
    served = serve(trigger=Fired())
    taken = served.send(50)
    until(lambda: served.station.status().cameras[0].frames == 1)
    reply = served.ask("POST", "/trigger?serial=9")
    assert (taken.status, taken.detail) == (
        202,
        "taken; camera camera judges it when its trigger comes",
    )
    assert (reply.status, reply.json["verdict"], reply.json["serial"]) == (200, "FAIL", "9")
    assert served.station.ledger.account().triggers == 1


def test_a_trigger_without_a_frame_is_answered_with_its_record(serve: Serve) -> None:
    reply = serve(trigger=Fired()).ask("POST", "/trigger/camera")
    assert (reply.status, reply.json["verdict"]) == (200, "NOT_INSPECTED")
    assert reply.json["reason"].startswith("no frame: ")


def test_a_trigger_that_does_not_wait_is_answered_at_once(
    serve: Serve, sealed_bundle: Bundle
) -> None:
    served = serve(trigger=Fired())
    reply = served.ask("POST", "/trigger?wait=false&serial=11")
    assert reply.status == 202
    until(lambda: bool(served.ask("GET", "/records?serial=11").json))


def test_a_station_without_a_software_trigger_names_the_setting(serve: Serve) -> None:
    reply = serve().ask("POST", "/trigger")
    assert (reply.status, "trigger: {type: software}" in reply.detail) == (404, True)


def test_many_clients_at_once_each_get_their_own_record(serve: Serve) -> None:
    served = serve()
    replies: dict[str, Any] = {}

    def send(serial: str) -> None:
        replies[serial] = served.send(x_serial=serial).json["serial"]

    clients = [threading.Thread(target=send, args=(f"S{i}",)) for i in range(16)]
    for client in clients:
        client.start()
    for client in clients:
        client.join(30)
    assert replies == {f"S{i}": f"S{i}" for i in range(16)}
    assert served.station.ledger.account().triggers == 16


def test_a_station_whose_camera_is_away_is_alive_and_not_ready(serve: Serve) -> None:
    served = serve()
    served.station.cameras[0].lost(str(SourceLost("no route to camera")))
    ready = served.ask("GET", "/readyz")
    assert ready.status == 503
    reasons = ["camera camera: no route to camera"]
    assert ready.json == {"ready": False, "reasons": reasons, "degraded": ""}


def test_a_station_that_misses_many_parts_is_ready_and_degraded(
    serve: Serve,
) -> None:
    served = serve()
    for _ in range(10):
        served.station.recorder.counters.add(
            Record("id", "west-1", "", "", Verdict.NOT_INSPECTED, "overload: 16 wait")
        )
    ready = served.ask("GET", "/readyz")
    assert ready.status == 200
    assert ready.json["degraded"].startswith("10 of the last 10 parts were not inspected")
    assert "lineside_degraded 1.0" in served.ask("GET", "/metrics").body.decode()


def test_the_record_and_the_metrics_show_what_the_latency_consists_of(serve: Serve) -> None:
    served = serve()
    record = served.send().json
    assert list(record["steps_ms"]) == ["waited", "decoded", "prepared", "network"]
    assert 0 < sum(record["steps_ms"].values()) <= record["latency_ms"]
    metrics = served.ask("GET", "/metrics").body.decode()
    for step in ("waited", "decoded", "prepared", "network", "written"):
        assert f'lineside_step_seconds_count{{step="{step}"}} 1.0' in metrics
    assert served.ask("GET", "/healthz").json == {"alive": True}


def test_a_station_whose_workers_nobody_supervises_is_not_alive(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = serve()
    monkeypatch.setattr(app, "STALLED_AFTER_S", -1.0)
    reply = served.ask("GET", "/healthz")
    assert (reply.status, reply.json["alive"]) == (503, False)


def test_the_status_has_all_that_the_station_knows_of_itself(serve: Serve) -> None:
    served = serve()
    record = served.send(50).json
    status = served.ask("GET", "/status").json
    assert status["last"] == record
    assert status["verdicts"]["FAIL"] == 1
    assert status["model"]["version"] == "cells/3"
    fields = set(StationStatus.__dataclass_fields__)
    assert set(status) == fields - {"alarms", "drift"} | {"trouble", "not_ready"}
    assert status["model"]["drift"]["parts"] == 1
    assert status["cameras"][0]["trouble"] == status["model"]["trouble"] == ""


def test_the_status_has_the_size_of_the_ledger(serve: Serve) -> None:
    served = serve()
    ledger = served.ask("GET", "/status").json["ledger"]
    assert ledger["size_bytes"] >= served.station.ledger.path.stat().st_size > 0
    assert ledger["free_bytes"] > 0


def test_an_unknown_record_is_not_found(serve: Serve) -> None:
    served = serve()
    assert served.ask("GET", "/records/none").status == 404
    assert served.ask("GET", "/records?serial=none").json == []
    assert served.ask("GET", "/records").status == 422


def test_a_disk_that_hangs_is_answered_as_such(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "PATIENCE_S", 0.1)
    go_on = threading.Event()

    def hang(archive: KeptRecords, serial: str) -> list[Record]:
        go_on.wait(TIMEOUT_S)
        return []

    monkeypatch.setattr(KeptRecords, "of_serial", hang)
    served = serve()
    reply = served.ask("GET", "/records?serial=1")
    go_on.set()
    assert (reply.status, reply.detail) == (504, "the station's disk does not answer")
    until(lambda: served.ask("GET", "/records?serial=1").status == 200)
