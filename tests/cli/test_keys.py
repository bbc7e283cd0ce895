"""`authward keys`: listed, rotated, retired; and killed, with the count first."""

import asyncio
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from authward import Authward
from authward.cli.keys import keys
from authward.core.audit import Client, Event
from authward.ports import NewSession
from authward.services.keys import Keys
from authward.stores.sql import SqlStore
from authward.testing import TurnableClock
from tests.contracts.making import AUDIT_KEYS
from tests.keys import publish_long_ago_in

from .conftest import said


def run(*words: str, code: int = 0, **more: Any) -> Result:
    result = CliRunner().invoke(keys, [*words], **more)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


def listed(*words: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = said(run("list", "--json", *words))["keys"]
    return found


def the(ring: str, state: str, *words: str) -> str:
    [kid] = [one["id"] for one in listed(*words) if (one["ring"], one["state"]) == (ring, state)]
    return str(kid)


def due(folder: Path) -> None:
    """The next keys may sign."""
    asyncio.run(publish_long_ago_in(f"sqlite:///{folder / 'authward.db'}"))


def just_published(folder: Path) -> None:
    """However long ago the database was made that this one is a copy of."""
    with closing(sqlite3.connect(folder / "authward.db")) as database:
        database.execute("UPDATE keys SET created_at = strftime('%s', 'now') * 1000")
        database.commit()


def age(folder: Path, days: int) -> None:
    """What is old gets older."""
    with closing(sqlite3.connect(folder / "authward.db")) as database:
        database.execute(
            "UPDATE keys SET verifying_at = verifying_at - ?, created_at = created_at - ?",
            (days * 86_400_000, days * 86_400_000),
        )
        database.commit()


@pytest.fixture
def signed_in(database: Path) -> Path:
    """Two sessions of root@example.com hang on the refresh key."""
    kid = the("refresh", "signing")

    async def open_them() -> None:
        store = SqlStore(f"sqlite:///{database / 'authward.db'}", TurnableClock())
        store.audit.use(AUDIT_KEYS)
        user = await store.users.by_email("root@example.com")
        assert user is not None
        for number in range(2):
            new = NewSession(f"session-{number}", user.id, user.epoch, kid, 3_600_000, "", "")
            await store.sessions.open(new, Event("login.ok", Client("")), replaces=None)
        await store.close()

    asyncio.run(open_them())
    return database


def test_the_list(signed_in: Path) -> None:
    shown = run("list").output.splitlines()
    assert shown[0].split() == ["RING", "KEY", "ALGORITHM", "STATE", "AGE", "SESSIONS", "RETIRE"]
    assert len(shown) == 8
    [line] = [line for line in shown if "refresh" in line and "signing" in line]
    assert re.search(r"HS256 +signing +\d+[smhd] +2$", line), line
    by_state = {(one["ring"], one["state"]) for one in listed()}
    assert ("audit", "signing") in by_state
    assert ("audit", "pending") not in by_state
    [one] = [one for one in listed() if (one["ring"], one["state"]) == ("refresh", "signing")]
    assert one["sessions"] == 2
    assert one["retirableAt"] is one["retiredAt"] is None


def test_ages(database: Path) -> None:
    for days, unit in ((0, r"\d+[smh]"), (3, "3d")):
        age(database, days)
        [line] = [
            line for line in run("list").output.splitlines() if "csrf" in line and "pending" in line
        ]
        assert re.search(rf"pending +{unit}$", line), line
    with closing(sqlite3.connect(database / "authward.db")) as opened:
        opened.execute("UPDATE keys SET created_at = created_at + 3 * 86400000 - 7200000")
        opened.commit()
    assert re.search(r"pending +2h", run("list").output)


@pytest.fixture
def for_others(database: Path) -> Path:
    """A server signs with EdDSA here."""

    async def started() -> None:
        auth = Authward(database_url=f"sqlite:///{database / 'authward.db'}", algorithm="EdDSA")
        await auth.startup()
        await auth.shutdown()

    asyncio.run(started())
    return database


def access_keys() -> dict[str, str]:
    """State → algorithm."""
    return {one["state"]: one["algorithm"] for one in listed() if one["ring"] == "access"}


def test_a_shell_that_does_not_know_the_algorithm_changes_none(for_others: Path) -> None:
    before = the("access", "pending")
    assert access_keys() == {"signing": "HS256", "pending": "EdDSA"}
    assert the("access", "pending") == before
    due(for_others)
    run("rotate", "--ring", "access")
    assert access_keys() == {"verifying": "HS256", "signing": "EdDSA", "pending": "EdDSA"}
    run("retire", "--all-signing", "--yes")
    assert access_keys() == {"signing": "EdDSA", "pending": "EdDSA"}


def test_a_shell_that_sets_another_algorithm_changes_none(
    for_others: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Servers bring it in: one that runs would go on with the other."""
    monkeypatch.setenv("AUTHWARD_ALGORITHM", "RS256")
    due(for_others)
    run("rotate", "--ring", "access")
    assert access_keys() == {"verifying": "HS256", "signing": "EdDSA", "pending": "EdDSA"}


def test_a_next_key_that_is_missing_is_made_of_the_kind_that_is_there(for_others: Path) -> None:
    due(for_others)
    run("rotate", "--ring", "access")
    with closing(sqlite3.connect(for_others / "authward.db")) as opened, opened:
        opened.execute("DELETE FROM keys WHERE ring = 'access' AND state = 'pending'")
    assert access_keys() == {"verifying": "HS256", "signing": "EdDSA", "pending": "EdDSA"}


def test_a_rotation(signed_in: Path) -> None:
    just_published(signed_in)
    refused = run("rotate", code=1).output
    assert "is published since" in refused
    assert said(run("rotate", "--json", code=1))["error"] == "rotated_lately"
    due(signed_in)
    before = {ring: the(ring, "pending") for ring in ("access", "refresh", "csrf")}
    assert said(run("rotate", "--ring", "csrf", "--json")) == {"signing": {"csrf": before["csrf"]}}
    due(signed_in)
    [line] = run("rotate", "--ring", "access").output.splitlines()
    assert line == f"access: {before['access']} (HS256) signs"
    assert "audit log" in run("rotate", "--ring", "audit", code=2).output
    assert "Use one of: access" in run("rotate", "--ring", "x", code=2).output
    assert the("refresh", "pending") == before["refresh"]
    due(signed_in)
    assert len(run("rotate").output.splitlines()) == 3


def test_what_nothing_hangs_on_can_go(signed_in: Path) -> None:
    assert run("retire").output == "Nothing to retire.\n"
    due(signed_in)
    old = {ring: the(ring, "signing") for ring in ("access", "refresh", "csrf")}
    run("rotate")
    assert "Rotate the ring first" in run("retire", the("access", "signing"), code=1).output
    assert "Live sessions that hang on it: 2" in run("retire", old["refresh"], code=1).output
    assert said(run("retire", "no-such-key", "--json", code=1))["error"] == "not_found"
    waiting = run("list").output
    assert re.search(rf"{old['refresh']} .* 2 +from 20", waiting)
    age(signed_in, 1)
    assert re.search(rf"{old['access']} .* now\n", run("list").output)
    would = said(run("retire", "--dry-run", "--json"))
    assert would == {"retired": [], "matched": [old["access"]]}
    assert run("retire", "--dry-run").output == f"access: {old['access']} would be retired\n"
    assert said(run("retire", "--json"))["retired"] == [old["access"]]
    age(signed_in, 7)
    assert run("retire", old["refresh"]).output == f"refresh: {old['refresh']} is retired\n"
    assert run("retire", old["refresh"]).output == f"{old['refresh']} is retired already.\n"
    assert old["refresh"] not in {one["id"] for one in listed()}
    assert the("refresh", "retired", "--retired") == old["refresh"]


def test_a_leaked_key_with_the_count_first(
    signed_in: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kid, pending = the("refresh", "signing"), the("refresh", "pending")
    would = {"retired": [], "matched": 2, "ended": 0, "accounts": 1}
    assert said(run("retire", kid, "--compromised", "--dry-run", "--json")) == would
    assert "Say --yes" in run("retire", kid, "--compromised", code=2).output
    monkeypatch.setattr("authward.cli.keys.someone_there", lambda: True)
    asked = run("retire", kid, "--compromised", code=1, input="n\n")
    assert asked.stdout.splitlines() == [
        f"refresh: {pending} (pending) would be retired",
        f"refresh: {kid} (signing) would be retired",
        "2 live sessions of 1 account would end.",
    ]
    assert the("refresh", "signing") == kid
    asked = run("retire", kid, "--compromised", input="y\n")
    assert asked.stdout.endswith("2 keys retired, 2 live sessions of 1 account ended.\n")
    assert the("refresh", "signing") not in (kid, pending)
    again = {"retired": [], "matched": 0, "ended": 0, "accounts": 0}
    assert said(run("retire", kid, "--compromised", "--yes", "--json")) == again


def test_a_key_that_was_to_die_does_so_though_it_began_to_sign_meanwhile(
    signed_in: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kid, pending = the("refresh", "signing"), the("refresh", "pending")
    due(signed_in)
    counts = Keys.count_killed

    async def rotated_after(keys: Keys, kid: str | None) -> Any:
        found = await counts(keys, kid)
        await keys.rotate("refresh", Client(""))
        return found

    monkeypatch.setattr(Keys, "count_killed", rotated_after)
    run("retire", kid, "--compromised", "--yes")
    states = {one["id"]: one["state"] for one in listed("--retired")}
    assert (states[kid], states[pending]) == ("retired", "retired")


def test_an_old_key_ends_what_moved_on_from_it_too(signed_in: Path) -> None:
    due(signed_in)
    old = the("refresh", "signing")
    run("rotate", "--ring", "refresh")
    with closing(sqlite3.connect(signed_in / "authward.db")) as database:
        database.execute("UPDATE sessions SET kid = ?", (the("refresh", "signing"),))
        database.commit()
    would = {"retired": [], "matched": 2, "ended": 0, "accounts": 1}
    assert said(run("retire", old, "--compromised", "--dry-run", "--json")) == would
    shown = run("retire", old, "--compromised", "--dry-run").output
    assert shown.endswith("2 live sessions of 1 account would end.\n")
    done = said(run("retire", old, "--compromised", "--yes", "--json"))
    assert (done["matched"], done["ended"], done["accounts"]) == (2, 2, 1)


def test_everything_anew(signed_in: Path) -> None:
    before = {one["id"] for one in listed() if one["ring"] != "audit"}
    shown = run("retire", "--all-signing", "--dry-run").output
    assert shown.splitlines()[-1] == "2 live sessions of 1 account would end."
    done = said(run("retire", "--all-signing", "--yes", "--json"))
    assert set(done["retired"]) == before
    assert (done["matched"], done["ended"], done["accounts"]) == (2, 2, 1)
    assert before.isdisjoint(one["id"] for one in listed())
    assert len(listed()) == 7


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("--compromised --yes", "Which key is compromised"),
        ("some-key --all-signing --yes", "Name a key, or say --all-signing"),
        ("--all-signing", "Say --yes, or --dry-run"),
    ],
)
def test_what_cannot_be_meant_says_why(database: Path, words: str, text: str) -> None:
    assert text in run("retire", *words.split(), code=2).output
    assert {one["state"] for one in listed("--retired")} == {"signing", "pending"}


def test_the_key_of_the_audit_log_stays(database: Path) -> None:
    kid = the("audit", "signing")
    for words in ((), ("--compromised", "--yes")):
        assert "audit log" in run("retire", kid, *words, code=1).output
