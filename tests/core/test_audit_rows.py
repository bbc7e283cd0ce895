"""Which rows may be signed for as erased."""

from typing import Any

import pytest

from authward.core.audit_rows import StoredRow, bare, erasure_of, may_be_erased

from .test_chain_proof import SECRET, Log

WHO = {"who_salt": None, "actor": None, "ip": "", "user_agent": "", "request_id": ""}
WHAT = {"what_salt": None, "subject": None, "session": None, "detail": "{}"}


def test_a_row_as_it_was_written():
    assert all(may_be_erased(SECRET, row) for row in Log().rows)


@pytest.mark.parametrize(("who", "what"), [(True, False), (False, True), (True, True)])
def test_a_row_that_we_erased_already(who: bool, what: bool):
    row = Log().rows[1]
    gone = row._replace(**(WHO if who else {}), **(WHAT if what else {}))
    assert not may_be_erased(SECRET, gone)
    assert may_be_erased(SECRET, gone._replace(erased=erasure_of(SECRET, row, who=who, what=what)))


@pytest.mark.parametrize(
    "edit",
    [
        {"actor": "eve"},
        {"actor": "\ud800"},
        {"ip": b"192.0.2.1"},
        {"subject": None},
        {"detail": "{ }"},
        {"who_digest": bytes(32)},
        {"at": 1.5},
        {"seq": None},
        {"erased": bytes(32)},
        WHO,
        WHAT,
    ],
    ids=repr,
)
def test_a_row_that_somebody_edited(edit: dict[str, Any]):
    assert not may_be_erased(SECRET, Log().rows[1]._replace(**edit))


@pytest.mark.parametrize("name", ["writer", "seq", "hash", "who_digest", "what_digest"])
def test_an_erasure_is_of_one_row_as_it_was(name: str):
    one, other = Log().rows[1], Log().rows[1]._replace(**{name: b"x"})
    assert erasure_of(SECRET, one, who=True, what=True) != erasure_of(
        SECRET, other, who=True, what=True
    )


def test_nothing_of_a_chain():
    none = StoredRow(**{**dict.fromkeys(StoredRow._fields), "id": 1, "kind": "x"})
    assert bare(none)
    assert not bare(none._replace(who_salt=b""))
