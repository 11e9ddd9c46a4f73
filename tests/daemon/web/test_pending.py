"""A verdict's way from the inspection's thread to the client that waits for it."""

from __future__ import annotations

import asyncio
import threading

import pytest

from pipeline.contracts.records import Record, Verdict
from pipeline.daemon.web.pending import NoVerdict, PendingVerdict, PendingVerdicts
from tests.daemon.web.conftest import TIMEOUT_S

PASSED = Record("0199-a", "west-1", "2026-11-23T00:00:00+00:00", "7", Verdict.PASS, "")


def test_a_record_that_another_thread_gives_reaches_its_client() -> None:
    async def client() -> Record:
        with PendingVerdicts().expected() as pending:
            threading.Thread(target=pending.answer, args=(PASSED,)).start()
            return await pending.record(TIMEOUT_S)

    assert asyncio.run(client()) == PASSED


def test_each_client_gets_its_own_record() -> None:
    other = Record("0199-b", "west-1", PASSED.captured_at, "8", Verdict.FAIL, "")

    async def clients() -> list[Record]:
        pending = PendingVerdicts()
        with pending.expected() as first, pending.expected() as second:
            second.answer(other)
            first.answer(PASSED)
            return [await first.record(TIMEOUT_S), await second.record(TIMEOUT_S)]

    assert asyncio.run(clients()) == [PASSED, other]


def test_a_record_that_was_not_opened_gives_no_verdict() -> None:
    async def client() -> None:
        with PendingVerdicts().expected() as pending:
            pending.answer(None)
            with pytest.raises(NoVerdict):
                await pending.record(TIMEOUT_S)

    asyncio.run(client())


def test_a_verdict_that_does_not_come_in_time_is_late() -> None:
    async def client() -> None:
        with PendingVerdicts().expected() as pending, pytest.raises(TimeoutError):
            await pending.record(0.01)

    asyncio.run(client())


def test_who_still_waits_when_the_service_ends_gets_no_verdict() -> None:
    async def clients() -> None:
        pending = PendingVerdicts()
        with pending.expected() as waits, pending.expected() as has_one:
            has_one.answer(PASSED)
            pending.dismiss()
            with pytest.raises(NoVerdict):
                await waits.record(TIMEOUT_S)
            assert await has_one.record(TIMEOUT_S) == PASSED

    asyncio.run(clients())


def test_the_service_is_idle_while_no_verdict_is_on_its_way() -> None:
    async def client() -> list[bool]:
        pending = PendingVerdicts()
        with pending.expected() as waits:
            before = pending.idle
            waits.answer(PASSED)
            on_its_way = pending.idle
        return [before, on_its_way, pending.idle]

    assert asyncio.run(client()) == [True, False, True]


def test_a_record_after_the_service_has_ended_is_left_alone() -> None:
    async def client() -> PendingVerdict:
        with PendingVerdicts().expected() as pending:
            return pending

    asyncio.run(client()).answer(PASSED)
