"""Sessions of running services: the table of refresh answers, and what is told of each."""

import asyncio
import dataclasses

import pytest

from authward.core.audit import Client
from authward.errors import (
    InvalidRefreshToken,
    NotFound,
    RefreshTokenExpired,
    RefreshTokenReused,
    TokenRevoked,
    Unavailable,
)
from authward.services import Services
from authward.testing import TurnableClock

from .conftest import HERE, Make, principal_of, register, told

AWAY = Client("198.51.100.7", "another browser")
GRACE = 10


async def test_within_the_grace_the_same_token_comes_again(services: Services) -> None:
    first = await register(services)
    again = await services.sessions.refresh(first.refresh_token, HERE)
    assert again.refresh_token == first.refresh_token
    assert again.access_token != first.access_token
    assert await told(services, "session.refreshed") == []


async def test_after_it_the_token_rotates(services: Services, clock: TurnableClock) -> None:
    first = await register(services)
    clock.turn(GRACE)
    second = await services.sessions.refresh(first.refresh_token, HERE)
    assert second.refresh_token != first.refresh_token
    assert second.session.generation == 1
    assert principal_of(services, second).session_id == first.session.id
    rows = await told(services, "session.refreshed")
    assert [(row["subject"], row["session"]) for row in rows] == [(first.user.id, first.session.id)]


async def test_fifty_at_once_get_the_same_bytes(make: Make, clock: TurnableClock) -> None:
    one, two = (await make()).services, (await make()).services
    first = await register(one)
    clock.turn(GRACE)
    done = await asyncio.gather(
        *(side.sessions.refresh(first.refresh_token, HERE) for side in (one, two) * 25)
    )
    assert len({each.refresh_token for each in done}) == 1
    assert len(await told(one, "session.refreshed")) == 1
    clock.turn(GRACE)
    third = await two.sessions.refresh(done[0].refresh_token, HERE)
    assert third.session.generation == 2


async def test_a_retry_from_elsewhere_is_told(services: Services, clock: TurnableClock) -> None:
    first = await register(services)
    clock.turn(GRACE)
    second = await services.sessions.refresh(first.refresh_token, HERE)
    for client in (HERE, AWAY):
        again = await services.sessions.refresh(first.refresh_token, client)
        assert again.refresh_token == second.refresh_token
    rows = await told(services, "session.refresh_overlap")
    assert [(row["outcome"], row["ip"]) for row in rows] == [("ok", AWAY.ip)]


async def test_a_second_use_of_the_current_one_from_elsewhere_is_told_too(
    services: Services,
) -> None:
    first = await register(services)
    agent = dataclasses.replace(HERE, user_agent="another browser")
    for client in (HERE, AWAY, agent):
        again = await services.sessions.refresh(first.refresh_token, client)
        assert again.refresh_token == first.refresh_token
    rows = await told(services, "session.refresh_overlap")
    assert [(row["outcome"], row["ip"], row["session"]) for row in rows] == [
        ("ok", AWAY.ip, first.session.id),
        ("ok", HERE.ip, first.session.id),
    ]


async def test_elsewhere_is_measured_from_where_the_last_rotation_came_from(
    services: Services, clock: TurnableClock
) -> None:
    """Who moved to another network is at home there; a thief who rotated makes the owner stand
    out.
    """
    first = await register(services)
    clock.turn(GRACE)
    moved = await services.sessions.refresh(first.refresh_token, AWAY)
    assert (moved.session.ip, moved.session.user_agent) == (AWAY.ip, AWAY.user_agent)
    for token in (first.refresh_token, moved.refresh_token):
        await services.sessions.refresh(token, AWAY)
    assert await told(services, "session.refresh_overlap") == []
    for token in (first.refresh_token, moved.refresh_token):
        await services.sessions.refresh(token, HERE)
    rows = await told(services, "session.refresh_overlap")
    assert [row["ip"] for row in rows] == [HERE.ip, HERE.ip]


async def test_an_older_one_after_the_grace_ends_the_session(
    services: Services, clock: TurnableClock
) -> None:
    first = await register(services)
    clock.turn(GRACE)
    second = await services.sessions.refresh(first.refresh_token, HERE)
    clock.turn(GRACE)
    with pytest.raises(RefreshTokenReused) as caught:
        await services.sessions.refresh(first.refresh_token, AWAY)
    assert caught.value.audited
    with pytest.raises(TokenRevoked):
        principal_of(services, second)
    rows = await told(services, "session.reuse_detected")
    assert [(row["outcome"], row["ip"], row["session"]) for row in rows] == [
        ("refused", AWAY.ip, first.session.id)
    ]
    # From now on it has ended; that is told folded, however often it is tried.
    for token in (first.refresh_token, second.refresh_token) * 5:
        with pytest.raises(InvalidRefreshToken):
            await services.sessions.refresh(token, AWAY)
    rows = await told(services, "session.refresh_refused")
    # Two at most in a minute, and these may lie in two.
    assert sum(row["count"] for row in rows) == 10
    assert len(rows) <= 4
    assert {row["subject"] for row in rows} == {first.user.id}


