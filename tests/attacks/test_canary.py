"""A secret put into any field of any route, by anybody, shows up where no one looks for it: in a
log line, a metric, a row (CWE-532, CWE-200, CWE-598; OWASP ASVS 14.2, 16.2.5).

The URL table says what is asked: a new route is in by itself. Each place of each request carries a
canary of its own, so that one that is found tells where it was sent.
"""

import io
import itertools
import json
import re
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import select

from authward.http.endpoint import Endpoint
from authward.http.routes import ENDPOINTS, METRICS
from authward.logs import configure_logs
from authward.stores.schema import metadata
from tests.here import Here, Serve
from tests.http.talking import example_body
from tests.serving import PASSWORD, Account, new_email, refresh_headers

MARK = re.compile(r"cnry[0-9a-f]{14}")
# What is meant to be kept, and where: everything else is a leak. `log` is any line of it.
KEPT: dict[str, set[str]] = {
    "body.email": {"users"},
    "body.name": {"users"},
    "body.permissions": {"users", "role_permissions", "audit_events", "log"},
    "path.name": {"roles", "role_permissions", "audit_events", "log"},
    # The line that says what was requested, in development.
    "path.id": {"log"},
    "path.kid": {"log"},
    "header.user-agent": {"audit_events", "sessions", "log"},
    # Which page it was that was refused.
    "header.origin": {"audit_events", "log"},
    "header.x-request-id": {"audit_events", "log"},
}
HEADERS = (
    *("authorization", "cookie", "x-csrf-token", "proxy-authorization", "x-api-key", "referer"),
    *("origin", "x-forwarded-for", "forwarded", "accept", "content-type", "if-none-match"),
    *("sec-fetch-site", "x-http-method-override", "user-agent", "x-request-id"),
)
COOKIES = ("refreshToken", "__Host-refreshToken", "x-csrf-token", "session")
BEARERS = ("Bearer {}", "bearer {}.{}.{}", "Basic {}", "{}", "Bearer {} {}")


@dataclass
class Canaries:
    """The canaries sent: where each was put."""

    sent: dict[str, str] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def at(self, route: str, who: str, place: str) -> str:
        made = f"cnry{next(self._numbers):014x}"
        self.sent[made] = f"{route} as {who}: {place}"
        return made


@dataclass
class Asked:
    """One request with canaries in it."""

    path: str
    headers: dict[str, str] = field(default_factory=dict)
    query: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None


def path_of(one: Endpoint, account: Account) -> str:
    return re.sub(r"{\w+}", lambda name: {"{id}": account.id}.get(name[0], "editor"), one.path)


def body_of(one: Endpoint, account: Account) -> dict[str, Any]:
    """One that works."""
    body = example_body(one)
    for name in body.keys() & {"password", "currentPassword"}:
        body[name] = PASSWORD
    if "email" in body:
        body["email"] = account.email if one.path.endswith("/login") else new_email()
    return body


def in_place_of(value: Any, name: str, canary: str) -> Any:
    """A canary in the form that the field takes."""
    if isinstance(value, list):
        return [f"read:{canary}" if name == "permissions" else canary]
    return f"{canary}@example.com" if name == "email" else canary


def requests_of(
    one: Endpoint, who: str, account: Account, own: dict[str, str], canaries: Canaries
) -> Iterator[Asked]:
    """Every place of a request, one after the other."""
    route = f"{one.method} {one.path}"

    def canary(place: str) -> str:
        return canaries.at(route, who, place)

    path = path_of(one, account)
    plain = None if one.body is None else json.dumps(body_of(one, account)).encode()
    if plain is not None:
        own = {**own, "content-type": "application/json"}
    for name in re.findall(r"{(\w+)}", one.path):
        elsewhere = path.replace(account.id if name == "id" else "editor", canary(f"path.{name}"))
        yield Asked(elsewhere, own, body=plain)
    for name in HEADERS:
        sent = {name: canary(f"header.{name}")}
        if name == "authorization":
            for form in BEARERS:
                told = re.sub("{}", lambda _: canary("header.authorization"), form)
                yield Asked(path, {**own, name: told}, body=plain)
        elif name == "cookie":
            for cookie in COOKIES:
                told = f"{cookie}={canary('header.cookie')}"
                yield Asked(path, {**own, name: told}, body=plain)
        else:
            yield Asked(path, {**own, **sent}, body=plain)
    fields = [] if one.query is None else [
        found.alias or name for name, found in one.query.model_fields.items()
    ]  # fmt: skip
    for name in (*fields, "token", "password", "access_token"):
        yield Asked(path, own, {name: canary(f"query.{name}")}, plain)
    yield from bodies_of(one, account, own, canary)


