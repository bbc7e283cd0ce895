"""Granting oneself or a friend what one does not hold: vertical privilege escalation, CWE-269.

OWASP ASVS 8.2 and 8.3; MinIO CVE-2021-43858: who may change their own account gives it rights.
The one who tries may manage roles, give roles, and grant permissions; and holds little else.
"""

import asyncio
from typing import Any

import httpx2
import pytest

from authward.core.users import User
from tests.here import OPERATOR, Here
from tests.serving import Account

MANAGER = ("manage:roles", "assign:roles", "assign:permissions", "update:users", "delete:users")
HELD = ("read:posts", "update:posts")
LACKED = ("delete:posts", "*:posts", "read:*", "*:*", "read:audit")


async def make_roles(here: Here) -> None:
    roles = here.services.roles
    await roles.put(None, "editor", HELD, (), OPERATOR)
    await roles.put(None, "manager", (*MANAGER, *HELD), ("editor",), OPERATOR)
    # It grants nothing, but an app may ask for it by name: authorize("billing").
    await roles.put(None, "billing", (), (), OPERATOR)
    await roles.put(None, "publisher", ("delete:posts",), (), OPERATOR)
    await roles.put(None, "chief", ("read:posts",), ("publisher",), OPERATOR)
    await here.services.feed.poll()


async def send(here: Here, who: Account, method: str, path: str, body: object) -> httpx2.Response:
    return await here.send(method, f"/api{path}", headers=who.bearer, json=body)


async def state(here: Here) -> tuple[Any, list[User]]:
    page = await here.services.users.page(limit=100, cursor=None, search=None, role=None)
    return await here.services.roles.list(), page.users


def rows(me: Account, friend: Account, admin: Account) -> list[tuple[str, str, object]]:
    """Every way we know to reach further than one holds."""
    found: list[tuple[str, str, object]] = []
    body: dict[str, Any]
    for lacked in LACKED:
        body = {"permissions": [*HELD, lacked]}
        found += [
            ("PUT", "/roles/manager", {"permissions": [*MANAGER, *HELD, lacked]}),
            ("PUT", "/roles/user", body),
            ("PUT", "/roles/new", body),
            ("PUT", "/roles/editor", body),
            ("PUT", f"/users/{me.id}/permissions", body),
            ("PUT", f"/users/{friend.id}/permissions", body),
        ]
    for includes in (["publisher"], ["chief"], ["moderator", "chief"], ["billing"]):
        body = {"permissions": [], "includes": includes}
        found += [("PUT", f"/roles/{name}", body) for name in ("user", "new", "editor")]
    for role in ("admin", "publisher", "chief", "moderator", "billing"):
        found += [("PUT", f"/users/{one.id}/role", {"role": role}) for one in (me, friend)]
        if role != "admin":
            beside = {"role": "user", "additionalRoles": [role]}
            found += [("PUT", f"/users/{one.id}/role", beside) for one in (me, friend)]
    # Nor does one take from others what one lacks, nor touch who holds it.
    found += [
        ("PUT", "/roles/publisher", {"permissions": []}),
        ("PUT", "/roles/chief", {"permissions": ["read:posts"]}),
        ("PUT", "/roles/moderator", {"permissions": []}),
        ("PUT", "/roles/admin", {"permissions": ["*:*", "read:posts"]}),
        ("DELETE", "/roles/chief", None),
        ("DELETE", "/roles/moderator", None),
        ("PUT", f"/users/{admin.id}/role", {"role": "user"}),
        ("PUT", f"/users/{admin.id}/permissions", {"permissions": ["read:posts"]}),
        ("PUT", f"/users/{admin.id}", {"disabled": True}),
        ("PUT", f"/users/{admin.id}", {"name": "Edited"}),
        ("DELETE", f"/users/{admin.id}", None),
    ]
    return found


async def test_no_way_leads_further_than_one_holds(here_on_each: Here) -> None:
    here = here_on_each
    await make_roles(here)
    admin, friend = await here.register(role="admin"), await here.register()
    me = await here.register(role="manager")
    before = await state(here)
    for method, path, body in rows(me, friend, admin):
        answer = await send(here, me, method, path, body)
        assert (answer.status_code, answer.json()["error"]) == (403, "forbidden"), (path, body)
    assert await state(here) == before
    handed: dict[str, Any]
    # And what they hold they may hand on, or the rows above would prove little.
    for path, handed in (
        (f"/users/{friend.id}/permissions", {"permissions": ["update:posts"]}),
        (f"/users/{friend.id}/role", {"role": "user", "additionalRoles": ["editor"]}),
        ("/roles/new", {"permissions": ["read:posts"], "includes": ["editor"]}),
    ):
        assert (await send(here, me, "PUT", path, handed)).status_code == 200


