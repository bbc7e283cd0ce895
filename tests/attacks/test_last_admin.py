"""Nobody left who may: the last admin demoted, disabled or deleted by whatever way there is.

OWASP ASVS 8.1. That two who demote each other at once leave one is in test_races.py, and over
processes in test_races_over_processes.py.
"""

import asyncio

import pytest

from authward.errors import LastAdmin, RoleInUse, ValidationError
from authward.services.roles import RoleEdit
from tests.here import OPERATOR, Here


async def test_the_last_admin_stays_whoever_asks(here_on_each: Here) -> None:
    here = here_on_each
    root = await here.register(role="admin")
    # Holds as much as an admin, and is none: would not keep the house if the last one went.
    await here.services.roles.put(None, "deputy", ["*:*"], (), OPERATOR)
    await here.services.feed.poll()
    deputy = await here.register(role="deputy")
    beside = {"role": "user", "additionalRoles": ["deputy"]}
    for who in (root, deputy):
        for method, path, body in (
            ("PUT", f"/api/users/{root.id}/role", {"role": "user"}),
            ("PUT", f"/api/users/{root.id}/role", beside),
            ("PUT", f"/api/users/{root.id}", {"disabled": True}),
            ("DELETE", f"/api/users/{root.id}", None),
        ):
            answer = await here.send(method, path, json=body, headers=who.bearer)
            assert (answer.status_code, answer.json()["error"]) == (409, "last_admin"), body
    for work in (
        here.services.users.set_role(None, root.id, "user", OPERATOR),
        here.services.users.set_disabled(None, root.id, True, OPERATOR),
        here.services.users.delete(None, root.id, OPERATOR),
    ):
        with pytest.raises(LastAdmin):
            await work


async def test_the_role_itself_is_neither_emptied_nor_deleted(here_on_each: Here) -> None:
    roles = here_on_each.services.roles
    for work in (
        roles.put(None, "admin", [], [], OPERATOR),
        roles.put(None, "admin", ["read:*", "update:*"], [], OPERATOR),
        roles.adjust(None, "admin", RoleEdit(revoke=("*:*",)), OPERATOR),
    ):
        with pytest.raises(ValidationError):
            await work
    for name in ("admin", "user"):
        with pytest.raises(RoleInUse):
            await roles.delete(None, name, OPERATOR)
    assert (await roles.list())["admin"].permissions == {"*:*"}


async def test_of_four_who_all_demote_all_others_one_stays(here_on_each: Here) -> None:
    here = here_on_each
    admins = [await here.register(role="admin") for _ in range(4)]
    await asyncio.gather(
        *(
            here.send(
                "PUT",
                f"/api/users/{target.id}/role",
                json={"role": "user"},
                headers=actor.bearer,
            )
            for actor in admins
            for target in admins
        )
    )
    page = await here.services.users.page(limit=10, cursor=None, search=None, role="admin")
    assert len(page.users) >= 1
    assert all(user.disabled_at is None for user in page.users)
    left = await here.login(page.users[0].email)
    assert (await here.send("GET", "/api/users", headers=left.bearer)).status_code == 200
