"""Key rings over time, on a real database: made, rotated, retired, killed; and sealed anew."""

import asyncio
import os
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest

from authward.core.keys import RINGS, Key, MasterSecret, State, StoredKey
from authward.core.rotation import ROTATING
from authward.core.tokens import mint
from authward.errors import (
    ConfigurationError,
    InvalidRefreshToken,
    InvalidToken,
    KeyInUse,
    NotFound,
    RefreshTokenReused,
    RotatedLately,
    TokenExpired,
    TokenRevoked,
    Unavailable,
    ValidationError,
)
from authward.ports import KeyChange
from authward.services import Services
from authward.services.key_changes import KeyChanges
from authward.services.rings import Rings, Seals, new_key
from authward.testing import TurnableClock
from tests.services.conftest import HERE, SECRET, Make, principal_of, register, told

MASTER = MasterSecret(SECRET)
OTHER = "t5GkQz2Wn8Vb0Ld7Xc4Rf1Hj6Ps9My3EaUiOqTwYvZo"
SEALS = Seals(MASTER, os.urandom)
NOTICE = 301
DAY = 86_400

CHANGES: dict[str, Callable[[Services, str], Awaitable[object]]] = {
    "rotate": lambda services, kid: services.keys.rotate(None, HERE),
    "by itself": lambda services, kid: services.keys.rotate_due(),
    "retire": lambda services, kid: services.keys.retire(None, HERE),
    "kill": lambda services, kid: services.keys.kill(kid, HERE),
    "kill all": lambda services, kid: services.keys.kill(None, HERE),
}


async def stored(services: Services) -> list[StoredKey]:
    return await services.store.keys.all()


async def by_state(services: Services, ring: str) -> dict[str, list[str]]:
    """State → kids, in the order they were made."""
    found: dict[str, list[str]] = {}
    for key in await stored(services):
        if key.ring == ring:
            found.setdefault(key.state, []).append(key.kid)
    return found


async def put(services: Services, *keys: StoredKey) -> None:
    await services.store.keys.change(lambda there, now: KeyChange(keys))


def rings_of(services: Services) -> Any:
    return services.keys.rings


# --- at the start ---------------------------------------------------------------------------


async def test_first_keys_are_made_once_and_differ(make: Make) -> None:
    one, other = await make(), await make()
    keys = await stored(one.services)
    assert [(key.ring, key.state) for key in sorted(keys, key=lambda key: key.ring)] != []
    for ring in ROTATING:
        assert {
            state: len(kids) for state, kids in (await by_state(one.services, ring)).items()
        } == {"signing": 1, "pending": 1}
    assert {
        state: len(kids) for state, kids in (await by_state(one.services, "audit")).items()
    } == {"signing": 1}
    for key in keys:
        assert (key.signing_at is None) == (key.state == "pending")
    first, again = rings_of(one.services), rings_of(other.services)
    assert first.access.signing.kid == again.access.signing.kid
    assert first.csrf == again.csrf
    materials = {
        *(key.key.material for ring in (first.access, first.refresh) for key in ring.keys),
        *first.csrf,
        *(key.material for key in first.audit),
    }
    assert len(materials) == 7
    assert all(len(material) == 32 for material in materials)
    sealed = b"".join(key.sealed for key in keys)
    assert not any(material in sealed for material in materials)
    assert one.services.keys.loaded


async def test_another_secret_opens_nothing(make: Make) -> None:
    await make()
    with pytest.raises(ConfigurationError, match="secret: does not open key"):
        await make(secret=OTHER)


async def test_before_the_start_there_are_none(make: Make) -> None:
    auth = await make()
    keys = auth.services.keys
    fresh = type(keys)(auth.services.store, SEALS, keys._policy, auth.clock, os.urandom)
    assert not fresh.loaded
    with pytest.raises(Unavailable):
        _ = fresh.rings
    await fresh.start()
    assert fresh.loaded
    assert fresh.rings.csrf == keys.rings.csrf


def csrf_key(state: State, material: bytes) -> StoredKey:
    return SEALS.seal(Key(os.urandom(8).hex(), "csrf", "HS256", state, material, 0))


async def test_who_signs_comes_first_and_the_dead_not_at_all(make: Make) -> None:
    services = (await make()).services
    signing, pending = rings_of(services).csrf
    verifying = os.urandom(32)
    await put(services, csrf_key("verifying", verifying), csrf_key("retired", os.urandom(32)))
    await services.keys.reload()
    assert rings_of(services).csrf == (signing, verifying, pending)


@pytest.mark.parametrize(
    ("state", "size", "text"),
    [("signing", 32, "exactly one signing key"), ("verifying", 16, "at least 32 bytes")],
)
async def test_a_ring_that_cannot_be_used_stops_the_start_and_the_feed(
    make: Make, state: State, size: int, text: str
) -> None:
    services = (await make()).services
    before = services.keys.rings
    await put(services, csrf_key(state, os.urandom(size)))
    with pytest.raises(ConfigurationError, match=text):
        await make()
    with pytest.raises(Unavailable, match=text):
        await services.keys.reload()
    assert not services.keys.loaded
    assert services.keys.rings is before
    # Nothing counts as read while the rings cannot be.
    await services.store.keys.change(lambda there, now: KeyChange((), ("csrf",)))
    with pytest.raises(Unavailable):
        await services.feed.poll()


@pytest.mark.parametrize("algorithm", ["HS256", "EdDSA", "ES256", "RS256"])
async def test_each_algorithm_signs_access_tokens_and_nothing_else(
    make: Make, algorithm: Any
) -> None:
    services = (await make(algorithm=algorithm)).services
    for key in await stored(services):
        assert key.algorithm == (algorithm if key.ring == "access" else "HS256")
    ada = await register(services)
    assert principal_of(services, ada).email == "ada@example.com"
    assert new_key("access", algorithm, "pending", os.urandom).algorithm == algorithm


