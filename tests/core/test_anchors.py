"""Anchors in logs of every form."""

import io
import json
import logging

import pytest

from authward.core.anchors import anchors_of
from authward.logs import console_lines, json_lines

HASH = "0123456789abcdef" * 4
OTHER = "f" * 64
OWN = {"time": "2026-11-30T17:00:00.000Z", "kind": "checkpoint", "number": 3, "hash": HASH}


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
    assert anchors_of(["", "authward starts\n", line]) == {3: (HASH,)}


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
    assert anchors_of(lines) == {}


@pytest.mark.parametrize(
    "line",
    [
        json.dumps({**OWN, "kind": "login.succeeded"}),
        json.dumps({**OWN, "hash": "short"}),
        json.dumps({**OWN, "hash": 7}),
        json.dumps({**OWN, "number": "3"}),
        json.dumps({**OWN, "number": True}),
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
    assert anchors_of([line]) == {}


def test_of_two_with_one_number_both_are_kept():
    """One number is signed twice only after a rollback: the later line must not hide the first."""
    lines = io.StringIO(
        "".join(json.dumps({**OWN, "hash": one}) + "\n" for one in (HASH, OTHER, HASH))
    )
    assert anchors_of(lines) == {3: (HASH, OTHER)}
