"""A challenger on the same frames: written down, counted, and never waited for."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.contracts.bundle import Bundle
from pipeline.contracts.records import Record, Verdict
from pipeline.daemon.model.serving import Serving
from pipeline.daemon.model.shadow import NICENESS, WAITING, Agreement, Shadow, agreements
from pipeline.daemon.runtime.clock import Clock
from pipeline.daemon.runtime.heartbeat import Heartbeat
from pipeline.daemon.settings.line import Line
from pipeline.daemon.sources import Frame
from pipeline.errors import BundleError, LedgerError, RegistryUnreachable
from pipeline.imaging import codec
from pipeline.inference.inspector import Inspection, Inspector
from pipeline.ledger.ledger import Ledger
from tests.daemon.conftest import picture
from tests.daemon.fake_registry import FakeRegistry
from tests.daemon.waiting import until

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
GOOD, IN_DOUBT = 200, 128  # what is in doubt for the champion fails by the challenger


@dataclass
class Bench:
    """A station's model, its shadow and the ledger of both.

    Attributes:
        kept: the serials of frames that they disagreed about, as the image writer got them.
    """

    serving: Serving
    shadow: Shadow
    ledger: Ledger
    registry: FakeRegistry
    kept: list[str] = field(default_factory=list)

    def inspect(self, brightness: int) -> Record:
        """Judge and close one frame, and offer it to the shadow."""
        loaded, serial = self.serving.current, f"part-{brightness}"
        identity = self.ledger.open_record(NOW, serial)
        decision = loaded.inspector.inspect(picture(brightness)).decision
        record = Record(
            identity,
            self.ledger.station,
            NOW.isoformat(),
            serial,
            decision.verdict,
            decision.reason,
            decision.part_class,
            decision.defect_score,
            model_version=loaded.version,
        )
        self.ledger.close_record(record)
        self.shadow.offer(record, Frame(NOW, 0.0, serial, picture(brightness)))
        return record

    def rows(self) -> list[tuple[str, str, str]]:
        with self.ledger.reading() as db:
            found = db.execute("SELECT record, model_version, verdict FROM shadows ORDER BY record")
            return [tuple(row) for row in found]

    @property
    def shadowed(self) -> tuple[str, int, int]:
        state = self.shadow.with_shadow(self.serving.status)
        return state.shadow, state.shadowed, state.disagreements


@pytest.fixture
def bench(line: Line, seal_bundle: Callable[..., Bundle], tmp_path: Path) -> Iterator[Bench]:
    model = line.model.model_copy(update={"poll_s": 0.01, "shadow": True})
    line = line.model_copy(update={"model": model})
    bundles = [seal_bundle(tmp_path / f"b{n}", fail_from=n) for n in (0.8, 0.4, 0.3)]
    registry = FakeRegistry(*bundles, champion=1, challenger=2)
    ledger = Ledger(line.ledger, line.station)
    kept: list[str] = []
    shadow = Shadow(
        line, registry, ledger, Clock(), lambda frame, record: kept.append(frame.serial)
    )
    yield Bench(Serving.start(line, registry, Clock()), shadow, ledger, registry, kept)
    ledger.close()


@contextmanager
def running(shadow: Shadow) -> Iterator[threading.Thread]:
    heartbeat = Heartbeat(Clock())
    worker = threading.Thread(target=shadow.run, args=(heartbeat,))
    worker.start()
    try:
        yield worker
    finally:
        heartbeat.stop()
        worker.join()


def test_the_challengers_verdict_is_recorded_with_the_first_and_counted(bench: Bench) -> None:
    with running(bench.shadow):
        until(lambda: bench.shadowed == ("cells/2", 0, 0))
        good, doubt = bench.inspect(GOOD), bench.inspect(IN_DOUBT)
        until(lambda: bench.shadowed[1] == 2)
    assert (good.verdict, doubt.verdict) == (Verdict.PASS, Verdict.REVIEW)
    assert bench.rows() == [(good.id, "cells/2", "PASS"), (doubt.id, "cells/2", "FAIL")]
    assert bench.shadowed == ("cells/2", 2, 1)
    with bench.ledger.reading() as db:
        assert agreements(db) == [Agreement("cells/1", "cells/2", frames=2, disagreements=1)]


def test_frames_that_they_disagree_about_are_given_to_be_kept(bench: Bench) -> None:
    with running(bench.shadow):
        until(lambda: bench.shadowed[0] == "cells/2")
        bench.inspect(GOOD)
        bench.inspect(IN_DOUBT)
        until(lambda: bench.shadowed[1] == 2)
    assert bench.kept == [f"part-{IN_DOUBT}"]


def test_a_frame_that_is_a_file_still_is_decoded_by_the_shadow(bench: Bench) -> None:
    with running(bench.shadow):
        until(lambda: bench.shadowed[0] == "cells/2")
        record = bench.inspect(GOOD)
        until(lambda: bench.shadowed[1] == 1)
        later = replace(record, id="another")
        data = codec.encode_png(picture(IN_DOUBT))
        bench.shadow.offer(later, Frame(NOW, 0.0, "file.png", None, data=data))
        until(lambda: bench.shadowed[1] == 2)
    assert ("another", "cells/2", "FAIL") in bench.rows()


def test_a_shadow_that_is_slower_than_the_line_leaves_frames_out(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = threading.Event()
    slow = Inspector.inspect
    with running(bench.shadow) as worker:
        until(lambda: bench.shadowed[0] == "cells/2")

        def inspect(self: Inspector, rgb: object) -> Inspection:
            if threading.current_thread() is worker:
                go.wait()
            return slow(self, rgb)  # type: ignore[arg-type]

        monkeypatch.setattr(Inspector, "inspect", inspect)
        for _ in range(20):
            bench.inspect(GOOD)
        # All were judged while the challenger was still at the first, or had not begun.
        assert bench.ledger.account().verdicts[Verdict.PASS] == 20
        assert 20 - WAITING - 1 <= bench.shadow.left_out <= 20 - WAITING
        go.set()
        until(lambda: bench.shadowed[1] + bench.shadow.left_out == 20)


def test_without_a_challenger_there_is_no_shadow_and_no_alarm(bench: Bench) -> None:
    del bench.registry.aliases["challenger"]
    bench.shadow.follower.look(Heartbeat(Clock()))
    bench.inspect(GOOD)
    state = bench.shadow.with_shadow(bench.serving.status)
    assert (state.shadow, state.alarm, bench.rows()) == ("", "", [])
    assert bench.shadow.waiting == 0


def test_a_challenger_that_is_gone_stops_being_asked(bench: Bench) -> None:
    with running(bench.shadow):
        until(lambda: bench.shadowed[0] == "cells/2")
        del bench.registry.aliases["challenger"]
        until(lambda: bench.shadowed[0] == "")
        bench.inspect(IN_DOUBT)
    assert bench.rows() == []


def test_a_new_challenger_is_counted_from_nought(bench: Bench) -> None:
    with running(bench.shadow):
        until(lambda: bench.shadowed[0] == "cells/2")
        bench.inspect(IN_DOUBT)
        until(lambda: bench.shadowed[1] == 1)
        bench.registry.aliases["challenger"] = 3
        until(lambda: bench.shadowed == ("cells/3", 0, 0))
        bench.inspect(IN_DOUBT)
        until(lambda: bench.shadowed == ("cells/3", 1, 1))
    with bench.ledger.reading() as db:
        assert [(t.shadow, t.frames) for t in agreements(db)] == [("cells/2", 1), ("cells/3", 1)]


def test_the_champion_is_not_its_own_shadow(bench: Bench) -> None:
    bench.registry.aliases["challenger"] = 1
    bench.shadow.follower.look(Heartbeat(Clock()))
    bench.inspect(GOOD)
    assert bench.shadow.waiting == 0
    assert bench.shadowed[0] == ""


def test_a_challenger_that_is_the_champion_is_logged_once_as_an_idle_shadow(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.registry.aliases["challenger"] = 1
    bench.shadow.follower.look(Heartbeat(Clock()))
    for _ in range(3):
        bench.inspect(GOOD)
    (message,) = [m for m in caplog.messages if "the shadow is idle" in m]
    assert "the challenger, cells/1, is the model at work" in message


def test_a_challenger_is_never_logged_as_the_live_model(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        bench.shadow.follower.look(Heartbeat(Clock()))
    assert "challenger in shadow: cells/2" in caplog.text
    assert "model live" not in caplog.text


def test_parts_that_were_not_inspected_have_no_shadow(bench: Bench) -> None:
    bench.shadow.follower.look(Heartbeat(Clock()))
    identity = bench.ledger.open_record(NOW, "lost")
    record = Record(identity, "west-1", "", "lost", Verdict.NOT_INSPECTED, "overload")
    bench.shadow.offer(record, Frame(NOW, 0.0, "lost", picture(GOOD)))
    assert bench.shadow.waiting == 0


def test_a_challenger_that_is_damaged_raises_an_alarm_and_the_champion_goes_on(
    bench: Bench,
) -> None:
    bench.registry.damaged = {2}
    bench.shadow.follower.look(Heartbeat(Clock()))
    state = bench.shadow.with_shadow(bench.serving.status)
    assert (state.version, state.shadow) == ("cells/1", "")
    assert state.alarm.startswith("challenger: cells/2 is refused: ")


def test_a_registry_that_is_away_is_not_reported_twice(bench: Bench) -> None:
    bench.registry.failure = RegistryUnreachable("no answer")
    bench.shadow.follower.look(Heartbeat(Clock()))
    bench.serving.follower.look(Heartbeat(Clock()))
    assert bench.shadow.with_shadow(bench.serving.status).alarm == "no answer"


def test_a_challenger_that_fails_on_a_frame_is_written_down_and_goes_on(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = Inspector.inspect
    with running(bench.shadow) as worker:
        until(lambda: bench.shadowed[0] == "cells/2")

        def inspect(self: Inspector, rgb: object) -> Inspection:
            if threading.current_thread() is worker and bench.rows() == []:
                raise BundleError("values that are not numbers")
            return honest(self, rgb)  # type: ignore[arg-type]

        monkeypatch.setattr(Inspector, "inspect", inspect)
        bench.inspect(GOOD)
        until(lambda: len(bench.rows()) == 1)
        bench.inspect(GOOD)
        until(lambda: len(bench.rows()) == 2)
    assert [verdict for _, _, verdict in bench.rows()] == ["NOT_INSPECTED", "PASS"]
    assert bench.shadowed == ("cells/2", 1, 0)


def test_a_ledger_that_cannot_be_written_is_an_alarm_until_it_can(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full() -> None:
        raise LedgerError("disk full")

    with running(bench.shadow):
        until(lambda: bench.shadowed[0] == "cells/2")
        with monkeypatch.context() as context:
            record = bench.inspect(GOOD)
            until(lambda: bench.shadowed[1] == 1)
            context.setattr(bench.ledger, "writing", full)
            bench.shadow.offer(record, Frame(NOW, 0.0, "x", picture(GOOD)))
            until(lambda: "disk full" in bench.shadow.with_shadow(bench.serving.status).alarm)
        bench.inspect(GOOD)
        until(lambda: bench.shadow.with_shadow(bench.serving.status).alarm == "")


@pytest.mark.skipif(os.uname().sysname != "Linux", reason="threads have no priority elsewhere")
def test_it_runs_at_lower_priority_than_the_inspection(bench: Bench) -> None:
    with running(bench.shadow) as worker:
        until(lambda: bench.shadowed[0] == "cells/2")
        assert worker.native_id is not None
        ours = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
        assert os.getpriority(os.PRIO_PROCESS, worker.native_id) == max(ours, NICENESS)


def test_challengers_have_a_cache_of_their_own(bench: Bench, line: Line) -> None:
    bench.shadow.follower.look(Heartbeat(Clock()))
    home = line.model.cache
    assert {p.name[:2] for p in home.iterdir() if p.is_dir()} == {"1-", "ch"}
    assert [p.name[:2] for p in (home / "challenger").iterdir() if p.is_dir()] == ["2-"]
