"""Every kind of token in every place that takes one: it opens its own alone.

ASVS 9.2.2, RFC 8725 sections 3.11 and 3.12, RFC 9068 section 4. The places are read from the table
of routes, so that a new route is in the matrix from its first day.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import pytest
from starlette.types import Receive, Scope, Send
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from authward import Authward
from authward.core.bearer import SUBPROTOCOL
from authward.core.csrf import csrf_token
from authward.core.jose import payload_segment
from authward.core.keys import Key
from authward.http.endpoint import Endpoint
from authward.http.routes import ENDPOINTS, METRICS
from tests.here import Here, Serve
from tests.middleware.listening import listening
from tests.minting import compact
from tests.planting import ALGORITHMS, new_key, plant, sign
from tests.serving import PASSWORD, REFRESH, SECRET, Account, error_of, new_email, refresh_headers

PLACES = [*ENDPOINTS, METRICS]
BEARER = [one for one in PLACES if one.who == "user"]
ANYONE = [one for one in PLACES if one.who == "anyone"]
LOGOUT = "/api/auth/logout"
# Typ of other purposes, of other issuers' tokens, and of what comes later.
FOREIGN_TYPES = ["JWT", "at+JWT", "application/at+jwt", "id+jwt", "logout+jwt", "dpop+jwt"]
FOREIGN_TYPES += ["mfa+jwt", "reset+jwt", "csrf+jwt", "secevent+jwt"]
INVALID, EXPIRED = (401, "invalid_token"), (401, "token_expired")
BAD_COOKIE, OLD_COOKIE = (401, "invalid_refresh_token"), (401, "refresh_token_expired")


@dataclass
class Mint:
    """A server, its keys, and every kind of token for somebody."""

    here: Here
    access: Key
    refresh: Key
    csrf: Key

    def kinds(self, account: Account) -> dict[str, str]:
        """Name → token. The first three are genuine, all but the last ones signed with our keys."""
        at = {"alg": self.access.algorithm, "typ": "at+jwt", "kid": self.access.kid}
        rt = {"alg": "HS256", "typ": "rt+jwt", "kid": self.refresh.kid}
        of_access, of_refresh = payload_segment(account.access), payload_segment(account.cookie)
        session = msgspec.json.decode(of_access)["sid"]
        past = int(self.here.clock.now()) - 1

        def access(key: Key = self.access, **changes: Any) -> str:
            return sign(key, compact(at), with_claims(of_access, changes))

        def refresh(key: Key = self.refresh, **changes: Any) -> str:
            return sign(key, compact(rt), with_claims(of_refresh, changes))

        found = {
            "access": account.access,
            "refresh": account.cookie,
            "csrf": account.csrf,
            "access, expired": access(iat=past - 900, exp=past),
            "access of another issuer": access(iss="https://evil.example"),
            "access for another audience": access(aud="another-api"),
            "refresh, expired": refresh(iat=past - 900, exp=past),
            "refresh of another issuer": refresh(iss="https://evil.example"),
            "access claims, typ of refresh": sign(self.access, with_typ(at, "rt+jwt"), of_access),
            "refresh claims, typ of access": sign(self.refresh, with_typ(rt, "at+jwt"), of_refresh),
            "access claims by the refresh key": sign(self.refresh, compact(rt), of_access),
            "refresh claims by the access key": sign(self.access, compact(at), of_refresh),
            "access by the refresh key": access(self.refresh),
            "refresh by the access key": refresh(self.access),
            "access by the CSRF key": access(self.csrf),
            "refresh by the CSRF key": refresh(self.csrf),
            "csrf by the refresh key": csrf_token(self.refresh.material, session),
            "csrf of another session": csrf_token(self.csrf.material, "another-session"),
            "session id": session,
            "access of another server": access(replace(foreign(self.access), kid=self.access.kid)),
            "refresh of another server": refresh(foreign(self.refresh)),
        }
        for typ in FOREIGN_TYPES:
            found[f"access, {typ}"] = sign(self.access, with_typ(at, typ), of_access)
            found[f"refresh, {typ}"] = sign(self.refresh, with_typ(rt, typ), of_refresh)
        assert len(set(found.values())) == len(found)
        return found


def with_typ(header: dict[str, Any], typ: str) -> bytes:
    return compact({**header, "typ": typ})


def with_claims(payload: bytes, changes: dict[str, Any]) -> bytes:
    return compact({**msgspec.json.decode(payload), **changes})


def foreign(key: Key) -> Key:
    """Another's secret under our kid; of a pair, an HMAC secret will do for one nobody has."""
    return replace(new_key("HS256"), kid=key.kid)


