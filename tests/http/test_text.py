"""NUL and lone surrogates, in every text of every route, on both databases (CWE-158, CWE-176).

PostgreSQL's text holds no U+0000, no encoding holds half a pair: unchecked, either is a 500.
"""

import json

import pytest

from authward.http.endpoint import Endpoint
from authward.http.routes import ENDPOINTS
from tests.http.talking import PASSWORD, Api, Person, example_body, operation, talking

BAD = ["\0", "a\0b", "\ud800", "a\udfffb", "\udc00\ud800"]
IN_QUERY = ["%00", "a%00b", "%ED%A0%80", "a%ED%BF%BFb"]


async def test_no_text_of_any_route_takes_them(database_url: str):
    asked = 0
    async with talking(database_url) as api:
        admin = await api.person("root@example.com", "admin")
        other = await api.create("other@example.com")
        for one in ENDPOINTS:
            path = one.path.replace("{id}", other.id)
            if one.body is not None:
                asked += await in_body(api, admin, one, path)
            if one.query is not None:
                asked += await in_query(api, admin, one, path)
            if "{id}" in one.path:
                asked += await in_path(api, admin, one)
        assert (await api.auth.services.users.get(other.id)) == other
    assert asked > 80


async def in_body(api: Api, admin: Person, one: Endpoint, path: str) -> int:
    asked = 0
    headers = {**admin.bearer, "content-type": "application/json"}
    texts = {name: value for name, value in example_body(one).items() if isinstance(value, str)}
    for name in texts:
        for bad in BAD:
            body = {**example_body(one), name: f"{texts[name]}{bad}"}
            # As escapes: the body itself is plain ASCII.
            content = json.dumps(body).encode()
            answer = await api.send(one.method, path, content=content, headers=headers)
            assert answer.status_code == 422, (one.path, name, ascii(bad), answer.text)
            assert [detail["field"] for detail in answer.json()["details"]] == [name]
            asked += 1
    return asked


async def in_query(api: Api, admin: Person, one: Endpoint, path: str) -> int:
    asked = 0
    for parameter in operation(one)["parameters"]:
        for bad in IN_QUERY:
            url = f"{path}?{parameter['name']}={bad}"
            answer = await api.send(one.method, url, headers=admin.bearer)
            assert answer.status_code == 422, (url, answer.text)
            asked += 1
    return asked


async def in_path(api: Api, admin: Person, one: Endpoint) -> int:
    """There is no such id, that is all."""
    body = {} if one.body is None else {"json": example_body(one)}
    for bad in (*IN_QUERY, "%FF", "%C3%A9", "..%2f", "'", "a" * 65):
        path = one.path.replace("{id}", f"somebody{bad}")
        answer = await api.send(one.method, path, headers=admin.bearer, **body)
        assert answer.status_code == 404, (path, answer.text)
    return len(IN_QUERY)


@pytest.mark.parametrize("path", ["/api/%00", "/%ED%A0%80", "/api/users/%00/role"])
async def test_nor_does_a_refusal_stumble_over_them(sqlite_url: str, path: str):
    async with talking(sqlite_url) as api:
        answer = await api.send("GET", path)
        assert answer.status_code in (404, 405)
        assert answer.json()["error"]


UNSEEN = ["\u202e", "\u200b", "\u2066", "\ufeff", "\xad", "\U000e0041", "\u2028", "\n"]


async def test_a_name_shows_all_it_holds(sqlite_url: str):
    """A turn of direction makes one name look like another (CVE-2021-42574)."""
    async with talking(sqlite_url) as api:
        admin = await api.person("root@example.com", "admin")
        other = await api.create("other@example.com")
        new = {"email": "new@example.com", "password": PASSWORD}
        routes = [
            ("POST", "/api/auth/register", new),
            ("PATCH", "/api/profile", {}),
            ("PUT", f"/api/users/{other.id}", {}),
        ]
        wanted = [(f"Ada{mark}", "control_character") for mark in UNSEEN]
        wanted += [("\u3000 \xa0", "blank"), (" ", "blank")]
        for method, path, body in routes:
            for name, code in wanted:
                # As escapes: the body itself is plain ASCII.
                content = json.dumps({**body, "name": name}).encode()
                headers = {**admin.bearer, "content-type": "application/json"}
                answer = await api.send(method, path, content=content, headers=headers)
                assert answer.status_code == 422, (path, ascii(name))
                details = [(one["field"], one["code"]) for one in answer.json()["details"]]
                assert details == [("name", code)]


@pytest.mark.parametrize("limit", ["1_0", "5.0", "%205", "5%20", "+5", "1e1", "0x5", "٥", "9" * 30])
async def test_a_number_in_a_query_is_digits(sqlite_url: str, limit: str):
    async with talking(sqlite_url) as api:
        admin = await api.person("root@example.com", "admin")
        answer = await api.send("GET", f"/api/users?limit={limit}", headers=admin.bearer)
        assert answer.status_code == 422, answer.text
        assert [(one["field"], one["code"]) for one in answer.json()["details"]] == [
            ("limit", "int_parsing")
        ]
        assert (
            await api.send("GET", "/api/users?limit=5", headers=admin.bearer)
        ).status_code == 200
