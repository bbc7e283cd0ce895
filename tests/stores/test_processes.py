"""Several server processes on one database at once."""

import asyncio
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from authward.ports import UserQuery
from authward.stores.sql import SqlStore
from tests.contracts.fixtures import Stores
from tests.contracts.making import add_user, audited, changes, open_session

WORKER = Path(__file__).with_name("worker.py")
PROCESSES = 4


async def run(number: int, url: str, seconds: float, user: str, session: str) -> list[Any]:
    """What each of `number` processes that start at the same moment did."""
    pipes: Any = dict.fromkeys(("stdin", "stdout", "stderr"), asyncio.subprocess.PIPE)
    command = [sys.executable, str(WORKER), url, str(seconds), user, session]
    processes = [await asyncio.create_subprocess_exec(*command, **pipes) for _ in range(number)]
    for process in processes:
        assert process.stdout is not None
        await process.stdout.readline()
    outputs = await asyncio.gather(*(process.communicate(b"go\n") for process in processes))
    for process, (_, errors) in zip(processes, outputs, strict=True):
        assert (process.returncode, errors.decode()) == (0, "")
    return [json.loads(answer) for answer, _ in outputs]


async def check(store: SqlStore, before: int, did: Counter[str], user: str, session: str) -> None:
    """Nothing was lost, nothing done twice."""
    found = await store.users.by_id(user)
    assert found is not None
    assert (int(found.name), found.ver) == (did["count"], did["count"])
    [left] = await store.sessions.of_user(user)
    assert (left.id, left.generation) == (session, did["shared"])
    kinds = Counter(row.event.kind for row in await store.audit.latest(1_000_000))
    for kind in ("open", "revoke", "count"):
        assert kinds[kind] == did[kind]
    feed = Counter(kind for kind, *_ in await changes(store))
    assert feed["session.revoked"] == did["revoke"]
    assert feed["user.superseded"] == did["count"]
    assert sum(kinds.values()) == before + did["open"] + did["revoke"] + did["count"]


@pytest.mark.slow
@pytest.mark.load
@pytest.mark.xdist_group("fleet")
async def test_four_on_one_sqlite_file(stores: Stores, sqlite_database: str) -> None:
    store = await stores(sqlite_database)
    user = await add_user(store, name="0")
    session = await open_session(store, user)
    before = len(await audited(store))
    reports = await run(PROCESSES, sqlite_database, 8, user.id, session.id)

    did = Counter[str]()
    for report in reports:
        did.update(report["did"])
    await check(store, before, did, user.id, session.id)
    assert did["lost"] > 0, "they never met"

    # How many writes of others each let pass: how long that took is the machine's affair.
    passed = sorted(number for report in reports for number in report["passed"])
    median, slow = passed[len(passed) // 2], passed[int(len(passed) * 0.99)]
    # SQLite's own waiting makes it 60 medians and more, where ours makes it 5.
    assert slow < 15 * median, f"of {len(passed)}: median {median}, 99th {slow}, most {passed[-1]}"
    each = [len(report["passed"]) for report in reports]
    assert max(each) < 4 * min(each), f"unfair: {each}"


@pytest.mark.postgres
@pytest.mark.load
@pytest.mark.xdist_group("fleet")
async def test_three_on_one_postgresql(stores: Stores, postgres_database: str) -> None:
    store = await stores(postgres_database)
    user = await add_user(store, name="0")
    session = await open_session(store, user)
    before = len(await audited(store))
    reports = await run(3, postgres_database, 2, user.id, session.id)
    did = Counter[str]()
    for report in reports:
        did.update(report["did"])
    await check(store, before, did, user.id, session.id)


async def test_four_may_start_on_a_database_that_is_empty_yet(
    stores: Stores, database_url: str
) -> None:
    reports = await run(PROCESSES, database_url, 0, "", "")
    assert len(reports) == PROCESSES
    store = await stores(database_url)
    await store.ping()
    assert await store.users.page(UserQuery(10)) == []
