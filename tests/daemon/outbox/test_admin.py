"""What a person may do about undelivered records, beside a running station."""

from __future__ import annotations

import json

import pytest

from pipeline.contracts.records import Verdict
from pipeline.daemon.outbox.admin import opened
from pipeline.daemon.settings.line import Line
from pipeline.errors import DataError
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.outbox import Outbox
from tests.cli.test_audit import Command, command
from tests.ledger.test_audit import AT, MINUTE, judge, ledger, line, tamper

__all__ = ["command", "ledger", "line"]


def give_up_all(ledger: Ledger, sink: str) -> None:
    box = Outbox(ledger, sink)
    box.give_up(box.due(100), "gone")


def test_retried_entries_are_due_in_their_old_order(line: Line, ledger: Ledger) -> None:
    ids = [judge(ledger, Verdict.FAIL, m) for m in range(3)]
    give_up_all(ledger, "mes")
    ids.append(judge(ledger, Verdict.FAIL, 9))
    with opened(line, write=True) as outboxes:
        assert outboxes.retry("mes") == 3
    due = Outbox(ledger, "mes").due(10)
    assert [x.record.id for x in due] == ids
    assert {(x.attempts, x.error) for x in due} == {(0, "")}


def test_replay_queues_what_the_sink_wants_and_not_twice(line: Line, ledger: Ledger) -> None:
    ids = [judge(ledger, v, m) for m, v in enumerate([Verdict.FAIL, Verdict.PASS] * 3)]
    box = Outbox(ledger, "mes")
    box.delivered(box.due(1))
    box.give_up(box.due(1), "gone")
    with opened(line, write=True) as outboxes:
        assert outboxes.replay("mes", AT, None) == 2
        assert outboxes.replay("mes", AT, None) == 0
    assert sorted(x.record.id for x in box.due(10)) == [ids[0], ids[2], ids[4]]
    assert box.depth() == (3, 0)


def test_replay_keeps_to_its_period(line: Line, ledger: Ledger) -> None:
    ids = [judge(ledger, Verdict.FAIL, m) for m in range(5)]
    box = Outbox(ledger, "mes")
    box.delivered(box.due(10))
    with opened(line, write=True) as outboxes:
        outboxes.replay("mes", AT + MINUTE, AT + 3 * MINUTE)
    assert [x.record.id for x in box.due(10)] == ids[1:3]


def test_open_record_is_not_replayed(line: Line, ledger: Ledger) -> None:
    ledger.open_record(AT, "part-1")
    with opened(line, write=True) as outboxes:
        assert outboxes.replay("jsonl", AT, None) == 0


def test_replay_of_many_takes_short_transactions(
    line: Line, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [judge(ledger, Verdict.FAIL, m) for m in range(5)]
    box = Outbox(ledger, "mes")
    box.delivered(box.due(10))
    monkeypatch.setattr("pipeline.daemon.outbox.admin.AT_ONCE", 2)
    with opened(line, write=True) as outboxes:
        assert outboxes.replay("mes", AT, None) == 5
    assert [x.record.id for x in box.due(10)] == ids


def test_sink_that_there_is_not_lists_those_there_are(line: Line, ledger: Ledger) -> None:
    with (
        opened(line, write=True) as outboxes,
        pytest.raises(DataError, match='no sink is called "mse"; did you mean "mes"'),
    ):
        outboxes.retry("mse")


def test_command_lists_revives_and_replays(command: Command, ledger: Ledger) -> None:
    identity = judge(ledger, Verdict.FAIL)
    give_up_all(ledger, "mes")
    code, said, _ = command("outbox")
    assert code == 0
    assert "mes: the first 1 of 1 dead" in said
    assert identity in said
    assert json.loads(command("outbox", "--json")[1])["sinks"][1]["n_dead"] == 1
    assert "1 record(s) revived for mes" in command("outbox", "--retry", "mes")[1]
    queued = command("outbox", "--replay", "mes", "--since", "2026-11-22", "--json")[1]
    assert json.loads(queued) == {"sink": "mes", "queued": 0}


def test_replay_without_a_period_is_refused(command: Command, ledger: Ledger) -> None:
    code, _, said = command("outbox", "--replay", "mes")
    assert code == 2
    assert "--replay needs a period" in said


def test_entries_of_a_sink_that_was_removed_are_shown(line: Line, ledger: Ledger) -> None:
    identity = judge(ledger, Verdict.PASS)
    tamper(line, f"INSERT INTO outbox (sink, record) VALUES ('old', '{identity}')")
    with opened(line) as outboxes:
        shown = {h.sink: (h.known, h.n_due) for h in outboxes.backlogs(5)}
    assert shown == {"jsonl": (True, 1), "mes": (True, 0), "old": (False, 1)}


def test_replay_works_beside_a_station_that_writes(line: Line, ledger: Ledger) -> None:
    ids = [judge(ledger, Verdict.FAIL, m) for m in range(3)]
    with opened(line, write=True) as outboxes:
        late = judge(ledger, Verdict.FAIL, 9)
        assert outboxes.replay("jsonl", AT, None) == 0
        box = Outbox(ledger, "jsonl")
        box.delivered(box.due(10))
        assert outboxes.replay("jsonl", AT, AT + 5 * MINUTE) == 3
    assert [x.record.id for x in box.due(10)] == ids
    assert late not in ids
