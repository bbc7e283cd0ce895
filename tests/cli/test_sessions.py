"""`authward sessions revoke`: the count first, then the end."""

import asyncio
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from authward.cli.sessions import sessions
from authward.core.audit import Client, Event
from authward.ports import NewSession
from authward.stores.sql import SqlStore
from authward.testing import TurnableClock
from tests.contracts.making import AUDIT_KEYS

from .conftest import said


async def _open(folder: Path) -> None:
    store = SqlStore(f"sqlite:///{folder / 'authward.db'}", TurnableClock())
    store.audit.use(AUDIT_KEYS)
    user = await store.users.by_email("root@example.com")
    assert user is not None
    for number, ip in enumerate(("198.51.100.7", "2001:db8::1")):
        new = NewSession(f"session-{number}", user.id, user.epoch, "kid", 3_600_000, ip, "")
        await store.sessions.open(new, Event("login.ok", Client("")), replaces=None)
    await store.close()


@pytest.fixture
def opened(database: Path) -> None:
    """Two sessions of root@example.com, in the folder's database."""
    asyncio.run(_open(database))


def revoke(*words: str, code: int = 0) -> Result:
    result = CliRunner().invoke(sessions, ["revoke", *words])
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


@pytest.mark.parametrize(
    ("words", "matched"),
    [
        ("--all", 2),
        ("--ip 198.51.100.0/24", 1),
        ("--ip ::ffff:198.51.100.7", 1),
        ("--ip ::ffff:198.51.100.0/120", 1),
        ("--ip ::ffff:192.0.2.0/120", 0),
        ("--ip ::/0", 1),
        ("--ip 2001:db8::/32 --role admin", 1),
        ("--role moderator", 0),
        ("--user root@example.com --ip 192.0.2.1", 0),
        ("--user root@example.com", 2),
        ("--issued-before 2h", 0),
        ("--issued-before 2020-01-31T12:00:00Z", 0),
    ],
)
def test_what_is_counted_ends(opened: None, words: str, matched: int) -> None:
    accounts = min(matched, 1)
    would = {"matched": matched, "ended": 0, "accounts": accounts}
    assert said(revoke(*words.split(), "--dry-run", "--json")) == would
    assert said(revoke(*words.split(), "--dry-run", "--json")) == would
    done = {"matched": matched, "ended": matched, "accounts": accounts}
    assert said(revoke(*words.split(), "--yes", "--json")) == done
    assert said(revoke("--all", "--dry-run", "--json"))["matched"] == 2 - matched


def test_it_asks_after_the_count(opened: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("authward.cli.sessions.someone_there", lambda: True)
    asked = CliRunner().invoke(sessions, ["revoke", "--all"], input="n\n")
    assert asked.exit_code == 1
    assert asked.stdout == "2 live sessions of 1 account would end.\n"
    asked = CliRunner().invoke(sessions, ["revoke", "--all"], input="y\n")
    assert asked.stdout.endswith("2 live sessions of 1 account ended.\n")


def test_it_does_not_ask_about_nothing(opened: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("authward.cli.sessions.someone_there", lambda: True)
    asked = revoke("--role", "moderator")
    assert asked.output == "0 live sessions of 0 accounts would end.\n"


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("--yes", "Say which sessions, or --all alone"),
        ("--all --role admin --yes", "Say which sessions, or --all alone"),
        ("--all", "Say --yes, or --dry-run"),
        ("--ip here --yes", "--ip: 'here' is no address and no network. Write it like '192.0.2.7'"),
        ("--ip 300.1.1.1 --yes", "--ip: '300.1.1.1' is no address and no network. Write it like"),
        ("--ip 198.51.100.7/24 --yes", "Did you mean '198.51.100.0/24'?"),
        ("--role= --yes", "--role is empty"),
        ("--user eve@example.com --yes", "no account has the address eve@example.com"),
        ("--issued-before yesterday --yes", "no time with a zone"),
        ("--issued-before 2026-01-31T12:00:00 --yes", "no time with a zone"),
        ("--role king --yes", "Use one of: admin, moderator, user"),
    ],
)
def test_what_cannot_be_meant_says_why(opened: None, words: str, text: str) -> None:
    assert text in revoke(*words.split(), code=1 if "eve" in words else 2).output
    assert said(revoke("--all", "--dry-run", "--json"))["matched"] == 2