@pytest.fixture(params=ALGORITHMS)
async def mint(request: pytest.FixtureRequest, serve_on: Serve, sqlite_database: str) -> Mint:
    keys = new_key(request.param), new_key("HS256", "refresh"), new_key("HS256", "csrf")
    await plant(sqlite_database, *keys)
    return Mint(await serve_on(sqlite_database), *keys)


def path_of(endpoint: Endpoint) -> str:
    return endpoint.path.replace("{id}", "nobody").replace("{name}", "nothing")


async def ask(here: Here, endpoint: Endpoint, **headers: str) -> tuple[int, str]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = await here.send(endpoint.method, path_of(endpoint), headers=named)
    is_json = answer.headers["content-type"] == "application/json"
    return error_of(answer) if is_json else (answer.status_code, "")


async def alive(here: Here, account: Account) -> bool:
    return (await here.refresh(account)).status_code == 200


async def test_as_a_bearer_only_an_access_token_opens_anything(mint: Mint) -> None:
    here = mint.here
    kinds = mint.kinds(await here.register(role="admin"))
    wrong = {}
    for endpoint in BEARER:
        for kind, token in kinds.items():
            if kind == "access":
                continue
            got = await ask(here, endpoint, authorization=f"Bearer {token}")
            if got != (EXPIRED if kind == "access, expired" else INVALID):
                wrong[endpoint.method, endpoint.path, kind] = got
    assert wrong == {}
    # And each route is one that the real token opens: what it then finds is another matter.
    for endpoint in BEARER:
        account = await here.register(role="admin")
        status, _ = await ask(here, endpoint, **account.bearer)
        assert status not in (401, 403), endpoint.path


async def test_in_no_other_place_does_any_token_open_a_bearer_route(mint: Mint) -> None:
    here = mint.here
    kinds = mint.kinds(await here.register(role="admin"))
    wrong = {}
    for endpoint in BEARER:
        for kind, token in kinds.items():
            places = {
                "cookie": f"refreshToken={token}; accessToken={token}; token={token}",
                "x_csrf_token": token,
                "x_access_token": token,
                "x_authorization": f"Bearer {token}",
                "proxy_authorization": f"Bearer {token}",
            }
            got = await ask(here, endpoint, **places)
            if got != (401, "missing_token"):
                wrong[endpoint.method, endpoint.path, kind] = got
    assert wrong == {}


async def test_as_the_cookie_only_a_refresh_token_refreshes(mint: Mint) -> None:
    account = await mint.here.register()
    wrong = {}
    for kind, token in mint.kinds(account).items():
        got = error_of(await mint.here.refresh(account, token))
        meant = {"refresh": (200, ""), "refresh, expired": OLD_COOKIE}.get(kind, BAD_COOKIE)
        if got != meant:
            wrong[kind] = got
    assert wrong == {}


async def test_as_a_bearer_none_refreshes(mint: Mint) -> None:
    account = await mint.here.register()
    headers = {"x-csrf-token": account.csrf}
    for kind, token in mint.kinds(account).items():
        bearer = {**headers, "authorization": f"Bearer {token}"}
        got = error_of(await mint.here.send("POST", REFRESH, headers=bearer))
        assert got == (401, "missing_refresh_token"), kind


@pytest.mark.parametrize("path", [REFRESH, LOGOUT])
async def test_as_the_csrf_token_only_that_one_counts(mint: Mint, path: str) -> None:
    account = await mint.here.register()
    wrong = {}
    for kind, token in mint.kinds(account).items():
        headers = {**refresh_headers(account), "x-csrf-token": token}
        if kind != "csrf":
            got = error_of(await mint.here.send("POST", path, headers=headers))
            if got != (403, "csrf_failed"):
                wrong[kind] = got
    assert wrong == {}
    answer = await mint.here.send("POST", path, headers=refresh_headers(account))
    assert answer.status_code == 200


async def test_signing_out_ends_a_session_for_its_own_tokens_alone(mint: Mint) -> None:
    """The answer says nothing: a broken cookie is cleared. The session tells."""
    here = mint.here
    ends = {("cookie", "refresh"), ("cookie", "refresh, expired")}
    ends |= {("bearer", "access"), ("bearer", "access, expired")}
    names = mint.kinds(await here.register())
    wrong = {}
    for place in ("cookie", "bearer"):
        for kind in names:
            account = await here.register()
            token = mint.kinds(account)[kind]
            headers = {"x-csrf-token": account.csrf}
            if place == "cookie":
                headers["cookie"] = f"refreshToken={token}"
            else:
                headers["authorization"] = f"Bearer {token}"
            assert (await here.send("POST", LOGOUT, headers=headers)).status_code == 200
            if await alive(here, account) is ((place, kind) in ends):
                wrong[place, kind] = "wrongly judged"
    assert wrong == {}


