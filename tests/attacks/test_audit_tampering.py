"""The audit log edited by someone who may write to the database and has not the key (CWE-117,
CWE-778; OWASP ASVS 16.4.2): a thousand random edits, each of them found.

The editor may put anything anywhere, and has seen all that the tables ever held. What is newer than
the last checkpoint somebody kept elsewhere can be rolled back unseen; so nothing here is.
"""

import os
import random
from base64 import b64decode
from collections import Counter
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from authward.core.anchors import Anchors
from authward.core.audit import Client, Event
from authward.core.chain import (
    AuditKeys,
    Checkpoint,
    Head,
    body_of,
    detail_text,
    digest_of,
    erasure_mac,
    head_mac,
    link,
)
from authward.core.chain_proof import Proof
from authward.stores.schema import metadata
from authward.stores.sql import SqlStore
from tests.contracts.fixtures import AUDIT, Stores
from tests.contracts.making import AUDIT_KEYS, TurnedClock, at_once

EDITS = 500  # on each database
SEED = int(os.environ.get("AUTHWARD_TEST_EDITS_SEED", "1"))
"""Another one edits otherwise."""
DAY = 86_400_000
ROWS, HEADS, CHECKPOINTS = AUDIT
THEIRS = AuditKeys(AUDIT_KEYS.kid, {AUDIT_KEYS.kid: bytes(32)})

Row = dict[str, Any]
Dump = dict[str, list[Row]]


def read(connection: Connection) -> Dump:
    found = {}
    for table in AUDIT:
        columns = ["CAST(detail AS TEXT) AS detail" if c.name == "detail" else c.name
                   for c in metadata.tables[table].columns]  # fmt: skip
        order = next(iter(metadata.tables[table].primary_key)).name
        statement = text(f"SELECT {', '.join(columns)} FROM {table} ORDER BY {order}")
        found[table] = [dict(row) for row in connection.execute(statement).mappings()]
    return found