async def test_a_changed_algorithm_comes_with_the_next_rotation(
    make: Make, clock: TurnableClock
) -> None:
    old = (await make()).services
    ada = await register(old)
    [wrong] = (await by_state(old, "access"))["pending"]
    many = await asyncio.gather(*(make(algorithm="EdDSA") for _ in range(4)))
    services = many[0].services
    states = await by_state(services, "access")
    assert wrong in states["retired"]
    assert len(states["pending"]) == 1, "of several that start at once, one made it"
    assert services.keys.rings.access.signing.key.algorithm == "HS256"
    assert [row["kid"] for row in await told(services, "key.published")] == states["pending"]
    clock.turn(NOTICE)
    [signing] = await services.keys.rotate("access", HERE)
    assert (signing.algorithm, signing.kid) == ("EdDSA", states["pending"][0])
    # What the old one signed holds.
    assert principal_of(services, ada).email == "ada@example.com"
    # The other process is told, and verifies what it could not sign.
    eve = await register(services, "eve@example.com")
    await old.feed.poll()
    assert principal_of(old, eve).email == "eve@example.com"


async def test_of_two_that_start_with_another_algorithm_the_later_finds_it_done(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = (await make()).services
    seen = await stored(services)
    first = (await make(algorithm="ES256")).services
    done = await stored(first)

    async def as_before() -> list[StoredKey]:
        return seen

    policy = first.keys._policy
    later = type(first.keys)(services.store, SEALS, policy, TurnableClock(), os.urandom)
    monkeypatch.setattr(services.store.keys, "all", as_before)
    await later.start()
    assert await stored(first) == done


@pytest.mark.parametrize("change", ["rotate", "by itself", "kill", "kill all"])
async def test_a_change_goes_on_with_the_algorithm_of_the_next_key(
    make: Make, clock: TurnableClock, change: str
) -> None:
    """Whoever makes it, and whatever its own setting says."""
    other = (await make(key_rotation=3600)).services
    await make(algorithm="EdDSA")
    clock.turn(3601)
    [kid] = (await by_state(other, "access"))["signing"]
    await CHANGES[change](other, kid)
    made = {
        key.state: key.algorithm
        for key in await stored(other)
        if key.ring == "access" and key.state in ("signing", "pending")
    }
    assert made == {"signing": "EdDSA", "pending": "EdDSA"}


# --- rotation ---------------------------------------------------------------------------------


async def test_the_next_key_signs_and_the_old_one_verifies(
    make: Make, clock: TurnableClock
) -> None:
    one, other = (await make()).services, (await make()).services
    ada = await register(one)
    before = {ring: await by_state(one, ring) for ring in ROTATING}
    clock.turn(NOTICE)
    signing = await one.keys.rotate(None, HERE, actor="someone")
    assert [key.ring for key in signing] == list(ROTATING)
    for ring in ROTATING:
        after = await by_state(one, ring)
        assert after["signing"] == before[ring]["pending"]
        assert after["verifying"] == before[ring]["signing"]
        assert len(after["pending"]) == 1
        assert after["pending"] != before[ring]["pending"]
    rows = await told(one, "key.rotated")
    assert [(row["ring"], row["kid"]) for row in rows] == [(key.ring, key.kid) for key in signing]
    assert {row["actor"] for row in rows} == {"someone"}
    # A process that has not heard of it reads what the new key signed, and signs it again alike.
    eve = await register(one, "eve@example.com")
    assert eve.session.kid == signing[1].kid
    assert other.keys.rings.refresh.signing.kid != signing[1].kid
    assert principal_of(other, eve).email == "eve@example.com"
    again = await other.sessions.refresh(eve.refresh_token, HERE)
    assert again.refresh_token == eve.refresh_token
    # What the old one signed: a new generation is of the new key.
    assert principal_of(one, ada).email == "ada@example.com"
    assert (await one.sessions.refresh(ada.refresh_token, HERE)).session.kid == signing[1].kid
    assert one.tokens.csrf("x") != ada.csrf_token
    assert len(one.tokens.csrf_secrets) == 3


async def test_an_old_key_reaches_no_session_that_moved_on(
    make: Make, clock: TurnableClock
) -> None:
    """Who has stolen it forges refresh tokens for the sessions that hang on it, which end when it
    is killed, and for no other.
    """
    services = (await make()).services
    old = services.keys.rings.refresh.signing
    clock.turn(NOTICE)
    await services.keys.rotate("refresh", HERE)
    eve = await register(services, "eve@example.com")
    assert eve.session.kid != old.kid
    claims = services.tokens.refresh_claims(eve.refresh_token)
    with pytest.raises(InvalidRefreshToken, match="another key"):
        await services.sessions.refresh(mint(claims, old), HERE)
    again = await services.sessions.refresh(eve.refresh_token, HERE)
    assert again.refresh_token == eve.refresh_token


async def test_an_old_key_reaches_none_by_waiting_for_it_to_move_on_again(
    make: Make, clock: TurnableClock
) -> None:
    """A forged token of the present generation is the one before, once its victim refreshes: it
    must not get the live token within the grace, nor end the session after it.
    """
    services = (await make()).services
    ada = await register(services)
    old = services.keys.rings.refresh.signing
    clock.turn(NOTICE)
    await services.keys.rotate("refresh", HERE)
    moved = await services.sessions.refresh(ada.refresh_token, HERE)
    late = await services.sessions.refresh(ada.refresh_token, HERE)
    assert late.refresh_token == moved.refresh_token, "an honest retry over a rotation"
    forged = mint(services.tokens.refresh_claims(moved.refresh_token), old)
    for _ in range(2):
        for wait in (0, 11):
            clock.turn(wait)
            with pytest.raises(InvalidRefreshToken, match="another key"):
                await services.sessions.refresh(forged, HERE)
        moved = await services.sessions.refresh(moved.refresh_token, HERE)
        assert moved.session.revoked_at is None
    assert await told(services, "session.reuse_detected") == []
    # A genuine token of the old key that comes back late is theft, as ever.
    with pytest.raises(RefreshTokenReused):
        await services.sessions.refresh(ada.refresh_token, HERE)


async def test_a_key_that_is_killed_while_somebody_signs_in_is_no_fault_of_theirs(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = (await make()).services
    store = services.store.sessions
    opens = store.open

    async def opened(*args: Any, **kwargs: Any) -> Any:
        session = await opens(*args, **kwargs)
        await services.keys.kill(services.keys.rings.refresh.signing.kid, HERE)
        return session

    with monkeypatch.context() as patched:
        patched.setattr(store, "open", opened)
        with pytest.raises(Unavailable, match="key is gone") as refused:
            await register(services)
    assert refused.value.retry_after == 1
    user = await services.store.users.by_email("ada@example.com")
    assert user is not None
    assert await services.store.sessions.of_user(user.id) == []


async def test_what_was_promoted_just_now_waits_for_its_turn(
    make: Make, clock: TurnableClock
) -> None:
    services = (await make()).services
    with pytest.raises(RotatedLately, match="access: pending since") as refused:
        await services.keys.rotate(None, HERE)
    assert "It can sign from 20" in refused.value.message
    clock.turn(NOTICE)
    await services.keys.rotate("csrf", HERE)
    with pytest.raises(RotatedLately):
        await services.keys.rotate("csrf", HERE)
    with pytest.raises(RotatedLately):
        await services.keys.rotate(None, HERE)
    assert "verifying" not in await by_state(services, "access"), "all three, or none"
    clock.turn(NOTICE)
    await services.keys.rotate(None, HERE)


@pytest.mark.parametrize("ring", ["audit", "none", ""])
async def test_what_does_not_rotate(services: Services, clock: TurnableClock, ring: str) -> None:
    clock.turn(NOTICE)
    with pytest.raises(ValidationError) as refused:
        await services.keys.rotate(ring, HERE)
    [detail] = refused.value.details
    assert (detail.field, detail.code) == ("ring", "unknown_ring")
    assert ("audit log" in detail.message) == (ring == "audit")


async def test_remembered_tokens_are_looked_at_again_under_other_keys(
    make: Make, clock: TurnableClock
) -> None:
    services = (await make()).services
    ada = await register(services)
    bearer = f"Bearer {ada.access_token}".encode()
    principal_of(services, ada)
    assert services.tokens.recall(bearer) is not None
    [signing] = (await by_state(services, "access"))["signing"]
    await services.keys.kill(signing, HERE)
    assert services.tokens.recall(bearer) is None
    with pytest.raises(InvalidToken, match="none of ours"):
        principal_of(services, ada)


# --- the schedule -----------------------------------------------------------------------------


async def test_the_schedule_rotates_once_and_retires_what_is_past(
    make: Make, clock: TurnableClock
) -> None:
    many = await asyncio.gather(*(make(key_rotation="30d") for _ in range(4)))
    services = many[0].services

    async def turn(seconds: float) -> None:
        clock.turn(seconds)
        await asyncio.gather(*(one.services.keys.rotate_due() for one in many))

    await turn(30 * DAY - 60)
    assert await told(services, "key.rotated") == []
    await turn(120)
    assert [row["ring"] for row in await told(services, "key.rotated")] == list(ROTATING)
    await turn(60)
    assert len(await told(services, "key.rotated")) == 3
    await turn(2 * 3600)
    assert [row["ring"] for row in await told(services, "key.retired")] == ["access"]
    await turn(8 * DAY)
    assert [row["ring"] for row in await told(services, "key.retired")] == ["access", "refresh"]
    await turn(22 * DAY)
    assert len(await told(services, "key.rotated")) == 6
    assert len(await told(services, "key.retired")) == 3
    await turn(DAY)
    retired = [row["ring"] for row in await told(services, "key.retired")]
    assert retired == ["access", "refresh", "csrf", "access"]
    assert all(key.sealed == b"" for key in await stored(services) if key.state == "retired")


async def test_a_schedule_finds_that_another_was_quicker(
    make: Make, clock: TurnableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = [(await make(key_rotation="1h")).services for _ in range(2)]
    clock.turn(3601)
    seen = await stored(other)
    await one.keys.rotate_due()

    async def as_before() -> list[StoredKey]:
        return seen

    with monkeypatch.context() as patch:
        patch.setattr(other.store.keys, "all", as_before)
        patch.setattr(other.keys, "reload", lambda: asyncio.sleep(0))
        await other.keys.rotate_due()
    assert len(await told(one, "key.rotated")) == 3


async def test_without_a_schedule_nothing_happens_by_itself(
    services: Services, clock: TurnableClock
) -> None:
    clock.turn(365 * DAY)
    await services.keys.rotate_due()
    assert await told(services, "key.rotated") == []


# --- retiring ---------------------------------------------------------------------------------


async def test_a_key_can_go_when_the_last_that_it_signed_is_dead(
    make: Make, clock: TurnableClock
) -> None:
    services = (await make()).services
    ada = await register(services)
    signing = {ring: (await by_state(services, ring))["signing"][0] for ring in RINGS}
    pending = (await by_state(services, "access"))["pending"][0]
    for kid, text in (
        (signing["access"], "Rotate the ring first"),
        (pending, "It is the next to sign"),
        (signing["audit"], "audit log"),
    ):
        with pytest.raises(KeyInUse) as refused:
            await services.keys.retire(kid, HERE)
        assert text in refused.value.message
    with pytest.raises(NotFound):
        await services.keys.retire("nobody-has-this", HERE)
    clock.turn(NOTICE)
    await services.keys.rotate(None, HERE)
    for ring in ROTATING:
        with pytest.raises(KeyInUse, match="until") as refused:
            await services.keys.retire(signing[ring], HERE)
        assert ("Live sessions that hang on it: 1" in refused.value.message) == (ring == "refresh")
    assert await services.keys.retire(None, HERE) == []
    clock.turn(NOTICE)
    views = {one.key.kid: one for one in await services.keys.views()}
    assert views[signing["refresh"]].sessions == 1
    assert views[signing["access"]].sessions is None
    assert views[pending].retirable_at is None
    # Once it has refreshed, and the token before cannot come again, none hangs on it.
    done = await services.sessions.refresh(ada.refresh_token, HERE)
    with pytest.raises(KeyInUse):
        await services.keys.retire(signing["refresh"], HERE)
    clock.turn(11)
    [gone] = await services.keys.retire(signing["refresh"], HERE, dry_run=True)
    assert gone.state == "verifying"
    assert signing["refresh"] not in (await by_state(services, "refresh")).get("retired", [])
    [gone] = await services.keys.retire(signing["refresh"], HERE)
    assert gone.kid == signing["refresh"]
    assert await services.keys.retire(signing["refresh"], HERE) == []
    with pytest.raises(InvalidRefreshToken):
        services.tokens.refresh_claims(ada.refresh_token)
    clock.turn(3600 + 2 * NOTICE)
    assert [key.kid for key in await services.keys.retire(None, HERE)] == [signing["access"]]
    # Whoever signed in before all that is signed in still.
    assert (await services.sessions.refresh(done.refresh_token, HERE)).user.id == ada.user.id
    clock.turn(31 * DAY)
    assert [key.kid for key in await services.keys.retire(None, HERE)] == [signing["csrf"]]


async def test_time_alone_ends_a_refresh_key(make: Make, clock: TurnableClock) -> None:
    services = (await make()).services
    await register(services)
    [old] = (await by_state(services, "refresh"))["signing"]
    clock.turn(NOTICE)
    await services.keys.rotate("refresh", HERE)
    clock.turn(7 * DAY + 2 * NOTICE + 120)
    assert [key.kid for key in await services.keys.retire(None, HERE)] == [old]


async def test_a_command_retires_nothing_that_lives_by_the_settings_of_a_server(
    make: Make, clock: TurnableClock
) -> None:
    """A shell knows the database and the secret, and may know nothing else."""
    server = (await make(refresh_ttl=29 * DAY, session_ttl=90 * DAY)).services
    ada = await register(server)
    clock.turn(NOTICE)
    await server.keys.rotate(None, HERE)
    shell = (await make(serves=False)).services
    # Idle for longer than a refresh token lives by default.
    clock.turn(8 * DAY)
    assert [key.ring for key in await shell.keys.retire(None, HERE)] == ["access"]
    [old] = [
        view
        for view in await shell.keys.views()
        if (view.key.ring, view.key.state) == ("refresh", "verifying")
    ]
    assert old.sessions == 1
    assert (old.retirable_at or 0) - (old.key.verifying_at or 0) > 90 * DAY * 1000
    with pytest.raises(KeyInUse, match=old.key.kid):
        await shell.keys.retire(old.key.kid, HERE)
    await server.feed.poll()
    ada = await server.sessions.refresh(ada.refresh_token, HERE)
    # The session has moved on: no refresh token of it is left, but its CSRF token is good.
    clock.turn(301)
    assert [key.ring for key in await shell.keys.retire(None, HERE)] == ["refresh"]
    clock.turn(31 * DAY)
    assert await shell.keys.retire(None, HERE) == []
    await server.sessions.end(ada.session.id, ada.user.id, HERE)
    clock.turn(60 * DAY)
    assert [key.ring for key in await shell.keys.retire(None, HERE)] == ["csrf"]


async def test_a_command_waits_for_a_server_that_may_hear_as_late_as_any(
    make: Make, clock: TurnableClock
) -> None:
    shell = (await make(serves=False)).services
    clock.turn(NOTICE)
    with pytest.raises(RotatedLately):
        await shell.keys.rotate(None, HERE)
    clock.turn(NOTICE)
    old = shell.keys.rings.refresh.signing.kid
    await shell.keys.rotate(None, HERE)
    clock.turn(NOTICE)
    # A server whose feed may be so old signed it, and it has moved on twice since.
    ada = await register(shell)
    assert ada.session.kid != old
    assert (await shell.keys.count_killed(old)).matched.sessions == 1
    server = (await make()).services
    assert (await server.keys.count_killed(old)).matched.sessions == 0


async def test_a_command_goes_by_no_schedule(make: Make, clock: TurnableClock) -> None:
    shell = (await make(serves=False, key_rotation=3600)).services
    before = await stored(shell)
    clock.turn(DAY)
    await shell.keys.tend()
    assert await stored(shell) == before


# --- killing ----------------------------------------------------------------------------------


async def test_a_refresh_key_takes_its_sessions_along_with_the_count_first(
    make: Make, clock: TurnableClock
) -> None:
    one, other = (await make()).services, (await make()).services
    ada, eve = await register(one), await register(one, "eve@example.com")
    states = await by_state(one, "refresh")
    [signing], [pending] = states["signing"], states["pending"]
    counted = await one.keys.count_killed(signing)
    assert (counted.matched.sessions, counted.matched.accounts) == (2, 2)
    assert {key.kid for key in counted.keys} == {signing, pending}
    assert await by_state(one, "refresh") == states, "it was counted only"
    killed = await one.keys.kill(signing, HERE, actor="someone")
    assert killed.matched == counted.matched
    assert {key.kid for key in killed.keys} == {signing, pending}
    assert {row["kid"] for row in await told(one, "key.killed")} == {signing, pending}
    [row] = await told(one, "sessions.revoked")
    assert (row["kid"], row["sessions"], row["actor"]) == (signing, 2, "someone")
    await other.feed.poll()
    for services in (one, other):
        for person in (ada, eve):
            with pytest.raises(TokenRevoked):
                principal_of(services, person)
            with pytest.raises(InvalidRefreshToken):
                await services.sessions.refresh(person.refresh_token, HERE)
    after = await by_state(one, "refresh")
    assert set(after["retired"]) == {signing, pending}
    assert len(after["signing"]) == len(after["pending"]) == 1
    # And again, as after an error: nothing more happens, nobody else is signed out.
    clock.turn(2)
    ada = await register(one, "new@example.com")
    again = await one.keys.kill(signing, HERE)
    assert (list(again.keys), again.matched.sessions) == ([], 0)
    assert principal_of(one, ada)


@pytest.mark.parametrize("retired", [True, False])
async def test_a_rotation_after_the_count_saves_no_key_that_was_to_die(
    make: Make, clock: TurnableClock, retired: bool
) -> None:
    """While somebody is asked, the schedule may let the next key sign, which lay beside."""
    services = (await make()).services
    states = await by_state(services, "refresh")
    [signing], [pending] = states["signing"], states["pending"]
    await register(services)
    counted = await services.keys.count_killed(signing)
    clock.turn(NOTICE)
    await services.keys.rotate("refresh", HERE)
    if retired:
        clock.turn(31 * DAY)
        await services.keys.retire(signing, HERE)
        await services.feed.poll()
    await register(services, "eve@example.com")
    killed = await services.keys.kill(signing, HERE, told=counted.keys)
    after = await by_state(services, "refresh")
    assert {signing, pending} <= set(after["retired"])
    assert (len(after["signing"]), len(after["pending"])) == (1, 1)
    assert pending in {key.kid for key in killed.keys}
    assert killed.matched.sessions == (1 if retired else 2)


async def test_nor_does_one_between_the_order_and_the_deed(
    make: Make, clock: TurnableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    services, other = (await make()).services, (await make()).services
    states = await by_state(services, "access")
    [signing], [pending] = states["signing"], states["pending"]
    clock.turn(NOTICE)
    make_keys = KeyChanges.make

    async def rotated_meanwhile(*given: Any, **named: Any) -> Any:
        made = await make_keys(*given, **named)
        with monkeypatch.context() as once:
            once.setattr(KeyChanges, "make", make_keys)
            await other.keys.rotate("access", HERE)
        return made

    with monkeypatch.context() as patched:
        patched.setattr(KeyChanges, "make", rotated_meanwhile)
        killed = await services.keys.kill(signing, HERE)
    assert {signing, pending} < {key.kid for key in killed.keys}
    after = await by_state(services, "access")
    assert (len(after["signing"]), len(after["pending"])) == (1, 1)
    assert set(after["retired"]) == {key.kid for key in killed.keys}


async def test_an_old_refresh_key_takes_those_along_that_it_could_have_signed(
    make: Make, clock: TurnableClock
) -> None:
    services = (await make()).services
    idle, moved = await register(services), await register(services, "eve@example.com")
    stolen = services.keys.rings.refresh.signing
    old = stolen.kid
    clock.turn(NOTICE)
    await services.keys.rotate("refresh", HERE)
    # Who knows the key moves a session to the next, whose tokens are genuine; and on again.
    forged = mint(services.tokens.refresh_claims(moved.refresh_token), stolen)
    moved = await services.sessions.refresh(forged, HERE)
    clock.turn(11)
    moved = await services.sessions.refresh(moved.refresh_token, HERE)
    assert moved.session.kid != old
    # A process that hears late of the next key signs on; after that no other can.
    clock.turn(NOTICE - 21)
    late = await register(services, "late@example.com")
    clock.turn(12)
    lively = await register(services, "new@example.com")
    counted = await services.keys.count_killed(old)
    assert (counted.matched.sessions, counted.matched.accounts) == (3, 3)
    assert (await services.keys.kill(old, HERE)).matched == counted.matched
    for ended in (idle, moved, late):
        with pytest.raises(TokenExpired):
            principal_of(services, ended)
        with pytest.raises(InvalidRefreshToken):
            await services.sessions.refresh(ended.refresh_token, HERE)
    assert principal_of(services, lively)
    clock.turn(11)
    assert (await services.sessions.refresh(lively.refresh_token, HERE)).session.generation == 1
    again = await services.keys.kill(old, HERE)
    assert (list(again.keys), again.matched.sessions) == ([], 0)
    states = await by_state(services, "refresh")
    assert {state: len(kids) for state, kids in states.items()} == {
        "signing": 1,
        "pending": 1,
        "retired": 2,
    }


async def test_a_refresh_key_that_was_retired_before_it_was_known_to_have_leaked(
    make: Make, clock: TurnableClock
) -> None:
    services = (await make()).services
    ada = await register(services)
    [old] = (await by_state(services, "refresh"))["signing"]
    clock.turn(NOTICE)
    await services.keys.rotate("refresh", HERE)
    ada = await services.sessions.refresh(ada.refresh_token, HERE)
    clock.turn(NOTICE)
    await services.keys.retire(old, HERE)
    counted = await services.keys.count_killed(old)
    assert (list(counted.keys), counted.matched.sessions) == ([], 1)
    assert (await services.keys.kill(old, HERE)).matched == counted.matched
    with pytest.raises(InvalidRefreshToken, match="session ended"):
        await services.sessions.refresh(ada.refresh_token, HERE)


async def test_the_key_that_signs_takes_all_along_that_it_signed(
    make: Make, clock: TurnableClock
) -> None:
    """The key before was not known to whoever knows this one: what hangs on it alone lives on."""
    services = (await make()).services
    idle, moved = await register(services), await register(services, "eve@example.com")
    clock.turn(NOTICE)
    await services.keys.rotate("refresh", HERE)
    moved = await services.sessions.refresh(moved.refresh_token, HERE)
    new = await register(services, "new@example.com")
    signing = services.keys.rings.refresh.signing
    forged = mint(services.tokens.refresh_claims(idle.refresh_token), signing)
    with pytest.raises(InvalidRefreshToken, match="another key"):
        await services.sessions.refresh(forged, HERE)
    counted = await services.keys.count_killed(signing.kid)
    assert counted.matched.sessions == 2
    assert (await services.keys.kill(signing.kid, HERE)).matched == counted.matched
    for ended in (moved, new):
        with pytest.raises(InvalidRefreshToken):
            await services.sessions.refresh(ended.refresh_token, HERE)
    assert (await services.sessions.refresh(idle.refresh_token, HERE)).session.generation == 1


@pytest.mark.parametrize("which", ["verifying", "rotated before", "signing", "all"])
async def test_a_session_that_was_opened_while_the_clock_was_ahead_ends_too(
    make: Make, clock: TurnableClock, which: str
) -> None:
    services = (await make()).services
    old = services.keys.rings.refresh.signing.kid
    before = clock.now()
    clock.turn(36_000)
    ada = await register(services)
    back = 32_400 if which == "rotated before" else 0
    if which in ("verifying", "rotated before"):
        # On to the key after next: nothing in its row tells of the old one.
        for jump in (back, 0):
            clock.turn(NOTICE - jump)
            await services.keys.rotate("refresh", HERE)
            clock.turn(jump)
            ada = await services.sessions.refresh(ada.refresh_token, HERE)
    clock.turn(int(before - clock.now()))
    kid = None if which == "all" else old
    counted = await services.keys.count_killed(kid)
    assert counted.matched.sessions == 1
    assert (await services.keys.kill(kid, HERE)).matched == counted.matched
    assert await services.store.sessions.of_user(ada.user.id) == []
    clock.turn(40_000)
    with pytest.raises(InvalidRefreshToken):
        await services.sessions.refresh(ada.refresh_token, HERE)


async def test_a_clock_that_was_years_ahead_for_a_minute_stops_no_rotation(
    make: Make, clock: TurnableClock
) -> None:
    services = (await make(key_rotation=30 * DAY)).services
    clock.turn(3650 * DAY)
    await services.keys.rotate_due()
    clock.turn(-3650 * DAY)
    ahead = await by_state(services, "access")
    await services.keys.rotate_due()
    assert (await by_state(services, "access"))["signing"] == ahead["pending"]
    clock.turn(NOTICE)
    await services.keys.rotate(None, HERE)


@pytest.mark.parametrize(("ring", "ends"), [("access", InvalidToken), ("csrf", None)])
async def test_other_keys_end_no_session(make: Make, ring: str, ends: Any) -> None:
    services = (await make()).services
    ada = await register(services)
    [signing] = (await by_state(services, ring))["signing"]
    assert (await services.keys.count_killed(signing)).matched.sessions == 0
    assert (await services.keys.kill(signing, HERE)).matched.sessions == 0
    if ends is None:
        assert principal_of(services, ada)
        assert services.tokens.csrf(ada.session.id) != ada.csrf_token
    else:
        with pytest.raises(ends):
            principal_of(services, ada)
    again = await services.sessions.refresh(ada.refresh_token, HERE)
    assert principal_of(services, again)


async def test_a_pending_key_is_replaced(services: Services) -> None:
    states = await by_state(services, "access")
    [pending] = states["pending"]
    assert [key.kid for key in (await services.keys.kill(pending, HERE)).keys] == [pending]
    after = await by_state(services, "access")
    assert after["signing"] == states["signing"]
    assert len(after["pending"]) == 1
    assert after["retired"] == [pending]


async def test_after_a_restored_backup_everybody_signs_in_anew(
    make: Make, clock: TurnableClock
) -> None:
    services = (await make()).services
    ada = await register(services)
    clock.turn(NOTICE)
    await services.keys.rotate(None, HERE)
    eve = await register(services, "eve@example.com")
    counted = await services.keys.count_killed(None)
    assert (counted.matched.sessions, len(counted.keys)) == (2, 9)
    killed = await services.keys.kill(None, HERE)
    assert (killed.matched.sessions, len(killed.keys)) == (2, 9)
    for person in (ada, eve):
        with pytest.raises(InvalidToken):
            principal_of(services, person)
        with pytest.raises(InvalidRefreshToken):
            await services.sessions.refresh(person.refresh_token, HERE)
    for ring in ROTATING:
        states = await by_state(services, ring)
        assert len(states["signing"]) == len(states["pending"]) == 1
        assert set(states) == {"signing", "pending", "retired"}
    assert list(await by_state(services, "audit")) == ["signing"]


async def test_the_key_of_the_audit_log_cannot_be_killed(services: Services) -> None:
    [kid] = (await by_state(services, "audit"))["signing"]
    with pytest.raises(KeyInUse):
        await services.keys.count_killed(kid)
    with pytest.raises(KeyInUse):
        await services.keys.kill(kid, HERE)


# --- the master secret ------------------------------------------------------------------------


async def test_a_changed_master_secret_seals_the_whole_ring_anew(
    make: Make, clock: TurnableClock
) -> None:
    before = (await make()).services
    ada = await register(before)
    clock.turn(NOTICE)
    await before.keys.rotate(None, HERE)
    await before.keys.kill((await by_state(before, "csrf"))["verifying"][0], HERE)
    old = await stored(before)
    changed = {"secret": OTHER, "secret_previous": SECRET}
    many = await asyncio.gather(*(make(**changed) for _ in range(4)))
    services = many[0].services
    new = await stored(services)
    assert [(key.kid, key.state) for key in new] == [(key.kid, key.state) for key in old]
    for was, now in zip(old, new, strict=True):
        assert (was.sealed == now.sealed) == (was.state == "retired")
        assert SEALS.outdated(now) is False, "there is no secret before it"
    [row] = await told(services, "keys.resealed")
    assert row["keys"] == sum(key.state != "retired" for key in new)
    assert principal_of(services, ada)
    # The old one opens nothing any more, and the new one alone does.
    with pytest.raises(ConfigurationError, match="does not open"):
        await make()
    await make(secret=OTHER)
    for key in new:
        if key.state != "retired":
            with pytest.raises(ConfigurationError):
                SEALS.open([key])


async def test_a_wrong_secret_before_is_told(make: Make) -> None:
    await make()
    third = "Qm2Xw7Zt9Lk4Rv1Np6Hs3Jc8Gd5Fy0BaTuEoIxWqVzM"
    with pytest.raises(ConfigurationError, match="secret: does not open key"):
        await make(secret=OTHER, secret_previous=third)
    with pytest.raises(ConfigurationError, match="secret_previous, as a secret: shorter than"):
        await make(secret=OTHER, secret_previous="c2hvcnQ=")


async def test_a_wrong_secret_makes_no_keys_for_a_ring_that_has_none(
    make: Make, sqlite_database: str
) -> None:
    """They would keep out whoever has the right one."""
    services = (await make()).services
    path = urlsplit(sqlite_database).path.removeprefix("/")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM keys WHERE ring = 'csrf'")
    with pytest.raises(ConfigurationError, match="secret: does not open key"):
        await make(secret=OTHER)
    assert await by_state(services, "csrf") == {}
    await make()
    assert set(await by_state(services, "csrf")) == {"signing", "pending"}


@pytest.mark.parametrize("change", CHANGES)
async def test_who_cannot_open_the_keys_changes_none(
    make: Make, clock: TurnableClock, change: str
) -> None:
    """A process that still runs with the secret of before would seal the new keys under it, and
    take down all those that have the present one alone.
    """
    left_behind = (await make(key_rotation=3600)).services
    ada = await register(left_behind)
    new = (await make(secret=OTHER, secret_previous=SECRET)).services
    alone = (await make(secret=OTHER)).services
    clock.turn(3601)
    before = await stored(new)
    [kid] = (await by_state(new, "csrf"))["signing"]
    with pytest.raises(Unavailable, match="keys not changed: secret: does not open key") as refused:
        await CHANGES[change](left_behind, kid)
    assert "AUTHWARD_SECRET" in refused.value.message
    assert await stored(new) == before
    for services in (left_behind, new, alone):
        await services.feed.poll()
        assert services.keys.loaded
    assert len(await new.sessions.list(ada.user.id)) == 1
    # Who can does.
    await new.keys.kill(kid, HERE)
    await alone.feed.poll()
    await make(secret=OTHER)


async def test_who_has_the_secret_before_opens_what_it_sealed_and_seals_it_anew(
    make: Make, clock: TurnableClock
) -> None:
    services = (await make(secret=OTHER, secret_previous=SECRET)).services
    ada = await register(services)
    material = {one.kid: one.key for one in rings_of(services).refresh.keys}
    verifying = os.urandom(32)
    await put(
        services,
        csrf_key("verifying", verifying),
        *(
            replace(key, sealed=SEALS.seal(material[key.kid]).sealed)
            for key in await stored(services)
            if key.ring == "refresh"
        ),
    )
    await services.keys.reload()
    assert services.keys.loaded
    assert verifying in rings_of(services).csrf
    ada = await services.sessions.refresh(ada.refresh_token, HERE)
    with pytest.raises(ConfigurationError):
        await make(secret=OTHER)
    clock.turn(NOTICE)
    # Two of them are moved, one is not.
    await services.keys.rotate("refresh", HERE)
    assert [row["keys"] for row in await told(services, "keys.resealed")] == [1]
    alone = (await make(secret=OTHER)).services
    assert verifying in rings_of(alone).csrf
    assert (await alone.sessions.refresh(ada.refresh_token, HERE)).user == ada.user


# --- other processes --------------------------------------------------------------------------


async def test_a_process_that_cannot_read_the_keys_lets_nobody_in_for_long(
    make: Make, clock: TurnableClock
) -> None:
    """It runs with the master secret of before: it goes on with what it has, until keys change."""
    old = (await make(feed_max_lag=2)).services
    ada = await register(old)
    new = (await make(secret=OTHER, secret_previous=SECRET)).services
    await old.feed.poll()
    assert principal_of(old, ada)
    clock.turn(NOTICE)
    await new.keys.rotate(None, HERE)
    with pytest.raises(Unavailable):
        await old.feed.poll()
    assert (old.keys.loaded, new.keys.loaded) == (False, True)
    assert old.feed._read_at is not None
    old.feed.fresh_until -= 3
    with pytest.raises(Unavailable):
        principal_of(old, ada)
    assert principal_of(new, ada)


def forged(services: Services, person: Any, key: Any) -> str:
    """An access token of an admin, of whoever knows `key`."""
    claims = services.tokens.whose(person.access_token)
    return mint(msgspec.structs.replace(claims, role="admin", jti="forged"), key)


@pytest.mark.parametrize("ring", ["access", "refresh", "csrf", None])
async def test_who_cannot_read_the_next_key_does_not_go_on_with_one_that_was_killed(
    make: Make, ring: str | None
) -> None:
    """A process left behind by a change of the master secret reads that its key is gone, though not
    what came after it: whoever knows that key must not be let in for as long as the feed may lag.
    """
    old = (await make()).services
    new = (await make(secret=OTHER, secret_previous=SECRET)).services
    ada = await register(old)
    stolen = forged(old, ada, old.keys.rings.access.signing)
    assert old.tokens.verify(stolen).role == "admin"
    bearer = f"Bearer {stolen}".encode()
    kid = None if ring is None else (await by_state(new, ring))["signing"][0]
    await new.keys.kill(kid, HERE)
    for _ in range(2):
        with pytest.raises(Unavailable):
            await old.feed.poll()
        assert not old.keys.loaded
        assert old.tokens.recall(bearer) is None
        with pytest.raises(Unavailable, match="one that signed is gone"):
            old.tokens.verify(stolen)
        with pytest.raises(Unavailable):
            old.tokens.verify(stolen, stale=True)
        with pytest.raises(Unavailable):
            _ = old.keys.rings
        with pytest.raises(Unavailable):
            await register(old, "eve@example.com")
        with pytest.raises(Unavailable):
            await old.sessions.refresh(ada.refresh_token, HERE)
        with pytest.raises(Unavailable):
            _ = old.tokens.csrf_secrets
    assert await new.store.users.by_email("eve@example.com") is None
    # The keys are sealed under the secret that it has: it reads them, and goes on.
    await make(secret=SECRET, secret_previous=OTHER)
    await old.feed.poll()
    assert old.keys.loaded
    eve = await register(old, "eve@example.com")
    assert principal_of(old, eve)


async def test_who_cannot_read_the_keys_drops_those_that_signed_once_and_are_gone(
    make: Make, clock: TurnableClock
) -> None:
    old = (await make()).services
    ada = await register(old)
    stolen = old.keys.rings.access.signing
    admin = forged(old, ada, stolen)
    clock.turn(NOTICE)
    await old.keys.rotate("access", HERE)
    new = (await make(secret=OTHER, secret_previous=SECRET)).services
    eve = await register(new, "eve@example.com")
    assert old.tokens.verify(admin).role == "admin"
    await new.keys.kill(stolen.kid, HERE)
    used: list[object] = []
    follow = old.keys._follow
    assert follow is not None

    def noted(rings: Rings | None) -> None:
        used.append(rings)
        follow(rings)

    old.keys.follow(noted)
    for _ in range(2):
        with pytest.raises(Unavailable):
            await old.feed.poll()
    assert len(used) == 1, "once: each time, all that verified is forgotten"
    with pytest.raises(InvalidToken):
        old.tokens.verify(admin)
    # What the others signed holds, until the feed is too old.
    assert principal_of(old, eve)


async def test_a_key_that_is_gone_from_the_database_is_used_no_more(
    make: Make, sqlite_database: str
) -> None:
    """As after another database was put in its place, whose keys are sealed otherwise."""
    old = (await make()).services
    ada = await register(old)
    await make(secret=OTHER, secret_previous=SECRET)
    path = urlsplit(sqlite_database).path.removeprefix("/")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM keys WHERE ring = 'access' AND state = 'signing'")
    with pytest.raises(Unavailable):
        await old.keys.reload()
    with pytest.raises(Unavailable):
        principal_of(old, ada)


async def test_twenty_readers_at_once_leave_the_newest_rings(
    make: Make, clock: TurnableClock
) -> None:
    one, other = (await make()).services, (await make()).services
    clock.turn(NOTICE)
    await asyncio.gather(
        *(other.keys.reload() for _ in range(10)),
        one.keys.rotate(None, HERE),
        *(other.keys.reload() for _ in range(10)),
    )
    await other.feed.poll()
    assert other.keys.rings.access.signing.kid == one.keys.rings.access.signing.kid
    assert other.keys.rings.csrf == one.keys.rings.csrf


@pytest.mark.parametrize("rotations", [0, 1, 2, 3])
async def test_a_stolen_token_is_seen_however_often_the_ring_was_rotated(
    services: Services, clock: TurnableClock, rotations: int
) -> None:
    """RFC 9700 section 4.14.2: whichever of the two comes second gives the theft away."""
    owner = await register(services)
    thief = owner
    clock.turn(NOTICE)
    thief = await services.sessions.refresh(thief.refresh_token, HERE)
    for _ in range(rotations):
        clock.turn(NOTICE)
        await services.keys.rotate("refresh", HERE)
        thief = await services.sessions.refresh(thief.refresh_token, HERE)
    clock.turn(NOTICE)
    with pytest.raises(RefreshTokenReused):
        await services.sessions.refresh(owner.refresh_token, HERE)
    with pytest.raises(InvalidRefreshToken):
        await services.sessions.refresh(thief.refresh_token, HERE)
    assert len(await told(services, "session.reuse_detected")) == 1
