"""Somebody who may write to the database, and has not the key, has an erasure sign for their edit
(OWASP ASVS 16.4.2): they lay a row at the door of an account that will be erased, or wipe who did
it from a row about such an account. What was edited must be left, and the log must go on not to
verify.
"""

from typing import Any

import pytest
from sqlalchemy import text

from authward.core.audit import Client, Event
from authward.core.chain import what_digest, who_digest
from authward.ports import AuditRow
from authward.stores.sql import SqlStore
from tests.contracts.fixtures import Stores
from tests.contracts.making import happened
from tests.contracts.test_audit_chains import proof_of, run

EVIL = Event(
    "user.role_set",
    Client("198.51.100.6", "mallory's"),
    actor="mallory",
    subject="victim",
    session="session-1",
    detail={"role": "admin"},
)
OF_IT = "WHERE kind = 'user.role_set'"
DIGESTS = "SELECT who_digest, what_digest, who_salt, what_salt FROM audit_events"


@pytest.fixture
async def begun(stores: Stores, database: str) -> SqlStore:
    store = await stores(database)
    assert await store.chains.checkpoint() is not None
    return store


async def there(store: SqlStore) -> AuditRow:
    """The row in question, in the midst of others."""
    await store.audit.record([happened("a"), EVIL, happened("b", subject="victim")])
    await store.chains.checkpoint()
    assert (await proof_of(store)).holds
    return (await store.audit.latest(2))[1]


async def put(store: SqlStore, **values: Any) -> None:
    names = ", ".join(f"{name} = :{name}" for name in values)
    await run(store, f"UPDATE audit_events SET {names} {OF_IT}", **values)


async def still_found(store: SqlStore, row: AuditRow, why: str = "was edited") -> None:
    proof = await proof_of(store)
    assert (row.id, why) in [(one.row, one.why) for one in proof.problems]


@pytest.mark.parametrize("name", ["actor", "subject"])
async def test_laid_at_the_door_of_an_account_of_theirs(begun: SqlStore, name: str) -> None:
    row = await there(begun)
    await put(begun, **{name: "throwaway"})
    edited = (await begun.audit.latest(2))[1]
    assert await begun.audit.erase("throwaway") == (0, (row.id,))
    assert (await begun.audit.latest(2))[1] == edited
    await still_found(begun, row)


async def test_who_did_it_is_wiped_before_whom_it_was_done_to(begun: SqlStore) -> None:
    row = await there(begun)
    await put(begun, actor=None, ip="", user_agent="", request_id="", who_salt=None)
    assert await begun.audit.erase("victim") == (1, (row.id,))
    assert (await begun.audit.latest(2))[1].event.detail == {"role": "admin"}
    await still_found(begun, row)


async def test_with_digests_of_the_edit_until_it_is_erased(begun: SqlStore) -> None:
    """Salts and digests need no key: the row agrees with itself while it is erased, and gets its
    true digests back.
    """
    row = await there(begun)
    [true] = await begun.database.read(text(f"{DIGESTS} {OF_IT}"))
    salt, client = bytes(16), EVIL.client
    by = "throwaway", client.ip, client.user_agent, client.request_id
    of = "throwaway", None, "{}"
    lies: dict[str, Any] = {"actor": "throwaway", "subject": "throwaway", "session": None}
    lies |= {"who_salt": salt, "who_digest": who_digest(salt, *by)}
    lies |= {"what_salt": salt, "what_digest": what_digest(salt, *of)}
    await put(begun, **lies)
    await run(begun, f"UPDATE audit_events SET detail = '{{}}' {OF_IT}")
    await begun.audit.erase("throwaway")
    await put(begun, who_digest=true.who_digest, what_digest=true.what_digest)
    await still_found(begun, row)


async def test_an_erasure_of_ours_covers_no_edit_beside_it(begun: SqlStore) -> None:
    row = await there(begun)
    assert await begun.audit.erase("victim") == (2, ())
    await put(begun, actor="throwaway")
    assert await begun.audit.erase("throwaway") == (0, (row.id,))
    await still_found(begun, row)


async def test_what_was_filled_in_after_an_erasure_of_ours(begun: SqlStore) -> None:
    row = await there(begun)
    assert await begun.audit.erase("victim") == (2, ())
    await put(begun, subject="throwaway", session="session-2")
    assert await begun.audit.erase("throwaway") == (0, (row.id,))
    await still_found(begun, row)


async def test_taken_out_of_its_chain(begun: SqlStore) -> None:
    row = await there(begun)
    await put(begun, writer=None)
    assert await begun.audit.erase("victim") == (1, (row.id,))
    assert (await begun.audit.latest(2))[1].event == EVIL
    await still_found(begun, row, "was taken out of its chain")


async def test_a_head_that_was_signed_with_another_key(begun: SqlStore) -> None:
    """Only a head that we signed says with which key."""
    await there(begun)
    await run(begun, "UPDATE audit_writers SET last_id = last_id + 1")
    erased = await begun.audit.erase("victim")
    assert (erased.rows, len(erased.left)) == (0, 2)