def write(connection: Connection, dump: Dump) -> None:
    json_as = "CAST(:detail AS JSON)" if connection.dialect.name == "postgresql" else ":detail"
    for table in AUDIT:
        names = [column.name for column in metadata.tables[table].columns]
        connection.execute(text(f"DELETE FROM {table}"))
        places = ", ".join(json_as if name == "detail" else f":{name}" for name in names)
        insert = text(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({places})")
        if dump[table]:
            connection.execute(insert, dump[table])


async def dumped(store: SqlStore) -> Dump:
    found: list[Dump] = []
    await store.database.run_sync(lambda connection: found.append(read(connection)))
    return found[0]


async def put(store: SqlStore, dump: Dump) -> None:
    def work(connection: Connection) -> None:
        write(connection, dump)

    await store.database.run_sync(work)


@dataclass
class World:
    """An honest log, all it ever was, and the checkpoint that somebody kept."""

    store: SqlStore
    now: Dump
    before: list[Dump]
    anchors: Anchors

    async def proof(self) -> Proof:
        return await self.store.chains.verify(self.anchors, lambda done, total: None)


def event(number: int) -> Event:
    client = Client(f"203.0.113.{number}", "a browser", f"r-{number}")
    kind = ("login.succeeded", "session.refreshed", "user.role_set")[number % 3]
    who = f"user-{number % 4}"
    return Event(kind, client, "ok", who, who, f"session-{number}", {"role": "admin", "n": number})


async def honest(stores: Stores, url: str, clock: TurnedClock) -> World:
    """Chains of several writers, some rows pruned, a person erased, five checkpoints."""
    one, other = await stores(url), await stores(url)
    before = []
    assert await one.chains.checkpoint() is not None
    clock.turn(-60 * DAY)
    await one.audit.record([event(number) for number in range(5)])
    assert await one.chains.checkpoint() is not None
    before.append(await dumped(one))
    clock.turn(60 * DAY)
    for number in range(5, 17, 4):
        await at_once(
            store.audit.record([event(number + more), event(number + more + 1)])
            for more, store in ((0, one), (2, other))
        )
        before.append(await dumped(one))
    assert await other.chains.checkpoint() is not None
    pruned = await one.chains.prune(int(clock.now() * 1000) - 30 * DAY, lambda rows: None)
    assert pruned == (5, None), pruned
    assert await one.audit.erase("user-3") == (3, ())
    before.append(await dumped(one))
    await other.audit.record([event(20)])
    third = await stores(url)
    await third.audit.record([event(21), event(22)])
    last = await one.chains.checkpoint()
    assert last is not None
    world = World(one, await dumped(one), before, {last.number: (last.hash.hex(),)})
    proof = await world.proof()
    assert proof.holds, proof.problems
    assert proof.rows == 15
    return world


# --- what the editor does -----------------------------------------------------------------


def other_values(row: Row, name: str, rows: list[Row], chance: random.Random) -> Any:
    """Something else for one column."""
    value = row[name]
    wrong: list[Any] = [None, "", "x", 7, -1, 0.5, b"", bytes(32)]
    near = [one[name] for one in rows]
    if isinstance(value, int):
        near += [value + 1, value - 1, str(value) + "x", -value, float(value) + 0.5]
    if isinstance(value, str):
        near += [value + " ", value.upper(), value.encode(), value + "\0", value[:-1]]
        near += [b64decode(value + "=" * (-len(value) % 4))] if value.isalnum() else []
        near += [value.replace("admin", "user"), value.replace(": ", ":"), "{", '{"n": 1, "n": 2}']
    if isinstance(value, bytes):
        near += [value[:-1], value + b"\0", bytes([*value[:-1], value[-1] ^ 1]) if value else b"x"]
    return chance.choice([one for one in wrong + near if repr(one) != repr(value)])


def edit_a_row(world: World, dump: Dump, chance: random.Random) -> None:
    row = chance.choice(dump[ROWS])
    name = chance.choice(list(row))
    row[name] = other_values(row, name, dump[ROWS], chance)


def edit_several_columns(world: World, dump: Dump, chance: random.Random) -> None:
    row = chance.choice(dump[ROWS])
    for name in chance.sample(list(row), 3):
        row[name] = other_values(row, name, dump[ROWS], chance)


def edit_a_head(world: World, dump: Dump, chance: random.Random) -> None:
    row = chance.choice(dump[HEADS])
    name = chance.choice([one for one in row if one != "marked"])
    row[name] = other_values(row, name, dump[HEADS], chance)


def edit_a_checkpoint(world: World, dump: Dump, chance: random.Random) -> None:
    row = chance.choice(dump[CHECKPOINTS])
    name = chance.choice(list(row))
    row[name] = other_values(row, name, dump[CHECKPOINTS], chance)


def delete_a_row(world: World, dump: Dump, chance: random.Random) -> None:
    dump[ROWS].remove(chance.choice(dump[ROWS]))


def delete_a_row_and_close_the_gap(world: World, dump: Dump, chance: random.Random) -> None:
    gone = chance.choice(dump[ROWS])
    dump[ROWS].remove(gone)
    for row in dump[ROWS]:
        if row["writer"] == gone["writer"] and row["seq"] > gone["seq"]:
            row["seq"] -= 1
            row["after"] = gone["after"] if row["after"] == gone["id"] else row["after"]
    for head in dump[HEADS]:
        if head["writer"] == gone["writer"]:
            head["count"] -= 1


def swap_two_ids(world: World, dump: Dump, chance: random.Random) -> None:
    chain = chance.choice([one for one in chains(dump) if len(one) > 1])
    one, other = chance.sample(chain, 2)
    one["id"], other["id"] = other["id"], one["id"]


def swap_what_two_rows_say(world: World, dump: Dump, chance: random.Random) -> None:
    one, other = chance.sample(dump[ROWS], 2)
    for name in set(one) - {"id", *chance.sample(["writer", "seq", "after", "hash"], 2)}:
        one[name], other[name] = other[name], one[name]


def move_a_row_to_another_id(world: World, dump: Dump, chance: random.Random) -> None:
    row = chance.choice(dump[ROWS])
    row["id"] = max(one["id"] for one in dump[ROWS]) + chance.randrange(1, 50)


def truncate(world: World, dump: Dump, chance: random.Random) -> None:
    del dump[ROWS][chance.randrange(len(dump[ROWS])) :]


def cut_a_chain_back_to_a_true_head(world: World, dump: Dump, chance: random.Random) -> None:
    earlier = chance.choice(world.before)
    old = {row["writer"]: row for row in earlier[HEADS]}
    moved = [head for head in dump[HEADS] if old.get(head["writer"], head)["mac"] != head["mac"]]
    if not moved:
        return truncate(world, dump, chance)
    head = chance.choice(moved)
    head.update(old[head["writer"]])
    dump[ROWS] = [
        row for row in dump[ROWS] if row["writer"] != head["writer"] or row["seq"] <= head["count"]
    ]
    return None


def remove_a_writer(world: World, dump: Dump, chance: random.Random) -> None:
    gone = chance.choice(dump[HEADS])["writer"]
    dump[HEADS] = [row for row in dump[HEADS] if row["writer"] != gone]
    dump[ROWS] = [row for row in dump[ROWS] if row["writer"] != gone]


def remove_a_head(world: World, dump: Dump, chance: random.Random) -> None:
    dump[HEADS].remove(chance.choice(dump[HEADS]))


def remove_everything(world: World, dump: Dump, chance: random.Random) -> None:
    for table in chance.sample(AUDIT, chance.randrange(1, 4)):
        dump[table] = []


def remove_checkpoints(world: World, dump: Dump, chance: random.Random) -> None:
    first = chance.randrange(len(dump[CHECKPOINTS]))
    del dump[CHECKPOINTS][first : first + chance.randrange(1, 4)]


def roll_everything_back(world: World, dump: Dump, chance: random.Random) -> None:
    """A true copy of all tables, from before the checkpoint that was kept."""
    dump.update(deepcopy(chance.choice(world.before)))


def roll_some_tables_back(world: World, dump: Dump, chance: random.Random) -> None:
    earlier = deepcopy(chance.choice(world.before))
    for table in chance.sample(AUDIT, chance.randrange(1, 3)):
        dump[table] = earlier[table]


def repeat_a_row(world: World, dump: Dump, chance: random.Random) -> None:
    row = dict(chance.choice(dump[ROWS]))
    row["id"] = max(one["id"] for one in dump[ROWS]) + 1
    row["seq"] += chance.choice([100, 1])
    dump[ROWS].append(row)


def bring_a_pruned_row_back(world: World, dump: Dump, chance: random.Random) -> None:
    """What was deleted by its age was true, and is no longer told."""
    dump[ROWS].append(chance.choice(world.before[0][ROWS]))


def forge_a_row(world: World, dump: Dump, chance: random.Random) -> None:
    """At the end of a chain, signed with another key; the head too, or not."""
    head = chance.choice(dump[HEADS])
    now = Head(*(head[name] for name in ("writer", "kid", "count", "last_id", "hash")))
    row = chained(THEIRS, now, max(one["id"] for one in dump[ROWS]) + 1)
    dump[ROWS].append(row)
    if chance.random() < 0.5:
        after = now._replace(length=row["seq"], last_id=row["id"], hash=row["hash"])
        head.update(signed(after))


def forge_a_chain(world: World, dump: Dump, chance: random.Random) -> None:
    """A writer that never was."""
    head = Head("f" * 32, chance.choice([AUDIT_KEYS.kid, "another-kid"]), 0, 0, b"")
    keys = AuditKeys(head.kid, {head.kid: bytes(32)})
    for number in range(1, chance.randrange(2, 4)):
        row = chained(keys, head, max(one["id"] for one in dump[ROWS]) + number)
        dump[ROWS].append(row)
        head = head._replace(length=row["seq"], last_id=row["id"], hash=row["hash"])
    if chance.random() < 0.7:
        dump[HEADS].append(signed(head, keys))


def forge_a_row_outside_of_chains(world: World, dump: Dump, chance: random.Random) -> None:
    """As if it were older than they are."""
    row = dict(chance.choice(dump[ROWS]))
    row |= dict.fromkeys(
        ("writer", "seq", "after", "who_salt", "who_digest", "what_salt", "what_digest"), None
    )
    row |= {"hash": None, "erased": None, "id": chance.choice([-5, 0, 10_000])}
    dump[ROWS].append(row)


def take_a_row_out_of_its_chain(world: World, dump: Dump, chance: random.Random) -> None:
    row = chance.choice(dump[ROWS])
    names = ("writer", "seq", "after", "who_salt", "who_digest", "what_salt", "what_digest")
    row |= dict.fromkeys((*names, "hash", "erased"), None)


def forge_a_checkpoint(world: World, dump: Dump, chance: random.Random) -> None:
    """One that says that what is there is all there was, in the place of the last or after it."""
    heads = [Head(*(row[name] for name in ("writer", "kid", "count", "last_id", "hash")))
             for row in dump[HEADS][1:]]  # fmt: skip
    last = dump[CHECKPOINTS][-1]
    number, previous = last["number"] + 1, last["hash"]
    if chance.random() < 0.5:
        dump[CHECKPOINTS].pop()
        number, previous = last["number"], last["previous"]
    everything = digest_of({head.writer: head for head in heads})
    body = body_of(heads=heads, everything=everything)
    made = Checkpoint(number, last["at"], THEIRS.kid, previous, body).signed(THEIRS)
    dump[CHECKPOINTS].append({name: getattr(made, name) for name in last})


def erase_without_the_key(world: World, dump: Dump, chance: random.Random) -> None:
    row = chance.choice([one for one in dump[ROWS] if one["who_salt"] is not None])
    row |= {"who_salt": None, "actor": None, "ip": "", "user_agent": "", "request_id": ""}
    erased = [one["erased"] for one in dump[ROWS] if one["erased"]]
    facts = [row[name] for name in ("writer", "seq", "hash", "who_digest", "what_digest")]
    forged = erasure_mac(bytes(32), *facts, who=True, what=False)
    row["erased"] = chance.choice([None, *erased, forged])


def fill_in_what_was_erased(world: World, dump: Dump, chance: random.Random) -> None:
    """Somebody else's doing, laid at an erased person's door."""
    row = chance.choice([one for one in dump[ROWS] if one["erased"]])
    row |= chance.choice(
        [{"actor": "user-1"}, {"ip": "192.0.2.1"}, {"subject": "user-1"}, {"detail": '{"a": 1}'}]
    )
    row["erased"] = chance.choice([row["erased"], None])


def chains(dump: Dump) -> Iterator[list[Row]]:
    for writer in {row["writer"] for row in dump[ROWS]}:
        yield [row for row in dump[ROWS] if row["writer"] == writer]


def chained(keys: AuditKeys, head: Head, row_id: int) -> Row:
    row = link(keys, head, 1_800_000_000_000, event(30), bytes(32))
    return {"id": row_id, **row, "detail": detail_text(row["detail"]), "erased": None}


def signed(head: Head, keys: AuditKeys = THEIRS) -> Row:
    return {
        "writer": head.writer,
        "kid": head.kid,
        "count": head.length,
        "last_id": head.last_id,
        "hash": head.hash,
        "mac": head_mac(keys, head),
        "marked": 0,
    }


Edit = Callable[[World, Dump, random.Random], None]
ONE_OF: tuple[Edit, ...] = (
    edit_a_row,
    edit_several_columns,
    edit_a_head,
    edit_a_checkpoint,
    delete_a_row,
    delete_a_row_and_close_the_gap,
    swap_two_ids,
    swap_what_two_rows_say,
    move_a_row_to_another_id,
    truncate,
    cut_a_chain_back_to_a_true_head,
    remove_a_writer,
    remove_a_head,
    remove_everything,
    remove_checkpoints,
    roll_everything_back,
    roll_some_tables_back,
    repeat_a_row,
    bring_a_pruned_row_back,
    forge_a_row,
    forge_a_chain,
    forge_a_row_outside_of_chains,
    take_a_row_out_of_its_chain,
    forge_a_checkpoint,
    erase_without_the_key,
    fill_in_what_was_erased,
)
WEIGHTS = [6 if edit is edit_a_row else 2 if edit is edit_a_checkpoint else 1 for edit in ONE_OF]


def difference(before: Dump, after: Dump) -> list[str]:
    """What was edited, to be read by whoever this test fails for."""
    found = []
    for table in AUDIT:
        was, now = ([repr(row) for row in dump[table]] for dump in (before, after))
        found += [f"{table} - {row}" for row in was if row not in now]
        found += [f"{table} + {row}" for row in now if row not in was]
    return found


async def test_a_random_editor_is_caught_each_time(
    stores: Stores, database: str, clock: TurnedClock
) -> None:
    world = await honest(stores, database, clock)
    chance = random.Random(SEED)
    caught: Counter[str] = Counter()
    refused = 0
    every = {edit.__name__ for edit in ONE_OF}
    # PostgreSQL takes few of some kinds: until there is one of each.
    while sum(caught.values()) < EDITS or (set(caught) != every and refused < 3 * EDITS):
        dump = deepcopy(world.now)
        [edit] = chance.choices(ONE_OF, WEIGHTS)
        edit(world, dump, chance)
        try:
            await put(world.store, dump)
        except (DBAPIError, UnicodeError):
            refused += 1  # by the database: a value it does not take there
            continue
        if repr(edited := await dumped(world.store)) == repr(world.now):
            continue
        proof = await world.proof()
        assert not proof.holds, f"{edit.__name__}, seed {SEED}: {difference(world.now, edited)}"
        assert proof.first is not None
        assert proof.first.why
        caught[edit.__name__] += 1
    assert set(caught) == every
    assert refused < 3 * EDITS
    # An honest log once more: it was the edits that were found.
    await put(world.store, world.now)
    assert (await world.proof()).holds
