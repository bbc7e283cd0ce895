"""The audit log over HTTP."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.http.talking import Api, Person, talking


@pytest.fixture
async def api(database_url: str) -> AsyncIterator[Api]:
    async with talking(database_url) as found:
        yield found


@pytest.fixture
async def root(api: Api) -> Person:
    return await api.person("root@example.com", "admin")


async def ask(api: Api, who: Person, code: int = 200, **query: Any) -> Any:
    answer = await api.send("GET", "/api/audit-events", headers=who.bearer, params=query)
    assert answer.status_code == code, answer.text
    return answer.json()["data"] if code == 200 else answer.json()


def kinds(page: Any) -> list[str]:
    return [one["kind"] for one in page["events"]]


async def test_what_happened_is_told_the_latest_first(api: Api, root: Person) -> None:
    ada = await api.person("ada@example.com")
    path = f"/api/users/{ada.id}/role"
    await api.send("PUT", path, headers=root.bearer, json={"role": "moderator"})
    page = await ask(api, root, user=ada.id)
    assert kinds(page) == ["user.role_set", "login.succeeded", "user.registered"]
    assert page["nextCursor"] is None
    told = page["events"][0]
    assert (told["actor"], told["subject"], told["outcome"]) == (root.id, ada.id, "ok")
    assert told["detail"] == {"role": "moderator", "was": "user"}
    assert told["ip"] == "127.0.0.1"
    assert told["time"].endswith("Z")
    # Who acted finds it, too.
    assert "user.role_set" in kinds(await ask(api, root, user=root.id))


async def test_pages_and_filters(api: Api, root: Person) -> None:
    for _ in range(3):
        await api.send("PATCH", "/api/profile", headers=root.bearer, json={"name": "Root"})
    everything = (await ask(api, root, limit=100))["events"]
    seen: list[Any] = []
    page = await ask(api, root, limit=2)
    seen += page["events"]
    while page["nextCursor"]:
        page = await ask(api, root, limit=2, cursor=page["nextCursor"])
        seen += page["events"]
    assert seen == everything
    assert kinds(await ask(api, root, kind="user.renamed")) == ["user.renamed"] * 3
    assert (await ask(api, root, ip="192.0.2.1"))["events"] == []
    middle = everything[1]["time"]
    late = await ask(api, root, since=middle)
    early = await ask(api, root, until=middle)
    assert {one["id"] for one in late["events"]} >= {everything[0]["id"], everything[1]["id"]}
    assert late["events"] + early["events"] == everything


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"since": "yesterday"}, "invalid_time"),
        ({"until": "2026-11-23T08:00:00"}, "invalid_time"),
        ({"since": ""}, "invalid_time"),
        ({"cursor": "junk"}, "invalid_cursor"),
        ({"limit": "101"}, "less_than_equal"),
        ({"limit": "1.0"}, "int_parsing"),
        ({"kind": "login.fail"}, "unknown_kind"),
        ({"sicne": "2026-01-01T00:00:00Z"}, "extra_forbidden"),
        ({"user": "x" * 65}, "too_long"),
        ({"ip": "a\0b"}, "nul_character"),
    ],
)
async def test_what_is_no_question(
    api: Api, root: Person, query: dict[str, str], code: str
) -> None:
    refused = await ask(api, root, 422, **query)
    assert [one["code"] for one in refused["details"]] == [code]


async def test_it_needs_the_permission_and_no_more(api: Api, root: Person) -> None:
    ada = await api.person("ada@example.com")
    await ask(api, ada, 403)
    path = f"/api/users/{ada.id}/permissions"
    await api.send("PUT", path, headers=root.bearer, json={"permissions": ["read:audit"]})
    body = {"email": ada.email, "password": "correct horse battery staple"}
    answer = await api.send("POST", "/api/auth/login", json=body)
    bearer = {"authorization": f"Bearer {answer.json()['data']['accessToken']}"}
    assert (await api.send("GET", "/api/audit-events", headers=bearer)).status_code == 200
