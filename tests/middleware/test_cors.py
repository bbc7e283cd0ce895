"""CORS around any ASGI app: who may read, who may send, and what preflights are told."""

import itertools
from typing import Any

import httpx2
import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from authward.middleware.cors import CORS
from authward.testing import TurnableClock
from tests.http.serving import served
from tests.middleware.driving import Answer, drive, http_scope
from tests.pages import examples

PAGE = examples("docs/cors.md")
APP, OWN, EVIL = "https://app.example.com", "https://api.example.com", "https://evil.example"
ASKS = "access-control-request-method"
CORS_HEADER = b"access-control-"


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Says what it was asked, and varies by something of its own."""
    headers = [(b"vary", b"Accept-Encoding"), (b"x-method", scope["method"].encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"read"})


async def untouched(scope: Scope, receive: Receive, send: Send) -> None:
    pytest.fail("the app was asked")


async def ask(app: ASGIApp, method: str, origin: str | None, **headers: str) -> Answer:
    given = [] if origin is None else [(b"origin", origin.encode("latin-1"))]
    given += [(k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()]
    return await drive(app, http_scope(method, "/x", given))


def cors_of(answer: Answer) -> dict[str, str]:
    return {k.decode(): v.decode() for k, v in answer.headers if k.startswith(CORS_HEADER)}


# --- the whole table ------------------------------------------------------------------------------

GRANTED, PASSES, REFUSED = "headers and the app", "the app alone", "403"
ORIGINS = {
    None: "none",
    APP: "allowed",
    "HTTPS://APP.example.com:443": "allowed",
    OWN: "own",
    "HTTPS://Api.example.com:443": "own",
    EVIL: "foreign",
    "null": "foreign",
    "": "foreign",
    "*": "foreign",
    "http://app.example.com": "foreign",
    "https://app.example.com/": "foreign",
    "\xff": "foreign",
}
METHODS = ["GET", "HEAD", "OPTIONS", "TRACE", "POST", "PUT", "PATCH", "DELETE", "QUERY", "get", ""]


def expected(kind: str, method: str) -> str:
    if kind == "allowed":
        return GRANTED
    safe = method in ("GET", "HEAD", "OPTIONS", "TRACE")
    return PASSES if safe or kind != "foreign" else REFUSED


@pytest.mark.parametrize(("origin", "method"), list(itertools.product(ORIGINS, METHODS)))
async def test_the_whole_table(origin: str | None, method: str):
    app = CORS(echo, origins=[APP], own=[OWN])
    answer = await ask(app, method, origin)
    wanted = expected(ORIGINS[origin], method)
    assert b"Origin" in answer.header(b"vary")
    if wanted == REFUSED:
        assert (answer.status, answer.error) == (403, "origin_not_allowed")
        assert answer.header(b"vary") == [b"Accept", b"Origin"]
    else:
        assert (answer.status, answer.body) == (200, b"read")
        assert answer.header(b"x-method") == [method.encode()]
        assert answer.header(b"vary") == [b"Accept-Encoding", b"Origin"]
    granted = {
        "access-control-allow-origin": APP,
        "access-control-allow-credentials": "true",
        "access-control-expose-headers": (
            "RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset, Retry-After"
        ),
    }
    assert cors_of(answer) == (granted if wanted == GRANTED else {})


# --- preflights -----------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["POST", "GET", "TRACE", "anything"])
async def test_a_preflight_costs_nothing(method: str):
    answer = await ask(CORS(untouched, origins=[APP]), "OPTIONS", APP, **{ASKS: method})
    assert answer.status == 204
    assert (answer.body, answer.received) == (b"", 0)
    assert answer.headers == [
        (b"vary", b"Origin"),
        (b"access-control-allow-origin", APP.encode()),
        (b"access-control-allow-credentials", b"true"),
        (b"access-control-allow-methods", b"GET, POST, PUT, PATCH, DELETE"),
        (b"access-control-allow-headers", b"Content-Type, Authorization, X-CSRF-Token"),
        (b"access-control-max-age", b"600"),
    ]


@pytest.mark.parametrize("origin", [EVIL, "null", OWN])
async def test_a_refused_preflight_says_nothing(origin: str):
    app = CORS(untouched, origins=[APP], own=[OWN])
    answer = await ask(app, "OPTIONS", origin, **{ASKS: "POST"})
    assert (answer.status, answer.headers) == (204, [(b"vary", b"Origin")])


async def test_other_options_go_to_the_app():
    app = CORS(echo, origins=[APP])
    assert (await ask(app, "OPTIONS", APP)).body == b"read"
    assert (await ask(app, "OPTIONS", None, **{ASKS: "POST"})).body == b"read"
    assert (await ask(app, "POST", APP, **{ASKS: "POST"})).body == b"read"


async def test_a_private_network_is_told_where_it_is_switched_on_and_asked_for():
    asks = {ASKS: "GET", "access-control-request-private-network": "true"}
    told = "access-control-allow-private-network"
    on = CORS(untouched, origins=[APP], private_network=True)
    assert cors_of(await ask(on, "OPTIONS", APP, **asks))[told] == "true"
    assert told not in cors_of(await ask(on, "OPTIONS", APP, **{ASKS: "GET"}))
    assert cors_of(await ask(on, "OPTIONS", EVIL, **asks)) == {}
    off = CORS(untouched, origins=[APP])
    assert told not in cors_of(await ask(off, "OPTIONS", APP, **asks))


# --- options --------------------------------------------------------------------------------------


async def test_options_reach_the_policy():
    app = CORS(
        echo,
        origins=[APP],
        subdomains_of=["https://example.org"],
        allow=lambda origin: origin == "https://tenant.example",
        credentials=False,
        methods=["GET"],
        allowed_headers=["X-One"],
        exposed_headers=["ETag"],
        max_age=5,
    )
    for origin in (APP, "https://a.example.org", "https://tenant.example"):
        assert cors_of(await ask(app, "POST", origin)) == {
            "access-control-allow-origin": origin,
            "access-control-expose-headers": "ETag",
        }
        assert cors_of(await ask(app, "OPTIONS", origin, **{ASKS: "GET"})) == {
            "access-control-allow-origin": origin,
            "access-control-allow-methods": "GET",
            "access-control-allow-headers": "X-One",
            "access-control-max-age": "5",
        }
    assert (await ask(app, "POST", "https://example.org")).status == 403


async def test_any_origin():
    app = CORS(echo, origins=["*"], credentials=False, dangerously_allow_any_origin=True)
    assert cors_of(await ask(app, "POST", EVIL))["access-control-allow-origin"] == "*"
    refused = await ask(app, "POST", "null")
    assert (refused.status, cors_of(refused)) == (403, {})


async def test_a_question_that_fails_lets_nobody_in():
    def allow(origin: str) -> bool:
        raise LookupError(origin)

    with pytest.raises(LookupError):
        await ask(CORS(untouched, allow=allow), "GET", EVIL)


async def test_own_origins_may_be_known_as_they_come():
    class Own:
        def __contains__(self, origin: object) -> bool:
            return origin == OWN

    app = CORS(echo, own=Own())
    assert (await ask(app, "POST", "HTTPS://API.example.com")).status == 200
    assert (await ask(app, "POST", "null")).status == 403


async def test_report_only_lets_it_go_on_and_grants_nothing(caplog: pytest.LogCaptureFixture):
    app = CORS(echo, origins=[APP], report_only=True)
    answer = await ask(app, "POST", EVIL)
    assert (answer.body, cors_of(answer)) == (b"read", {})
    assert app.reports.counts == {"cors": 1}
    assert "cors would refuse POST /x with origin_not_allowed: origin https://evil" in caplog.text
    assert (await ask(app, "POST", APP)).status == 200
    assert (await ask(app, "GET", EVIL)).status == 200
    assert app.reports.counts == {"cors": 1}


async def test_the_time_of_a_refusal_is_the_clocks():
    clock = TurnableClock()
    clock.turn(-clock.now())
    answer = await ask(CORS(untouched, clock=clock), "POST", EVIL)
    assert b'"timestamp":"1970-01-01T00:00:0' in answer.body


# --- what a header can do -------------------------------------------------------------------------


@pytest.mark.parametrize("pair", [(APP, APP), (APP, EVIL), (EVIL, APP)])
async def test_two_origins_are_none(pair: tuple[str, str]):
    headers = [(b"origin", one.encode()) for one in pair]
    for kind in ("http", "websocket"):
        scope = {**http_scope("POST", "/", headers), "type": kind}
        if kind == "http":
            answer = await drive(CORS(untouched, origins=[APP]), scope)
            assert (answer.status, cors_of(answer)) == (403, {})
        else:
            assert await handshake(scope) == [{"type": "websocket.close", "code": 1008}]


async def test_the_apps_message_is_not_changed():
    message: Message = {"type": "http.response.start", "status": 200, "headers": ()}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(message)
        await send({"type": "http.response.body"})

    answer = await ask(CORS(app), "GET", None)
    assert answer.headers == [(b"vary", b"Origin")]
    assert message["headers"] == ()


async def test_what_is_no_request_goes_straight_on():
    seen: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append((scope, receive, send))

    scope, receive, send = {"type": "lifespan"}, object(), object()
    await CORS(app)(scope, receive, send)  # type: ignore[arg-type]
    assert seen == [(scope, receive, send)]


# --- WebSockets -----------------------------------------------------------------------------------


async def handshake(scope: Scope, **options: Any) -> list[Message]:
    """What a WebSocket is answered that the app would accept."""
    sent: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    await CORS(app, origins=[APP], own=[OWN], **options)(scope, receive, send)
    return sent


@pytest.mark.parametrize("origin", list(ORIGINS))
async def test_a_websocket_is_opened_by_its_own_pages_alone(origin: str | None):
    headers = [] if origin is None else [(b"origin", origin.encode("latin-1"))]
    scope = {"type": "websocket", "path": "/", "headers": headers}
    refused = ORIGINS[origin] == "foreign"
    wanted = {"type": "websocket.close", "code": 1008} if refused else {"type": "websocket.accept"}
    assert await handshake(scope) == [wanted]
    assert await handshake(scope, report_only=True) == [{"type": "websocket.accept"}]


# --- on the wire ----------------------------------------------------------------------------------


async def lively(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        return await send({"type": "lifespan.shutdown.complete"})
    await echo(scope, receive, send)


def test_on_a_real_socket():
    with served(CORS(lively, origins=[APP])) as url, httpx2.Client(base_url=url) as client:
        asks = {"origin": APP, ASKS: "PUT", "access-control-request-headers": "content-type"}
        preflight = client.options("/", headers=asks)
        assert (preflight.status_code, preflight.content) == (204, b"")
        assert preflight.headers["vary"] == "Origin"
        assert preflight.headers["access-control-allow-origin"] == APP
        # RFC 9110 section 8.6.
        assert not {"content-length", "transfer-encoding"} & preflight.headers.keys()
        # The connection goes on.
        refused = client.post("/", headers={"origin": EVIL}, json={})
        assert (refused.status_code, refused.json()["error"]) == (403, "origin_not_allowed")
        assert not [name for name in refused.headers if name.startswith("access-control-")]
        allowed = client.post("/", headers={"origin": APP}, json={})
        assert (allowed.text, allowed.headers["access-control-allow-origin"]) == ("read", APP)


async def test_the_examples_of_its_page_run():
    names: dict[str, Any] = {"__name__": "pasted"}
    exec(PAGE["CORS python"], names)
    exec(PAGE["More than a list python"], names)
    first, second = names["app"], names["tenants"]
    assert cors_of(await ask(first, "GET", "https://app.example.com"))
    assert (await ask(first, "POST", "https://api.example.com")).status == 200
    assert (await ask(first, "POST", EVIL)).status == 403
    assert cors_of(await ask(second, "GET", "https://ada.example.net"))
    assert cors_of(await ask(second, "GET", "https://shop.ada.example"))
    assert (await ask(second, "POST", "https://example.net")).status == 403
