"""What makes an audit log verify, and what each edit is called."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from authward.core.anchors import Anchors
from authward.core.audit import Client, Event
from authward.core.audit_rows import StoredRow, erasure_of
from authward.core.chain import (
    AuditKeys,
    Checkpoint,
    Head,
    advanced,
    body_of,
    detail_text,
    digest_of,
    first_head,
    head_mac,
    link,
    mac,
    ours,
    signed_by_us,
    who_digest,
)
from authward.core.chain_proof import Problem, Proof, Prover
from authward.core.keys import Key

SECRET = bytes(range(32))
KEYS = AuditKeys("audit-kid", {"audit-kid": SECRET, "older-kid": bytes(32)})
CLIENT = Client("203.0.113.9", "a browser", "r-1")
SALTS = bytes(range(32))
DONE = Event("login.succeeded", CLIENT, "ok", "ada", "ada", "session-1", {"n": 1})
Rows = list[StoredRow]


class Log:
    """An honest log of one chain of five rows, begun and ended with a checkpoint."""

    def __init__(self) -> None:
        self.rows: Rows = []
        self.head = first_head(KEYS, "a" * 32)
        self.checkpoints = [self.checkpoint([], unchained=(0, 0))]
        for row_id in (1, 2, 4, 7, 8):
            self.add(row_id)
        self.checkpoints.append(self.checkpoint([self.head]))
        self.mac = head_mac(KEYS, self.head)

    def add(self, row_id: int) -> None:
        row = link(KEYS, self.head, 1000 + row_id, DONE, SALTS)
        stored = {**row, "id": row_id, "detail": detail_text(row["detail"]), "erased": None}
        self.rows.append(StoredRow(**stored))
        self.head = advanced(self.head, row, row_id)

    def checkpoint(self, heads: list[Head], **more: Any) -> Checkpoint:
        found = getattr(self, "checkpoints", [])
        everything = digest_of({head.writer: head for head in heads})
        body = body_of(heads=heads, everything=everything, **more)
        previous = found[-1].hash if found else b""
        return Checkpoint(len(found) + 1, 5, KEYS.kid, previous, body).signed(KEYS)

    def proof(self, anchors: Anchors | None = None) -> Proof:
        prover = Prover(KEYS, anchors or {})
        for checkpoint in self.checkpoints:
            prover.checkpoint(checkpoint)
        prover.head(self.head, self.mac)
        for row in self.rows:
            prover.row(row)
        return prover.finish()

    def edit(self, place: int, **values: Any) -> None:
        self.rows[place] = self.rows[place]._replace(**values)


def test_an_honest_log_holds():
    log = Log()
    last = log.checkpoints[-1]
    anchors = {2: (last.hash.hex(),)}
    assert log.proof(anchors) == Proof(5, 1, 2, 0, (2, last.hash.hex()), 0, ())
    assert log.proof().holds
    assert log.proof().first is None


def test_a_chain_that_got_shorter_is_found_though_a_later_checkpoint_signed_it():
    log = Log()
    long, short = log.head, log.head._replace(length=3, last_id=4, hash=log.rows[2].hash)
    log.checkpoints.append(log.checkpoint([short]))
    log.rows, log.head, log.mac = log.rows[:3], short, head_mac(KEYS, short)
    assert [one.why for one in log.proof().problems] == [
        "checkpoint 3 saw 3 rows of chain aaaaaaaa, of which one before it saw 5"
    ]
    log.checkpoints.append(log.checkpoint([long._replace(length=1)]))
    assert log.proof().problems[1].why.startswith("checkpoint 4 saw 1 row of chain aaaaaaaa")


@pytest.mark.parametrize("name", StoredRow._fields)
def test_an_edit_of_any_column_names_its_row(name: str):
    log = Log()
    value = getattr(log.rows[2], name)
    other = {int: lambda: value + 1, str: lambda: value + "x", bytes: lambda: value + b"\0"}
    log.edit(2, **{name: other.get(type(value), lambda: b"x")()})
    first = log.proof().first
    assert first is not None
    assert first.row in (4, 5), first  # of the id it is the new one, or the row after it


@pytest.mark.parametrize("name", StoredRow._fields)
def test_a_column_of_another_type_is_nothing_we_wrote(name: str):
    log = Log()
    log.edit(2, **{name: 1.5})
    found = log.proof().problems[0]
    called = "a row's id" if name == "id" else f"its {name}"
    assert found.why == f"{called} is nothing we wrote"


def test_rows_without_a_number_for_an_id_are_told_with_others():
    log = Log()
    log.edit(3, id="5")
    log.rows.append(older("x"))
    log.edit(0, kind="x")
    proof = log.proof()
    assert proof.first == Problem(1, "was edited")
    assert [one.why for one in proof.problems].count("a row's id is nothing we wrote") == 2


def test_rows_that_nobody_reads_by_id_are_missed():
    log = Log()
    prover = Prover(KEYS)
    for checkpoint in log.checkpoints:
        prover.checkpoint(checkpoint)
    prover.head(log.head, log.mac)
    prover.total = 7
    for row in log.rows:
        prover.row(row)
    assert prover.finish().problems == (Problem(None, "of 7 rows only 5 have an id of their own"),)


Edit = Callable[[Log], None]


def cut(log: Log) -> None:
    del log.rows[3:]


def cut_last(log: Log) -> None:
    del log.rows[4:]


def cut_whole(log: Log) -> None:
    log.rows.clear()


def lose_one(log: Log) -> None:
    del log.rows[1]


def lose_two(log: Log) -> None:
    del log.rows[1:3]


def swap(log: Log) -> None:
    one, other = log.rows[1], log.rows[2]
    log.rows[1], log.rows[2] = other._replace(id=one.id), one._replace(id=other.id)


def other_id(log: Log) -> None:
    log.edit(2, id=5)


def other_last_id(log: Log) -> None:
    log.edit(4, id=9)


def surrogate(log: Log) -> None:
    log.edit(2, user_agent="\ud800")


def unchain(log: Log) -> None:
    log.edit(2, writer=None)


def foreign(log: Log) -> None:
    log.edit(2, writer="b" * 32)


def add_behind(log: Log) -> None:
    honest, signature = log.head, log.mac
    log.add(9)
    log.head, log.mac = honest, signature


def other_head(log: Log) -> None:
    log.head = log.head._replace(length=4)


def typed_head(log: Log) -> None:
    log.head = log.head._replace(last_id="8")  # type: ignore[arg-type]


def unknown_key(log: Log) -> None:
    log.head = log.head._replace(kid="unknown")


def forget_checkpoints(log: Log) -> None:
    log.checkpoints.clear()


def forget_first(log: Log) -> None:
    del log.checkpoints[0]


def edit_checkpoint(log: Log) -> None:
    last = log.checkpoints.pop()
    log.checkpoints.append(
        Checkpoint(last.number, 6, last.kid, last.previous, last.body, last.hash)
    )


def type_checkpoint(log: Log) -> None:
    last = log.checkpoints.pop()
    number: Any = "2"
    log.checkpoints.append(Checkpoint(number, 5, last.kid, b"", last.body, last.hash))


def foreign_checkpoint(log: Log) -> None:
    last = log.checkpoints.pop()
    log.checkpoints.append(Checkpoint(2, 5, "unknown", last.previous, last.body, last.hash))


def unlinked_checkpoint(log: Log) -> None:
    log.checkpoints[0] = Checkpoint(
        1, 6, KEYS.kid, b"", body_of(heads=(), everything="", unchained=(0, 0))
    ).signed(KEYS)


def late_first(log: Log) -> None:
    log.checkpoints.clear()
    log.checkpoints.append(log.checkpoint([log.head], unchained=(0, 0)))


def roll_back(log: Log) -> None:
    del log.rows[4:]
    log.head = Head(log.head.writer, KEYS.kid, 4, log.rows[-1].id, log.rows[-1].hash)
    log.mac = head_mac(KEYS, log.head)


def other_fork(log: Log) -> None:
    log.checkpoints.pop()
    log.checkpoints.append(log.checkpoint([log.head._replace(hash=bytes(32))]))


def not_all(log: Log) -> None:
    log.checkpoints.pop()
    body = body_of(heads=[log.head], everything=digest_of({}))
    before = log.checkpoints[-1].hash
    log.checkpoints.append(Checkpoint(2, 5, KEYS.kid, before, body).signed(KEYS))


CALLED: list[tuple[Edit, Problem]] = [
    (cut, Problem(4, "2 rows after it are missing at the end of chain aaaaaaaa")),
    (cut_last, Problem(7, "1 row after it is missing at the end of chain aaaaaaaa")),
    (cut_whole, Problem(None, "5 rows after it are missing at the end of chain aaaaaaaa")),
    (lose_one, Problem(4, "1 row of its chain is missing before it")),
    (lose_two, Problem(7, "2 rows of its chain are missing before it")),
    (swap, Problem(2, "1 row of its chain is missing before it")),
    (other_id, Problem(5, "was row 4 when it was written")),
    (other_last_id, Problem(9, "is not the row that a checkpoint saw there")),
    (surrogate, Problem(4, "was edited")),
    (unchain, Problem(4, "was taken out of its chain")),
    (foreign, Problem(4, "belongs to chain bbbbbbbb, which has no head")),
    (add_behind, Problem(9, "comes after the end of chain aaaaaaaa")),
    (other_head, Problem(1, "belongs to chain aaaaaaaa, which has no head")),
    (typed_head, Problem(1, "belongs to chain aaaaaaaa, which has no head")),
    (unknown_key, Problem(1, "belongs to chain aaaaaaaa, which has no head")),
    (forget_checkpoints, Problem(None, "there is no checkpoint: they are gone")),
    (forget_first, Problem(None, "checkpoint 1 is missing")),
    (edit_checkpoint, Problem(None, "checkpoint 2 was edited")),
    (type_checkpoint, Problem(None, "checkpoint 2 was edited")),
    (foreign_checkpoint, Problem(None, "checkpoint 2 was edited")),
    (unlinked_checkpoint, Problem(None, "checkpoint 2 does not follow the one before it")),
    (late_first, Problem(None, "checkpoint 1 follows on rows: those before it are gone")),
    (
        roll_back,
        Problem(7, "is the last of chain aaaaaaaa, of which a checkpoint saw 5 rows, not 4"),
    ),
    (other_fork, Problem(8, "is not the row that a checkpoint saw there")),
    (not_all, Problem(None, "a checkpoint does not tell of every chain there was")),
]


@pytest.mark.parametrize(("edit", "called"), CALLED, ids=lambda one: getattr(one, "__name__", ""))
def test_what_each_edit_is_called(edit: Edit, called: Problem):
    log = Log()
    edit(log)
    proof = log.proof()
    assert not proof.holds
    assert proof.first == called


def test_a_chain_that_is_gone_whole():
    log = Log()
    prover = Prover(KEYS)
    for checkpoint in log.checkpoints:
        prover.checkpoint(checkpoint)
    assert prover.finish().problems == (
        Problem(None, "chain aaaaaaaa, which a checkpoint saw, is gone"),
    )


def test_an_anchor_that_is_another_or_not_there():
    log = Log()
    proof = log.proof({2: ("0" * 64,), 3: ("0" * 64,)})
    assert [one.why for one in proof.problems] == [
        "checkpoint 2 is not the one of the anchor",
        "checkpoint 3, which the anchor names, is missing",
    ]


def test_two_hashes_of_one_number_are_a_rollback():
    log = Log()
    own = log.checkpoints[-1].hash.hex()
    [problem] = log.proof({2: ("0" * 64, own)}).problems
    assert problem.why == (
        f"checkpoint 2 was signed 2 times, as the anchor has it ({'0' * 64} and {own}): "
        "the log was rolled back in between"
    )


def test_problems_are_told_up_to_a_hundred_and_counted_beyond():
    prover = Prover(KEYS)
    for row_id in range(150):
        prover.unreadable(row_id)
    prover.unreadable(None, "the heads")
    proof = prover.finish()
    assert (proof.rows, proof.bad, len(proof.problems)) == (150, 151, 100)
    assert prover.problem == Problem(0, "cannot be read")
    assert Prover(KEYS).problem is None


def erased(log: Log, place: int, *, who: bool, what: bool, secret: bytes = SECRET) -> None:
    row = log.rows[place]
    proof = erasure_of(secret, row, who=who, what=what)
    log.edit(place, erased=proof)
    if who:
        log.edit(place, who_salt=None, actor=None, ip="", user_agent="", request_id="")
    if what:
        log.edit(place, what_salt=None, subject=None, session=None, detail="{}")


@pytest.mark.parametrize(("who", "what"), [(True, False), (False, True), (True, True)])
def test_what_we_erased_holds_and_what_others_did_does_not(who: bool, what: bool):
    log = Log()
    erased(log, 1, who=who, what=what)
    assert log.proof().holds
    log = Log()
    erased(log, 1, who=who, what=what, secret=bytes(32))
    assert log.proof().first == Problem(2, "was edited")


@pytest.mark.parametrize(
    "more",
    [
        {"actor": "eve"},
        {"ip": "192.0.2.1"},
        {"subject": "eve"},
        {"detail": '{"a": 1}'},
        {"erased": None},
        {"erased": bytes(32)},
    ],
)
def test_nothing_is_filled_in_where_something_was_erased(more: dict[str, Any]):
    log = Log()
    erased(log, 1, who=True, what=True)
    log.edit(1, **more)
    assert log.proof().first == Problem(2, "was edited")


def test_a_proof_of_erasure_on_a_whole_row_is_an_edit():
    log = Log()
    log.edit(1, erased=bytes(32))
    assert log.proof().first == Problem(2, "was edited")


def older(row_id: Any) -> StoredRow:
    none = dict.fromkeys(StoredRow._fields)
    return StoredRow(**{**none, "id": row_id})


def test_rows_older_than_the_chains_are_counted_and_none_is_added():
    log = Log()
    log.checkpoints = []
    log.checkpoints = [log.checkpoint([], unchained=(1, 0))]
    log.checkpoints.append(log.checkpoint([log.head]))
    log.rows.insert(0, older(0))
    proof = log.proof()
    assert (proof.holds, proof.unchained) == (True, 1)
    log.rows.append(older(20))
    assert [one.why for one in log.proof().problems] == [
        "is in no chain",
        "of the rows older than the chains there are 2, not 1",
    ]


def test_a_pruned_chain_goes_on_where_it_was_cut():
    log = Log()
    second = log.rows[1]
    end = Head(log.head.writer, KEYS.kid, 2, second.id, second.hash)
    body = body_of(heads=(), pruned=(end,), everything="")
    log.checkpoints.append(Checkpoint(3, 9, KEYS.kid, log.checkpoints[-1].hash, body).signed(KEYS))
    del log.rows[:2]
    assert log.proof().holds
    # The whole of what the checkpoint saw may be gone.
    body = body_of(heads=(), pruned=(log.head,), everything="")
    log.checkpoints.append(Checkpoint(4, 9, KEYS.kid, log.checkpoints[-1].hash, body).signed(KEYS))
    log.rows.clear()
    assert log.proof().holds
    log.rows.append(second)
    assert log.proof().first == Problem(2, "is no. 2 of its chain, and comes after 5")


def test_a_chain_that_only_a_pruning_told_of_is_missed_when_it_is_gone():
    log = Log()
    second = log.rows[1]
    end = Head(log.head.writer, KEYS.kid, 2, second.id, second.hash)
    body = body_of(heads=(), pruned=(end,), everything="")
    prover = Prover(KEYS)
    prover.checkpoint(log.checkpoints[0])
    previous = log.checkpoints[0].hash
    prover.checkpoint(Checkpoint(2, 9, KEYS.kid, previous, body).signed(KEYS))
    assert prover.finish().problems == (
        Problem(None, "chain aaaaaaaa, which a checkpoint saw, is gone"),
    )


def test_a_key_that_signs_no_more_still_verifies():
    ring = [
        Key("audit-kid", "audit", "HS256", "signing", SECRET, 1),
        Key("older-kid", "audit", "HS256", "verifying", bytes(32), 0),
    ]
    keys = AuditKeys.of(ring)
    assert keys == KEYS
    assert "\\x01" not in repr(keys)
    old = first_head(AuditKeys.of(ring[::-1]), "c" * 32)
    assert old.kid == "older-kid"
    assert signed_by_us(keys, old, head_mac(keys, old))


def test_facts_of_different_kinds_never_look_alike():
    lists: list[list[Any]] = [["a", "b"], ["ab"], ["a", None, "b"], [1], ["1"], [True], [b"a"], []]
    assert len({mac(SECRET, "x", *facts) for facts in lists}) == len(lists)
    assert mac(SECRET, "row") != mac(SECRET, "head")


def test_a_longer_salt_is_another_salt():
    """A key of HMAC is filled up with zeros: two salts would have been one."""
    assert who_digest(b"salt", "ada") != who_digest(b"salt\0", "ada")


@pytest.mark.parametrize("name", ["number", "at", "kid", "previous", "body", "hash"])
def test_a_checkpoint_of_other_types_is_none_of_ours(name: str):
    one = Log().checkpoints[-1]
    assert ours(KEYS, one)
    value = getattr(one, name)
    for other in (None, 1.0, str(value), value.hex() if isinstance(value, bytes) else b"x"):
        wrong: dict[str, Any] = {name: other}
        assert other == value or not ours(KEYS, replace(one, **wrong))
    assert not ours(AuditKeys("other", {"other": SECRET}), one)
