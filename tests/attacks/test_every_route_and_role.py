"""Broken access control (CWE-862, CWE-863; OWASP API1:2023 and API5:2023): the route that nobody
guarded. Every route × everybody who may come, with the answer of each cell stated by hand.
"""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from secrets import token_hex
from typing import Any

import pytest
from starlette.routing import Router

from authward.deny import walk
from authward.http.routes import ENDPOINTS
from tests.here import OPERATOR, Here
from tests.keys import key_past, publish_long_ago
from tests.serving import PASSWORD, Account, error_of, new_email

# Who comes. `no`: without a token. `exp`: one that has expired. `tam`: its signature is not ours.
# `rev`: the session has ended. `dis`: the account is disabled. Then each on what is their own, a
# user and a moderator (`o-us`, `o-mo`) and an admin (`o-ad`) on what is another user's, and a
# moderator on what is an admin's (`m-ad`). "-": the route is about nobody's object.
WHO = ["no", "exp", "tam", "rev", "dis", "user", "mod", "admin", "o-us", "o-mo", "o-ad", "m-ad"]
TABLE = """
                                       no exp tam rev dis user mod admin o-us o-mo o-ad m-ad
POST   /api/auth/register             201 201 201 201 201  201 201   201    -    -    -    -
POST   /api/auth/login                200 200 200 200 200  200 200   200    -    -    -    -
POST   /api/auth/refresh-token        401 401 401 401 401  200 200   200  403  403  403  403
POST   /api/auth/logout               200 200 200 200 200  200 200   200  403  403  403  403
POST   /api/auth/logout-all           401 401 401 401 401  200 200   200    -    -    -    -
GET    /api/auth/csrf-token           200 200 200 200 200  200 200   200    -    -    -    -
GET    /api/auth/sessions             401 401 401 401 401  200 200   200    -    -    -    -
DELETE /api/auth/sessions/{id}        401 401 401 401 401  200 200   200  404  404  404  404
POST   /api/auth/change-password      401 401 401 401 401  200 200   200    -    -    -    -
GET    /api/public-data               200 200 200 200 200  200 200   200    -    -    -    -
GET    /api/profile                   401 401 401 401 401  200 200   200    -    -    -    -
PATCH  /api/profile                   401 401 401 401 401  200 200   200    -    -    -    -
GET    /api/users                     401 401 401 401 401  403 403   200    -    -    -    -
GET    /api/users/{id}                401 401 401 401 401  403 200   200  403  200  200  200
PUT    /api/users/{id}                401 401 401 401 401  403 200   200  403  200  200  403
DELETE /api/users/{id}                401 401 401 401 401  403 403   200  403  403  200  403
PUT    /api/users/{id}/role           401 401 401 401 401  403 403   200  403  403  200  403
GET    /api/users/{id}/permissions    401 401 401 401 401  403 403   200  403  403  200  403
PUT    /api/users/{id}/permissions    401 401 401 401 401  403 403   200  403  403  200  403
GET    /api/roles                     401 401 401 401 401  403 403   200    -    -    -    -
PUT    /api/roles/{name}              401 401 401 401 401  403 403   200    -    -    -    -
DELETE /api/roles/{name}              401 401 401 401 401  403 403   200    -    -    -    -
GET    /api/keys                      401 401 401 401 401  403 403   200    -    -    -    -
POST   /api/keys/rotate               401 401 401 401 401  403 403   200    -    -    -    -
POST   /api/keys/{kid}/retire         401 401 401 401 401  403 403   200    -    -    -    -
GET    /.well-known/jwks.json         200 200 200 200 200  200 200   200    -    -    -    -
GET    /api/audit-events              401 401 401 401 401  403 403   200    -    -    -    -
GET    /healthz                       200 200 200 200 200  200 200   200    -    -    -    -
GET    /readyz                        200 200 200 200 200  200 200   200    -    -    -    -
GET    /metrics                       401 401 401 401 401  403 403   200    -    -    -    -
GET    /authward.js                   200 200 200 200 200  200 200   200    -    -    -    -
GET    /docs                          200 200 200 200 200  200 200   200    -    -    -    -
GET    /docs/docs.js                  200 200 200 200 200  200 200   200    -    -    -    -
GET    /docs/docs.css                 200 200 200 200 200  200 200   200    -    -    -    -
GET    /docs/swagger-ui-bundle.js     200 200 200 200 200  200 200   200    -    -    -    -
GET    /docs/swagger-ui.css           200 200 200 200 200  200 200   200    -    -    -    -
GET    /openapi.json                  200 200 200 200 200  200 200   200    -    -    -    -
"""
# What a 401 says: of the access token, and on the route whose credential is the cookie.
SAYS = {
    "no": ("missing_token", "missing_refresh_token"),
    "exp": ("token_expired", "refresh_token_expired"),
    "tam": ("invalid_token", "invalid_refresh_token"),
    "rev": ("token_revoked", "invalid_refresh_token"),
    "dis": ("token_revoked", "invalid_refresh_token"),
}
BY_COOKIE = {"/api/auth/refresh-token", "/api/auth/logout"}
BODIES: dict[str, Any] = {
    "POST /api/auth/register": {"name": "Ada", "password": PASSWORD},  # and an address of its own
    "POST /api/auth/login": {"password": PASSWORD},  # and the address of one who may
    "POST /api/auth/change-password": {"currentPassword": PASSWORD, "newPassword": PASSWORD + "!"},
    "PATCH /api/profile": {"name": "Renamed"},
    "PUT /api/users/{id}": {"name": "Renamed"},
    "PUT /api/users/{id}/role": {"role": "moderator", "additionalRoles": ["user"]},
    "PUT /api/users/{id}/permissions": {"permissions": ["read:reports"]},
    "POST /api/keys/rotate": {"ring": "csrf"},
    "POST /api/keys/{kid}/retire": {},
    "PUT /api/roles/{name}": {"permissions": ["read:reports"], "includes": ["user"]},
}
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
Cells = dict[str, dict[str, int]]


