"""Fields that a body has no business to set: CWE-915.

`userId` in a body made keys for anybody in CVE-2025-61928 of Better Auth.
"""

from typing import Any

import pytest

from authward.core.users import User
from authward.http.endpoint import Endpoint
from authward.http.routes import ENDPOINTS
from tests.http.talking import Api, Person, example_body, talking

STRANGER = "somebody-else"
EXTRA: dict[str, Any] = {
    "id": STRANGER,
    "userId": STRANGER,
    "user_id": STRANGER,
    "sub": STRANGER,
    "role": "admin",
    "roles": ["admin"],
    "permissions": ["manage:keys"],
    "emailVerified": True,
    "email_verified": True,
    "emailCanonical": "root@example.com",
    "email_canonical": "root@example.com",
    "passwordHash": "x",
    "password_hash": "x",
    "disabledAt": 1,
    "disabled_at": 1,
    "disabled": True,
    "createdAt": "1970-01-01T00:00:00.000Z",
    "created_at": 0,
    "epoch": 99,
    "ver": 99,
    "user": {"role": "admin"},
    "$set": {"role": "admin"},
    "__proto__": {"role": "admin"},
    "constructor": {"prototype": {"role": "admin"}},
}
WITH_BODY = [one for one in ENDPOINTS if one.body is not None]


async def state(api: Api) -> dict[str, User]:
    page = await api.auth.services.users.page(limit=100, cursor=None, search=None, role=None)
    return {user.id: user for user in page.users}


async def ask(api: Api, one: Endpoint, caller: Person, target: str, body: dict[str, Any]) -> int:
    headers = caller.bearer if one.who == "user" else {}
    path = one.path.replace("{id}", target)
    return (await api.send(one.method, path, json=body, headers=headers)).status_code


@pytest.mark.parametrize("one", WITH_BODY, ids=lambda one: f"{one.method} {one.path}")
async def test_a_body_with_more_changes_what_the_body_without_changes(
    one: Endpoint, sqlite_url: str
):
    async with talking(sqlite_url) as api:
        admin = await api.person("root@example.com", "admin")
        first = await api.person("first@example.com")
        second = await api.person("second@example.com")
        before = await state(api)
        caller = {first.id: first, second.id: second}
        plain = example_body(one)
        loaded = {**EXTRA, **plain}
        results = []
        for target, body in ((first.id, plain), (second.id, loaded)):
            who = admin if one.permission else caller[target]
            fresh = {"email": f"new-{target}@example.com"} if "email" in plain else {}
            results.append(await ask(api, one, who, target, {**body, **fresh}))
        after = await state(api)
        assert results[0] == results[1]
        assert after[admin.id] == before[admin.id]
        assert STRANGER not in after
        new = [user for user in after.values() if user.id not in before]
        for user in new:
            assert (user.role, user.permissions, user.email_verified) == ("user", (), False)
        # Whatever the request is for changed in both alike.
        assert changes(before[first.id], after[first.id]) == changes(
            before[second.id], after[second.id]
        )


def changes(before: User, after: User) -> dict[str, Any]:
    """What became of one account, without what is its own."""
    own = {"id", "email", "email_canonical", "password_hash", "created_at"}
    found = {
        name: getattr(after, name)
        for name in before.__slots__
        if name not in own and getattr(after, name) != getattr(before, name)
    }
    found["address"] = before.email_canonical != after.email_canonical
    found["password"] = before.password_hash != after.password_hash
    found["id"] = before.id != after.id
    found["created_at"] = before.created_at != after.created_at
    if found.get("disabled_at"):
        found["disabled_at"] = True
    return found
