"""Tokens of a running process: what the cache remembers, and what it never lets pass."""

import asyncio
import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from authward.core.permissions import Role
from authward.errors import (
    InvalidRefreshToken,
    InvalidToken,
    TokenExpired,
    TokenRevoked,
    Unavailable,
)
from authward.ports import Change
from authward.services import Services
from authward.services import tokens as tokens_module
from authward.testing import TurnableClock

from .conftest import HERE, Make, principal_of, register


async def test_a_token_is_verified_once(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed_in = await register(services)
    first = principal_of(services, signed_in)
    monkeypatch.setattr(tokens_module, "check_access", lambda *_: pytest.fail("verified again"))
    assert principal_of(services, signed_in) is first


async def test_a_failure_is_not_remembered(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed_in = await register(services)
    forged = signed_in.access_token[:-4] + "AAAA"
    for _ in range(2):
        with pytest.raises(InvalidToken):
            services.tokens.verify(forged)
    assert len(services.tokens._memory.verified) == 0


async def test_every_hit_looks_at_the_time(services: Services, clock: TurnableClock) -> None:
    signed_in = await register(services)
    claims = services.tokens.whose(signed_in.access_token)
    principal_of(services, signed_in)
    # Half a minute before its end, so that a slow machine is not past it.
    clock.turn(claims.exp - clock.now() - 30)
    principal_of(services, signed_in)
    clock.turn(30)
    for _ in range(2):
        with pytest.raises(TokenExpired):
            principal_of(services, signed_in)
    assert len(services.tokens._memory.verified) == 0
    assert services.tokens.whose(signed_in.access_token) == claims


async def test_every_hit_looks_at_the_revocations(services: Services) -> None:
    signed_in = await register(services)
    principal_of(services, signed_in)
    await services.sessions.end(signed_in.session.id, signed_in.user.id, HERE)
    with pytest.raises(TokenRevoked):
        principal_of(services, signed_in)


async def test_every_hit_looks_at_the_version(services: Services) -> None:
    signed_in = await register(services)
    principal_of(services, signed_in)
    await services.users.set_role(None, signed_in.user.id, "moderator", HERE)
    with pytest.raises(TokenExpired):
        principal_of(services, signed_in)


async def test_other_rights_of_a_role_count_at_once(services: Services) -> None:
    signed_in = await register(services)
    assert principal_of(services, signed_in).permissions == frozenset()
    services.feed._set_roles({"user": Role(frozenset({"read:reports"}))})
    assert principal_of(services, signed_in).permissions == {"read:reports"}


async def test_what_was_let_in_may_end(services: Services, clock: TurnableClock) -> None:
    """`standing` goes by all that `verify` goes by, except for the token's age."""
    signed_in = await register(services)
    token = signed_in.access_token
    clock.turn(3600)
    with pytest.raises(TokenExpired):
        services.tokens.verify(token)
    assert services.tokens.standing(token).id == signed_in.user.id
    services.feed._set_roles({"user": Role(frozenset({"read:reports"}))})
    assert services.tokens.standing(token).permissions == {"read:reports"}
    with pytest.raises(InvalidToken):
        services.tokens.standing(token[:-4] + "AAAA")
    await services.users.set_role(None, signed_in.user.id, "moderator", HERE)
    with pytest.raises(TokenExpired):
        services.tokens.standing(token)
    await services.sessions.end(signed_in.session.id, signed_in.user.id, HERE)
    with pytest.raises(TokenRevoked):
        services.tokens.standing(token)
    services.feed.fresh_until = float("-inf")
    with pytest.raises(Unavailable):
        services.tokens.standing(token)


async def test_no_token_outlives_what_the_feed_remembers(make: Make, clock: TurnableClock) -> None:
    """Tokens of a day, then the setting is lowered and the server started anew: the feed reads back
    an hour and a little, and does not know that the session was ended before that.
    """
    long = (await make(access_ttl="1d", dangerously_long_access_tokens=True)).services
    signed_in = await register(long)
    await long.sessions.end(signed_in.session.id, signed_in.user.id, HERE)
    clock.turn(2 * 3600)
    with pytest.raises(TokenRevoked):
        long.tokens.verify(signed_in.access_token)
    short = (await make(access_ttl="15m")).services
    assert len(short.feed.revocations) == 0
    with pytest.raises(TokenExpired):
        short.tokens.verify(signed_in.access_token)


async def test_an_access_token_ends_with_its_session(make: Make, clock: TurnableClock) -> None:
    services = (await make(access_ttl="30s", refresh_ttl="60s", session_ttl="60s")).services
    signed_in = await register(services)
    clock.turn(50)
    refreshed = await services.sessions.refresh(signed_in.refresh_token, HERE)
    end = refreshed.session.expires_at // 1000
    assert services.tokens.whose(refreshed.access_token).exp == end
    assert services.tokens.refresh_claims(refreshed.refresh_token).exp == end
    assert refreshed.cookie_max_age <= 10


async def test_no_email_in_tokens_if_so_set(make: Make) -> None:
    services = (await make(token_email=False)).services
    assert principal_of(services, await register(services)).email == ""


async def test_a_session_whose_key_is_gone_gets_no_token(services: Services) -> None:
    signed_in = await register(services)
    orphan = dataclasses.replace(signed_in.session, kid="gone-0001")
    with pytest.raises(InvalidRefreshToken, match="key is gone"):
        services.tokens.refresh(orphan)


async def test_the_refresh_token_is_the_same_bytes_from_every_process(make: Make) -> None:
    one, two = (await make()).services, (await make()).services
    signed_in = await register(one)
    assert two.tokens.refresh(signed_in.session)[0] == signed_in.refresh_token
    assert two.tokens.access(signed_in.user, signed_in.session) != signed_in.access_token


async def test_the_csrf_token_belongs_to_one_session(services: Services) -> None:
    assert services.tokens.csrf("a") == services.tokens.csrf("a")
    assert services.tokens.csrf("a") != services.tokens.csrf("b")
    assert len(services.tokens.csrf_secrets) == 2, "one signs, one is to sign"


async def test_a_change_taken_twice_changes_nothing(services: Services) -> None:
    signed_in = await register(services)
    change = Change("session.revoked", signed_in.session.id, 0, None, 0)
    services.feed.apply([change, change])
    with pytest.raises(TokenRevoked):
        principal_of(services, signed_in)
    assert len(services.feed.revocations) == 1


class TestRecall:
    """`recall` knows a caller only as long as `verify` would say the same."""

    @pytest.fixture
    async def known(self, services: Services) -> tuple[Services, Any, bytes]:
        signed_in = await register(services)
        principal_of(services, signed_in)
        return services, signed_in, f"Bearer {signed_in.access_token}".encode()

    async def test_who_verified(self, services: Services) -> None:
        signed_in = await register(services)
        bearer = f"Bearer {signed_in.access_token}".encode()
        assert services.tokens.recall(bearer) is None
        principal = principal_of(services, signed_in)
        assert services.tokens.recall(bearer) is principal
        assert services.tokens.recall(bearer.lower()) is None
        assert services.tokens.recall(None) is None

    async def test_a_revoked_session(self, known: Any) -> None:
        services, signed_in, bearer = known
        await services.sessions.end(signed_in.session.id, signed_in.user.id, HERE)
        assert services.tokens.recall(bearer) is None

    async def test_a_change_of_role(self, known: Any) -> None:
        services, signed_in, bearer = known
        await services.users.set_role(None, signed_in.user.id, "moderator", HERE)
        assert services.tokens.recall(bearer) is None

    async def test_other_rights_of_a_role(self, known: Any) -> None:
        services, signed_in, bearer = known
        services.feed._set_roles({"user": Role(frozenset({"read:reports"}))})
        assert services.tokens.recall(bearer) is None
        assert principal_of(services, signed_in).permissions == {"read:reports"}
        assert services.tokens.recall(bearer).permissions == {"read:reports"}

    async def test_somebody_elses_change(self, known: Any) -> None:
        """All are looked at again, and those it was not about are known again."""
        services, signed_in, bearer = known
        services.feed.apply([Change("session.revoked", "another", 0, None, 0)])
        assert services.tokens.recall(bearer) is None
        principal = principal_of(services, signed_in)
        assert services.tokens.recall(bearer) is principal

    async def test_an_expired_token(self, known: Any, clock: TurnableClock) -> None:
        services, signed_in, bearer = known
        clock.turn(services.tokens.whose(signed_in.access_token).exp - clock.now() + 0.01)
        assert services.tokens.recall(bearer) is None

    async def test_a_stale_feed(self, known: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        services, signed_in, bearer = known
        monkeypatch.setattr(services.feed, "fresh_until", float("-inf"))
        assert services.tokens.recall(bearer) is None
        with pytest.raises(Unavailable):
            principal_of(services, signed_in)
        assert services.tokens.verify(signed_in.access_token, stale=True)
        assert services.tokens.recall(bearer) is None

    async def test_in_a_worker_thread(self, known: Any) -> None:
        services, signed_in, bearer = known
        assert await asyncio.to_thread(services.tokens.recall, bearer) is not None
        await services.sessions.end(signed_in.session.id, signed_in.user.id, HERE)
        assert await asyncio.to_thread(services.tokens.recall, bearer) is None

    async def test_no_more_than_fit(self, known: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        services, _, bearer = known
        monkeypatch.setattr(tokens_module, "CACHED_TOKENS", 1)
        another = await register(services, "bob@example.com")
        services.feed.apply([])
        principal_of(services, another)
        assert len(services.tokens._memory.fresh) == 1
        assert services.tokens.recall(bearer) is None


async def test_nothing_signs_or_verifies_by_an_old_view(make: Make) -> None:
    """A key may have been killed meanwhile."""
    services = (await make()).services
    ada = await register(services)
    tokens: Any = services.tokens
    asked: list[Callable[[], object]] = [
        lambda: tokens.verify(ada.access_token),
        lambda: tokens.standing(ada.access_token),
        lambda: tokens.whose(ada.access_token),
        lambda: tokens.refresh_claims(ada.refresh_token),
        lambda: tokens.signer(ada.refresh_token),
        lambda: tokens.access(ada.user, ada.session),
        lambda: tokens.refresh(ada.session),
        lambda: tokens.csrf("a"),
        lambda: tokens.csrf_secrets,
        lambda: tokens.refresh_kid,
        lambda: tokens.jwks,
    ]
    for ask in asked:
        ask()
    await services.feed.stop()
    services.feed.fresh_until -= 3600
    for ask in asked:
        with pytest.raises(Unavailable, match="feed too old"):
            ask()
