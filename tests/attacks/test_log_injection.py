"""Control characters in a request forge log lines or drive the reader's terminal.

CVE-2020-7694 (uvicorn), CVE-2021-42574 (direction overrides), CWE-117, ASVS 16.4.1.
"""

import unicodedata

import pytest

from authward.core.audit import Client
from authward.core.text import printable

HOSTILE = [
    "x\r\n2026-11-23 login.succeeded actor=admin",
    "x\nFAKE",
    "x\x1b[2J\x1b[1;1H",
    "x\x1b]0;owned\x07",
    "x\x9b31m",
    "x\x08\x08\x08",
    "x\u2028FAKE",
    "x\u2029FAKE",
    "x\x85FAKE",
    "x\x00",
    "x\ud800",
    "x\u202egnp.exe",
    "x\u2066y\u2069",
    "x\u200b\ufeff",
]


@pytest.mark.parametrize("text", HOSTILE, ids=repr)
def test_every_field_of_a_client_stays_on_its_line(text: str):
    client = Client.of(text, text, text)
    for shown in (client.ip, client.user_agent, client.request_id, printable(text)):
        assert shown.startswith("x")
        assert len(shown.splitlines()) == 1
        assert not any(unicodedata.category(mark) == "Cf" for mark in shown)
        assert not any(mark < " " or "\x7f" <= mark <= "\x9f" for mark in shown)
        shown.encode("utf-8")
