"""Fields that a request has no business to set: CWE-915, OWASP API3:2023.

`userId` in a body made keys for anybody in CVE-2025-61928 of Better Auth. Every route that changes
something is asked once plainly and once with all that an account is made of, at each place where a
framework might pick it up: the whole database then changes in the same way.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import pytest

from authward.http.routes import ENDPOINTS
from tests.attacks.tables import Row, Tables, moved, tables
from tests.here import OPERATOR, Here
from tests.keys import key_past, publish_long_ago
from tests.serving import PASSWORD, Account, new_email, refresh_headers

PLANTED = "planted-by-a-thief"
EXTRA: dict[str, Any] = {
    "id": PLANTED,
    "userId": PLANTED,
    "user_id": PLANTED,
    "sub": PLANTED,
    "name": PLANTED,
    "email": f"{PLANTED}@example.com",
    "emailCanonical": f"{PLANTED}@example.com",
    "email_canonical": f"{PLANTED}@example.com",
    "role": "admin",
    "roles": ["admin"],
    "additionalRoles": ["spare"],
    "additional_roles": ["spare"],
    "permissions": ["*:*"],
    "includes": ["moderator"],
    "effective": ["*:*"],
    "isAdmin": True,
    "is_admin": True,
    "admin": True,
    "emailVerified": True,
    "email_verified": True,
    "passwordHash": PLANTED,
    "password_hash": PLANTED,
    "disabled": True,
    "disabledAt": 1,
    "disabled_at": 1,
    "createdAt": "1970-01-01T00:00:00.000Z",
    "created_at": 1,
    "search": PLANTED,
    "epoch": 99,
    "ver": 99,
    "version": 99,
    "sid": PLANTED,
    "sessionId": PLANTED,
    "session_id": PLANTED,
    "generation": 99,
    "kid": PLANTED,
    "authTime": 1,
    "auth_time": 1,
    "expiresAt": 2**41,
    "expires_at": 2**41,
    "revokedAt": 1,
    "revoked_at": 1,
    "ip": PLANTED,
    "actor": PLANTED,
}
# Route → a plain body that it takes, and what else it means to take.
TAKES: Mapping[str, tuple[dict[str, Any], set[str]]] = {
    "POST /api/auth/register": (
        {"email": "", "password": PASSWORD, "name": "Ada"},  # an address of its own each time
        set(),
    ),
    "POST /api/auth/login": ({"email": "", "password": PASSWORD}, set()),  # the caller's address
    "POST /api/auth/refresh-token": ({}, set()),
    "POST /api/auth/logout": ({}, set()),
    "POST /api/auth/logout-all": ({}, set()),
    "DELETE /api/auth/sessions/{id}": ({}, set()),
    "POST /api/auth/change-password": (
        {"currentPassword": PASSWORD, "newPassword": PASSWORD + "!"},
        set(),
    ),
    "PATCH /api/profile": ({"name": "Renamed"}, set()),
    "PUT /api/users/{id}": ({"name": "Renamed"}, {"disabled", "email"}),
    "DELETE /api/users/{id}": ({}, set()),
    "PUT /api/users/{id}/role": ({"role": "moderator"}, {"additionalRoles"}),
    "PUT /api/users/{id}/permissions": ({"permissions": ["read:reports"]}, set()),
    "POST /api/keys/rotate": ({"ring": "csrf"}, set()),
    "POST /api/keys/{kid}/retire": ({}, set()),
    "PUT /api/roles/{name}": ({"permissions": ["read:reports"]}, {"includes"}),
    "DELETE /api/roles/{name}": ({}, set()),
}
BY_COOKIE = {"/api/auth/refresh-token", "/api/auth/logout"}
# What differs between two requests that do the same.
OWN = {
    "users": {"id", "email", "email_canonical", "search", "password_hash", "created_at"},
    "sessions": {
        *("id", "user_id", "created_at", "expires_at", "rotated_at", "revoked_at"),
        *("auth_time", "last_used_at"),
    },
    "keys": {"kid", "sealed", "created_at", "signing_at", "verifying_at", "retired_at"},
    "roles": {"name"},
    "role_permissions": {"role"},
    "role_includes": {"role"},
    "changes": {"id", "subject", "at", "keep_session"},
    "audit_events": {
        *("id", "at", "actor", "subject", "session", "request_id", "detail"),
        *("writer", "seq", "after", "hash"),
        *("who_salt", "who_digest", "what_salt", "what_digest"),
    },
    "audit_writers": {"writer", "count", "last_id", "hash", "mac"},
}


@dataclass
class Asked:
    """How a request is sent: its body, and what is in its query and headers."""

    body: dict[str, Any]
    query: str = ""
    headers: dict[str, str] = field(default_factory=dict)


def beside(body: dict[str, Any], takes: set[str]) -> Asked:
    return Asked({**{name: EXTRA[name] for name in EXTRA.keys() - takes}, **body})


def nested(body: dict[str, Any], takes: set[str]) -> Asked:
    below = ("user", "data", "account", "profile", "attributes", "claims", "$set", "__proto__")
    inside = dict.fromkeys(below, EXTRA)
    return Asked({**inside, "constructor": {"prototype": EXTRA}, "users": [EXTRA], **body})


def spelt_as_paths(body: dict[str, Any], takes: set[str]) -> Asked:
    ways = ("user.{}", "user[{}]", "user__{}", "/{}", "{}[]", " {}", "{} ", "{}\u0000")
    return Asked({**{way.format(name): EXTRA[name] for way in ways for name in EXTRA}, **body})


def in_capitals(body: dict[str, Any], takes: set[str]) -> Asked:
    odd = {change(name): EXTRA[name] for name in EXTRA for change in (str.upper, str.capitalize)}
    return Asked({**odd, **body})


def in_the_query(body: dict[str, Any], takes: set[str]) -> Asked:
    return Asked(body, "?" + urlencode({**EXTRA, "user[role]": "admin"}, doseq=True))


def in_headers(body: dict[str, Any], takes: set[str]) -> Asked:
    names = {name.replace("_", "-").lower() for name in EXTRA}
    return Asked(body, headers={f"x-{name}": PLANTED for name in names})


WAYS: tuple[Callable[[dict[str, Any], set[str]], Asked], ...] = (
    beside,
    nested,
    spelt_as_paths,
    in_capitals,
    in_the_query,
    in_headers,
)


def test_every_route_that_changes_something_is_here() -> None:
    unsafe = {f"{one.method} {one.path}" for one in ENDPOINTS if one.method != "GET"}
    assert unsafe == set(TAKES)


EXACT = {"POST /api/keys/rotate", "POST /api/keys/{kid}/retire"}
"""Those that refuse what they do not know: a mistyped `dryRun` would end sessions, and a mistyped
`ring` would rotate all of them.
"""


@pytest.mark.parametrize("route", TAKES)
async def test_a_request_with_more_changes_what_one_without_changes(
    here: Here, sqlite_database: str, route: str
) -> None:
    admin = await here.register(role="admin")
    await here.services.roles.put(None, "spare", ["read:nothing"], [], OPERATOR)
    body, takes = TAKES[route]
    plain = await outcome(here, sqlite_database, admin, route, Asked(body))
    assert plain[0] in (200, 201)
    assert plain[1], "it does change something"
    for way in WAYS:
        asked = way(body, takes)
        loaded = await outcome(here, sqlite_database, admin, route, asked)
        refused = route in EXACT and asked.body != body
        assert loaded == ((422, Counter()) if refused else plain), way.__name__
    everything = tables(sqlite_database)
    # Nor does it stand anywhere, not even in the log.
    assert PLANTED not in json.dumps(
        [[*rows.values()] for rows in everything.values()], default=repr
    )


async def outcome(
    here: Here, url: str, admin: Account, route: str, asked: Asked
) -> tuple[int, Counter[str]]:
    """The answer, and what it did to the database."""
    someone = await here.register()
    method, path = route.split()
    if "{name}" in path:
        name = f"r{someone.id.lower()}"
        await here.services.roles.put(None, name, ["read:nothing"], [], OPERATOR)
        path = path.replace("{name}", name)
    if "{id}" in path:
        of_session = path.startswith("/api/auth/sessions")
        sessions = await here.services.sessions.list(someone.id)
        path = path.replace("{id}", str(sessions[0].id) if of_session else someone.id)
    if "/api/keys" in path:
        await publish_long_ago(here.services)
        path = path.replace("{kid}", await key_past(here.services))
    for_admins = path.startswith(("/api/users", "/api/roles", "/api/keys"))
    headers = dict(admin.bearer if for_admins else someone.bearer)
    if path in BY_COOKIE:
        headers = refresh_headers(someone)
        # Past the grace, or a refresh would find nothing to do.
        here.clock.turn(11)
    body = dict(asked.body)
    if "email" in TAKES[route][0]:
        body["email"] = new_email() if path.endswith("register") else someone.email
    before = tables(url)
    answer = await here.send(
        method, path + asked.query, json=body, headers={**headers, **asked.headers}
    )
    return answer.status_code, differences(before, tables(url))


def differences(before: Tables, after: Tables) -> Counter[str]:
    """What became of which table: rows that came and went, values that are new, without what is a
    request's own.
    """
    found: Counter[str] = Counter()
    for table, key, column in moved(before, after):
        was: Row | None = before[table].get(key)
        now: Row | None = after[table].get(key)
        word = "came" if was is None else "went" if now is None else "became"
        own = column in OWN[table]
        value = "its own" if own or now is None else repr(now[column])
        found[f"{table}.{column} {word}: {value}"] += 1
    return found