async def test_for_anyone_a_token_changes_nothing(mint: Mint) -> None:
    """Nor does one that is for something else refuse what is open to all, or end a session."""
    here = mint.here
    account = await here.register(role="admin")
    kinds = mint.kinds(account)
    wrong = {}
    for endpoint in ANYONE:
        without = await ask(here, endpoint)
        for kind, token in kinds.items():
            for place in (
                {"authorization": f"Bearer {token}"},
                {"cookie": f"refreshToken={token}; csrfToken={token}"},
                {"x_csrf_token": token},
            ):
                got = await ask(here, endpoint, **place)
                if got != without:
                    wrong[endpoint.path, kind, *place] = got
    assert wrong == {}
    assert await alive(here, account)


SIGN_IN: dict[str, Callable[[Here, Account, dict[str, str]], Awaitable[Any]]] = {
    "login": lambda here, account, headers: here.send(
        "POST",
        "/api/auth/login",
        json={"email": account.email, "password": PASSWORD},
        headers=headers,
    ),
    "register": lambda here, account, headers: here.send(
        "POST",
        "/api/auth/register",
        json={"email": new_email(), "password": PASSWORD, "name": "Ada"},
        headers=headers,
    ),
}


@pytest.mark.parametrize("way", SIGN_IN)
async def test_signing_in_ends_what_the_cookie_is_of_and_nothing_else(mint: Mint, way: str) -> None:
    here = mint.here
    wrong = {}
    for kind in mint.kinds(await here.register()):
        account = await here.register()
        token = mint.kinds(account)[kind]
        for place in ({"authorization": f"Bearer {token}"}, {"cookie": f"refreshToken={token}"}):
            answer = await SIGN_IN[way](here, account, place)
            assert answer.status_code in (200, 201), (kind, answer.text)
            ended = "cookie" in place and kind in ("refresh", "refresh, expired")
            if await alive(here, account) is ended:
                wrong[kind, *place] = "wrongly judged"
    assert wrong == {}


async def test_the_csrf_token_of_a_session_is_told_to_its_cookie_alone(mint: Mint) -> None:
    here = mint.here
    account = await here.register()
    told = set()
    for kind, token in mint.kinds(account).items():
        for place in (
            {"authorization": f"Bearer {token}"},
            {"cookie": f"refreshToken={token}"},
            {"cookie": f"csrfToken={token}"},
        ):
            answer = await here.send("GET", "/api/auth/csrf-token", headers=place)
            assert answer.status_code == 200
            if answer.json()["data"]["csrfToken"] == account.csrf:
                told.add((kind, *place.values()))
    right = {"refresh", "refresh, expired"}
    assert {kind for kind, _ in told} == right
    assert all(place.startswith("refreshToken=") for _, place in told)


async def test_a_websocket_opens_to_an_access_token_alone(mint: Mint, sqlite_database: str) -> None:
    auth = Authward(database_url=sqlite_database, secret=SECRET, clock=mint.here.clock)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        auth.principal(scope)
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": 1000})

    account = await mint.here.register()
    await auth.startup()
    opened = set()
    async with listening(auth.wrap(app)) as port:
        for kind, token in mint.kinds(account).items():
            places: dict[str, dict[str, Any]] = {
                "subprotocol": {"subprotocols": [SUBPROTOCOL, token]},
                "cookie": {"additional_headers": {"Cookie": f"refreshToken={token}"}},
                "query": {},
            }
            for place, options in places.items():
                query = f"?access_token={token}&token={token}" if place == "query" else ""
                with suppress(InvalidStatus):
                    async with connect(f"ws://localhost:{port}/{query}", **options) as socket:
                        await socket.wait_closed()
                        opened.add((place, kind, socket.close_code))
    await auth.shutdown()
    assert opened == {("subprotocol", "access", 1000)}


def test_the_matrix_is_complete() -> None:
    """A route of a new kind of caller, or another one that goes by the cookie, needs its test."""
    assert {one.who for one in PLACES} == {"user", "anyone", "cookie"}
    assert {one.path for one in PLACES if one.who == "cookie"} == {REFRESH, LOGOUT}
    assert len(BEARER) > 15
