"""Insecure direct object references: CWE-639, OWASP API1:2023 (BOLA).

Every id in every route is exchanged for another's, for one of another kind, for one that is gone
and for what is none. Whoever asks: nothing is read or changed that is not theirs to read or change.
"""

from dataclasses import dataclass
from typing import Any

import pytest

from authward.http.routes import ENDPOINTS
from tests.attacks.tables import Row, Tables, moved, tables, untold
from tests.here import OPERATOR, Here
from tests.keys import key_past
from tests.serving import PASSWORD, Account, error_of, refresh_headers

BODIES: dict[str, Any] = {
    "PUT /api/users/{id}": {"name": "Swapped"},
    "PUT /api/users/{id}/role": {"role": "moderator"},
    "PUT /api/users/{id}/permissions": {"permissions": ["read:reports"]},
    "PUT /api/roles/{name}": {"permissions": ["read:reports"]},
    "POST /api/keys/{kid}/retire": {},
}
# Route → who may name another's object there; everybody else is refused whatever they name.
ANOTHERS = {
    "DELETE /api/auth/sessions/{id}": set[str](),
    "GET /api/users/{id}": {"moderator", "admin"},
    "PUT /api/users/{id}": {"moderator", "admin"},
    "DELETE /api/users/{id}": {"admin"},
    "PUT /api/users/{id}/role": {"admin"},
    "GET /api/users/{id}/permissions": {"admin"},
    "PUT /api/users/{id}/permissions": {"admin"},
    "PUT /api/roles/{name}": {"admin"},
    "DELETE /api/roles/{name}": {"admin"},
    "POST /api/keys/{kid}/retire": {"admin"},
}
MALFORMED = (
    "0",
    "-1",
    "1",
    "null",
    "undefined",
    "me",
    "self",
    "*",
    "%25",
    "%00",
    "%0a",
    "%20",
    "%2e%2e",
    "..%2fadmin",
    "{id}%00",
    "{id}%0a",
    "{id}%20",
    "%20{id}",
    "{id}%2f",
    "{id}.json",
    "{id},{id}",
    "{id}%26id={id}",
    "{id}%27%20OR%20%271%27=%271",
    "[{id}]",
    "%EF%BC%91",
    "%ff",
    "a" * 65,
    "a" * 5000,
)


@dataclass
class Scene:
    """Two users, a moderator and two admins, a spare session and role, and who is gone."""

    here: Here
    url: str
    callers: dict[str, Account]
    other: Account
    sessions: dict[str, str]
    gone: Account
    ended: str

    def swapped(self, route: str, caller: Account) -> dict[str, str]:
        """What an id is exchanged for."""
        of_session = "/sessions/" in route
        mine = next(name for name, one in self.callers.items() if one is caller)
        found = {
            "of another kind": self.other.id if of_session else self.sessions["other"],
            "of my own, another kind": caller.id if of_session else self.sessions[mine],
            "gone": self.ended if of_session else self.gone.id,
            "an address": self.other.email,
            "a role": "moderator",
            "in capitals": (self.sessions["other"] if of_session else self.other.id).swapcase(),
        }
        real = self.sessions["other"] if of_session else self.other.id
        found |= {text: text.replace("{id}", real) for text in MALFORMED}
        return found

    async def state(self) -> Tables:
        await self.here.services.refusals.flush(all_of_it=True)
        return untold(tables(self.url))


@pytest.fixture
async def scene(here: Here, sqlite_database: str) -> Scene:
    other, gone = await here.register(), await here.register()
    callers = {
        "user": await here.register(),
        "moderator": await here.register(role="moderator"),
        "admin": await here.register(role="admin"),
    }
    named = {**callers, "other": other}
    sessions = {
        name: str((await here.services.sessions.list(one.id))[0].id) for name, one in named.items()
    }
    ended = str((await here.services.sessions.list(gone.id))[0].id)
    await here.services.users.delete(None, gone.id, OPERATOR)
    return Scene(here, sqlite_database, callers, other, sessions, gone, ended)


