"""Anchors in logs of every form."""

import io
import json
import logging

import pytest

from authward.core.anchors import Anchor, anchor_of, anchors_of, signed_anchors
from authward.core.chain import AuditKeys, Checkpoint
from authward.logs import console_lines, json_lines

HASH = "0123456789abcdef" * 4
OTHER = "f" * 64
KEYS = AuditKeys("kid", {"older": bytes(32), "kid": b"k" * 32})
MADE = Checkpoint(3, 0, "kid", b"", "", bytes.fromhex(HASH))
MAC = anchor_of(MADE, KEYS).mac
OWN = {
    **{"time": "2026-11-30T17:00:00.000Z", "kind": "checkpoint"},
    **{"number": 3, "hash": HASH, "mac": MAC},
}


def entry(formatter: logging.Formatter, logger: str, text: str) -> str:
    """A line as a server writes it."""
    record = logging.LogRecord(logger, logging.INFO, "", 0, text, (), None)
    return formatter.format(record) + "\n"


@pytest.mark.parametrize(
    "formatter",
    [
        json_lines(),
        console_lines(colors=False),
        console_lines(colors=True),
        logging.Formatter("%(message)s"),
        logging.Formatter(logging.BASIC_FORMAT),
        logging.Formatter("%(asctime)s [%(levelname)s] %(name)s: %(message)s"),
        logging.Formatter('{"name": "%(name)s", "message": %(message)s}'),
    ],
)
@pytest.mark.parametrize(
    "before",
    [
        "",
        "server-1  | ",
        "Nov 30 17:00:00 host app[17]: ",
        "2026-11-30T17:00:00.1Z ",
        "2026-11-30T17:00:00.1Z stderr F ",
    ],
)
def test_a_checkpoint_is_read_from_a_log_of_any_form(formatter: logging.Formatter, before: str):
    text = json.dumps(OWN)
    if "%(message)s}" in str(formatter._fmt):
        text = json.dumps(text)
    line = before + entry(formatter, "authward.audit", text)
    [told] = anchors_of(["", "authward starts\n", line])
    assert told == anchor_of(MADE, KEYS)


FORGED = f"checkpoint number=1 hash={OTHER}"
FORGED_JSON = json.dumps({**OWN, "number": 1, "hash": OTHER})
FORGED_CONSOLE = f"12:00:00 [info     ] checkpoint [authward.audit] hash={OTHER} number=1"


@pytest.mark.parametrize("formatter", [json_lines(), console_lines(colors=False)])
@pytest.mark.parametrize("text", [FORGED, FORGED_JSON, FORGED_CONSOLE, "x\n" + FORGED_CONSOLE])
def test_what_a_client_sent_is_no_anchor(formatter: logging.Formatter, text: str):
    failed = {
        **{"time": OWN["time"], "kind": "login.failed", "ip": "192.0.2.1"},
        "userAgent": text,
        "hash": OTHER,
        "number": 1,
    }
    lines = [
        entry(formatter, "authward.audit", json.dumps(failed)),
        entry(formatter, "authward.audit", text.replace("{", "not {")),
        entry(formatter, "uvicorn.access", f"GET /{text} 200 192.0.2.1"),
        entry(formatter, "app", text),
        f"INFO:app:{text.partition(chr(10))[0]}",
        f"the app says {text.partition(chr(10))[0]}",
    ]
    assert list(anchors_of(lines)) == []


@pytest.mark.parametrize(
    "line",
    [
        json.dumps({**OWN, "kind": "login.succeeded"}),
        json.dumps({**OWN, "hash": "short"}),
        json.dumps({**OWN, "hash": 7}),
        json.dumps({**OWN, "number": "3"}),
        json.dumps({**OWN, "number": True}),
        json.dumps({**OWN, "number": 0}),
        json.dumps({**OWN, "number": 2**63}),
        json.dumps({**OWN, "more": 1}),
        json.dumps({"logger": "authward.audit", "message": "checkpoint", "hash": HASH}),
        json.dumps({"logger": "authward.audit", "message": 7, "checkpoint": 1}),
        json.dumps({"logger": "app", "message": "checkpoint", "number": 3, "hash": HASH}),
        json.dumps(OWN) + " and more",
        json.dumps(OWN) + " " * 2000 + "x",
        '{"checkpoint": ' + "[" * 1900,
        'authward.audit:{"checkpoint"',
        "checkpoint",
    ],
)
def test_what_is_no_whole_checkpoint_is_none(line: str):
    assert list(anchors_of([line])) == []


SIGNED_TWICE = [anchor_of(Checkpoint(3, 0, "kid", b"", "", bytes.fromhex(one)), KEYS) for one in
                (HASH, OTHER)]  # fmt: skip


def test_of_two_with_one_number_both_are_kept():
    """One number is signed twice only after a rollback: the later line must not hide the first."""
    first, second = SIGNED_TWICE
    lines = io.StringIO(
        "".join(json.dumps({**OWN, **one._asdict()}) + "\n" for one in (first, second, first))
    )
    assert signed_anchors(anchors_of(lines), KEYS) == ({3: (HASH, OTHER)}, 0)


def test_those_of_an_older_key_count_too():
    made = Checkpoint(4, 0, "older", b"", "", bytes.fromhex(OTHER))
    assert signed_anchors([anchor_of(made, KEYS)], KEYS) == ({4: (OTHER,)}, 0)


@pytest.mark.parametrize(
    "layout",
    [
        "%(message)s",
        "%(asctime)s %(levelname)s %(message)s",
        "[%(asctime)s] [%(levelname)s] %(message)s",
        "%(asctime)s %(levelname)s [%(name)s] %(message)s",
    ],
)
def test_an_entry_of_an_app_that_a_client_began_is_not_signed(layout: str):
    """Where an app logs a path or a user agent first, a client writes what looks like an anchor."""
    forged = {**OWN, "number": 1, "hash": OTHER}
    told = [json.dumps(forged), json.dumps({**forged, "mac": OTHER})]
    told += [json.dumps({name: one for name, one in forged.items() if name != "mac"})]
    entries = [
        entry(logging.Formatter(layout), "GET", text)
        for one in told
        for text in (one, f"authward.audit{one}", f"GET /authward.audit{one}")
    ]
    tail = [f"    authward.audit {one}" for one in told]  # of a traceback
    found = list(anchors_of([*entries, *tail]))
    assert found
    assert signed_anchors(found, KEYS) == ({}, len(found))


def test_a_signature_is_of_one_number_one_hash_and_one_key():
    good, mine = Anchor(3, HASH, MAC), ({3: (HASH,)}, 0)
    assert signed_anchors([good], KEYS) == mine
    others = AuditKeys("kid", {"kid": b"o" * 32})
    for keys, told in [
        (others, good),
        (KEYS, good._replace(number=4)),
        (KEYS, good._replace(hash=OTHER)),
        (KEYS, good._replace(mac="")),
        (KEYS, anchor_of(MADE, others)),
    ]:
        assert signed_anchors([told], keys) == ({}, 1)


def test_another_database_may_write_into_the_same_log():
    """Numbers of both begin with one: that is no rollback."""
    theirs = anchor_of(Checkpoint(3, 0, "x", b"", "", b"\1" * 32), AuditKeys("x", {"x": b"x" * 32}))
    lines = [json.dumps({**OWN, **one._asdict()}) for one in (anchor_of(MADE, KEYS), theirs)]
    assert signed_anchors(anchors_of(lines), KEYS) == ({3: (HASH,)}, 1)
