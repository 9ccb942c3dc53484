"""The part of the audit log that is stored a moment later: every entry once, whatever fails meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Literal

import pytest
from structlog.testing import capture_logs
from tests.db.relay import Relay

from ateneo import background_writer
from ateneo.access import audit as service
from ateneo.access.audit import AuditLog
from ateneo.db import audit
from ateneo.db.audit import AuditEntry
from ateneo.db.pool import Database


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background_writer, "FLUSH_S", 0.01)


@pytest.fixture
async def relay(database_url: str) -> AsyncIterator[Relay]:
    async with Relay(database_url).serving() as opened:
        yield opened


@pytest.fixture
async def behind(relay: Relay) -> AsyncIterator[Database]:
    """The database through the relay."""
    async with await Database.open(relay.url, size=2) as db:
        yield db


def entry(number: int, companies: int = 1) -> AuditEntry:
    return AuditEntry(f"c{number % companies}", "key:a", "search_semantic", 200, results=number)


async def stored(db: Database, companies: int = 1) -> list[int]:
    """The `results` of all lines, company by company, in their order."""
    pages = [await audit.page(db, f"c{one}", limit=100_000) for one in range(companies)]
    return [line.results or 0 for page in pages for line in reversed(page)]


async def settled(audit_log: AuditLog) -> None:
    for _ in range(1000):
        if not audit_log.waiting:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("entries still wait")


async def test_what_waits_is_stored_at_the_end_in_its_order(database: Database) -> None:
    audit_log = AuditLog(database)
    for number in range(30):
        audit_log.later(AuditEntry(f"c{number % 3}", "a\x00\ud800", "b", 200, results=number))
    await audit_log.close()
    assert await stored(database, 3) == sorted(range(30), key=lambda number: number % 3)


@pytest.mark.parametrize("cut", ["before", "after"])
async def test_a_connection_lost_at_the_commit(
    database: Database, behind: Database, relay: Relay, cut: Literal["before", "after"]
) -> None:
    """After it nobody was told that the entries are stored; they are not stored again."""
    audit_log = AuditLog(behind)
    relay.cut = cut
    with capture_logs() as logs:
        for number in range(40):
            audit_log.later(entry(number, 4))
        await settled(audit_log)
    assert relay.cut is None
    assert [one["event"] for one in logs] == ["audit entries not stored"]
    assert sorted(await stored(database, 4)) == list(range(40))
    await audit_log.close()


async def test_a_database_that_is_away_for_a_while(
    database: Database, behind: Database, relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many as may wait are kept, the others counted; what comes while those are stored is stored, too."""
    monkeypatch.setattr(service, "MOST_WAITING", 50)
    audit_log = AuditLog(behind)
    relay.away = True
    relay.drop()
    with capture_logs() as logs:
        for number in range(80):
            audit_log.later(entry(number))
            await asyncio.sleep(0.001)
        while audit_log.waiting < 50:  # some are on their way to the database, and come back
            await asyncio.sleep(0.001)
        relay.away = False
        for number in range(80, 200):
            while audit_log.waiting >= 50:
                await asyncio.sleep(0.001)
            audit_log.later(entry(number))
        await settled(audit_log)
    assert await stored(database) == list(range(30, 200))
    assert sum(one["entries"] for one in logs if one["event"] == "audit entries dropped") == 30
    await audit_log.close()


async def test_entries_that_come_faster_than_they_are_stored(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that are being stored make room for as many again."""
    monkeypatch.setattr(service, "MOST_WAITING", 1000)
    audit_log = AuditLog(database)
    with capture_logs() as logs:
        for number in range(3000):
            audit_log.later(entry(number, 7))
            if number % 500 == 0:
                await asyncio.sleep(0.05)
        await audit_log.close()
    found = await stored(database, 7)
    dropped = sum(one["entries"] for one in logs if one["event"] == "audit entries dropped")
    assert len(found) == len(set(found)) == 3000 - dropped


@pytest.mark.parametrize("steps", range(0, 60, 3))
async def test_a_flush_that_is_cancelled(database: Database, steps: int) -> None:
    """At any of its steps: what it stored is not stored again, what it did not is."""
    audit_log = AuditLog(database)
    for number in range(20):
        audit_log.later(entry(number, 2))
    task = asyncio.create_task(audit_log._flush())
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    await audit_log.close()
    assert sorted(await stored(database, 2)) == list(range(20))


@pytest.mark.parametrize("steps", range(0, 60, 6))
async def test_closing_while_entries_are_stored(database: Database, steps: int) -> None:
    audit_log = AuditLog(database)
    audit_log.later(entry(0))
    await asyncio.sleep(0.01)
    audit_log.later(entry(1))
    for _ in range(steps):
        await asyncio.sleep(0)
    await audit_log.close()
    assert await stored(database) == [0, 1]


async def test_what_cannot_be_stored_at_the_end_is_counted(behind: Database, relay: Relay) -> None:
    audit_log = AuditLog(behind)
    relay.away = True
    relay.drop()
    audit_log.later(entry(0))
    with capture_logs() as logs:
        await audit_log.close()
    assert logs[-1] == {"event": "audit entries lost", "entries": 1, "log_level": "error"}


async def test_an_error_that_nobody_thought_of_is_logged_and_tried_again() -> None:
    tries: list[int] = []

    async def flush() -> None:
        tries.append(1)
        if len(tries) < 3:
            raise ValueError("odd")

    flushes = background_writer.BackgroundWriter(flush, lambda: 3 - len(tries))
    with capture_logs() as logs:
        flushes.soon()
        for _ in range(1000):
            await asyncio.sleep(0.001)
            if len(tries) == 3:
                break
        await flushes.close()
    assert len([one for one in logs if one["kind"] == "ValueError"]) == 2
