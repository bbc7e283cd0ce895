"""The OpenAPI document: whole, valid, and true of the answers that the routes give."""

import json
import os
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import uuid4

import httpx2
import jsonschema_rs
import pytest
from schemathesis.specs.openapi.definitions import OPENAPI_31

from authward import errors
from authward.core.audit import Client
from authward.core.cookies import CookieNames
from authward.core.jose import JoseRing
from authward.core.jwks import jwks
from authward.core.keys import Algorithm
from authward.http.endpoint import Endpoint
from authward.http.failures import errors_of
from authward.http.openapi import document, document_bytes, openapi_paths
from authward.http.routes import DESCRIBED, ENDPOINTS, JWKS
from authward.http.shapes import example
from authward.middleware.shield import UNLIMITED
from authward.services.rings import new_key
from tests.http.talking import DOCUMENT, PASSWORD, Api, Person, operation, talking
from tests.keys import key_past, publish_long_ago

TEXT = json.dumps(DOCUMENT)

each_route = pytest.mark.parametrize("one", DESCRIBED, ids=lambda one: f"{one.method} {one.path}")


def inlined(node: Any, *, closed: bool = False) -> Any:
    """A part of the document, each reference replaced. `closed`: objects hold no other field."""
    if isinstance(node, list):
        return [inlined(part, closed=closed) for part in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        target: Any = DOCUMENT
        for step in node["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        return inlined(target, closed=closed)
    found = {name: inlined(part, closed=closed) for name, part in node.items()}
    if closed and found.get("type") == "object" and "properties" in found:
        found["additionalProperties"] = False
    return found


def check(schema: Any, value: Any, *, closed: bool = False) -> None:
    validator = jsonschema_rs.Draft202012Validator(
        inlined(schema, closed=closed), validate_formats=True
    )
    validator.validate(value)


def told(node: Any) -> Iterator[tuple[Any, Any]]:
    """Every example of the document, beside the schema it is one of."""
    if isinstance(node, list):
        for part in node:
            yield from told(part)
    if isinstance(node, dict):
        if "schema" in node and "example" in node:
            yield node["schema"], node["example"]
        if "schema" in node and "examples" in node:
            yield from ((node["schema"], each["value"]) for each in node["examples"].values())
        if isinstance(node.get("examples"), list):
            yield from ((node, each) for each in node["examples"])
        for part in node.values():
            yield from told(part)


def test_it_is_openapi_3_1():
    jsonschema_rs.validator_for(OPENAPI_31).validate(DOCUMENT)


def test_every_route_is_there_and_no_other():
    there = {
        (method.upper(), path) for path, methods in DOCUMENT["paths"].items() for method in methods
    }
    assert there == {(one.method, one.path) for one in DESCRIBED}
    ids = [operation(one)["operationId"] for one in DESCRIBED]
    assert len(set(ids)) == len(ids)


@each_route
def test_a_route_states_what_it_takes_and_answers(one: Endpoint):
    stated = operation(one)
    assert stated["summary"]
    assert stated["description"]
    names = [one["name"] for one in stated.get("parameters", ()) if one["in"] == "path"]
    assert names == re.findall(r"{(\w+)}", one.path)
    assert ("requestBody" in stated) == (one.body is not None)
    if one.body is not None:
        assert stated["requestBody"]["required"] == (not one.may_be_bare)
    expected = {one.status, 400, 405, 500, 503}
    expected |= {304} if one is JWKS else set()
    expected |= {429} if one.path not in UNLIMITED else set()
    expected |= {403} if one.method != "GET" or one.permission else set()
    expected |= {401} if one.who != "anyone" else set()
    expected |= {404} if "{" in one.path else set()
    expected |= {413, 415, 422} if one.body else set()
    expected |= {422} if one.query else set()
    expected |= {kind.status for kind in one.errors}
    assert {int(status) for status in stated["responses"]} == expected


@each_route
def test_a_refusal_states_its_codes_in_both_forms_and_its_headers(one: Endpoint):
    responses = inlined(operation(one)["responses"])
    for status in {kind.status for kind in errors_of(one)}:
        response = responses[str(status)]
        codes = {kind.code for kind in errors_of(one) if kind.status == status}
        assert response["content"].keys() == {"application/json", "application/problem+json"}
        for form in response["content"].values():
            shared, narrowed = form["schema"]["allOf"]
            assert set(narrowed["properties"]["error"]["enum"]) == codes
            assert codes <= set(shared["properties"]["error"]["enum"])
            assert form["examples"].keys() == codes
            assert (status == 422) == ("details" in narrowed.get("required", ()))
        own = {
            401: {"WWW-Authenticate"},
            405: {"Allow"},
            429: {"Retry-After"},
            503: {"Retry-After"},
        }.get(status, set())
        assert response["headers"].keys() == {"Cache-Control"} | own


@each_route
def test_a_route_states_who_may_call(one: Endpoint):
    security = operation(one)["security"]
    optional = one.path == "/api/auth/logout"
    assert (
        security
        == {
            "anyone": [],
            "user": [{"AuthwardBearer": []}],
            "cookie": [{"AuthwardCookie": []}, *([{"AuthwardBearer": []}, {}] if optional else [])],
        }[one.who]
    )


def test_every_example_is_what_its_schema_describes():
    found = list(told(inlined(DOCUMENT)))
    assert len(found) > 200
    for schema, value in found:
        check(schema, value)


def test_every_parameter_has_an_example():
    for one in ENDPOINTS:
        for parameter in operation(one).get("parameters", ()):
            assert parameter["schema"]["examples"], (one.path, parameter["name"])


def test_a_model_without_examples_is_told_at_once():
    shapes = {"AuthwardThing": {"type": "object", "properties": {"name": {"type": "string"}}}}
    with pytest.raises(KeyError):
        example({"$ref": "#/components/schemas/AuthwardThing"}, shapes)
    assert example({"anyOf": [{"const": 1}, {"type": "null"}]}, shapes) == 1
    assert example({"type": "boolean"}, shapes) is False


def test_references_lead_somewhere_and_no_component_is_left_over():
    targets = set(re.findall(r'"\$ref": "#/components/([^"]+)"', TEXT))
    components = DOCUMENT["components"]
    there = {f"{kind}/{name}" for kind, held in components.items() for name in held}
    schemes = {f"securitySchemes/{name}" for name in components["securitySchemes"]}
    assert targets == there - schemes


def test_it_merges_into_a_hosts_document_without_meeting_its_names():
    merged = openapi_paths()
    assert merged.keys() == {"paths", "components"}
    for held in merged["components"].values():
        assert all(name.startswith("Authward") for name in held)


def test_it_is_a_function_of_the_table():
    assert document(ENDPOINTS[:1])["paths"].keys() == {ENDPOINTS[0].path}
    assert document() == DOCUMENT
    assert json.loads(document_bytes(production=False)) == DOCUMENT
    assert document_bytes(production=False) is document_bytes(production=False)


def test_it_names_the_cookie_in_use():
    schemes = document(cookies=CookieNames.of(production=True))["components"]["securitySchemes"]
    assert schemes["AuthwardCookie"]["name"] == "__Host-refreshToken"
    assert b"__Host-refreshToken" in document_bytes(production=True)


def test_every_error_of_a_route_is_one_of_ours():
    ours = {kind for kind in vars(errors).values() if isinstance(kind, type)}
    assert {kind for one in ENDPOINTS for kind in errors_of(one)} <= ours


# --- what the routes really answer --------------------------------------------------------


@pytest.fixture(scope="module")
async def api(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    folder = tmp_path_factory.mktemp("openapi")
    async with talking(f"sqlite:///{folder / 'authward.db'}") as found:
        await found.create("root@example.com", "admin")
        # There to be deleted.
        await found.auth.services.roles.put(None, "editor", ["update:posts"], ["user"], Client())
        yield found


def address() -> str:
    return f"{uuid4()}@example.com"


REQUESTS: dict[str, Any] = {
    "POST /api/auth/register": {
        "json": {"email": "new@example.com", "password": PASSWORD, "name": "New"}
    },
    "POST /api/auth/login": {"json": {"email": "root@example.com", "password": PASSWORD}},
    "POST /api/auth/change-password": {
        "json": {"currentPassword": PASSWORD, "newPassword": PASSWORD}
    },
    "PATCH /api/profile": {"json": {"name": "Grace"}},
    "PUT /api/users/{id}": {"json": {"name": "Grace", "disabled": True}},
    "PUT /api/users/{id}/role": {"json": {"role": "moderator"}},
    "PUT /api/users/{id}/permissions": {"json": {"permissions": ["read:reports"]}},
    "PUT /api/roles/{name}": {"json": {"permissions": ["update:posts"], "includes": ["user"]}},
    "POST /api/keys/rotate": {"json": {"ring": "csrf"}},
    "POST /api/keys/{kid}/retire": {"json": {}},
    "GET /api/users": {"params": {"limit": 1, "search": "EXAMPLE", "role": "user"}},
}


async def succeed(one: Endpoint, api: Api, me: Person, other: str) -> httpx2.Response:
    path = one.path.replace("{id}", me.session_id if "sessions" in one.path else other)
    path = path.replace("{name}", "editor")
    if "/api/keys" in path:
        await publish_long_ago(api.auth.services)
        path = path.replace("{kid}", await key_past(api.auth.services))
    headers = {"user": me.bearer, "cookie": me.browser, "anyone": {}}[one.who]
    extra = REQUESTS.get(f"{one.method} {one.path}", {})
    return await api.send(one.method, path, headers=headers, **extra)


@each_route
async def test_an_answer_has_the_stated_shape_and_no_field_more(one: Endpoint, api: Api):
    me = await api.person(address(), "admin")
    other = await api.create(address())
    answer = await succeed(one, api, me, other.id)
    assert answer.status_code == one.status, answer.text
    response = inlined(operation(one)["responses"][str(one.status)])
    (form,) = response["content"].values()
    check(form["schema"], answer.json(), closed=True)
    for name, header in response["headers"].items():
        check(header["schema"], answer.headers[name])
    # Neither more: a header a client may rely on is stated.
    stated = ("set-cookie", "clear-site-data", "etag")
    sent = {name for name in stated if name in answer.headers}
    assert sent == {name.lower() for name in response["headers"]} - {"cache-control"}


@pytest.mark.parametrize("algorithm", ["EdDSA", "ES256", "RS256"])
def test_public_keys_of_every_kind_have_the_stated_shape(algorithm: Algorithm):
    kept = [new_key("access", algorithm, state, os.urandom) for state in ("signing", "pending")]
    ring = JoseRing(kept, ring="access", typ="at+jwt", max_chars=8192)
    response = inlined(operation(JWKS)["responses"]["200"])
    told = json.loads(jwks(ring.keys))
    assert len(told["keys"]) == 2
    schema = response["content"]["application/jwk-set+json"]["schema"]
    check(schema, told, closed=True)
    told["keys"][0]["d"] = "secret"
    with pytest.raises(jsonschema_rs.ValidationError):
        check(schema, told, closed=True)


async def test_who_has_the_public_keys_gets_the_stated_answer(api: Api):
    first = await api.send("GET", JWKS.path)
    again = await api.send("GET", JWKS.path, headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    for name, header in operation(JWKS)["responses"]["304"]["headers"].items():
        check(header["schema"], again.headers[name])


@each_route
@pytest.mark.parametrize("accept", ["*/*", "application/problem+json"])
async def test_a_refusal_has_the_stated_shape_and_no_field_more(
    one: Endpoint, accept: str, api: Api
):
    path = one.path.replace("{id}", "nobody-has-this-id")
    answers = [
        await api.send(one.method, path, headers={"accept": accept, "host": "evil.example"}),
        await api.send("TRACE", path, headers={"accept": accept}),
    ]
    if one.method != "GET":
        headers = {"accept": accept, "origin": "https://evil.example"}
        answers.append(await api.send(one.method, path, headers=headers))
    if one.who != "anyone":
        answers.append(await api.send(one.method, path, headers={"accept": accept}))
    if one.body is not None or one.query is not None:
        me = await api.person(address(), "admin")
        headers = {"accept": accept, **me.bearer}
        wrong = {"ring": 7, "dryRun": 7}
        bad: dict[str, Any] = {"json": wrong} if one.body else {"params": {"limit": "none"}}
        if one.path != "/api/users/{id}":
            answers.append(await api.send(one.method, path, headers=headers, **bad))
    optional = one.path == "/api/auth/logout"
    assert [answer.status_code for answer in answers if answer.status_code < 400] == [
        200
    ] * optional
    for answer in answers:
        if answer.status_code < 400:
            continue
        response = inlined(operation(one)["responses"][str(answer.status_code)])
        kind = answer.headers["content-type"]
        assert kind == ("application/json" if accept == "*/*" else accept)
        check(response["content"][kind]["schema"]["allOf"][0], answer.json(), closed=True)
        check(response["content"][kind]["schema"], answer.json())
        assert "accept" in answer.headers["vary"].lower()
        for name, header in response["headers"].items():
            check(header["schema"], answer.headers[name])