def test_every_route_with_an_id_is_here() -> None:
    assert {f"{one.method} {one.path}" for one in ENDPOINTS if "{" in one.path} == set(ANOTHERS)


async def ask(scene: Scene, route: str, who: str, named: str) -> tuple[int, str, str]:
    method, path = route.split()
    path = path.replace("{id}", named).replace("{name}", named).replace("{kid}", named)
    request = {"json": BODIES[route]} if route in BODIES else {}
    headers = scene.callers[who].bearer
    answer = await scene.here.send(method, path, headers=headers, **request)
    return (*error_of(answer), answer.text)


@pytest.mark.parametrize("route", [route for route in ANOTHERS if "{id}" in route])
async def test_what_is_nobodys_id_finds_nothing_for_anybody(scene: Scene, route: str) -> None:
    before = await scene.state()
    for who, caller in scene.callers.items():
        may = who in ANOTHERS[route] or "/sessions/" in route
        for what, named in scene.swapped(route, caller).items():
            status, error, text = await ask(scene, route, who, named)
            # A path that cannot be decoded is refused as a whole.
            expected = {(404, "not_found"), (400, "malformed_request")}
            if not may:
                expected |= {(403, "forbidden")}
            assert (status, error) in expected, (who, what, text)
            assert scene.other.email not in text or what == "an address", (who, what)
    assert moved(before, await scene.state()) == set()


@pytest.mark.parametrize("route", ANOTHERS)
@pytest.mark.parametrize("who", ["user", "moderator", "admin"])
async def test_another_s_object_is_for_those_alone_who_may(
    scene: Scene, route: str, who: str
) -> None:
    if "{name}" in route:
        named = "spare"
        await scene.here.services.roles.put(None, named, ["read:nothing"], [], OPERATOR)
    elif "{kid}" in route:
        named = await key_past(scene.here.services)
    else:
        named = scene.sessions["other"] if "/sessions/" in route else scene.other.id
    before = await scene.state()
    status, error, text = await ask(scene, route, who, named)
    after = await scene.state()
    if who in ANOTHERS[route]:
        assert status == 200
        assert {row_of(one, before, after) for one in moved(before, after)} <= {named, "changes"}
    else:
        hidden = "/sessions/" in route
        assert (status, error) == ((404, "not_found") if hidden else (403, "forbidden"))
        assert scene.other.email not in text
        assert moved(before, after) == set()


@pytest.mark.parametrize("who", ["user", "moderator", "admin"])
async def test_what_is_no_role_s_name_makes_and_deletes_none(scene: Scene, who: str) -> None:
    before = await scene.state()
    names = (
        "0",
        "-1",
        "*",
        "Admin",
        "ADMIN",
        "%00",
        "admin%00",
        "admin%20",
        "%20admin",
        "admin%0a",
    )
    more = (
        "admin%2f..%2fuser",
        "%2e%2e",
        "admin,user",
        "r" * 65,
        "%EF%BD%81dmin",
        "%ff",
        "_a",
        "-a",
    )
    for name in (*names, *more):
        for route in ("PUT /api/roles/{name}", "DELETE /api/roles/{name}"):
            status, *_, text = await ask(scene, route, who, name)
            assert status in ((400, 404, 422) if who == "admin" else (400, 403, 404)), (name, text)
    assert moved(before, await scene.state()) == set()


@pytest.mark.parametrize("body", [{}, {"compromised": True}])
async def test_what_is_no_key_s_id_retires_none(scene: Scene, body: dict[str, bool]) -> None:
    before = await scene.state()
    me = scene.callers["admin"].bearer
    known = [key.kid for key in await scene.here.services.store.keys.all()]
    for name in (*MALFORMED, scene.other.id, "access", "all", f"{known[0]},{known[1]}"):
        path = f"/api/keys/{name.replace('{id}', known[0])}/retire"
        answer = await scene.here.send("POST", path, headers=me, json=body)
        assert answer.status_code in (400, 404), (name, answer.text)
    assert moved(before, await scene.state()) == set()


