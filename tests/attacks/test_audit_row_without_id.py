"""Somebody who may change the tables takes the key off that of the audit log, and adds rows that no
walk by ids comes to: without an id, or with the id of the last row of a batch. Lists by time show
them (OWASP ASVS 16.4.2).
"""

from collections.abc import AsyncIterator

import pytest

from authward.ports import AuditQuery
from authward.services.trail import Trail
from authward.stores import proving
from authward.stores.sql import SqlStore
from tests.contracts.fixtures import Stores
from tests.contracts.making import TurnedClock, happened
from tests.contracts.test_audit_chains import proof_of, run

WITHOUT_A_KEY = {
    "sqlite": (
        "CREATE TABLE copied AS SELECT * FROM audit_events",
        "DROP TABLE audit_events",
        "ALTER TABLE copied RENAME TO audit_events",
    ),
    "postgresql": (
        "ALTER TABLE audit_events DROP CONSTRAINT audit_events_pkey",
        "ALTER TABLE audit_events ALTER id DROP NOT NULL",
        "DROP INDEX audit_by_writer",
    ),
}
AS_IT_WAS = (
    "DELETE FROM audit_events",
    "ALTER TABLE audit_events ADD PRIMARY KEY (id)",
    "CREATE UNIQUE INDEX audit_by_writer ON audit_events (writer, seq)",
)
ADD = (
    "INSERT INTO audit_events (id, at, kind, outcome, actor, ip, user_agent, request_id, detail)"
    " VALUES (%s, 9, 'forged', 'ok', 'innocent', '', '', '', '{}')"
)


@pytest.fixture
async def open_table(stores: Stores, database: str) -> AsyncIterator[SqlStore]:
    """Five rows in a table without a key."""
    store = await stores(database)
    await store.chains.checkpoint()
    await store.audit.record([happened(f"n{number}") for number in range(5)])
    for statement in WITHOUT_A_KEY["postgresql" if store.database.postgresql else "sqlite"]:
        await run(store, statement)
    yield store
    if store.database.postgresql:
        for statement in AS_IT_WAS:
            await run(store, statement)


async def test_a_row_without_an_id(open_table: SqlStore) -> None:
    assert (await proof_of(open_table)).holds
    await run(open_table, ADD % "NULL")
    shown = await open_table.audit.page(AuditQuery(), 9, before=None)
    assert "forged" in [row.event.kind for row in shown]
    proof = await proof_of(open_table)
    assert [one.why for one in proof.problems] == ["of 6 rows only 5 have an id of their own"]


async def test_the_rest_is_read_to_its_end(open_table: SqlStore) -> None:
    """What comes after a row without an id is no page from the beginning again, for ever."""
    await run(open_table, ADD % "NULL")
    there = [row.id for row in await open_table.audit.latest(9)][::-1]
    trail = Trail(open_table.audit, open_table.chains, TurnedClock(), retention=None)
    found = []
    async for row in trail.rows(AuditQuery()):
        found.append(row.id)
        assert len(found) < 9
    assert found == there == sorted(there)
    assert len(found) == 5


async def test_rows_of_one_id_where_a_batch_ends(
    open_table: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proving, "_ROWS", proving._ROWS.limit(3))
    rows = await open_table.audit.after(AuditQuery(), 5, last=None)
    assert (await proof_of(open_table)).holds
    await run(open_table, "INSERT INTO audit_events SELECT * FROM audit_events WHERE id = :id",
              id=rows[2].id)  # fmt: skip
    proof = await proof_of(open_table)
    assert [one.why for one in proof.problems] == ["of 6 rows only 5 have an id of their own"]


async def test_an_id_that_is_no_number(stores: Stores, sqlite_database: str) -> None:
    store = await stores(sqlite_database)
    await store.chains.checkpoint()
    await store.audit.record([happened("true")])
    for statement in WITHOUT_A_KEY["sqlite"]:
        await run(store, statement)
    await run(store, ADD % "'x'")
    await run(store, ADD % "'y'")
    proof = await proof_of(store)
    assert {one.why for one in proof.problems} == {"a row's id is nothing we wrote"}
    await run(store, "UPDATE audit_events SET ip = CAST(x'ff' AS TEXT) WHERE id = 'x'")
    proof = await proof_of(store)
    assert {one.row for one in proof.problems} == {None}
    assert not proof.holds