async def test_a_generation_from_a_future_that_was_undone(
    services: Services, clock: TurnableClock
) -> None:
    """As after a backup was restored."""
    first = await register(services)
    ahead, _ = services.tokens.refresh(dataclasses.replace(first.session, generation=5))
    with pytest.raises(InvalidRefreshToken) as caught:
        await services.sessions.refresh(ahead, HERE)
    assert caught.value.audited
    rows = await told(services, "session.generation_ahead")
    assert [(row["outcome"], row["subject"]) for row in rows] == [("refused", first.user.id)]
    await services.sessions.refresh(first.refresh_token, HERE)


async def test_the_end_of_a_session_never_moves(make: Make, clock: TurnableClock) -> None:
    services = (await make(session_ttl="1h", refresh_ttl="1h")).services
    signed_in = await register(services)
    token = signed_in.refresh_token
    for _ in range(5):
        clock.turn(600)
        token = (await services.sessions.refresh(token, HERE)).refresh_token
    clock.turn(601)
    with pytest.raises(RefreshTokenExpired):
        await services.sessions.refresh(token, HERE)


async def test_a_session_that_is_gone_altogether(services: Services) -> None:
    signed_in = await register(services)
    await services.users.delete(None, signed_in.user.id, HERE)
    with pytest.raises(InvalidRefreshToken, match="no such session"):
        await services.sessions.refresh(signed_in.refresh_token, HERE)


@pytest.mark.parametrize(
    ("grace", "said", "heard"),
    [("10s", 1, 1), ("10s", 30, 5), ("3s", 30, 1), ("1s", 30, 1), ("0s", 1, 1), ("10s", None, 1)],
)
async def test_who_is_sent_away_may_come_back_within_the_grace(
    make: Make,
    monkeypatch: pytest.MonkeyPatch,
    grace: str,
    said: int | None,
    heard: int,
) -> None:
    services = (await make(refresh_grace=grace)).services
    signed_in = await register(services)

    async def away(*_: object, **__: object) -> None:
        raise Unavailable("commit in doubt", retry_after=said)

    monkeypatch.setattr(services.store.sessions, "refresh", away)
    with pytest.raises(Unavailable) as caught:
        await services.sessions.refresh(signed_in.refresh_token, HERE)
    assert caught.value.retry_after == heard


# --- signing out -----------------------------------------------------------------------------


async def test_signing_out_ends_one_session(services: Services) -> None:
    one = await register(services)
    two = await services.sessions.open(one.user, HERE, kind="login.succeeded", replaces=None)
    await services.sessions.end(one.session.id, one.user.id, HERE)
    await services.sessions.end(one.session.id, one.user.id, HERE)
    await services.sessions.end("no-such-session", one.user.id, HERE)
    with pytest.raises(TokenRevoked):
        principal_of(services, one)
    principal_of(services, two)
    rows = await told(services, "session.ended")
    assert [(row["subject"], row["session"]) for row in rows] == [(one.user.id, one.session.id)]


async def test_signing_out_everywhere(services: Services) -> None:
    one = await register(services)
    two = await services.sessions.open(one.user, HERE, kind="login.succeeded", replaces=None)
    assert two is not None
    other = await register(services, "eve@example.com")
    await services.sessions.end_all(principal_of(services, one), HERE)
    for signed_in in (one, two):
        with pytest.raises(TokenRevoked):
            principal_of(services, signed_in)
        with pytest.raises(InvalidRefreshToken):
            await services.sessions.refresh(signed_in.refresh_token, HERE)
    principal_of(services, other)
    assert [row["actor"] for row in await told(services, "session.all_ended")] == [one.user.id]
    await services.sessions.end_all_of("no-such-user", HERE, actor=None)


async def test_ones_own_sessions_and_nobody_elses(services: Services) -> None:
    one = await register(services)
    two = await services.sessions.open(one.user, AWAY, kind="login.succeeded", replaces=None)
    eve = principal_of(services, await register(services, "eve@example.com"))
    assert two is not None
    listed = await services.sessions.list(one.user.id)
    assert {(each.id, each.ip) for each in listed} == {
        (one.session.id, HERE.ip),
        (two.session.id, AWAY.ip),
    }
    with pytest.raises(NotFound):
        await services.sessions.end_own(eve, one.session.id, HERE)
    principal_of(services, one)
    me = principal_of(services, one)
    await services.sessions.end_own(me, two.session.id, HERE)
    with pytest.raises(TokenRevoked):
        principal_of(services, two)
    with pytest.raises(NotFound):
        await services.sessions.end_own(me, two.session.id, HERE)
    assert [each.id for each in await services.sessions.list(one.user.id)] == [one.session.id]
    rows = await told(services, "session.ended")
    assert [(row["actor"], row["session"]) for row in rows] == [(me.id, two.session.id)]
