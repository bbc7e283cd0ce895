"""Roles and rights over HTTP."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.http.talking import Api, Person, talking


@pytest.fixture
async def api(sqlite_url: str) -> AsyncIterator[Api]:
    async with talking(sqlite_url) as found:
        yield found


@pytest.fixture
async def root(api: Api) -> Person:
    return await api.person("root@example.com", "admin")


async def ask(
    api: Api, who: Person, method: str, path: str, body: object = None, code: int = 200
) -> Any:
    given = {} if body is None else {"json": body}
    answer = await api.send(method, f"/api{path}", headers=who.bearer, **given)
    assert answer.status_code == code, answer.text
    said = answer.json()
    return said["data"] if code == 200 else said


async def test_roles_are_made_listed_and_deleted(api: Api, root: Person) -> None:
    body = {"permissions": ["update:posts", "create:posts"], "includes": ["user"]}
    made = {"name": "editor", "permissions": ["create:posts", "update:posts"], "includes": ["user"]}
    assert await ask(api, root, "PUT", "/roles/editor", body) == made
    listed = (await ask(api, root, "GET", "/roles"))["roles"]
    assert [one["name"] for one in listed] == ["admin", "editor", "moderator", "user"]
    assert listed[1] == made
    plain = await ask(api, root, "PUT", "/roles/editor", {"permissions": []})
    assert plain == {"name": "editor", "permissions": [], "includes": []}
    assert await ask(api, root, "DELETE", "/roles/editor") is None
    await ask(api, root, "DELETE", "/roles/editor", code=404)


@pytest.mark.parametrize(
    ("name", "body", "field", "code"),
    [
        ("editor", {"permissions": ["all"]}, "permissions.0", "invalid_permission"),
        ("editor", {"permissions": ["a:b", "re*:x"]}, "permissions.1", "invalid_permission"),
        ("editor", {"permissions": [1]}, "permissions.0", "string_type"),
        ("editor", {"permissions": "a:b"}, "permissions", "list_type"),
        ("editor", {"permissions": ["a:b"] * 257}, "permissions", "too_long"),
        ("editor", {}, "permissions", "missing"),
        ("editor", {"permissions": [], "includes": ["king"]}, "includes", "unknown_role"),
        ("editor", {"permissions": [], "includes": ["editor"]}, "includes", "role_cycle"),
        ("Editor", {"permissions": []}, "name", "invalid_role"),
        ("admin", {"permissions": ["read:*"]}, "permissions", "admin_holds_all"),
    ],
)
async def test_what_no_role_can_be(
    api: Api, root: Person, name: str, body: object, field: str, code: str
) -> None:
    said = await ask(api, root, "PUT", f"/roles/{name}", body, code=422)
    [detail] = said["details"]
    assert (detail["field"], detail["code"]) == (field, code)
    if code == "invalid_permission":
        assert "verb:resource" in detail["message"]


async def test_a_role_in_use_stays(api: Api, root: Person) -> None:
    await ask(api, root, "PUT", "/roles/editor", {"permissions": []})
    ada = await api.person("ada@example.com")
    given = {"role": "user", "additionalRoles": ["editor"]}
    await ask(api, root, "PUT", f"/users/{ada.id}/role", given)
    for name in ("editor", "user", "admin"):
        said = await ask(api, root, "DELETE", f"/roles/{name}", code=409)
        assert said["error"] == "role_in_use"
    await ask(api, root, "PUT", f"/users/{ada.id}/role", {"role": "user"})
    await ask(api, root, "DELETE", "/roles/editor")


async def test_what_an_account_may_do_is_read_and_set(api: Api, root: Person) -> None:
    await ask(api, root, "PUT", "/roles/editor", {"permissions": ["update:posts"]})
    ada = await api.person("ada@example.com")
    path = f"/users/{ada.id}"
    nothing = {"role": "user", "additionalRoles": [], "permissions": [], "effective": []}
    assert await ask(api, root, "GET", f"{path}/permissions") == nothing
    given = await ask(
        api, root, "PUT", f"{path}/role", {"role": "user", "additionalRoles": ["editor"]}
    )
    assert given["additionalRoles"] == ["editor"]
    body = {"permissions": ["read:b", "read:a"], "role": "admin", "effective": ["*:*"]}
    held = {
        "role": "user",
        "additionalRoles": ["editor"],
        "permissions": ["read:a", "read:b"],
        "effective": ["read:a", "read:b", "update:posts"],
    }
    assert await ask(api, root, "PUT", f"{path}/permissions", body) == held
    assert await ask(api, root, "GET", f"{path}/permissions") == held
    wrong: dict[str, Any]
    for wrong, field in (
        ({"permissions": ["x"]}, "permissions.0"),
        ({"permissions": ["a:b"] * 33}, "permissions"),
        ({}, "permissions"),
    ):
        said = await ask(api, root, "PUT", f"{path}/permissions", wrong, code=422)
        assert said["details"][0]["field"] == field
    for wrong, field in (
        ({"role": "king"}, "role"),
        ({"role": "user", "additionalRoles": ["admin"]}, "additionalRoles"),
        ({"role": "user", "additionalRoles": ["king"]}, "additionalRoles"),
    ):
        said = await ask(api, root, "PUT", f"{path}/role", wrong, code=422)
        assert said["details"][0]["field"] == field
    assert await ask(api, root, "GET", f"{path}/permissions") == held


async def test_most_that_can_be_granted_still_fits_a_token(api: Api, root: Person) -> None:
    """A token that no server takes any more would lock its account out."""
    for number in range(16):
        await ask(api, root, "PUT", f"/roles/{'r' * 62}{number:02}", {"permissions": []})
    ada = await api.person("a" * 64 + "@example.com")
    names = [f"{'r' * 62}{number:02}" for number in range(16)]
    path = f"/users/{ada.id}"
    await ask(api, root, "PUT", f"{path}/role", {"role": names[0], "additionalRoles": names})
    grants = [f"{'v' * 61}{number:02}:{'x' * 63}" for number in range(32)]
    await ask(api, root, "PUT", f"{path}/permissions", {"permissions": grants})
    body = {"email": ada.email, "password": "correct horse battery staple"}
    token = (await api.send("POST", "/api/auth/login", json=body)).json()["data"]["accessToken"]
    bearer = {"authorization": f"Bearer {token}"}
    answer = await api.send("GET", "/api/profile", headers=bearer)
    assert answer.status_code == 200, len(token)


async def test_who_may(api: Api, root: Person) -> None:
    routes: tuple[tuple[str, str, object], ...] = (
        ("GET", "/roles", None),
        ("PUT", "/roles/editor", {"permissions": []}),
        ("DELETE", "/roles/moderator", None),
        ("GET", f"/users/{root.id}/permissions", None),
        ("PUT", f"/users/{root.id}/permissions", {"permissions": []}),
        ("PUT", f"/users/{root.id}/role", {"role": "user"}),
    )
    for role in ("user", "moderator"):
        person = await api.person(f"{role}@example.com", role)
        for method, path, body in routes:
            said = await ask(api, person, method, path, body, code=403)
            assert said["error"] == "forbidden"
    for method, path, body in routes:
        given = {} if body is None else {"json": body}
        answer = await api.send(method, f"/api{path}", **given)
        assert answer.json()["error"] == "missing_token"


async def test_a_change_of_rights_asks_for_another_token_and_one_of_a_role_does_not(
    api: Api, root: Person
) -> None:
    ada = await api.person("ada@example.com")
    await ask(api, ada, "GET", "/profile")
    await ask(api, root, "PUT", "/roles/user", {"permissions": ["list:users"]})
    await api.auth.services.feed.poll()
    await ask(api, ada, "GET", "/users")
    body = {"permissions": ["read:x"]}
    await ask(api, root, "PUT", f"/users/{ada.id}/permissions", body)
    said = await ask(api, ada, "GET", "/users", code=401)
    assert said["error"] == "token_expired"


async def test_twenty_edits_of_a_role_at_once_leave_one_of_them(api: Api, root: Person) -> None:
    bodies = [{"permissions": [f"read:a{n}", f"read:b{n}"]} for n in range(20)]
    await asyncio.gather(*(ask(api, root, "PUT", "/roles/editor", body) for body in bodies))
    roles = (await ask(api, root, "GET", "/roles"))["roles"]
    [editor] = [one for one in roles if one["name"] == "editor"]
    assert {"permissions": editor["permissions"]} in bodies