async def test_a_moderator_raises_nobody(here: Here) -> None:
    moderator, friend = await here.register(role="moderator"), await here.register()
    for path, body in (
        (f"/users/{friend.id}/role", {"role": "moderator"}),
        (f"/users/{moderator.id}/role", {"role": "admin"}),
        (f"/users/{moderator.id}/permissions", {"permissions": ["read:users"]}),
        ("/roles/user", {"permissions": ["read:users"]}),
        ("/roles/moderator", {"permissions": ["*:*"]}),
    ):
        answer = await send(here, moderator, "PUT", path, body)
        assert answer.status_code == 403
    answer = await send(here, moderator, "PUT", f"/users/{friend.id}", {"role": "admin"})
    assert answer.json()["data"]["role"] == "user"


async def test_a_friend_is_not_raised_by_a_detour_over_a_role_one_made(here: Here) -> None:
    """An included role that grows later grows by what its editor holds."""
    await make_roles(here)
    me, friend = await here.register(role="manager"), await here.register()
    await send(here, me, "PUT", "/roles/mine", {"permissions": ["read:posts"]})
    beside = {"role": "user", "additionalRoles": ["mine"]}
    # A role is handed on by those who hold it, and making one is not holding it.
    assert (await send(here, me, "PUT", f"/users/{friend.id}/role", beside)).status_code == 403
    await here.services.users.set_role(None, friend.id, "user", OPERATOR, additional=["mine"])
    for body in (
        {"permissions": ["delete:posts"]},
        {"permissions": [], "includes": ["publisher"]},
    ):
        assert (await send(here, me, "PUT", "/roles/mine", body)).status_code == 403
    held = await here.services.users.permissions_of(friend.id)
    assert held.effective == {"read:posts"}


@pytest.mark.parametrize("what", ["demoted", "disabled", "role"])
async def test_rights_lost_between_check_and_write_are_not_used(
    here_on_each: Here, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """The guard has let the request pass when its caller loses what it stands on (CWE-367)."""
    here = here_on_each
    await make_roles(here)
    me, friend = await here.register(role="manager"), await here.register()
    store = here.services.store.users
    reached, go_on = asyncio.Event(), asyncio.Event()
    administer = store.administer

    async def held_back(*given: Any, actor: str | None) -> User | None:
        if actor == me.id:
            reached.set()
            await go_on.wait()
        return await administer(*given, actor=actor)

    monkeypatch.setattr(store, "administer", held_back)
    body = {"permissions": ["update:posts"]}
    asking = asyncio.create_task(send(here, me, "PUT", f"/users/{friend.id}/permissions", body))
    await reached.wait()
    if what == "demoted":
        await here.services.users.set_role(None, me.id, "user", OPERATOR)
    elif what == "disabled":
        await here.services.users.set_disabled(None, me.id, True, OPERATOR)
    else:
        await here.services.roles.put(None, "manager", MANAGER, (), OPERATOR)
    go_on.set()
    answer = await asking
    expected = "token_revoked" if what == "disabled" else "token_expired"
    assert (answer.status_code, answer.json()["error"]) == (401, expected)
    held = await here.services.users.permissions_of(friend.id)
    assert held.effective == frozenset()


async def test_a_role_that_grew_between_check_and_write_is_not_given(
    here_on_each: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = here_on_each
    await make_roles(here)
    me, friend = await here.register(role="manager"), await here.register(role="editor")
    store = here.services.store.users
    administer = store.administer

    async def grown(*given: Any, actor: str | None) -> User | None:
        await here.services.roles.put(None, "user", ("*:*",), (), OPERATOR)
        return await administer(*given, actor=actor)

    monkeypatch.setattr(store, "administer", grown)
    body = {"role": "user"}
    answer = await send(here, me, "PUT", f"/users/{friend.id}/role", body)
    assert answer.json()["error"] == "forbidden"
    assert (await here.services.users.get(friend.id)).role == "editor"


async def test_two_managers_who_strip_each_other_at_once_do_not_both_succeed(
    here_on_each: Here,
) -> None:
    here = here_on_each
    await make_roles(here)
    for _ in range(4):
        one, two = await here.register(role="manager"), await here.register(role="manager")
        answers = await asyncio.gather(
            send(here, one, "PUT", f"/users/{two.id}/role", {"role": "user"}),
            send(here, two, "PUT", f"/users/{one.id}/role", {"role": "user"}),
        )
        codes = sorted(answer.status_code for answer in answers)
        assert codes[0] == 200
        assert codes[1] in (401, 403)
