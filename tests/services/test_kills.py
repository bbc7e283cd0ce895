"""A kill whose process died after its first transaction: nobody is left in, and another ends it."""

import asyncio
from typing import Any

import pytest

from authward import process
from authward.core.audit import Event
from authward.errors import (
    InvalidRefreshToken,
    InvalidToken,
    TokenExpired,
    TokenRevoked,
    Unavailable,
)
from authward.services import Services
from authward.stores.sessions import SqlSessions
from authward.testing import TurnableClock
from tests.faults.dying import KILLS
from tests.keys import publish_long_ago
from tests.services.conftest import HERE, Make, principal_of, register, told

FAR = 2**62


class Died(BaseException):
    """What no process comes back from."""


async def dies(*_: object, **__: object) -> Any:
    raise Died


async def kill(services: Services, kid: str | None, patched: pytest.MonkeyPatch) -> None:
    """Kill a key, and die before any session is ended."""
    await done()  # who has just started looks for what is left to do, and would meet it
    with patched.context() as dying:
        dying.setattr(services.store.sessions, "revoke_matching", dies)
        with pytest.raises(Died):
            await services.keys.kill(kid, HERE, actor="someone")


async def done() -> None:
    """What servers that have started do right after has come to its end."""
    await asyncio.gather(*(one for one in asyncio.all_tasks() if one.get_name() == KILLS))


async def ended(services: Services) -> list[tuple[object, ...]]:
    rows = await told(services, "sessions.revoked")
    return [(row["kid"], row["sessions"], row["actor"]) for row in rows]