def stated() -> Cells:
    """Method and path → who → status."""
    found: Cells = {}
    head, *lines = TABLE.strip().splitlines()
    assert head.split() == WHO
    for line in lines:
        method, path, *cells = line.split()
        row = dict(zip(WHO, cells, strict=True))
        assert f"{method} {path}" not in found
        found[f"{method} {path}"] = {who: int(cell) for who, cell in row.items() if cell != "-"}
    return found


ROWS = stated()


@dataclass
class People:
    """Those who come, made when they are needed, and made anew after a request that worked on what
    is theirs.
    """

    here: Here
    known: dict[str, Account] = field(default_factory=dict)

    async def one(self, who: str) -> Account:
        if who not in self.known:
            make: dict[str, Callable[[], Awaitable[Account]]] = {
                "exp": self._expired,
                "tam": self._tampered,
                "rev": self._revoked,
                "dis": self._disabled,
                "mod": lambda: self.here.register(role="moderator"),
                "admin": lambda: self.here.register(role="admin"),
            }
            self.known[who] = await make.get(who, self.here.register)()
        return self.known[who]

    async def session(self, who: str) -> str:
        account = await self.one(who)
        live = await self.here.services.sessions.list(account.id)
        return str(live[0].id) if live else "no-such-session-any-more"

    async def _expired(self) -> Account:
        away = 8 * 86400
        self.here.clock.turn(-away)
        account = await self.here.register(role="admin")
        self.here.clock.turn(away)
        return account

    async def _tampered(self) -> Account:
        account = await self.here.register(role="admin")
        account.bearer = {"authorization": f"Bearer {forged(account.access)}"}
        account.cookie = forged(account.cookie)
        return account

    async def _revoked(self) -> Account:
        account = await self.here.register(role="admin")
        await self.here.send("POST", "/api/auth/logout-all", headers=account.bearer)
        return account

    async def _disabled(self) -> Account:
        account = await self.here.register(role="admin")
        await self.here.services.users.set_disabled(None, account.id, True, OPERATOR)
        return account


def forged(token: str) -> str:
    """The same claims under a signature that is not ours."""
    head, claims, signature = token.split(".")
    return ".".join((head, claims, ("B" if signature[0] == "A" else "A") + signature[1:]))


def whose(who: str) -> tuple[str, str]:
    """Who comes, and whose object they ask for."""
    return {
        "no": ("no", "stranger"),
        "o-us": ("user", "stranger"),
        "o-mo": ("mod", "stranger"),
        "o-ad": ("admin", "stranger"),
        "m-ad": ("mod", "admin"),
    }.get(who, (who, who))


