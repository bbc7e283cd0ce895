"""The promises of `AuditChains`, and those of `AuditLog` that touch them."""

import asyncio
import json
import socket
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from authward.core.anchors import Anchors, anchors_of
from authward.core.audit import Client, Event
from authward.core.chain import Body, Checkpoint, read_body
from authward.core.chain_proof import Problem, Proof, Prover
from authward.errors import Unavailable
from authward.ports import AuditQuery, AuditRow
from authward.services.trail import Trail, row_data
from authward.stores import proving, pruned, pruning, signed
from authward.stores.database import SQLITE_READERS
from authward.stores.heads import PAGE
from authward.stores.sql import SqlStore
from tests.attacks.test_audit_tampering import dumped, put
from tests.contracts.fixtures import Stores
from tests.contracts.making import TurnedClock, add_user, at_once, happened
from tests.postgres import Admin

DAY = 86_400_000


def silent(*done: Any) -> None:
    """Nobody watches."""


async def proof_of(store: SqlStore, anchors: Anchors | None = None) -> Proof:
    return await store.chains.verify(anchors or {}, silent)


async def run(store: SqlStore, statement: str, **values: Any) -> None:
    await store.database.write(lambda tx: tx.run(text(statement), values))


async def heads(store: SqlStore) -> int:
    [row] = await store.database.read(text("SELECT count(*) AS number FROM audit_writers"))
    return int(row.number)


@pytest.fixture
async def begun(store: SqlStore) -> SqlStore:
    """With its first checkpoint, as a process that serves begins."""
    assert await store.chains.checkpoint() is not None
    return store


