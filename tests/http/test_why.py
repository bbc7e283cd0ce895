"""Why not: in development who gives or takes what they do not hold is told what they lack."""

from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import msgspec
import pytest

from authward.core.audit import Client
from tests.http.talking import PASSWORD, Api, talking

HOST = "api.example.com"
PRODUCTION: dict[str, Any] = {"env": "production", "public_url": f"https://{HOST}", "origins": []}
OPERATOR = Client("operator")
MANAGER = (
    *("manage:roles", "assign:roles", "assign:permissions", "update:users", "delete:users"),
    *("read:posts", "update:posts"),
)
NO_POSTS = ("permission", "Needs delete:posts. Roles that grant it: publisher, chief, admin.")
NO_AUDIT = ("permission", "Needs read:audit. Roles that grant it: admin.")
NOT_ALL = ("permission", "Needs *:*. Roles that grant it: admin.")
NO_BILLING = ("role", "Needs the role billing. Roles that include it: finance.")
NO_SUPPORT = ("role", "Needs the role support.")


class Row(NamedTuple):
    """A request of a manager's that the rule of granting refuses, and what they are told."""

    method: str
    path: str
    body: object
    told: list[tuple[str, str]]


ROWS = [
    Row("PUT", "users/{admin}", {"name": "Edited"}, [NOT_ALL]),
    Row("PUT", "users/{admin}", {"disabled": True}, [NOT_ALL]),
    Row("DELETE", "users/{admin}", None, [NOT_ALL]),
    Row("PUT", "users/{admin}/role", {"role": "user"}, [NOT_ALL]),
    Row("PUT", "users/{friend}", {"email": "b@example.com"}, [("role", "Needs the role admin.")]),
    Row("PUT", "users/{friend}/role", {"role": "chief"}, [NO_POSTS]),
    Row("PUT", "users/{friend}/role", {"role": "billing"}, [NO_BILLING]),
    Row(
        "PUT",
        "users/{friend}/role",
        {"role": "user", "additionalRoles": ["support", "billing"]},
        [NO_BILLING, NO_SUPPORT],
    ),
    Row(
        "PUT",
        "users/{friend}/permissions",
        {"permissions": ["read:posts", "read:audit", "delete:posts"]},
        [NO_POSTS, NO_AUDIT],
    ),
    Row("PUT", "roles/user", {"permissions": []}, [NOT_ALL]),
    Row("PUT", "roles/new", {"permissions": ["read:audit", "read:posts"]}, [NO_AUDIT]),
    Row("PUT", "roles/new", {"permissions": [], "includes": ["publisher"]}, [NO_POSTS]),
    Row("PUT", "roles/new", {"permissions": [], "includes": ["billing"]}, [NO_BILLING]),
    Row("PUT", "roles/publisher", {"permissions": []}, [NO_POSTS]),
    Row("DELETE", "roles/chief", None, [NO_POSTS]),
]


class Scene(NamedTuple):
    """A server, the ids of two accounts there, and what a manager of roles sends along."""

    api: Api
    ids: dict[str, str]
    headers: dict[str, str]

    async def ask(self, row: Row, accept: str = "application/json") -> tuple[str, bytes]:
        """The path asked, and the body of the refusal."""
        path = f"/api/{row.path.format(**self.ids)}"
        given = {} if row.body is None else {"json": row.body}
        headers = {**self.headers, "accept": accept}
        answer = await self.api.send(row.method, path, headers=headers, **given)
        assert answer.status_code == 403, answer.text
        return path, answer.content


async def scene_of(api: Api, host: str) -> Scene:
    services = api.auth.services
    for name, permissions, includes in (
        ("manager", MANAGER, ()),
        ("billing", (), ()),
        ("finance", ("read:invoices",), ("billing",)),
        ("support", (), ()),
        ("publisher", ("delete:posts",), ()),
        ("chief", ("read:posts",), ("publisher",)),
    ):
        await services.roles.put(None, name, permissions, includes, OPERATOR)
    ids = {
        "admin": (await api.create("root@example.com", "admin")).id,
        "friend": (await api.create("friend@example.com")).id,
    }
    await api.create("me@example.com", "manager")
    body = {"email": "me@example.com", "password": PASSWORD}
    answer = await api.send("POST", "/api/auth/login", headers={"host": host}, json=body)
    token = answer.json()["data"]["accessToken"]
    return Scene(api, ids, {"authorization": f"Bearer {token}", "host": host})


@pytest.fixture
async def in_development(sqlite_url: str) -> AsyncIterator[Scene]:
    async with talking(sqlite_url) as api:
        yield await scene_of(api, "localhost")


@pytest.fixture
async def in_production(sqlite_url: str) -> AsyncIterator[Scene]:
    async with talking(sqlite_url, **PRODUCTION) as api:
        yield await scene_of(api, HOST)


async def test_in_development_it_says_what_was_missing(in_development: Scene) -> None:
    for row in ROWS:
        path, body = await in_development.ask(row)
        told = [{"field": f, "code": "missing_grant", "message": m} for f, m in row.told]
        assert msgspec.json.decode(body) | {"timestamp": ""} == {
            "statusCode": 403,
            "message": "Forbidden: insufficient permissions",
            "error": "forbidden",
            "path": path,
            "timestamp": "",
            "details": told,
        }, row
        _, problem = await in_development.ask(row, "application/problem+json")
        assert msgspec.json.decode(problem)["details"] == told


async def test_in_production_it_says_nothing(in_production: Scene) -> None:
    for row in ROWS:
        path, body = await in_production.ask(row)
        at = msgspec.json.decode(body)["timestamp"]
        assert body.decode() == (
            '{"statusCode":403,"message":"Forbidden: insufficient permissions",'
            f'"error":"forbidden","path":"{path}","timestamp":"{at}"}}'
        ), row
        _, problem = await in_production.ask(row, "application/problem+json")
        assert set(msgspec.json.decode(problem)) == {
            *("type", "title", "status", "instance", "error", "timestamp")
        }


async def test_what_is_told_is_told_of_the_roles_of_now(in_development: Scene) -> None:
    row = Row("PUT", "users/{friend}/permissions", {"permissions": ["read:audit"]}, [])
    roles = in_development.api.auth.services.roles
    await roles.put(None, "auditor", ["read:audit"], [], OPERATOR)
    _, body = await in_development.ask(row)
    [detail] = msgspec.json.decode(body)["details"]
    assert detail["message"] == "Needs read:audit. Roles that grant it: auditor, admin."
    await roles.delete(None, "auditor", OPERATOR)
    _, body = await in_development.ask(row)
    [detail] = msgspec.json.decode(body)["details"]
    assert detail["message"] == NO_AUDIT[1]


async def test_it_is_audited_once_and_the_log_says_the_reason(in_development: Scene) -> None:
    await in_development.ask(ROWS[6])
    services = in_development.api.auth.services
    await services.refusals.flush(all_of_it=True)
    rows = [row.event for row in await services.store.audit.latest(100)]
    [denied] = [event for event in rows if event.kind == "access.denied"]
    assert denied.detail == {
        "error": "forbidden",
        "reason": "gives or takes the role billing, which the actor does not hold",
        "count": 1,
    }
