"""Requests that are refused before a handler sees them: bodies, queries, headers sent twice."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx2
import pytest
from starlette.routing import Router
from starlette.types import Message, Receive, Scope, Send

from authward.errors import MalformedRequest
from authward.http.accounts import LoginBody
from authward.http.endpoint import Answer, Call, Endpoint
from authward.http.parse import MAX_BODY, read_json
from authward.http.routes import ENDPOINTS, routes
from authward.middleware.exchange import EXCHANGE, Exchange
from tests.http.talking import PAGE, Api, Person, example_body, talking

WITH_BODY = [one for one in ENDPOINTS if one.body is not None]
each_body = pytest.mark.parametrize("one", WITH_BODY, ids=lambda one: f"{one.method} {one.path}")


@pytest.fixture(scope="module")
async def api(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    folder = tmp_path_factory.mktemp("requests")
    async with talking(f"sqlite:///{folder / 'authward.db'}") as found:
        yield found


@pytest.fixture(scope="module")
async def admin(api: Api) -> Person:
    return await api.person("root@example.com", "admin")


@pytest.fixture
async def floor(api: Api, admin: Person) -> AsyncIterator[httpx2.AsyncClient]:
    """The routes alone, with handlers that must not be reached."""

    async def never(call: Call) -> Answer:
        raise AssertionError("reached")

    table = [replace(one, handler=never) for one in ENDPOINTS]
    router = Router(routes(lambda: api.auth.services, api.auth.site, table))

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        # What the shield leaves for the floors behind it.
        scope[EXCHANGE] = Exchange(send, {}, "", "")
        await router(scope, receive, send)

    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(
        transport=transport, base_url="http://localhost", headers=admin.bearer
    ) as client:
        yield client


def body_of(one: Endpoint) -> bytes:
    return json.dumps(example_body(one)).encode()


def path_of(one: Endpoint) -> str:
    return one.path.replace("{id}", "somebody")


@each_body
@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "text/plain; charset=application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/json",
        "application/jsonp",
        "application/json; charset=utf-16",
        "application/json; charset=latin-1; q=1",
        "json",
        "",
        None,
    ],
)
async def test_what_is_not_declared_as_json_reaches_no_handler(
    one: Endpoint, kind: str | None, floor: httpx2.AsyncClient
):
    headers = {} if kind is None else {"content-type": kind}
    answer = await floor.request(one.method, path_of(one), content=body_of(one), headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (415, "unsupported_media_type")


@each_body
@pytest.mark.parametrize(
    "kind",
    [
        "application/json",
        "Application/JSON",
        "application/json;charset=UTF-8",
        'application/json ; charset="utf-8"',
        "application/json; charset=utf-8; profile=x",
        "application/vnd.api+json",
        "application/json; profile=x",
    ],
)
async def test_what_is_declared_as_json_is_read(
    one: Endpoint, kind: str, floor: httpx2.AsyncClient
):
    with pytest.raises(AssertionError, match="reached"):
        await floor.request(
            one.method, path_of(one), content=body_of(one), headers={"content-type": kind}
        )


@each_body
@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"{'a': 1}",
        b'{"a": 1,}',
        b'{"a": 1} {"a": 1}',
        b"email=a@example.com",
        b'{"email": "\xff@example.com"}',
        '{"email": "a"}'.encode("utf-16"),
        b'\xef\xbb\xbf{"email": "a"}',
        b'{"role": "user", "role": "admin"}',
        b'{"email": "a", "nested": {"x": 1, "x": 2}}',
        b'{"email": NaN}',
        b'{"email": [-Infinity]}',
        b'{"email": ' + b"9" * 5000 + b"}",
        b"[" * 16_000,
        b'{"a":' * 2_700 + b"1" + b"}" * 2_700,
        b'{"email": "a\nb"}',
    ],
    ids=lambda body: repr(body[:24]),
)
async def test_what_is_not_one_json_document_is_malformed(
    one: Endpoint, body: bytes, floor: httpx2.AsyncClient
):
    headers = {"content-type": "application/json"}
    answer = await floor.request(one.method, path_of(one), content=body, headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (400, "malformed_request")


BARE = {"POST /api/keys/rotate", "POST /api/keys/{kid}/retire"}


@each_body
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-length": "0"},
        {"content-type": ""},
        {"content-type": "application/json"},
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
    ],
    ids=str,
)
async def test_no_body_is_for_posts_that_have_no_field_to_miss(
    one: Endpoint, headers: dict[str, str], floor: httpx2.AsyncClient
):
    said = headers.get("content-type", "")
    if f"{one.method} {one.path}" in BARE and said in ("", "application/json"):
        with pytest.raises(AssertionError, match="reached"):
            await floor.request(one.method, path_of(one), headers=headers)
        return
    answer = await floor.request(one.method, path_of(one), headers=headers)
    expected = (400, "malformed_request") if "json" in said else (415, "unsupported_media_type")
    assert (answer.status_code, answer.json()["error"]) == expected


@each_body
@pytest.mark.parametrize("body", ["null", "[]", "1", '"text"', "true", "[{}]"])
async def test_what_is_no_object_is_invalid(one: Endpoint, body: str, floor: httpx2.AsyncClient):
    headers = {"content-type": "application/json"}
    answer = await floor.request(one.method, path_of(one), content=body, headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (422, "validation_error")


@each_body
async def test_a_wrong_field_is_named_as_it_is_spelt_on_the_wire(
    one: Endpoint, floor: httpx2.AsyncClient
):
    body = dict.fromkeys(json.loads(body_of(one)), 7)
    answer = await floor.request(one.method, path_of(one), json=body)
    assert answer.status_code == 422
    details = answer.json()["details"]
    assert {one["field"] for one in details} == set(body)
    assert "7" not in answer.text.replace(answer.json()["timestamp"], "")
    assert all(one["code"] and one["message"] for one in details)


async def chunks(size: int) -> AsyncIterator[bytes]:
    for _ in range(size // 1024):
        yield b" " * 1024


@each_body
async def test_a_body_above_the_limit_is_not_read(one: Endpoint, floor: httpx2.AsyncClient):
    headers = {"content-type": "application/json"}
    declared = {**headers, "content-length": str(MAX_BODY + 1)}
    for request in (
        {"content": b"{}", "headers": declared},
        {"content": b" " * (MAX_BODY + 1), "headers": headers},
        {"content": chunks(2 * MAX_BODY), "headers": headers},
        {"content": b"{}", "headers": {**headers, "content-length": "9" * 30}},
    ):
        answer = await floor.request(one.method, path_of(one), **request)
        assert (answer.status_code, answer.json()["error"]) == (413, "payload_too_large")
    wrong = b'{"ring": 7, "dryRun": 7, "email": "'
    body = wrong + b"a" * (MAX_BODY - len(wrong) - 2) + b'"}'
    assert len(body) == MAX_BODY
    answer = await floor.request(one.method, path_of(one), content=body, headers=headers)
    assert answer.status_code == 422


async def test_a_client_that_goes_away_is_no_fault_of_ours():
    async def receive() -> Message:
        return {"type": "http.disconnect"}

    scope: Scope = {"headers": [(b"content-type", b"application/json")]}
    with pytest.raises(MalformedRequest, match="went away"):
        await read_json(scope, receive, LoginBody)


@pytest.mark.parametrize(
    ("query", "status", "field"),
    [
        ("limit=1&limit=2", 400, None),
        ("&".join(f"a{n}=1" for n in range(65)), 400, None),
        ("search=%FF", 400, None),
        ("limit=0", 422, "limit"),
        ("limit=101", 422, "limit"),
        ("limit=", 422, "limit"),
        ("limit=1e1", 422, "limit"),
        ("limit=NaN", 422, "limit"),
        ("limit=" + "9" * 5000, 422, "limit"),
        ("search=", 422, "search"),
        ("search=" + "a" * 201, 422, "search"),
        ("cursor=", 422, "cursor"),
        ("role=", 422, "role"),
    ],
    ids=lambda value: str(value)[:24],
)
async def test_a_query_is_bounded_and_typed(
    query: str, status: int, field: str | None, floor: httpx2.AsyncClient
):
    answer = await floor.get(f"/api/users?{query}")
    assert answer.status_code == status
    assert [one["field"] for one in answer.json().get("details", ())] == [field] * (
        field is not None
    )
    assert answer.json()["path"] == "/api/users"


async def test_raw_utf_8_in_a_query_is_read_as_such(api: Api, admin: Person):
    await api.send("PATCH", "/api/profile", json={"name": "Zoë"}, headers=admin.bearer)
    scope: dict[str, Any] = {"search": "zoë"}
    found = await api.send("GET", "/api/users", params=scope, headers=admin.bearer)
    assert [user["name"] for user in found.json()["data"]["users"]] == ["Zoë"]


@pytest.mark.parametrize(
    "one",
    [one for one in ENDPOINTS if one.who == "user"],
    ids=lambda one: f"{one.method} {one.path}",
)
async def test_two_authorization_headers_are_none(
    one: Endpoint, floor: httpx2.AsyncClient, admin: Person
):
    twice = [("authorization", admin.bearer["authorization"])] * 2
    floor.headers.clear()
    answer = await floor.request(one.method, path_of(one), headers=twice)
    assert (answer.status_code, answer.json()["error"]) == (400, "malformed_request")


@pytest.mark.parametrize("path", ["refresh-token", "logout", "login", "register", "csrf-token"])
async def test_a_cookie_sent_twice_was_planted_once(path: str, api: Api, admin: Person):
    one = next(one for one in ENDPOINTS if one.path == f"/api/auth/{path}")
    name = "x-csrf-token" if path == "csrf-token" else "refreshToken"
    cookie = f"{name}={admin.cookie}"
    body = {"content": body_of(one)} if one.body else {}
    shared = [("origin", PAGE), ("content-type", "application/json")]
    for sent in ([("cookie", f"{cookie}; {name}=planted")], [("cookie", cookie)] * 2):
        answer = await api.send(one.method, one.path, headers=[*shared, *sent], **body)
        assert (answer.status_code, answer.json()["error"]) == (400, "malformed_request")
        assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("path", ["refresh-token", "logout"])
@pytest.mark.parametrize("name", ["x-csrf-token", "sec-fetch-site"])
async def test_a_header_that_decides_comes_once(path: str, name: str, api: Api, admin: Person):
    headers = [("cookie", f"refreshToken={admin.cookie}"), ("x-csrf-token", admin.csrf)]
    headers = [header for header in headers if header[0] != name]
    headers += [(name, "same-origin" if name.startswith("sec") else admin.csrf)] * 2
    answer = await api.send("POST", f"/api/auth/{path}", headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (400, "malformed_request")


async def test_who_asks_for_problem_details_gets_the_same_facts(api: Api):
    plain = await api.send("GET", "/api/profile")
    problem = await api.send(
        "GET", "/api/profile?x=1", headers={"accept": "text/html, Application/Problem+JSON"}
    )
    assert plain.headers["content-type"] == "application/json"
    assert problem.headers["content-type"] == "application/problem+json"
    facts = problem.json()
    assert facts["type"] == "about:blank"
    said = plain.json()
    assert (facts["status"], facts["title"], facts["error"], facts["instance"]) == (
        said["statusCode"],
        said["message"],
        said["error"],
        said["path"],
    )
    for answer in (plain, problem):
        assert "Accept" in answer.headers["vary"]
        assert answer.headers["www-authenticate"] == 'Bearer realm="authward"'
        assert answer.headers["cache-control"] == "no-store"
