"""Who was erased from the audit log is not left in the file either. SQLite keeps what was deleted
until something takes its place, unless it is told not to; how it was built says which it does.
"""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from authward.core.audit import Client, Event
from tests.contracts.fixtures import Stores

MARKS = (b"ada-the-person", b"her browser", b"203.0.113.77", b"her session", b"her detail")


@pytest.fixture
def built_to_keep(monkeypatch: pytest.MonkeyPatch) -> None:
    """As SQLite is built where nobody said otherwise."""
    connect = sqlite3.connect

    def connected(*given: Any, **named: Any) -> sqlite3.Connection:
        connection = connect(*given, **named)
        connection.execute("PRAGMA secure_delete=OFF").fetchall()
        return connection

    monkeypatch.setattr(sqlite3, "connect", connected)


@pytest.mark.usefixtures("built_to_keep")
async def test_nothing_of_whom_was_erased_is_in_the_file(
    stores: Stores, sqlite_database: str
) -> None:
    path = Path(sqlite_database.removeprefix("sqlite:///"))
    who, agent, ip, session, detail = (mark.decode() for mark in MARKS)
    client = Client(ip, agent, "r-1")
    store = await stores(sqlite_database)
    await store.chains.checkpoint()
    await store.audit.record(
        [
            Event("session.refreshed", client, "ok", who, who, session, {"reason": detail})
            for _ in range(300)
        ]
    )
    assert await store.audit.erase(who) == (300, ())
    await store.close()  # the last one that closes it puts the log beside it into the file
    left = b"".join(one.read_bytes() for one in path.parent.iterdir())
    assert [mark for mark in MARKS if mark in left] == []
