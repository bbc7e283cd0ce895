"""One process's services: started and stopped in order."""

import asyncio
import json
import logging
from typing import Any

import pytest

from authward import Authward
from authward import process as process_module
from authward.core.audit import Client, Event
from authward.errors import ConfigurationError, Unavailable
from authward.ports import NewUser
from authward.process import audit_line
from authward.services.hashing import HashLane
from authward.testing import TurnableClock
from tests.cheap import make_hashing_cheap
from tests.contracts.fixtures import migrated_sqlite, sqlite_database  # noqa: F401

SECRET = "8dXo2nqIp0Jv5cFh3mRzYw7LkTbQeUa1sGxNfWdC6yE"


@pytest.fixture
def auth(
    sqlite_database: str,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> Authward:
    make_hashing_cheap(monkeypatch)
    return Authward(database_url=sqlite_database, secret=SECRET, clock=TurnableClock())


def tasks() -> set[str]:
    return {
        task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("authward")
    }


async def test_nothing_is_left_behind(auth: Authward) -> None:
    await auth.startup()
    names = ("sweep", "keys", "feed", "audit", "checkpoints", "end")
    # What is left of a kill is ended once, right after the start.
    assert tasks() - {"authward-kills"} == {f"authward-{name}" for name in names}
    await auth.shutdown()
    await asyncio.sleep(0)
    assert tasks() == set()


async def test_a_start_that_fails_leaves_nothing_behind_either(auth: Authward) -> None:
    await auth.startup()
    await auth.shutdown()
    other = Authward(
        database_url=auth.settings.database_url,
        secret="t5GkQz2Wn8Vb0Ld7Xc4Rf1Hj6Ps9My3EaUiOqTwYvZo",
    )
    with pytest.raises(ConfigurationError, match="secret: does not open"):
        await other.startup()
    await asyncio.sleep(0)
    assert tasks() == set()


async def test_a_fault_at_the_end_does_not_keep_the_database_open(
    auth: Authward, monkeypatch: pytest.MonkeyPatch
) -> None:
    await auth.startup()
    store: Any = auth.services.store
    closed: list[bool] = []
    close = store.close

    async def noted() -> None:
        closed.append(True)
        await close()

    async def broken(**_: Any) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr(store, "close", noted)
    monkeypatch.setattr(auth.services.refusals, "flush", broken)
    with pytest.raises(RuntimeError, match="a fault"):
        await auth.shutdown()
    assert closed == [True]
    assert tasks() <= {"authward-end"}


async def test_old_sessions_are_swept_whatever_happens(
    auth: Authward, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    faults: list[Exception | None] = [Unavailable("database gone"), RuntimeError("a fault"), None]
    swept = asyncio.Event()

    async def sweep() -> None:
        fault = faults.pop(0) if faults else None
        if fault is not None:
            raise fault
        swept.set()

    monkeypatch.setattr(process_module, "SWEEP_EVERY", 0.001)
    monkeypatch.setattr("authward.stores.sql.SqlStore.sweep", lambda self: sweep())
    with caplog.at_level(logging.WARNING):
        await auth.startup()
        async with asyncio.timeout(60):
            await swept.wait()
        await auth.shutdown()
    assert "old sessions not swept: database gone" in caplog.text
    assert "RuntimeError: a fault" in caplog.text


async def test_hashes_that_came_past_the_feed_are_found(
    auth: Authward, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of a backup, or written by hand."""
    found = asyncio.Event()

    def learn(lane: HashLane, schemes: list[str]) -> None:
        if schemes == ["$2b$04$"]:
            found.set()

    monkeypatch.setattr(process_module, "SWEEP_EVERY", 0.001)
    monkeypatch.setattr(HashLane, "learn", learn)
    await auth.startup()
    hashed = "$2b$04$" + "a" * 53
    new = NewUser("a-user-1", "a@example.com", "a@example.com", "A", "user", hashed)
    await auth.services.store.users.add(new, Event("user.imported", Client("")))
    async with asyncio.timeout(60):
        await found.wait()
    await auth.shutdown()


async def test_our_own_changes_count_before_the_log_is_written(
    auth: Authward, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broken log must not keep a revoked session alive."""
    await auth.startup()
    here = Client("203.0.113.9")
    signed_in = await auth.services.accounts.register(
        "ada@example.com", "correct horse battery", "Ada", here, presented=None
    )

    def broken(event: Event, clock: object) -> str:
        raise OSError("the log is full")

    with monkeypatch.context() as patch:
        patch.setattr(process_module, "audit_line", broken)
        with pytest.raises(Exception, match="log is full"):
            await auth.services.sessions.end(signed_in.session.id, signed_in.user.id, here)
    with pytest.raises(Exception, match="session revoked"):
        auth.services.tokens.verify(signed_in.access_token)
    await auth.shutdown()


def test_an_audit_event_is_one_line_of_json() -> None:
    event = Event(
        "login.failed",
        Client.of("203.0.113.9", "curl\r\n{forged} \x1b[31m", "r-1"),
        "refused",
        subject="ada",
        detail={"reason": "wrong\npassword\u2028", "count": 3},
    )
    clock = TurnableClock()
    clock.turn(1_800_000_000 - clock.now())
    line = audit_line(event, clock)
    assert "\n" not in line
    assert "\x1b" not in line
    said = json.loads(line)
    assert said.pop("time").startswith("2027-01-15T08:00:0")
    assert said == {
        "kind": "login.failed",
        "outcome": "refused",
        "subject": "ada",
        "ip": "203.0.113.9",
        "userAgent": "curl\\x0d\\x0a{forged} \\x1b[31m",
        "requestId": "r-1",
        "reason": "wrong\npassword\u2028",
        "count": 3,
    }
