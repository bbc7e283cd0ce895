"""The chain of audit rows: what is hashed over what, so that an edit shows.

A writer (one database connection) is one chain. A row's hash is an HMAC over its place, the hash
before it and what it says; personal data goes in by salted digests, so that data and salt can be
erased and the chain stays whole. A head signs the end of a chain. A checkpoint signs the heads of
all chains, and the checkpoint before it.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any, NamedTuple

import msgspec

from authward.core.audit import Event
from authward.core.keys import Key

SALT_BYTES = 16
Fact = str | int | bytes | bool | None
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class AuditKeys:
    """The keys of the audit log by kid, and the one that signs. None is ever deleted."""

    kid: str
    secrets: Mapping[str, bytes] = field(repr=False)

    @classmethod
    def of(cls, ring: Sequence[Key]) -> AuditKeys:
        """Those of a ring whose first key signs."""
        return cls(ring[0].kid, {key.kid: key.material for key in ring})


def mac(secret: bytes, purpose: str, *facts: Fact) -> bytes:
    """HMAC-SHA256 (RFC 2104) of facts of their own kind: no two lists of them look alike."""
    return hmac.digest(secret, _encode((purpose, *facts)), "sha256")


def same(one: bytes, other: bytes) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(one, other)


class Head(NamedTuple):
    """The end of a chain: how many rows it has, the last one's id and hash."""

    writer: str
    kid: str
    length: int
    last_id: int
    hash: bytes


def first_head(keys: AuditKeys, writer: str) -> Head:
    """The beginning of a chain without a row."""
    return Head(writer, keys.kid, 0, 0, b"")


def head_mac(keys: AuditKeys, head: Head) -> bytes:
    """The signature of a head."""
    return mac(keys.secrets[head.kid], "head", *head)


def signed_by_us(keys: AuditKeys, head: Head, signature: bytes) -> bool:
    """Whether a head is as we signed it. A database may hold anything in its place."""
    if tuple(map(type, (*head, signature))) != (str, str, int, int, bytes, bytes):
        return False
    return head.kid in keys.secrets and same(signature, head_mac(keys, head))


def mark_of(keys: AuditKeys, head: Head) -> int:
    """What says that a checkpoint told of a head: 64 bits of an HMAC, to be compared once every
    few minutes. Who writes to the database could put any number there, and so have a chain left
    out of all checkpoints.
    """
    told = mac(keys.secrets[head.kid], "told", *head)
    return int.from_bytes(told[:8], "big", signed=True)


def detail_text(detail: Mapping[str, str | int]) -> str:
    """`detail` as the databases keep it, byte for byte."""
    return json.dumps(dict(detail))


def _salted(purpose: str, salt: bytes, *facts: Fact) -> bytes:
    # The salt is no key of an HMAC: that would fill up a shorter one, and take two for the same.
    return sha256(_encode((purpose, salt, *facts))).digest()


def who_digest(salt: bytes, *facts: Fact) -> bytes:
    """Of who did it: actor, address, user agent and request id."""
    return _salted("who", salt, *facts)


def what_digest(salt: bytes, *facts: Fact) -> bytes:
    """Of whom it was done to: subject, session and detail."""
    return _salted("what", salt, *facts)


def row_hash(secret: bytes, previous: bytes, *facts: Fact) -> bytes:
    """`facts`: writer, seq, id of the row before, time, kind, outcome and the two digests."""
    return mac(secret, "row", previous, *facts)


def link(keys: AuditKeys, head: Head, at: int, event: Event, salts: bytes) -> dict[str, Any]:
    """The columns of the row that follows `head`. `salts` are 2 × `SALT_BYTES` random bytes."""
    client, detail = event.client, dict(event.detail)
    who, what = salts[:SALT_BYTES], salts[SALT_BYTES:]
    digests = (
        who_digest(who, event.actor, client.ip, client.user_agent, client.request_id),
        what_digest(what, event.subject, event.session, detail_text(detail)),
    )
    place = head.writer, head.length + 1, head.last_id
    return {
        "at": at,
        "kind": event.kind,
        "outcome": event.outcome,
        "actor": event.actor,
        "subject": event.subject,
        "session": event.session,
        "ip": client.ip,
        "user_agent": client.user_agent,
        "request_id": client.request_id,
        "detail": detail,
        "writer": head.writer,
        "seq": head.length + 1,
        "after": head.last_id,
        "who_salt": who,
        "who_digest": digests[0],
        "what_salt": what,
        "what_digest": digests[1],
        "hash": row_hash(
            keys.secrets[head.kid], head.hash, *place, at, event.kind, event.outcome, *digests
        ),
    }


def advanced(head: Head, row: Mapping[str, Any], row_id: int) -> Head:
    """The head once `row` is stored under `row_id`."""
    return head._replace(length=row["seq"], last_id=row_id, hash=row["hash"])


def erasure_mac(secret: bytes, *row: Fact, who: bool, what: bool) -> bytes:
    """The proof that we ourselves erased who did it, to whom, or both. `row`: writer, seq, hash and
    the two digests. These too: what we erased is what they were of, and whoever put others there
    for that time cannot put the true ones back.
    """
    return mac(secret, "erased", *row, who, what)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A signed statement of where every chain was. `body` is JSON: `heads` that moved since the
    checkpoint before, `pruned` ends of what was deleted, `all`, a digest over all heads, and in
    the first one `unchained`, how many rows are older than the chains.
    """

    number: int
    at: int
    kid: str
    previous: bytes
    body: str
    hash: bytes = b""

    def signed(self, keys: AuditKeys) -> Checkpoint:
        """The same with its hash, which is its signature too."""
        return replace(self, hash=self.expected(keys.secrets[self.kid]))

    def expected(self, secret: bytes) -> bytes:
        """What its hash must be."""
        return mac(secret, "checkpoint", self.number, self.at, self.previous, self.body)


def is_checkpoint(stored: Checkpoint) -> bool:
    """Whether it has the types of one. A database may hold anything in its place."""
    told = stored.number, stored.at, stored.kid, stored.previous, stored.body, stored.hash
    return tuple(map(type, told)) == (int, int, str, bytes, str, bytes)


def ours(keys: AuditKeys, stored: Checkpoint) -> bool:
    """Whether a checkpoint is as we signed it. Keys of the audit log are there from its beginning
    on, so there is none that this process does not know.
    """
    secret = keys.secrets.get(stored.kid) if is_checkpoint(stored) else None
    return secret is not None and same(stored.hash, stored.expected(secret))


def encoded(head: Head) -> bytes:
    """A head as it goes into a digest."""
    return _encode(head)


def digest_of(heads: Mapping[str, Head]) -> str:
    """One digest over all heads, whatever their order."""
    return digest_of_encoded({writer: encoded(head) for writer, head in heads.items()})


def digest_of_encoded(heads: Mapping[str, bytes]) -> str:
    """The same of heads that are encoded already: a JSON array of them."""
    return sha256(b"[%b]" % b",".join([heads[writer] for writer in sorted(heads)])).hexdigest()


def body_of(
    *,
    heads: Sequence[Head],
    pruned: Sequence[Head] = (),
    everything: str,
    unchained: tuple[int, int] | None = None,
) -> str:
    """The body of a checkpoint."""
    body: dict[str, Any] = {"heads": heads, "pruned": pruned, "all": everything}
    if unchained is not None:
        body["unchained"] = unchained
    return _encode(body).decode()


class Body(msgspec.Struct):
    """What `body_of` wrote."""

    heads: list[Head]
    pruned: list[Head]
    all: str
    unchained: tuple[int, int] | None = None


read_body = msgspec.json.Decoder(Body).decode