def bodies_of(one: Endpoint, account: Account, own: dict[str, str], canary: Any) -> Iterator[Asked]:
    path = path_of(one, account)

    def asked(body: Any) -> Asked:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return Asked(path, {**own, "content-type": "application/json"}, body=raw)

    # Also to a route that reads none.
    yield asked({"password": canary("body.unknown"), "nested": {"token": canary("body.unknown")}})
    yield asked(f'{{"password": "{canary("body.broken")}'.encode())
    if one.body is None:
        return
    for name, value in body_of(one, account).items():
        body = body_of(one, account)
        yield asked({**body, name: in_place_of(value, name, canary(f"body.{name}"))})
        for wrong in ([[canary("body.wrong")]], {canary("body.wrong"): canary("body.wrong")}):
            yield asked({**deepcopy(body), name: wrong})
        yield asked({**body, name: f"{canary('body.wrong')}\0"})
        yield asked({**body, name: canary("body.wrong") * 600})
    yield asked({**body_of(one, account), "unknown": canary("body.unknown")})
    yield asked({**body_of(one, account), canary("body.unknown"): 1})


@dataclass
class People:
    """Those who come, with all the secrets they ever had."""

    here: Here
    known: dict[str, Account] = field(default_factory=dict)
    secrets: set[str] = field(default_factory=set)

    async def one(self, who: str) -> Account:
        account = self.known.get(who)
        if account is None or (await self.here.profile(account)).status_code != 200:
            account = await self.here.register(role="admin" if who == "admin" else "user")
            self.known[who] = account
            self.secrets |= {account.access, account.cookie, account.csrf}
        return account

    def headers(self, one: Endpoint, who: str, account: Account) -> dict[str, str]:
        if who == "anonymous":
            return {}
        return refresh_headers(account) if one.who == "cookie" else dict(account.bearer)


async def rows(here: Here) -> dict[str, str]:
    """All that the database holds, by table."""
    await here.services.refusals.flush(all_of_it=True)
    found = {}
    for name, table in metadata.tables.items():
        read = await here.services.store.database.read(select(table))
        found[name] = "\n".join(repr(tuple(row)) for row in read)
    return found


@pytest.mark.timeout(300)
async def test_a_canary_in_any_field_of_any_route_is_found_nowhere(
    serve_on: Serve, database: str, logs_as_before: None
) -> None:
    here = await serve_on(database, rate_limit="off", auth_rate_limit="off")
    logged = io.StringIO()
    configure_logs(here.auth.settings, logged)
    await here.register(role="admin")  # the last one, whatever the others do to each other
    canaries, people = Canaries(), People(here)
    asked = 0
    for one, who in itertools.product((*ENDPOINTS, METRICS), ("anonymous", "user", "admin")):
        account = await people.one("user" if who == "anonymous" else who)
        own = people.headers(one, who, account)
        for request in requests_of(one, who, account, own, canaries):
            also = ("HEAD", "OPTIONS") if one.method == "GET" else ("OPTIONS",)
            for method in (one.method, *(also if asked % 10 == 0 else ())):
                answer = await here.send(
                    method,
                    request.path,
                    headers=request.headers,
                    params=request.query or None,
                    content=request.body,
                )
                assert answer.status_code < 500, (method, request, answer.text)
                asked += 1
            if one.method != "GET":
                account = await people.one("user" if who == "anonymous" else who)
    admin = await people.one("admin")
    metrics = await here.send("GET", "/metrics", headers=admin.bearer)
    assert metrics.status_code == 200
    places = {**await rows(here), "metrics": metrics.text, "log": logged.getvalue()}
    leaks = {
        (place, canaries.sent[one])
        for place, text in places.items()
        for one in MARK.findall(text)
        if place not in KEPT.get(canaries.sent[one].rpartition(": ")[2], ())
    }
    assert not leaks, "\n".join(sorted(map(" < ".join, leaks)))
    # They were sent, and what is to be kept is where it belongs: none of this is blind.
    assert len(canaries.sent) > 1000
    kept = {place for place, text in places.items() if MARK.search(text)}
    assert kept >= {"users", "audit_events", "sessions", "log"}
    for place, text in places.items():
        assert not [one[:20] for one in people.secrets if one in text], place