async def test_a_thief_who_has_moved_on_to_the_next_key_is_out_at_once(
    make: Make, clock: TurnableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = (await make(feed_max_lag=600)).services, (await make()).services
    old = one.keys.rings.refresh.signing.kid
    stolen = await register(one)
    clock.turn(601)
    await one.keys.rotate("refresh", HERE)
    clock.turn(11)
    stolen = await one.sessions.refresh(stolen.refresh_token, HERE)
    assert stolen.session.kid != old
    clock.turn(500)
    await register(one, "late@example.com")
    clock.turn(101)
    lively = await register(one, "eve@example.com")
    await other.feed.poll()
    assert principal_of(other, stolen)
    await kill(one, old, monkeypatch)
    await other.feed.poll()
    for services in (one, other):
        with pytest.raises(TokenRevoked):
            principal_of(services, stolen)
        assert principal_of(services, lively)
    # Whoever began may be at it still.
    await other.keys.tend()
    assert await ended(one) == []
    clock.turn(62)
    # It opens nothing that he gets until then.
    stolen = await other.sessions.refresh(stolen.refresh_token, HERE)
    with pytest.raises(TokenRevoked):
        principal_of(one, stolen)
    for _ in range(2):
        await other.keys.tend()
        assert await ended(one) == [(old, 2, None)]
    clock.turn(11)
    with pytest.raises(InvalidRefreshToken, match="session ended"):
        await one.sessions.refresh(stolen.refresh_token, HERE)
    assert principal_of(one, await one.sessions.refresh(lively.refresh_token, HERE))


@pytest.mark.parametrize("everything", [True, False])
async def test_the_next_start_ends_what_is_left_and_nobody_who_signed_in_since(
    make: Make, clock: TurnableClock, monkeypatch: pytest.MonkeyPatch, everything: bool
) -> None:
    services = (await make()).services
    ada = await register(services)
    kid = None if everything else services.keys.rings.refresh.signing.kid
    await kill(services, kid, monkeypatch)
    with pytest.raises((TokenRevoked, InvalidToken)):
        principal_of(services, ada)
    clock.turn(1)
    eve = await register(services, "eve@example.com")
    started = (await make()).services
    await done()
    assert await ended(started) == [(kid or "all", 1, None)]
    assert await started.store.sessions.of_user(ada.user.id) == []
    assert principal_of(started, eve)
    await make()
    await done()
    assert len(await ended(started)) == 1
    assert principal_of(started, await started.sessions.refresh(eve.refresh_token, HERE))


async def test_a_server_that_starts_serves_while_it_ends_what_is_left(
    make: Make, clock: TurnableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = (await make()).services
    await register(services)
    await kill(services, None, monkeypatch)
    clock.turn(1)
    held, revoke = asyncio.Event(), SqlSessions.revoke_matching

    async def slow(*given: Any, **named: Any) -> Any:
        await held.wait()
        return await revoke(*given, **named)

    monkeypatch.setattr(SqlSessions, "revoke_matching", slow)
    async with asyncio.timeout(60):
        started = (await make()).services
    assert principal_of(started, await register(started, "eve@example.com"))
    assert await ended(started) == []
    held.set()
    await done()
    assert await ended(started) == [("all", 1, None)]


async def test_a_command_ends_nothing_that_another_left(
    make: Make, clock: TurnableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may only want to list keys, and was to read for a second, not to write for an hour."""
    services = (await make()).services
    ada = await register(services)
    await kill(services, None, monkeypatch)
    clock.turn(3600)
    monkeypatch.setattr(process, "ROTATE_EVERY", 0)
    shell = (await make(serves=False)).services
    await done()
    assert await shell.keys.views()
    assert await ended(services) == []
    assert len(await services.store.sessions.of_user(ada.user.id)) == 1


async def test_its_end_is_found_behind_a_hundred_others(make: Make, clock: TurnableClock) -> None:
    services = (await make()).services
    await services.keys.kill(services.keys.rings.refresh.signing.kid, HERE, actor="someone")
    other = Event("sessions.revoked", HERE, detail={"sessions": 0, "accounts": 0})
    await services.store.audit.record([other] * 101)
    clock.turn(120)
    for _ in range(2):
        await services.keys.tend()
        rows = await told(services, "sessions.revoked")
        assert [row["actor"] for row in rows if "kid" in row] == ["someone"]


async def test_several_that_finish_at_once_tell_of_one_end(
    make: Make, clock: TurnableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = (await make()).services
    await register(services)
    await kill(services, None, monkeypatch)
    clock.turn(61)
    others = [(await make(serves=False)).services for _ in range(3)]
    await asyncio.gather(*(one.keys.tend() for one in others))
    assert [row["kid"] for row in await told(services, "sessions.revoked")] == ["all"]


async def test_of_what_was_begun_before_another_end_of_the_key_each_is_told(
    make: Make, clock: TurnableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = (await make()).services
    kid = services.keys.rings.refresh.signing.kid
    await services.keys.kill(kid, HERE)
    other = Event("sessions.revoked", HERE, detail={"sessions": 0, "accounts": 0})
    await kill(services, kid, monkeypatch)
    await services.store.audit.record([other])
    clock.turn(61)
    await services.keys.tend()
    rows = await told(services, "sessions.revoked")
    assert [row.get("kid") for row in rows] == [kid, None, kid]


async def test_one_that_signs_beside_another_that_verifies(
    make: Make, clock: TurnableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = (await make()).services
    idle, moved = await register(services), await register(services, "eve@example.com")
    clock.turn(301)
    await services.keys.rotate("refresh", HERE)
    moved = await services.sessions.refresh(moved.refresh_token, HERE)
    signing = services.keys.rings.refresh.signing.kid
    await kill(services, signing, monkeypatch)
    # No refresh token of it is good. What it got before is, until the kill is ended.
    with pytest.raises(InvalidRefreshToken):
        await services.sessions.refresh(moved.refresh_token, HERE)
    assert principal_of(services, moved)
    started = (await make()).services
    await done()
    assert await ended(started) == [(signing, 1, None)]
    with pytest.raises(TokenExpired):
        principal_of(started, moved)
    assert principal_of(services, await services.sessions.refresh(idle.refresh_token, HERE))


async def test_what_was_begun_by_a_clock_that_was_ahead_is_ended_too(
    make: Make, clock: TurnableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = (await make()).services
    await register(services)
    clock.turn(86_400)
    await kill(services, None, monkeypatch)
    clock.turn(-86_400)
    await services.keys.tend()
    assert len(await ended(services)) == 1


@pytest.mark.parametrize(
    "detail",
    [
        {"kid": "gone-long-ago", "before": FAR},
        {"kid": "all"},
        {"kid": "all", "before": FAR},
        {"kid": "all", "before": "x", "everyone": 1},
        {"kid": "all", "before": True, "everyone": 1},
        {"kid": "all", "before": FAR, "everyone": "1"},
        {"kid": "all", "before": FAR, "everyone": 1, "signed_before": "x"},
        {"kid": 7, "before": FAR, "everyone": 1},
        {"kid": "", "before": FAR, "everyone": 1},
    ],
)
@pytest.mark.parametrize("already", [True, False])
async def test_what_no_kill_wrote_ends_nobody_and_stops_no_start(
    make: Make,
    clock: TurnableClock,
    detail: dict[str, str | int],
    already: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    services = (await make()).services
    if already:
        await services.keys.kill(services.keys.rings.refresh.signing.kid, HERE)
        clock.turn(1)
    ada = await register(services)
    before = len(await ended(services))
    await services.store.audit.record([Event("sessions.revoking", HERE, detail=detail)])
    clock.turn(61)
    started = (await make(key_rotation=3600)).services
    await done()  # or it may be told twice
    await publish_long_ago(services)
    clock.turn(3600)
    signing = started.keys.rings.access.signing.kid
    for _ in range(2):
        await started.keys.tend()
    assert started.keys.rings.access.signing.kid != signing
    assert len(await ended(services)) == before
    assert principal_of(services, await services.sessions.refresh(ada.refresh_token, HERE))
    assert caplog.text.count("not written by a kill. Run authward audit verify") == 1


@pytest.mark.parametrize("everyone", [{"everyone": 1}, {}])
async def test_a_key_that_lives_was_not_killed_whatever_the_log_says(
    make: Make, clock: TurnableClock, everyone: dict[str, int]
) -> None:
    services = (await make()).services
    ada = await register(services)
    kid = services.keys.rings.refresh.signing.kid
    detail: dict[str, str | int] = {"kid": kid, "before": FAR, **everyone}
    await services.store.audit.record([Event("sessions.revoking", HERE, detail=detail)])
    clock.turn(61)
    await services.keys.tend()
    assert await ended(services) == []
    assert principal_of(services, await services.sessions.refresh(ada.refresh_token, HERE))


async def test_what_sessions_revoke_began_is_no_kill(
    make: Make, clock: TurnableClock, caplog: pytest.LogCaptureFixture
) -> None:
    services = (await make()).services
    empty: dict[str, str | int] = {}
    for detail in (empty, {"role": "admin"}):
        await services.store.audit.record([Event("sessions.revoking", HERE, detail=detail)])
    clock.turn(61)
    await services.keys.tend()
    assert await told(services, "sessions.revoked") == []
    assert caplog.text == ""


@pytest.mark.parametrize("wrong", [Unavailable("database busy"), ValueError("unforeseen")])
async def test_what_goes_wrong_with_it_stops_no_start_and_no_rotation(
    make: Make,
    clock: TurnableClock,
    monkeypatch: pytest.MonkeyPatch,
    wrong: Exception,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fails(*_: object, **__: object) -> None:
        raise wrong

    services = (await make()).services
    await kill(services, None, monkeypatch)
    clock.turn(61)
    await publish_long_ago(services)
    with monkeypatch.context() as failing:
        failing.setattr(SqlSessions, "revoke_matching", fails)
        started = (await make(key_rotation=3600)).services
        await done()
        clock.turn(3600)
        signing = started.keys.rings.access.signing.kid
        await started.keys.tend()
    assert started.keys.rings.access.signing.kid != signing
    assert "what is left of a kill not ended" in caplog.text
    await started.keys.tend()
    assert await ended(started) == [("all", 0, None)]


async def test_a_kill_that_came_to_its_end_is_told_once(make: Make) -> None:
    services = (await make()).services
    await register(services)
    await services.keys.kill(None, HERE, actor="someone")
    await make()
    await done()
    assert await ended(services) == [("all", 1, "someone")]
    assert [row["actor"] for row in await told(services, "sessions.revoking")] == ["someone"]


@pytest.fixture
async def rotated(make: Make, clock: TurnableClock) -> tuple[Services, str, Any]:
    """Services whose refresh ring was rotated ten seconds ago, the key before, and a session of
    it.
    """
    services = (await make()).services
    old = services.keys.rings.refresh.signing.kid
    ada = await register(services)
    clock.turn(301)
    await services.keys.rotate("refresh", HERE)
    clock.turn(10)
    return services, old, ada


@pytest.fixture
async def unheard(rotated: tuple[Services, str, Any], make: Make) -> tuple[Services, Services, Any]:
    """Services that killed the signing refresh key, others that have not heard of it, and a session
    of the key before.
    """
    services, _, ada = rotated
    late = (await make()).services
    await late.feed.stop()
    await services.keys.kill(services.keys.rings.refresh.signing.kid, HERE)
    return services, late, ada


async def test_who_signs_in_after_the_kill_of_a_key_that_has_just_been_rotated_stays(
    rotated: tuple[Services, str, Any], make: Make, clock: TurnableClock
) -> None:
    """It could have signed for five minutes to come, by processes that had not heard of the next:
    but for the kill, of which they hear at once.
    """
    services, old, ada = rotated
    assert (await services.keys.kill(old, HERE)).matched.sessions == 1
    with pytest.raises((TokenRevoked, TokenExpired)):
        principal_of(services, ada)
    other = (await make()).services
    for wait in (1, 60, 120, 180):
        clock.turn(wait)
        eve = await register(services, f"eve{wait}@example.com")
        await services.keys.tend()
        assert principal_of(services, eve)
        assert principal_of(other, eve)
        clock.turn(11)
        assert principal_of(other, await services.sessions.refresh(eve.refresh_token, HERE))


async def test_a_kill_that_is_repeated_ends_nobody_who_signed_in_between(
    rotated: tuple[Services, str, Any], clock: TurnableClock
) -> None:
    services, old, _ = rotated
    assert (await services.keys.kill(old, HERE)).matched.sessions == 1
    clock.turn(1)
    eve = await register(services, "eve@example.com")
    clock.turn(1)
    assert (await services.keys.count_killed(old)).matched.sessions == 0
    assert (await services.keys.kill(old, HERE)).matched.sessions == 0
    assert principal_of(services, eve)
    clock.turn(11)
    assert principal_of(services, await services.sessions.refresh(eve.refresh_token, HERE))


async def test_a_kill_that_is_repeated_ends_what_the_first_one_left(
    rotated: tuple[Services, str, Any], clock: TurnableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    services, old, ada = rotated
    late = await register(services, "late@example.com")
    assert late.session.kid != old
    await kill(services, old, monkeypatch)
    clock.turn(1)
    assert (await services.keys.count_killed(old)).matched.sessions == 2
    assert (await services.keys.kill(old, HERE)).matched.sessions == 2
    for user in (ada.user, late.user):
        assert await services.store.sessions.of_user(user.id) == []


async def test_nor_does_it_end_who_signed_in_if_the_killer_died(
    rotated: tuple[Services, str, Any], clock: TurnableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    services, old, ada = rotated
    await kill(services, old, monkeypatch)
    clock.turn(1)
    eve = await register(services, "eve@example.com")
    clock.turn(70)
    await services.keys.tend()
    assert await ended(services) == [(old, 1, None)]
    assert await services.store.sessions.of_user(ada.user.id) == []
    assert principal_of(services, await services.sessions.refresh(eve.refresh_token, HERE))


async def test_what_was_begun_says_whom_it_means(
    rotated: tuple[Services, str, Any], clock: TurnableClock
) -> None:
    services, old, _ = rotated
    await services.keys.kill(old, HERE)
    clock.turn(1)
    await services.keys.kill(None, HERE)
    of_one, of_all = await told(services, "sessions.revoking")
    assert of_one["kid"] == old
    assert "everyone" not in of_one
    assert of_one["before"] < of_one["signed_before"]
    assert (of_all["kid"], of_all["everyone"]) == ("all", 1)
    assert of_all["before"] >= of_one["before"] + 1000
    assert "signed_before" not in of_all


async def test_what_was_opened_with_it_by_who_heard_late_is_ended_when_all_have_heard(
    make: Make, clock: TurnableClock
) -> None:
    one, late = (await make()).services, (await make()).services
    await late.feed.stop()
    kid = one.keys.rings.refresh.signing.kid
    await one.keys.kill(kid, HERE)
    clock.turn(2)
    opened = await register(late)
    assert opened.session.kid == kid
    lively = await register(one, "eve@example.com")
    await one.keys.tend()
    assert len(await ended(one)) == 1
    assert principal_of(one, opened)
    clock.turn(301)
    for _ in range(2):
        await one.keys.tend()
        assert await ended(one) == [(kid, 0, None), (kid, 1, None)]
    with pytest.raises(TokenExpired):
        principal_of(one, opened)
    assert await one.store.sessions.of_user(opened.user.id) == []
    assert principal_of(one, await one.sessions.refresh(lively.refresh_token, HERE))


async def test_who_has_not_heard_of_a_kill_refreshes_nothing_with_the_key(
    rotated: tuple[Services, str, Any], make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thief would have a token of the next key, and could go on with it."""
    services, old, stolen = rotated
    late = (await make()).services
    await late.feed.stop()
    await kill(services, old, monkeypatch)
    for _ in range(2):
        with pytest.raises(InvalidRefreshToken, match="a key that is gone"):
            await late.sessions.refresh(stolen.refresh_token, HERE)
    [session] = await late.store.sessions.of_user(stolen.user.id)
    assert (session.generation, session.kid) == (0, old)
    refused = await told(late, "session.refresh_refused")
    assert [(row["reason"], row["count"]) for row in refused] == [
        ("signed with a key that is gone", 2)
    ]


async def test_who_has_not_heard_of_a_kill_moves_no_session_to_the_key(
    unheard: tuple[Services, Services, Any],
) -> None:
    """Its next token would be refused by everybody who has heard."""
    services, late, ada = unheard
    with pytest.raises(Unavailable, match="to sign with is gone") as away:
        await late.sessions.refresh(ada.refresh_token, HERE)
    assert away.value.retry_after == 1
    await late.feed.poll()
    again = await late.sessions.refresh(ada.refresh_token, HERE)
    assert again.session.generation == 1
    assert principal_of(services, again)


async def test_who_does_not_know_the_key_that_took_over_signs_nobody_out(
    unheard: tuple[Services, Services, Any],
) -> None:
    """Of two tabs one refreshes where the new key is known, and the other just after it."""
    services, late, ada = unheard
    first = await services.sessions.refresh(ada.refresh_token, HERE)
    with pytest.raises(Unavailable, match="key is gone") as away:
        await late.sessions.refresh(ada.refresh_token, HERE)
    assert away.value.retry_after == 1
    await late.feed.poll()
    second = await late.sessions.refresh(ada.refresh_token, HERE)
    assert second.refresh_token == first.refresh_token


async def test_sessions_of_a_key_that_was_not_killed_are_left(
    make: Make, clock: TurnableClock
) -> None:
    services = (await make()).services
    ada = await register(services)
    detail = {"ring": "refresh", "kid": services.keys.rings.refresh.signing.kid}
    await services.store.audit.record([Event("key.killed", HERE, detail=detail)])
    clock.turn(301)
    await services.keys.tend()
    assert await ended(services) == []
    assert principal_of(services, await services.sessions.refresh(ada.refresh_token, HERE))