def row_of(what: tuple[str, tuple[Any, ...], str], before: Tables, after: Tables) -> str:
    """Whose row a difference is in: the account's, the role's; the change feed tells of all."""
    table, key, _ = what
    if table == "changes":
        return table
    row: Row = after.get(table, {}).get(key) or before[table][key]
    owner = {"users": "id", "sessions": "user_id", "roles": "name", "keys": "kid"}.get(
        table, "role"
    )
    return str(row[owner])


async def test_the_routes_without_an_id_are_about_who_asks(scene: Scene) -> None:
    """However another is named: in the query, in headers, in the body."""
    me, other = scene.callers["user"], scene.other
    before = await scene.state()
    names = {"id": other.id, "userId": other.id, "user_id": other.id, "sub": other.id}
    headers = {**me.bearer, "x-user-id": other.id, "x-forwarded-user": other.id, "x-user": other.id}
    for method, path, body in (
        ("GET", "/api/profile", None),
        ("GET", "/api/auth/sessions", None),
        ("PATCH", "/api/profile", {"name": "Swapped"}),
        (
            "POST",
            "/api/auth/change-password",
            {"currentPassword": PASSWORD, "newPassword": PASSWORD + "!"},
        ),
        ("POST", "/api/auth/logout-all", None),
    ):
        request = {} if body is None else {"json": {**body, **names, "email": other.email}}
        answer = await scene.here.send(method, path, params=names, headers=headers, **request)
        assert answer.status_code == 200, path
        assert other.id not in answer.text
        assert scene.sessions["other"] not in answer.text
    after = await scene.state()
    assert {row_of(one, before, after) for one in moved(before, after)} == {me.id, "changes"}


async def test_a_cookie_of_one_and_a_token_of_another(scene: Scene) -> None:
    me, other = scene.callers["user"], scene.other
    before = await scene.state()
    for path in ("/api/auth/refresh-token", "/api/auth/logout"):
        for headers in (
            {**refresh_headers(other), "x-csrf-token": me.csrf},
            {**refresh_headers(other), **me.bearer},
            {**refresh_headers(me), **other.bearer},
        ):
            answer = await scene.here.send("POST", path, headers=headers)
            assert answer.status_code in (401, 403)
    assert moved(before, await scene.state()) == set()


async def test_a_moderator_raises_nobody_and_touches_no_admin_and_no_address(scene: Scene) -> None:
    moderator, admin = scene.callers["moderator"], scene.callers["admin"]
    peer = await scene.here.register(role="moderator")
    # One who is more than a moderator by a direct grant, and one by a role beside.
    services = scene.here.services
    granted, beside = await scene.here.register(), await scene.here.register()
    await services.users.set_permissions(None, granted.id, ["read:audit"], OPERATOR)
    await services.roles.put(None, "auditor", ["read:audit"], [], OPERATOR)
    await services.users.set_role(None, beside.id, "user", OPERATOR, additional=["auditor"])
    before = await scene.state()
    me, user = moderator.id, scene.other.id
    refused: list[tuple[str, str, Any]] = [
        *(
            ("PUT", f"{one}/role", {"role": role})
            for one in (me, user)
            for role in ("admin", "user")
        ),
        *(("PUT", f"{one}/role", {"role": "moderator"}) for one in (user, peer.id)),
        *(("PUT", f"{one}/permissions", {"permissions": ["read:users"]}) for one in (me, user)),
        *(
            ("PUT", one, body)
            for one in (admin.id, granted.id, beside.id)
            for body in ({"name": "Swapped"}, {"disabled": True}, {"disabled": False}, {})
        ),
        *(
            ("PUT", one, {"email": "taken@example.com", **more})
            for one in (me, user, admin.id)
            for more in ({}, {"name": "Swapped"}, {"disabled": False})
        ),
        *(("DELETE", one, None) for one in (me, user, admin.id)),
    ]
    for method, path, body in refused:
        request = {} if body is None else {"json": body}
        answer = await scene.here.send(
            method, f"/api/users/{path}", headers=moderator.bearer, **request
        )
        assert error_of(answer) == (403, "forbidden"), (method, path, body)
    assert moved(before, await scene.state()) == set()