@dataclass
class Cell:
    """One request of the table."""

    route: str
    who: str

    async def ask(self, people: People) -> tuple[int, str]:
        here = people.here
        method, path = self.route.split()
        actor, owner = whose(self.who)
        caller = None if actor == "no" else await people.one(actor)
        headers = {} if caller is None else dict(caller.bearer)
        if path in BY_COOKIE and caller is not None:
            # Another's cookie comes with a token that proves one's own page, not theirs.
            theirs = await people.one(owner)
            headers = {"cookie": f"refreshToken={theirs.cookie}", "x-csrf-token": caller.csrf}
        if "{id}" in path:
            of_session = path.startswith("/api/auth/sessions")
            found = await people.session(owner) if of_session else (await people.one(owner)).id
            path = path.replace("{id}", found)
        if "{name}" in path:
            path = path.replace("{name}", name := f"r{token_hex(4)}")
            await here.services.roles.put(None, name, ["read:nothing"], [], OPERATOR)
        if "/api/keys" in path:
            await publish_long_ago(here.services)
            path = path.replace("{kid}", await key_past(here.services))
        request: dict[str, Any] = {"headers": headers}
        if self.route in BODIES:
            request["json"] = dict(BODIES[self.route])
        if path == "/api/auth/register":
            request["json"]["email"] = new_email()
        if path == "/api/auth/login":
            request["json"]["email"] = (await people.one("stranger")).email
        answer = await here.send(method, path, **request)
        if method != "GET" and answer.is_success:
            # Signed out, renamed, deleted: no good for the next cell.
            for used in {actor, owner}:
                people.known.pop(used, None)
        is_json = answer.headers["content-type"] == "application/json"
        return error_of(answer) if is_json and path != "/openapi.json" else (answer.status_code, "")

    def expected(self) -> tuple[int, str]:
        status = ROWS[self.route][self.who]
        by_cookie = self.route.split()[1] in BY_COOKIE
        if status == 401:
            return status, SAYS[self.who][by_cookie]
        codes = {403: "csrf_failed" if by_cookie else "forbidden", 404: "not_found"}
        return status, codes.get(status, "")


def cells() -> Iterator[Cell]:
    return (Cell(route, who) for route, row in ROWS.items() for who in row)


async def test_every_cell(here: Here) -> None:
    # Whatever the admins of the table do to each other, one more is there: the last one is
    # refused for a reason of its own.
    await here.register(role="admin")
    people = People(here)
    wrong = {}
    for cell in cells():
        got = await cell.ask(people)
        if got != cell.expected():
            wrong[cell.route, cell.who] = got, cell.expected()
    assert wrong == {}


async def test_no_other_method_does_anything(here: Here) -> None:
    """HTTP verb tampering (CWE-650): what is not in the table is 405 for everybody."""
    people = People(here)
    wrong = {}
    allowed: dict[str, set[str]] = {}
    for route in ROWS:
        method, path = route.split()
        allowed.setdefault(path, set()).add(method)
    for path, methods in allowed.items():
        for method in {*METHODS, "TRACE", "PROPFIND", "QUERY"} - methods:
            for who in ("no", "rev", "admin"):
                headers = {} if who == "no" else (await people.one(who)).bearer
                concrete = path.replace("{id}", (await people.one("stranger")).id)
                concrete = concrete.replace("{kid}", "no-key-of-ours")
                answer = await here.send(
                    method,
                    concrete.replace("{name}", "moderator"),
                    headers=headers,
                )
                told = set(answer.headers.get("allow", "").split(", ")) - {"HEAD", "OPTIONS"}
                if (answer.status_code, told) != (405, methods):
                    wrong[method, path, who] = answer.status_code, told
    assert wrong == {}


async def test_the_table_is_complete(here: Here) -> None:
    found = [*walk(here.auth.asgi()).found, *walk(Router(here.auth.routes())).found]
    served = {f"{method} {one.path}" for one in found for method in (one.methods or (one.how,))}
    ours = {f"{one.method} {one.path}" for one in ENDPOINTS}
    assert ours <= served
    assert served - ROWS.keys() == set(), "these routes have no row"
    assert ROWS.keys() - served == set(), "these rows have no route"
    for route, row in ROWS.items():
        one_of_somebody = "{id}" in route or route.split()[1] in BY_COOKIE
        assert set(row) == (set(WHO) if one_of_somebody else set(WHO[:8])), route


@pytest.mark.parametrize("who", ["no", "user", "admin"])
async def test_what_is_no_route_is_not_found(here: Here, who: str) -> None:
    headers = {} if who == "no" else (await People(here).one(who)).bearer
    for path in (
        "/",
        "/api",
        "/api/",
        "/api/user",
        "/api/users/",
        "/api//users",
        "/api/users/x/y",
        "/API/users",
        "/api/users%2f",
        "/api/users/%2e%2e/roles",
        "/docs/",
        "/docs/%2e%2e/docs.html",
    ):
        for method in METHODS:
            answer = await here.send(method, path, headers=headers)
            assert answer.status_code == 404, (method, path)
