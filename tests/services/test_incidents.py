"""Ending many sessions at once: what is meant, what is told, and that refreshing is over."""

from ipaddress import ip_network

import pytest

from authward.errors import TokenExpired, TokenRevoked, ValidationError
from authward.ports import Matched, SessionMatch
from authward.services import Services, incidents

from .conftest import HERE, Make, register, told


def outcome(services: Services, signed_in: object) -> str:
    try:
        services.tokens.verify(signed_in.access_token)  # type: ignore[attr-defined]
    except (TokenExpired, TokenRevoked) as refusal:
        return refusal.code
    return "good"


async def test_a_role_means_those_that_include_it_too(services: Services) -> None:
    for name, includes in (("writer", ()), ("editor", ("writer",)), ("chief", ("editor",))):
        await services.roles.put(None, name, ["read:x"], includes, HERE)
    found = incidents.matching(services, SessionMatch(role="editor"))
    assert found == SessionMatch(role="editor", holding=frozenset({"editor", "chief"}))
    assert incidents.matching(services, SessionMatch(user_id="x")) == SessionMatch(user_id="x")
    with pytest.raises(ValidationError) as refused:
        incidents.matching(services, SessionMatch(role="king"))
    assert [detail.field for detail in refused.value.details] == ["role"]


async def test_who_holds_a_role_that_includes_it_is_signed_out(services: Services) -> None:
    await services.roles.put(None, "editor", ["read:x"], ["moderator"], HERE)
    ada, bob = await register(services), await register(services, "bob@example.com")
    await services.users.set_role(None, ada.user.id, "user", HERE, additional=["editor"])
    ada = await services.accounts.login(
        "ada@example.com", password="correct horse battery", client=HERE, presented=None
    )
    match = incidents.matching(services, SessionMatch(role="moderator"))
    done = await incidents.revoke(services, match, HERE)
    assert done == Matched(2, 1)
    assert outcome(services, ada) == "token_revoked"
    assert outcome(services, bob) == "good"
    [began] = await told(services, "sessions.revoking")
    assert (began["role"], began["ip"]) == ("moderator", HERE.ip)
    [ended] = await told(services, "sessions.revoked")
    assert (ended["role"], ended["sessions"], ended["accounts"]) == ("moderator", 2, 1)


async def test_a_role_that_stops_including_it_brings_no_token_back(services: Services) -> None:
    await services.roles.put(None, "chief", ["read:x"], ["moderator"], HERE)
    ada = await register(services)
    await services.users.set_role(None, ada.user.id, "chief", HERE)
    ada = await services.accounts.login(
        "ada@example.com", password="correct horse battery", client=HERE, presented=None
    )
    assert outcome(services, ada) == "good"
    await incidents.revoke(
        services, incidents.matching(services, SessionMatch(role="moderator")), HERE
    )
    await services.roles.put(None, "chief", ["read:x"], (), HERE)
    assert outcome(services, ada) == "token_revoked"


async def test_a_whole_account_ends_by_its_version(services: Services) -> None:
    ada, bob = await register(services), await register(services, "bob@example.com")
    done = await incidents.revoke(services, SessionMatch(user_id=ada.user.id), HERE)
    assert done == Matched(1, 1)
    assert (outcome(services, ada), outcome(services, bob)) == ("token_revoked", "good")
    assert await told(services, "sessions.revoking") == []
    [ended] = await told(services, "sessions.revoked")
    assert (ended["subject"], ended["sessions"]) == (ada.user.id, 1)


async def test_part_of_an_account_ends_and_the_rest_fetches_new_tokens(services: Services) -> None:
    ada = await register(services)
    match = SessionMatch(user_id=ada.user.id, network=ip_network("203.0.113.0/24"))
    assert await incidents.revoke(services, match, HERE) == Matched(1, 1)
    assert outcome(services, ada) == "token_expired"
    [began] = await told(services, "sessions.revoking")
    assert (began["subject"], began["network"]) == (ada.user.id, "203.0.113.0/24")


async def test_before_a_time_and_nobody(services: Services) -> None:
    ada = await register(services)
    match = SessionMatch(before=1000)
    assert await incidents.revoke(services, match, HERE) == Matched(0, 0)
    assert outcome(services, ada) == "good"
    assert [row["before"] for row in await told(services, "sessions.revoked")] == [1000]


async def test_everybody(services: Services) -> None:
    ada = await register(services)
    assert await incidents.revoke(services, SessionMatch(), HERE) == Matched(1, 1)
    assert outcome(services, ada) == "token_revoked"
    again = await register(services, "bob@example.com")
    assert outcome(services, again) == "good"


async def test_a_process_that_starts_after_it_knows(make: Make) -> None:
    one = (await make()).services
    ada = await register(one)
    await incidents.revoke(one, SessionMatch(), HERE)
    other = (await make()).services
    assert outcome(other, ada) == "token_revoked"
    assert outcome(other, await register(one, "bob@example.com")) == "good"
