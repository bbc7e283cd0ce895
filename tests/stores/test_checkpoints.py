"""Checkpoints: chains are read in pages, while others write, prune and make checkpoints too."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import text

from authward.core.chain import Checkpoint, digest_of, read_body
from authward.core.chain_proof import Proof
from authward.errors import Unavailable
from authward.stores import heads as heads_module
from authward.stores import transactions
from authward.stores.database import Read
from authward.stores.heads import SIGNED_HEADS, head_of
from authward.stores.sql import SqlStore
from tests.contracts.fixtures import Stores
from tests.contracts.making import TurnedClock, happened

DAY = 86_400_000
Step = Callable[[], Awaitable[Any]]


def silent(*done: Any) -> None:
    """Nobody watches."""


async def proof_of(store: SqlStore) -> Proof:
    return await store.chains.verify({}, silent)


async def checkpoints(store: SqlStore) -> int:
    return (await proof_of(store)).checkpoints


def told(made: Checkpoint | None) -> list[int]:
    """The lengths of the chains that it tells of."""
    assert made is not None
    return sorted(head.length for head in read_body(made.body).heads)


@pytest.fixture
async def begun(store: SqlStore) -> SqlStore:
    assert await store.chains.checkpoint() is not None
    return store


@pytest.fixture
def after_each_look(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[None]]:
    """Has these things happen, one after each look at the chains, before that is signed."""

    def set_up(store: SqlStore, *steps: Step) -> list[None]:
        look, todo = store.database.look, list(steps)
        looks: list[None] = []

        async def watched(work: Any) -> Any:
            seen = await look(work)
            looks.append(None)
            if todo:
                await todo.pop(0)()
            return seen

        monkeypatch.setattr(store.database, "look", watched)
        return looks

    return set_up


Set = Callable[..., list[None]]


async def test_all_chains_are_in_it_however_many_pages_they_fill(
    begun: SqlStore, stores: Stores, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heads_module, "_FIRST", heads_module._FIRST.limit(2))
    monkeypatch.setattr(transactions, "_AT_ONCE", 2)
    five = [await stores(database) for _ in range(5)]
    for number, one in enumerate(five, 1):
        await one.audit.record([happened()] * number)
    made = await begun.chains.checkpoint()
    assert told(made) == [1, 2, 3, 4, 5]
    await five[-1].audit.record([happened()])
    made = await begun.chains.checkpoint()
    assert told(made) == [6]
    assert made is not None
    rows = [head_of(row) for row in await begun.database.read(SIGNED_HEADS)]
    assert read_body(made.body).all == digest_of({head.writer: head for head in rows})
    assert (await proof_of(begun)).holds
    await begun.database.write(lambda tx: tx.run(text("UPDATE audit_writers SET marked = 0")))
    assert told(await begun.chains.checkpoint()) == [1, 2, 3, 4, 6]
    assert await begun.chains.checkpoint() is None


async def test_what_is_written_meanwhile_is_in_the_next(
    begun: SqlStore, other: SqlStore, after_each_look: Set
) -> None:
    await other.audit.record([happened("one")])
    after_each_look(begun, lambda: other.audit.record([happened("two")]))
    assert told(await begun.chains.checkpoint()) == [1]
    assert (await proof_of(begun)).holds
    assert told(await begun.chains.checkpoint()) == [2]
    assert await begun.chains.checkpoint() is None
    assert (await proof_of(begun)).holds


async def test_one_that_another_process_made_meanwhile_is_not_taken_back(
    begun: SqlStore, other: SqlStore, after_each_look: Set
) -> None:
    """It may know of more: an older view must not be signed on top of it."""

    async def more() -> None:
        await other.audit.record([happened("two")])
        assert told(await other.chains.checkpoint()) == [2]

    await other.audit.record([happened("one")])
    looks = after_each_look(begun, more)
    assert await begun.chains.checkpoint() is None
    assert len(looks) == 2
    assert (await proof_of(begun)).holds
    assert await checkpoints(begun) == 2


async def test_pruning_meanwhile_does_not_hold_it_up(
    begun: SqlStore, other: SqlStore, clock: TurnedClock, after_each_look: Set
) -> None:
    async def prune() -> None:
        assert await other.chains.prune(int(clock.now() * 1000) + DAY, silent) == (3, None)

    await other.audit.record([happened("one"), happened("two")])
    await begun.audit.record([happened("three")])
    looks = after_each_look(begun, prune)
    assert told(await begun.chains.checkpoint()) == [1, 2]
    assert len(looks) == 1
    await other.audit.record([happened("four")])
    assert told(await begun.chains.checkpoint()) == [3]
    proof = await proof_of(begun)
    assert (proof.holds, proof.rows) == (True, 1), proof.problems


async def test_of_two_that_begin_one_writes_the_first(
    store: SqlStore, other: SqlStore, after_each_look: Set
) -> None:
    looks = after_each_look(store, other.chains.checkpoint)
    assert await store.chains.checkpoint() is None
    assert len(looks) == 2
    assert await checkpoints(store) == 1


async def test_all_of_them_gone_meanwhile_is_found(begun: SqlStore, after_each_look: Set) -> None:
    async def vanish() -> None:
        await begun.database.write(lambda tx: tx.run(text("DELETE FROM audit_checkpoints")))

    await begun.audit.record([happened()])
    looks = after_each_look(begun, vanish)
    assert await begun.chains.checkpoint() is not None
    assert len(looks) == 2
    [problem] = (await proof_of(begun)).problems
    assert problem.why == "checkpoint 1 follows on rows: those before it are gone"


async def test_writers_do_not_wait_until_all_is_read(begun: SqlStore, other: SqlStore) -> None:
    """While the chains are read, others commit."""
    await begun.audit.record([happened()])
    reading, read_on = asyncio.Event(), asyncio.Event()

    async def slowly(read: Read) -> int:
        before = len(await read(SIGNED_HEADS))
        reading.set()
        await read_on.wait()
        assert len(await read(SIGNED_HEADS)) == before
        return before

    looking = asyncio.create_task(begun.database.look(slowly))
    await reading.wait()
    await other.audit.record([happened()])
    assert told(await other.chains.checkpoint()) == [1, 1]
    read_on.set()
    assert await looking == 1


async def test_a_database_that_is_away_is_said_so(begun: SqlStore) -> None:
    async def broken(read: Read) -> None:
        raise ConnectionResetError("gone")

    with pytest.raises(Unavailable, match="gone"):
        await begun.database.look(broken)