class TestRecording:
    async def test_nothing_is_recorded_without_keys(self, stores: Stores, database: str) -> None:
        store = await stores(database)
        store.database.chains.keys = None
        with pytest.raises(RuntimeError, match=r"store\.audit\.use"):
            await store.audit.record([happened()])
        assert await store.audit.latest(10) == []

    async def test_rows_of_all_kinds_of_transactions_verify(self, begun: SqlStore) -> None:
        await add_user(begun)
        await begun.audit.record([happened("one"), happened("two", subject="s", detail={"n": 1})])
        await begun.audit.record([])
        proof = await proof_of(begun)
        assert (proof.holds, proof.rows, proof.unchained) == (True, 3, 0)

    async def test_what_was_rolled_back_leaves_no_gap(self, begun: SqlStore) -> None:
        await begun.audit.record([happened("one")])

        async def fails(tx: Any) -> None:
            await tx.record(happened("never"))
            raise LookupError

        with pytest.raises(LookupError):
            await begun.database.write(fails)
        await begun.audit.record([happened("two")])
        assert (await proof_of(begun)).holds
        assert await heads(begun) == 1

    async def test_a_commit_in_doubt_begins_another_chain(
        self, begun: SqlStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await begun.audit.record([happened("one")])
        from sqlalchemy.exc import OperationalError
        from sqlalchemy.ext.asyncio import AsyncConnection

        commit = AsyncConnection.commit

        async def lost(connection: AsyncConnection) -> None:
            await commit(connection)
            raise OperationalError("COMMIT", None, ConnectionError("the answer was lost"))

        with monkeypatch.context() as patch:
            patch.setattr(AsyncConnection, "commit", lost)
            with pytest.raises(Unavailable, match="in doubt"):
                await begun.audit.record([happened("two")])
        await begun.audit.record([happened("three")])
        proof = await proof_of(begun)
        assert (proof.holds, proof.rows, proof.writers) == (True, 3, 2)

    async def test_many_at_once_verify(self, begun: SqlStore, other: SqlStore) -> None:
        await at_once(
            one.audit.record([happened(f"{number}a"), happened(f"{number}b")])
            for one in (begun, other)
            for number in range(20)
        )
        proof = await proof_of(begun)
        assert (proof.holds, proof.rows) == (True, 80)
        assert proof.writers >= 2

    async def test_verifying_while_others_write_holds(
        self, begun: SqlStore, other: SqlStore
    ) -> None:
        async def write() -> None:
            for number in range(30):
                await other.audit.record([happened(f"n{number}")])

        async def look() -> None:
            for _ in range(15):
                assert (await proof_of(begun)).holds
                await begun.chains.checkpoint()

        await at_once([write(), look()])
        assert (await proof_of(begun)).holds


class TestVerifying:
    """A database that is away is none that was tampered with, and no fault of ours."""

    @pytest.mark.postgres
    async def test_a_postgresql_that_goes_away_meanwhile_is_unavailable(
        self,
        stores: Stores,
        postgres_database: str,
        migrated_postgres: Admin,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(proving, "_ROWS", proving._ROWS.limit(3))
        store = await stores(postgres_database)
        await store.chains.checkpoint()
        await store.audit.record([happened() for _ in range(9)])

        def cut(rows: int, total: int) -> None:
            migrated_postgres.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )

        with pytest.raises(Unavailable):
            await store.chains.verify({}, cut)
        assert (await proof_of(store)).holds

    @pytest.mark.postgres
    async def test_a_postgresql_that_takes_no_connection_is_unavailable(
        self, stores: Stores
    ) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))  # and nobody listens
            port = taken.getsockname()[1]
            store = await stores(f"postgresql://nobody@127.0.0.1:{port}/none")
            with pytest.raises(Unavailable, match="ConnectionRefused"):
                await proof_of(store)

    async def test_so_is_one_whose_connections_are_all_lent(
        self, stores: Stores, sqlite_database: str
    ) -> None:
        store = await stores(sqlite_database, patience=0.01)
        async with AsyncExitStack() as stack:
            for _ in range(SQLITE_READERS):
                await stack.enter_async_context(store.database.snapshot())
            with pytest.raises(Unavailable, match="limit"):
                await proof_of(store)

    async def test_an_sqlite_file_that_is_broken_is_unavailable(
        self, stores: Stores, sqlite_database: str
    ) -> None:
        store = await stores(sqlite_database)
        await store.chains.checkpoint()
        await store.audit.record([happened() for _ in range(1000)])
        await store.close()
        path = Path(sqlite_database.removeprefix("sqlite:///"))
        size = path.stat().st_size
        with path.open("r+b") as file:
            file.seek(size // 2)
            file.write(b"\xff" * (size // 4))
        with pytest.raises(Unavailable, match="malformed"):
            await proof_of(await stores(sqlite_database))


class TestCheckpoints:
    async def test_one_is_made_only_if_something_moved(self, begun: SqlStore) -> None:
        assert await begun.chains.checkpoint() is None
        assert not begun.chains.wrote
        await begun.audit.record([happened()])
        assert begun.chains.wrote
        made = await begun.chains.checkpoint()
        assert made is not None
        assert made.number == 2
        assert await begun.chains.checkpoint() is None

    async def test_none_is_made_that_is_too_young(
        self, begun: SqlStore, clock: TurnedClock
    ) -> None:
        await begun.audit.record([happened()])
        assert await begun.chains.checkpoint(every=60_000) is None
        clock.turn(61_000)
        assert await begun.chains.checkpoint(every=60_000) is not None

    async def test_of_many_processes_at_once_one_makes_it(
        self, begun: SqlStore, other: SqlStore
    ) -> None:
        await begun.audit.record([happened()])
        made = await at_once(one.chains.checkpoint() for one in (begun, other) * 5)
        assert len([one for one in made if one is not None]) == 1

    async def test_what_an_anchor_saw_cannot_be_rolled_back(self, begun: SqlStore) -> None:
        await begun.audit.record([happened("one")])
        made = await begun.chains.checkpoint()
        assert made is not None
        anchors = {made.number: (made.hash.hex(),)}
        assert (await proof_of(begun, anchors)).holds
        for table in ("audit_events", "audit_writers"):
            await run(begun, f"DELETE FROM {table}")
        await run(begun, "DELETE FROM audit_checkpoints WHERE number > 1")
        assert (await proof_of(begun)).holds  # it was so once
        proof = await proof_of(begun, anchors)
        assert proof.first is not None
        assert proof.first.why == "checkpoint 2, which the anchor names, is missing"

    async def test_a_rollback_shows_though_its_number_was_signed_anew(
        self, begun: SqlStore, other: SqlStore
    ) -> None:
        """The next checkpoint after a rollback takes the number of one that is gone."""
        await begun.audit.record([happened("to be hidden")])
        first = await begun.chains.checkpoint()
        for table in ("audit_events", "audit_writers"):
            await run(begun, f"DELETE FROM {table}")
        await run(begun, "DELETE FROM audit_checkpoints WHERE number > 1")
        await other.audit.record([happened("after")])
        second = await other.chains.checkpoint()
        assert first is not None
        assert second is not None
        assert first.number == second.number == 2
        kept = [begun.chains.anchor(one) for one in (first, second)]
        lines = [json.dumps({"time": "", "kind": "checkpoint", **one._asdict()}) for one in kept]
        anchors, ignored = begun.chains.anchors(anchors_of(lines))
        assert ignored == 0
        [problem] = (await proof_of(begun, anchors)).problems
        for one in kept:
            assert one.hash in problem.why
        assert "the log was rolled back in between" in problem.why

    async def test_a_head_that_is_none_of_ours_is_not_signed(self, begun: SqlStore) -> None:
        await begun.audit.record([happened("one")])
        await run(begun, "UPDATE audit_writers SET count = 7")
        assert await begun.chains.checkpoint() is None

    async def test_heads_without_a_name_keep_no_chain_out(
        self, stores: Stores, sqlite_database: str
    ) -> None:
        """A whole page of them, where somebody took the key off the table: SQLite sorts them first,
        and nothing comes after them.
        """
        store = await stores(sqlite_database)
        await store.chains.checkpoint()
        for statement in (
            "CREATE TABLE copied AS SELECT * FROM audit_writers",
            "DROP TABLE audit_writers",
            "ALTER TABLE copied RENAME TO audit_writers",
            "CREATE UNIQUE INDEX one ON audit_writers (writer)",
        ):
            await run(store, statement)
        for _ in range(PAGE):
            await run(store, "INSERT INTO audit_writers (mac) VALUES (x'')")
        await store.audit.record([happened()])
        made = await store.chains.checkpoint()
        assert made is not None
        assert [head.length for head in read_body(made.body).heads] == [1]
        assert not (await proof_of(store)).holds

    @pytest.mark.parametrize("mark", ["count", "-count", "marked + 1", "count * 0"])
    async def test_a_mark_that_is_forged_keeps_no_chain_out(
        self, begun: SqlStore, other: SqlStore, mark: str
    ) -> None:
        """Who makes a chain look told of already would have it left out of all checkpoints."""
        await begun.audit.record([happened("one")])
        await run(begun, f"UPDATE audit_writers SET marked = {mark}")
        made = await begun.chains.checkpoint()
        assert made is not None
        assert [head.length for head in read_body(made.body).heads] == [1]
        # Nor does the mark of another end of it, or that of another chain.
        await begun.audit.record([happened("two")])
        await other.audit.record([happened("three")])
        await run(
            begun, "UPDATE audit_writers SET marked = (SELECT max(marked) FROM audit_writers)"
        )
        made = await begun.chains.checkpoint()
        assert made is not None
        assert sorted(head.length for head in read_body(made.body).heads) == [1, 2]
        assert (await proof_of(begun)).holds
        assert await begun.chains.checkpoint() is None

    @pytest.mark.parametrize("number", [2, 3, 2**62, 2**63 - 2])
    async def test_a_checkpoint_that_is_none_of_ours_holds_up_no_other(
        self,
        begun: SqlStore,
        clock: TurnedClock,
        caplog: pytest.LogCaptureFixture,
        number: int,
    ) -> None:
        """It would be the last, of just now, for as long as somebody likes; and the anchor."""
        first = await begun.chains.latest()
        await begun.audit.record([happened("one")])
        clock.turn(DAY)
        forged = {"number": number, "at": int(clock.now() * 1000), "none": b"", "kid": "x"}
        await run(begun, FORGED, **forged, body='{"heads":[["x","x",1,1,""]]}')
        for other in range(number - 30, number):
            if other > 3:
                await run(begun, FORGED, **{**forged, "number": other}, body="")
        assert await begun.chains.latest() == first
        made = await begun.chains.checkpoint(every=DAY)
        assert made is not None
        assert made.number == (3 if number == 2 else 2)
        assert first is not None
        assert made.previous == first.hash
        assert await begun.chains.latest() == made
        assert await begun.chains.checkpoint() is None
        if number > 2:
            assert f"the last of them no. {number}" in caplog.text
        assert f"checkpoint {number} was edited" in [
            one.why for one in (await proof_of(begun)).problems
        ]

    async def test_one_of_ours_under_another_key_or_time_is_none(
        self, begun: SqlStore, clock: TurnedClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        await begun.audit.record([happened("one")])
        for edit in ("at = at + 1000", "kid = 'another'", "number = 8"):
            before = await begun.chains.latest()
            assert before is not None
            caplog.clear()
            await run(begun, f"UPDATE audit_checkpoints SET {edit} WHERE number = 1")
            assert await begun.chains.latest() is None
            assert "none we signed" in caplog.text
            await run(begun, "DELETE FROM audit_checkpoints")
            assert await begun.chains.checkpoint() is not None

    @pytest.mark.parametrize(
        "how",
        [
            "DELETE FROM audit_writers",
            "UPDATE audit_writers SET kid = 'another'",
            "UPDATE audit_writers SET count = 9",
            "its end from before",
        ],
    )
    async def test_a_chain_of_this_process_that_went_back_is_told(
        self, begun: SqlStore, caplog: pytest.LogCaptureFixture, how: str
    ) -> None:
        """Before a checkpoint told of it no anchor can: who puts an older copy back all the time
        would have none written.
        """
        begun.database.chains.ends.clear()
        await begun.audit.record([happened("one")])
        assert await begun.chains.checkpoint() is not None
        [before] = await begun.database.read(text("SELECT * FROM audit_writers"))
        await begun.audit.record([happened("two")])
        assert await begun.chains.checkpoint(every=DAY) is None
        assert "tampered" not in caplog.text
        if how.startswith("its"):
            known = dict(before._mapping)
            how = "UPDATE audit_writers SET " + ", ".join(f"{name} = :{name}" for name in known)
            await run(begun, how, **known)
        else:
            await run(begun, how)
        assert await begun.chains.checkpoint(every=DAY) is None
        assert "tampered with: chain" in caplog.text
        assert "of which this process wrote 2 rows" in caplog.text
        caplog.clear()
        await begun.chains.checkpoint(every=DAY)
        assert "tampered" not in caplog.text

    async def test_chains_that_go_on_or_are_told_of_are_no_sign_of_it(
        self, begun: SqlStore, other: SqlStore, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def write() -> None:
            for number in range(30):
                await begun.audit.record([happened(f"n{number}")])

        async def look() -> None:
            for number in range(30):
                await (begun, other)[number % 2].chains.checkpoint(every=DAY * (number % 3))

        await at_once([write(), look()])
        await begun.audit.record([happened("last")])
        assert begun.database.chains.ends
        await other.chains.checkpoint()
        await begun.chains.checkpoint(every=DAY)
        assert begun.database.chains.ends == {}
        assert "tampered" not in caplog.text
        assert (await proof_of(begun)).holds

    async def test_a_tail_that_was_cut_off_stays_found_after_the_next_checkpoint(
        self, begun: SqlStore, other: SqlStore
    ) -> None:
        """Who puts the true end of a chain from before back has the next checkpoint sign it."""
        await other.audit.record([happened("one")])
        [before] = await begun.database.read(text("SELECT * FROM audit_writers"))
        await other.audit.record([happened("two")])
        assert await begun.chains.checkpoint() is not None
        await run(begun, "DELETE FROM audit_events WHERE seq = 2")
        known = {name: before._mapping[name] for name in ("count", "last_id", "hash", "mac")}
        moves = ", ".join(f"{name} = :{name}" for name in known)
        await run(begun, f"UPDATE audit_writers SET {moves}", **known)
        assert not (await proof_of(begun)).holds
        assert await begun.chains.checkpoint() is not None
        [problem] = (await proof_of(begun)).problems
        assert problem.why == (
            f"checkpoint 3 saw 1 row of chain {before.writer[:8]}, of which one before it saw 2"
        )


FORGED = "INSERT INTO audit_checkpoints VALUES (:number, :at, :kid, :none, :body, :none)"


class TestOlderRows:
    async def test_rows_from_before_there_were_chains_are_counted(self, store: SqlStore) -> None:
        for number in (-2, -1):  # of ids that no sequence gives
            await run(store, OLD, id=number)
        assert await store.chains.checkpoint() is not None
        await store.audit.record([happened()])
        proof = await proof_of(store)
        assert (proof.holds, proof.rows, proof.unchained) == (True, 3, 2)
        await run(store, "DELETE FROM audit_events WHERE id = -1")
        assert (await proof_of(store)).problems[0].why == (
            "of the rows older than the chains there are 1, not 2"
        )

    async def test_they_are_pruned_too(self, store: SqlStore) -> None:
        for number in (-2, -1):  # of ids that no sequence gives
            await run(store, OLD, id=number)
        assert await store.chains.checkpoint() is not None
        await store.audit.record([happened()])
        assert await store.chains.prune(10_000, silent) == (2, None)
        proof = await proof_of(store)
        assert (proof.holds, proof.rows, proof.unchained) == (True, 1, 0)
        assert await store.chains.prune(10_000, silent) == (0, None)

    async def test_two_may_prune_them_at_once(self, store: SqlStore, other: SqlStore) -> None:
        """Each counts what is left from what the other has left, not from what it once read."""
        for number in range(1, 601):
            await run(store, OLD, id=number)
        assert await store.chains.checkpoint() is not None
        done = await at_once(one.chains.prune(10_000, silent) for one in (store, other))
        assert [one.problem for one in done] == [None, None]
        assert sum(one.rows for one in done) == 600
        proof = await proof_of(store)
        assert (proof.holds, proof.rows, proof.unchained) == (True, 0, 0)

    async def test_what_was_put_in_later_is_not_pruned_away(self, store: SqlStore) -> None:
        await run(store, OLD, id=1)
        assert await store.chains.checkpoint() is not None
        await run(store, OLD, id=7)
        assert await store.chains.prune(10_000, silent) == (1, None)
        assert (await proof_of(store)).first == Problem(7, "is in no chain")

    async def test_the_highest_id_there_can_be_is_named(self, begun: SqlStore) -> None:
        """Who may write to the database must not make `verify` fall over what it finds."""
        await run(begun, OLD, id=2**63 - 1)
        assert (await proof_of(begun)).first == Problem(2**63 - 1, "is in no chain")


OLD = (
    "INSERT INTO audit_events (id, at, kind, outcome, ip, user_agent, request_id, detail)"
    " VALUES (:id, 5, 'login.succeeded', 'ok', '', '', '', '{}')"
)


class TestPruning:
    async def filled(self, store: SqlStore, clock: TurnedClock) -> int:
        """Rows of two days; the moment between them."""
        await store.audit.record([happened(f"old{number}") for number in range(600)])
        between = int(clock.now() * 1000) + DAY // 2
        clock.turn(DAY)
        await store.audit.record([happened(f"new{number}") for number in range(3)])
        return between

    async def test_what_is_old_goes_and_the_rest_verifies(
        self, begun: SqlStore, clock: TurnedClock
    ) -> None:
        between = await self.filled(begun, clock)
        await begun.chains.checkpoint()
        told: list[int] = []
        assert await begun.chains.count_older(between) == 600
        assert await begun.chains.count_older(int(clock.now() * 1000) + DAY) == 603
        assert await begun.chains.prune(between, told.append) == (600, None)
        assert told == [250, 500, 600]
        assert await begun.chains.count_older(between) == 0
        proof = await proof_of(begun)
        assert (proof.holds, proof.rows) == (True, 3)
        assert await begun.chains.prune(between, silent) == (0, None)
        await begun.audit.record([happened("later")])
        await begun.chains.checkpoint()
        assert (await proof_of(begun)).holds

    async def test_a_chain_may_go_whole(self, begun: SqlStore, clock: TurnedClock) -> None:
        await self.filled(begun, clock)
        assert await begun.chains.prune(2**60, silent) == (603, None)
        assert (await proof_of(begun)).holds
        await begun.audit.record([happened("later")])
        proof = await proof_of(begun)
        assert (proof.holds, proof.rows) == (True, 1)

    async def test_what_does_not_verify_stays(self, begun: SqlStore, clock: TurnedClock) -> None:
        between = await self.filled(begun, clock)
        rows = await begun.audit.after(AuditQuery(), 400, last=0)
        await run(begun, "UPDATE audit_events SET actor = 'x' WHERE id = :id", id=rows[300].id)
        pruned = await begun.chains.prune(between, silent)
        assert pruned == (250, Problem(rows[300].id, "was edited"))
        proof = await proof_of(begun)
        assert (proof.rows, proof.bad) == (353, 1)

    @pytest.mark.parametrize("place", [0, 2])
    async def test_what_a_row_of_a_later_time_holds_up_is_counted(
        self, begun: SqlStore, other: SqlStore, clock: TurnedClock, place: int
    ) -> None:
        await other.audit.record([happened("another chain")])
        for number in range(5):
            ahead = 100 * DAY if number == place else 0
            clock.turn(ahead)
            await begun.audit.record([happened(f"n{number}")])
            clock.turn(-ahead)
        row = (await begun.audit.after(AuditQuery(kind=f"n{place}"), 1, last=0))[0].id
        assert await begun.chains.prune(int(clock.now() * 1000) + DAY, silent) == (1 + place, None)
        assert await begun.chains.held_up(int(clock.now() * 1000) - DAY) is None
        assert await begun.chains.held_up(int(clock.now() * 1000) + DAY) == (4 - place, row)
        assert (await proof_of(begun)).holds
        assert await begun.chains.prune(int(clock.now() * 1000) + 101 * DAY, silent) == (
            5 - place,
            None,
        )
        assert await begun.chains.held_up(int(clock.now() * 1000) + 101 * DAY) is None

    async def test_the_time_is_that_of_the_database(
        self, begun: SqlStore, clock: TurnedClock
    ) -> None:
        assert abs(await begun.chains.time() - clock.now() * 1000) < 60_000
        clock.turn(DAY)
        assert abs(await begun.chains.time() - clock.now() * 1000) < 60_000

    async def test_without_checkpoints_nothing_goes(
        self, begun: SqlStore, clock: TurnedClock
    ) -> None:
        between = await self.filled(begun, clock)
        await run(begun, "DELETE FROM audit_checkpoints")
        gone = Problem(None, "there is no checkpoint: they are gone")
        assert await begun.chains.prune(between, silent) == (0, gone)

    async def test_two_may_prune_at_once(
        self, begun: SqlStore, other: SqlStore, clock: TurnedClock
    ) -> None:
        between = await self.filled(begun, clock)
        done = await at_once(one.chains.prune(between, silent) for one in (begun, other))
        assert [one.problem for one in done] == [None, None]
        assert sum(one.rows for one in done) == 600
        proof = await proof_of(begun)
        assert (proof.holds, proof.rows) == (True, 3)

    async def test_whoever_is_overtaken_takes_it_for_no_tampering(
        self,
        begun: SqlStore,
        other: SqlStore,
        clock: TurnedClock,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Another process prunes a part of a chain after we read where chains begin."""
        between = await self.filled(begun, clock)
        [row] = await begun.audit.after(AuditQuery(kind="old300"), 1, last=0)
        read = begun.database.read

        async def overtaken(*asked: Any) -> Any:
            found = await read(*asked)
            monkeypatch.setattr(begun.database, "read", read)
            await run(begun, "UPDATE audit_events SET actor = 'x' WHERE id = :id", id=row.id)
            assert (await other.chains.prune(between, silent)).rows == 250
            await run(begun, "UPDATE audit_events SET actor = NULL WHERE id = :id", id=row.id)
            return found

        monkeypatch.setattr(begun.database, "read", overtaken)
        assert await begun.chains.prune(between, silent) == (350, None)
        proof = await proof_of(begun)
        assert (proof.holds, proof.rows) == (True, 3)

    async def test_what_is_being_deleted_when_it_is_cancelled_is_told(
        self, begun: SqlStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A transaction ends even if who waits for it does not: rows would be gone, by nobody."""
        await begun.audit.record([happened(subject=f"n{number}") for number in range(300)])
        trail = Trail(begun.audit, begun.chains, TurnedClock(), retention=None)
        deleting = asyncio.create_task(trail.prune(2**60, silent))

        async def stopped(*args: Any) -> Any:
            deleting.cancel()
            return await signed.put(*args)

        monkeypatch.setattr(pruning, "put", stopped)
        with pytest.raises(asyncio.CancelledError):
            await deleting
        told, *left = await begun.audit.latest(999)
        assert (told.event.kind, told.event.detail["rows"], len(left)) == ("audit.pruned", 250, 50)
        assert (await proof_of(begun)).holds

    async def test_what_checkpoints_tell_is_read_once_and_in_pages(
        self, begun: SqlStore, clock: TurnedClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """There is one for each segment that ever was, and retention asks every few minutes."""
        monkeypatch.setattr(pruned, "PAGE", 1)
        monkeypatch.setattr(pruned, "_OF_PRUNING", pruned._OF_PRUNING.limit(1))
        told: list[int] = []
        statement = Prover.statement

        def counted(prover: Prover, one: Checkpoint) -> Body | None:
            told.append(one.number)
            return statement(prover, one)

        monkeypatch.setattr(Prover, "statement", counted)
        between = await self.filled(begun, clock)
        assert await begun.chains.prune(between, silent) == (600, None)
        assert told == [1, 2, 3, 4]  # the first, and one for each segment
        await begun.audit.record([happened("later")])
        assert await begun.chains.prune(2**60, silent) == (4, None)
        assert told == [1, 2, 3, 4, 5]
        proof = await proof_of(begun)
        assert (proof.holds, proof.rows) == (True, 0)

    async def test_an_older_copy_of_the_tables_is_pruned_from_where_it_begins(
        self, begun: SqlStore, clock: TurnedClock
    ) -> None:
        """What a process remembers of pruning is not of them."""
        between = await self.filled(begun, clock)
        before = await dumped(begun)
        assert await begun.chains.prune(between, silent) == (600, None)
        await put(begun, before)
        assert await begun.chains.prune(between, silent) == (600, None)
        await put(begun, before)
        while (last := await begun.chains.latest()) is None or last.number < 9:
            await begun.audit.record([happened("later")])
            await begun.chains.checkpoint()
        assert await begun.chains.prune(between, silent) == (600, None)

    @pytest.mark.parametrize("name", ["ip", "detail", "hash", "who_salt"])
    async def test_a_row_that_cannot_be_read_is_named(
        self, stores: Stores, sqlite_database: str, clock: TurnedClock, name: str
    ) -> None:
        store = await stores(sqlite_database)
        await store.chains.checkpoint()
        times = []
        for number in range(5):
            times.append(int(clock.now() * 1000))
            await store.audit.record([happened(f"n{number}")])
            clock.turn(1000)
        row = (await store.audit.latest(2))[1]
        await run(store, f"UPDATE audit_events SET {name} = CAST(x'ff' AS TEXT) WHERE id = :id",
                  id=row.id)  # fmt: skip
        # What comes before it goes, so long as it is not its turn.
        assert await store.chains.prune(times[2], silent) == (2, None)
        named = Problem(row.id, "cannot be read")
        assert await store.chains.prune(2**60, silent) == (0, named)
        assert await store.chains.prune(times[3], silent) == (1, None)
        assert await store.chains.prune(2**60, silent) == (0, named)
        assert len(await store.audit.latest(9)) == 2

    @pytest.mark.parametrize(
        "edit", ["audit_writers SET kid", "audit_checkpoints SET kid", "audit_checkpoints SET body"]
    )
    async def test_a_proof_that_cannot_be_read_is_told(
        self, stores: Stores, sqlite_database: str, edit: str
    ) -> None:
        store = await stores(sqlite_database)
        await store.chains.checkpoint()
        await store.audit.record([happened()])
        await run(store, f"UPDATE {edit} = CAST(x'ff' AS TEXT)")
        told = Problem(None, "a checkpoint, or the head of a chain, cannot be read")
        assert await store.chains.prune(2**60, silent) == (0, told)
        assert len(await store.audit.latest(9)) == 1


ADA, EVE = "ada-0001", "eve-0001"
AT_EVES = Client("192.0.2.1", "eve's")
AT_HOME = Client("203.0.113.7", "ada's browser", "r-ada")


class TestErasing:
    async def test_a_person_goes_and_the_chain_stays(self, begun: SqlStore) -> None:
        await begun.audit.record(
            [
                Event("login.succeeded", AT_HOME, "ok", ADA, ADA, "session-1", {"a": 1}),
                Event("login.failed", AT_HOME, "refused", None, ADA, None, {"reason": "x"}),
                Event("user.role_set", AT_EVES, "ok", EVE, ADA, None, {"r": 1}),
                Event("user.role_set", AT_HOME, "ok", ADA, EVE, None, {"role": "user"}),
                Event("login.succeeded", AT_EVES, "ok", EVE, EVE, "session-2"),
            ]
        )
        before = await begun.audit.latest(10)
        assert await begun.audit.erase(ADA) == (4, ())
        assert (await proof_of(begun)).holds
        own, failed, by_eve, on_eve, eves = reversed(
            [row.event for row in await begun.audit.latest(10)]
        )
        gone = Client()
        assert own == Event("login.succeeded", gone)
        assert failed == Event("login.failed", gone, "refused")
        assert by_eve == Event("user.role_set", AT_EVES, actor=EVE)
        assert on_eve == Event("user.role_set", gone, subject=EVE, detail={"role": "user"})
        assert eves == before[0].event
        assert await begun.audit.erase(ADA) == (0, ())
        # The other one of a row of two, later.
        assert await begun.audit.erase(EVE) == (3, ())
        assert (await proof_of(begun)).holds

    async def test_the_operator_who_acted_on_them_stays(self, begun: SqlStore) -> None:
        operator = Client("", "authward command line (root)")
        await begun.audit.record([Event("user.created", operator, subject=ADA)])
        assert await begun.audit.erase(ADA) == (1, ())
        [row] = await begun.audit.latest(1)
        assert row.event == Event("user.created", operator)
        assert (await proof_of(begun)).holds

    async def test_nothing_of_the_person_is_left_in_any_column(self, begun: SqlStore) -> None:
        await begun.audit.record([Event("login.succeeded", AT_HOME, "ok", ADA, ADA, "session-1")])
        await begun.audit.erase(ADA)
        for table in ("audit_events", "audit_writers", "audit_checkpoints"):
            rows = await begun.database.read(text(f"SELECT * FROM {table}"))
            for told in ("ada", "203.0.113.7", "session-1"):
                assert told not in repr(rows)

    async def test_of_many_rows_and_of_old_ones(self, store: SqlStore) -> None:
        await run(store, OLD, id=-1)
        await run(store, "UPDATE audit_events SET subject = :s, actor = :s", s=ADA)
        assert await store.chains.checkpoint() is not None
        await store.audit.record([happened(subject=ADA) for _ in range(600)])
        assert await store.audit.erase(ADA) == (601, ())
        assert (await proof_of(store)).holds

    async def test_both_of_a_row_at_once_from_two_processes(
        self, begun: SqlStore, other: SqlStore
    ) -> None:
        """Each has to sign for what the other erased as well."""
        for _ in range(200):
            await begun.audit.record([Event("user.renamed", AT_HOME, actor=ADA, subject=EVE)])
        done = await at_once([begun.audit.erase(ADA), other.audit.erase(EVE)])
        assert done == [(200, ()), (200, ())]
        proof = await proof_of(begun)
        assert proof.holds, proof.problems
        gone = Event("user.renamed", Client("", "", ""))
        assert [row.event for row in await begun.audit.latest(200)] == [gone] * 200

    async def test_a_row_whose_chain_has_no_head_is_left_and_named(
        self, begun: SqlStore, other: SqlStore
    ) -> None:
        """Who takes a head away must not keep all the rest from being erased."""
        await begun.audit.record([happened(subject=ADA) for _ in range(510)])
        rows = [row.id for row in await begun.audit.after(AuditQuery(), 600, last=0)]
        await run(begun, "DELETE FROM audit_writers")
        await other.audit.record([happened(subject=ADA), happened(subject=ADA)])
        await run(begun, OLD, id=10_000)
        await run(begun, "UPDATE audit_events SET subject = :s WHERE id = 10000", s=ADA)
        assert await begun.audit.erase(ADA) == (3, tuple(rows))
        await run(begun, "UPDATE audit_writers SET kid = 'another'")
        await other.audit.record([happened(subject=EVE)])
        await run(begun, "UPDATE audit_writers SET kid = 'another'")
        [last] = await begun.audit.page(AuditQuery(user=EVE), 2, before=None)
        assert await begun.audit.erase(EVE) == (0, (last.id,))

    async def test_rows_of_the_first_and_the_last_id(self, begun: SqlStore) -> None:
        """Moved there they do not verify, nor do they hide."""
        lowest, highest = -(2**63), 2**63 - 1
        await begun.audit.record([happened(subject=ADA) for _ in range(502)])
        ids = [row.id for row in await begun.audit.after(AuditQuery(), 600, last=None)]
        for row_id, there in ((ids[0], lowest), (ids[1], highest)):
            await run(
                begun, "UPDATE audit_events SET id = :there WHERE id = :id", id=row_id, there=there
            )
        await run(begun, "DELETE FROM audit_events WHERE id = :id", id=ids[2])
        await run(begun, "DELETE FROM audit_events WHERE id = :id", id=ids[3])
        assert await begun.audit.erase(ADA) == (500, ())
        assert await begun.audit.erase(ADA) == (0, ())

    @pytest.mark.parametrize(
        "edit",
        ["ip = CAST(x'ff' AS TEXT)", "detail = CAST(x'ff' AS TEXT)", "hash = CAST(x'ff' AS TEXT)"],
    )
    async def test_a_row_that_cannot_be_read_keeps_none_from_being_erased(
        self, stores: Stores, sqlite_database: str, edit: str
    ) -> None:
        store = await stores(sqlite_database)
        await store.chains.checkpoint()
        await store.audit.record([happened(f"n{number}", subject=ADA) for number in range(5)])
        [row] = await store.audit.page(AuditQuery(kind="n2"), 1, before=None)
        await run(store, f"UPDATE audit_events SET {edit} WHERE id = :id", id=row.id)
        assert await store.audit.erase(ADA) == (4, (row.id,))
        assert [one.event.subject for one in await store.audit.latest(5)].count(ADA) == 1
        proof = await proof_of(store)
        assert {one.row for one in proof.problems} <= {row.id, row.id + 1}

    async def test_a_head_that_cannot_be_read_keeps_none_of_other_chains(
        self, stores: Stores, sqlite_database: str
    ) -> None:
        store, other = await stores(sqlite_database), await stores(sqlite_database)
        await store.chains.checkpoint()
        await store.audit.record([happened(subject=ADA)])
        await run(store, "UPDATE audit_writers SET mac = CAST(x'ff' AS TEXT)")
        await other.audit.record([happened(subject=ADA)])
        [_, left] = await store.audit.latest(2)
        assert await store.audit.erase(ADA) == (1, (left.id,))


class TestReading:
    async def filled(self, store: SqlStore, clock: TurnedClock) -> list[int]:
        """Rows a second apart; their times."""
        for number in range(8):
            actor, subject = (ADA, EVE) if number % 2 else (EVE, EVE)
            client = Client(f"192.0.2.{number % 3}")
            event = Event(f"kind.n{number % 4}", client, actor=actor, subject=subject)
            await store.audit.record([event])
            clock.turn(1000)
        return [row.at for row in reversed(await store.audit.latest(100))]

    async def test_each_condition_narrows(self, begun: SqlStore, clock: TurnedClock) -> None:
        times = await self.filled(begun, clock)

        async def found(**query: Any) -> list[int]:
            asked = AuditQuery(**query)
            page = await begun.audit.page(asked, 100, before=None)
            in_order = await begun.audit.after(asked, 100, last=0)
            assert page == in_order[::-1]
            return [times.index(row.at) for row in in_order]

        everything = list(range(8))
        assert await found() == everything
        assert await found(user=ADA) == [1, 3, 5, 7]
        assert await found(user=EVE) == everything
        assert await found(user="nobody") == []
        assert await found(kind="kind.n2") == [2, 6]
        assert await found(ip="192.0.2.1") == [1, 4, 7]
        assert await found(ip="192.0.2.1", kind="kind.n3") == [7]
        assert await found(user=ADA, ip="192.0.2.1", kind="kind.n1") == [1]
        assert await found(since=times[3], until=times[6]) == [3, 4, 5]
        assert await found(user=ADA, since=times[2]) == [3, 5, 7]

    async def test_pages_are_whole(self, begun: SqlStore, clock: TurnedClock) -> None:
        await self.filled(begun, clock)
        await begun.audit.record([happened(actor=ADA, subject=ADA) for _ in range(5)])
        for query in (AuditQuery(), AuditQuery(user=ADA), AuditQuery(user=EVE)):
            seen, before = [], None
            while page := await begun.audit.page(query, 2, before=before):
                seen += page
                before = (page[-1].at, page[-1].id)
            assert seen == await begun.audit.page(query, 100, before=None)
            assert len({row.id for row in seen}) == len(seen) > 2


EDITS = {
    "a time that is none": "at = 1152921504606846976",
    "a time before all": "at = -9223372036854775808",
    "the highest id": "id = 9223372036854775806",
    "an id below all": "id = -5",
    "the lowest id there can be": "id = -9223372036854775808",
    "an object within": """detail = '{"a": {"b": 1}}'""",
    "an array": "detail = '[1]'",
    "nothing": "detail = 'null'",
    "a fraction": """detail = '{"a": 1.5}'""",
    "a number that is too long": """detail = '{"a": 9223372036854775808}'""",
    "a lone surrogate": r"""detail = '{"a": "\ud800"}'""",
    "a name with a lone surrogate": r"""detail = '{"\udc80": "a"}'""",
    "a NUL": r"""detail = '{"a": "\u0000"}'""",
    "another kind": "kind = 'x', outcome = 'y'",
}
NESTED = "detail = '" + "[" * 2000 + "]" * 2000 + "'"
EDITS_OF_SQLITE = {
    "text for a time": "at = 'soon'",
    "bytes for a time": "at = x'ff'",
    "a fraction for a time": "at = 1.5",
    "bytes for text": "kind = x'00ff', ip = x'ff', user_agent = x'ff', subject = x'ff'",
    "text that is none": "ip = CAST(x'ff' AS TEXT), detail = CAST(x'ff' AS TEXT)",
    "no JSON": "detail = '{'",
    "no time, as text that is none": "at = CAST(x'ff' AS TEXT)",
    "JSON without an end": "detail = '" + "[" * 100_000 + "'",
    "a number without an end": """detail = '{"a": """ + "9" * 5000 + "}'",
}


class TestEditedRows:
    """Whatever one row was made of, all others are read, and it is named."""

    @pytest.mark.parametrize("edit", [*EDITS.values(), NESTED], ids=[*EDITS, "deeply nested"])
    async def test_on_both(self, begun: SqlStore, edit: str) -> None:
        await self.read(begun, edit)

    @pytest.mark.parametrize("edit", EDITS_OF_SQLITE.values(), ids=EDITS_OF_SQLITE.keys())
    async def test_on_sqlite(self, stores: Stores, sqlite_database: str, edit: str) -> None:
        store = await stores(sqlite_database)
        await store.chains.checkpoint()
        await self.read(store, edit)

    async def test_a_detail_that_was_laid_out_anew_is_still_one(
        self, stores: Stores, sqlite_database: str
    ) -> None:
        """As a copy of the table may do it: marks that no terminal may see are legal in JSON."""
        store = await stores(sqlite_database)
        await store.chains.checkpoint()
        await store.audit.record([happened("it", detail={"a": 1, "b": "two"})])
        edit = "detail = '{' || char(10) || ' \"a\" : 1, \"b\" : \"t' || char(8203) || 'wo\"}'"
        await run(store, f"UPDATE audit_events SET {edit}")
        [row] = await store.audit.latest(1)
        assert row.event.detail == {"a": 1, "b": "t\\x200bwo"}

    async def read(self, store: SqlStore, edit: str) -> None:
        trail = Trail(store.audit, store.chains, TurnedClock(), retention=None)
        await store.audit.record([happened(f"n{number}", detail={"a": 1}) for number in range(7)])
        [row] = await store.audit.after(AuditQuery(kind="n3"), 1, last=0)
        await run(store, f"UPDATE audit_events SET {edit} WHERE id = :id", id=row.id)
        exported = [one async for one in trail.rows(AuditQuery())]
        latest = await store.audit.latest(10)
        pages: list[AuditRow] = []
        cursor: str | None = None
        while not pages or cursor is not None:
            page = await trail.page(AuditQuery(), limit=1, cursor=cursor)
            pages += page.rows
            cursor = page.cursor
        for found in (exported, latest, pages):
            assert len(found) == 7
            shown = [json.loads(json.dumps(row_data(one))) for one in found]
            assert json.dumps(shown, ensure_ascii=False).encode()
            assert {f"n{number}" for number in (0, 1, 2, 4, 5, 6)} <= {one["kind"] for one in shown}
        first = (await proof_of(store)).first
        assert first is not None
        assert first.row in {one.id for one in latest}
        if "detail" in edit:
            [edited] = [one for one in latest if one.id == row.id]
            assert list(edited.event.detail) == ["unreadable"]
