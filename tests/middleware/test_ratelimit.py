"""Rate limits around any ASGI app: policies, headers, refusals; and over real sockets."""

import asyncio
import gc
import json
import logging
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import httpx2
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from authward.core.clients import ClientRule
from authward.core.limits import Decision, Limit, SlidingWindows
from authward.core.principal import Principal
from authward.errors import ConfigurationError, Unavailable
from authward.middleware.policies import Policy
from authward.middleware.ratelimit import RateLimit
from authward.testing import TurnableClock
from tests.http.serving import served
from tests.middleware.driving import Answer, Header, drive, http_scope
from tests.middleware.listening import listening, request

ADA = Principal("ada", "ada@example.com", "user", frozenset(), "s")


class Clock(TurnableClock):
    """Stands still until it is turned, its monotonic time too."""

    def now(self) -> float:
        return 1_700_000_000 + self._turned

    def monotonic(self) -> float:
        return 1000 + self._turned


class Page:
    """An app that answers with what it is told, and counts."""

    def __init__(self, status: int = 200, headers: tuple[Header, ...] = ()) -> None:
        self.status = status
        self.headers = headers
        self.reached = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.reached += 1
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept", "headers": list(self.headers)})
        else:
            start = {"type": "http.response.start", "status": self.status}
            await send({**start, "headers": iter(self.headers)})
            await send({"type": "http.response.body", "body": b"page"})


def limited(*policies: Policy | str, app: ASGIApp | None = None, **options: Any) -> RateLimit:
    options.setdefault("clock", Clock())
    return RateLimit(app or Page(), *policies, **options)


async def ask(
    app: ASGIApp, host: str | None = "192.0.2.1", method: str = "GET", path: str = "/", **more: Any
) -> Answer:
    client = None if host is None else (host, 4711)
    headers = more.pop("headers", ())
    return await drive(app, http_scope(method, path, headers, client=client, **more))


async def statuses(app: ASGIApp, times: int, *args: Any, **more: Any) -> list[int]:
    return [(await ask(app, *args, **more)).status for _ in range(times)]


async def later(scope: Scope) -> bool:
    return True


async def handshake(app: ASGIApp, host: str = "192.0.2.1") -> list[Message]:
    scope = {"type": "websocket", "path": "/", "headers": [], "client": (host, 1)}
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent


def told(answer: Answer) -> dict[bytes, bytes]:
    named = [pair for pair in answer.headers if b"ratelimit" in pair[0]]
    assert len(dict(named)) == len(named)
    return dict(named)


# --- refusals -----------------------------------------------------------------------------------


async def test_a_hundred_in_fifteen_minutes_without_a_word():
    page, clock = Page(), Clock()
    app = RateLimit(page, clock=clock)
    assert await statuses(app, 102) == [200] * 100 + [429] * 2
    assert page.reached == 100
    clock.turn(899)
    assert await statuses(app, 1) == [429]
    clock.turn(1)
    assert await statuses(app, 1) == [200]


async def test_a_refusal_is_an_envelope_that_says_when():
    app = limited("1/15m")
    await ask(app)
    answer = await ask(app, path="/api/x")
    assert (answer.status, answer.error) == (429, "rate_limited")
    body = json.loads(answer.body)
    assert (body["statusCode"], body["path"]) == (429, "/api/x")
    assert answer.header(b"retry-after") == [b"900"]
    assert answer.header(b"cache-control") == [b"no-store"]
    headers = [(b"accept", b"application/problem+json")]
    problem = await ask(app, headers=headers)
    assert problem.header(b"content-type") == [b"application/problem+json"]
    assert problem.error == "rate_limited"


async def test_the_wait_is_rounded_up_and_at_least_a_second():
    clock = Clock()
    app = limited("1/15m", clock=clock)
    await ask(app)
    for turned, wait in [(0.5, b"900"), (0.5, b"899"), (898.5, b"1"), (0.4, b"1")]:
        clock.turn(turned)
        assert (await ask(app)).header(b"retry-after") == [wait]
    clock.turn(0.1)
    assert (await ask(app)).status == 200


async def test_clients_are_apart():
    app = limited("1/15m")
    for host in ("192.0.2.1", "192.0.2.2", None, "2001:db8::1", "2001:db8:0:100::1"):
        assert await statuses(app, 2, host) == [200, 429]
    assert await statuses(app, 1, "2001:db8:0:ff::1") == [429]


async def test_a_handshake_counts_and_is_refused():
    app = limited("2/15m")
    assert [one["type"] for one in await handshake(app)] == ["websocket.accept"]
    assert await statuses(app, 1) == [200]
    assert await handshake(app) == [{"type": "websocket.close", "code": 1008}]
    assert await statuses(app, 1) == [429]


async def test_an_accepted_handshake_says_where_its_client_stands():
    accepted = (await handshake(limited("2/15m")))[0]
    assert (b"ratelimit-remaining", b"1") in accepted["headers"]


async def test_other_scopes_pass_untouched():
    seen: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append((scope, receive, send))

    given: Any = ({"type": "lifespan"}, object(), object())
    await limited("1/15m", app=app)(*given)
    assert seen == [given]


async def test_an_exception_passes_and_keeps_its_place():
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise ZeroDivisionError

    limiting = limited(Policy("1/15m", skip_successful=True), app=app)
    with pytest.raises(ZeroDivisionError):
        await ask(limiting)
    assert await statuses(limiting, 1) == [429]


async def test_twenty_tasks_at_once_get_as_many_as_there_are():
    page = Page()
    app = limited("100/15m", app=page)

    async def storm() -> int:
        count = 0
        for _ in range(10):
            count += (await ask(app)).status == 200
            await asyncio.sleep(0)
        return count

    assert sum(await asyncio.gather(*(storm() for _ in range(20)))) == 100
    assert page.reached == 100


# --- headers ------------------------------------------------------------------------------------


async def test_draft_6_by_default():
    clock = Clock()
    app = limited("2/15m", clock=clock)
    assert told(await ask(app)) == {
        b"ratelimit-policy": b"2;w=900",
        b"ratelimit-limit": b"2",
        b"ratelimit-remaining": b"1",
        b"ratelimit-reset": b"900",
    }
    clock.turn(100.5)
    assert told(await ask(app))[b"ratelimit-reset"] == b"800"
    refused = told(await ask(app))
    assert (refused[b"ratelimit-remaining"], refused[b"ratelimit-reset"]) == (b"0", b"800")


async def test_the_newest_draft():
    app = limited(Policy("2/15m", name="sign-in"), headers="draft-11")
    assert told(await ask(app)) == {
        b"ratelimit-policy": b'"sign-in";q=2;w=900',
        b"ratelimit": b'"sign-in";r=1;t=900',
    }


async def test_no_headers():
    app = limited("1/15m", headers=None)
    assert told(await ask(app)) == {}
    refused = await ask(app)
    assert told(refused) == {}
    assert refused.header(b"retry-after") == [b"900"]


async def test_what_the_app_sends_stays():
    app = limited("2/15m", app=Page(201, ((b"set-cookie", b"a"), (b"set-cookie", b"b"))))
    answer = await ask(app)
    assert (answer.status, answer.body) == (201, b"page")
    assert answer.header(b"set-cookie") == [b"a", b"b"]


async def test_of_two_around_each_other_the_inner_one_tells():
    inner = limited("5/1m")
    answer = told(await ask(limited("9/15m", app=inner)))
    assert answer[b"ratelimit-policy"] == b"5;w=60"


# --- policies -----------------------------------------------------------------------------------


async def test_paths_exact_and_by_prefix():
    app = limited(Policy("1/15m", paths=["/login", "/api/*"]))
    assert [(await ask(app, path=path)).status for path in ("/login", "/login")] == [200, 429]
    assert (await ask(app, path="/api/x")).status == 429
    for path in ("/", "/login/x", "/api", "/logins"):
        answer = await ask(app, path=path)
        assert (answer.status, told(answer)) == (200, {})


async def test_methods():
    app = limited(Policy("1/15m", methods=["post", "GET"]))
    assert [(await ask(app, method=one)).status for one in ("PUT", "POST", "PUT")] == [200] * 3
    assert [(await ask(app, method=one)).status for one in ("POST", "GET", "HEAD")] == [429] * 3
    assert await handshake(app) == [{"type": "websocket.close", "code": 1008}]


async def test_by_principal():
    app = limited(Policy("1/15m", by="principal"))
    ada: dict[str, Any] = {"authward.principal": ADA}
    bob: dict[str, Any] = {"authward.principal": replace(ADA, id="bob")}
    assert [(await ask(app, host, **ada)).status for host in ("192.0.2.1", "192.0.2.2")] == [
        200,
        429,
    ]
    assert (await ask(app, **bob)).status == 200
    # Nobody has signed in: the client.
    assert await statuses(app, 2) == [200, 429]
    assert await statuses(app, 1, "192.0.2.3") == [200]


async def test_by_a_function():
    def tenant(scope: Scope) -> str | None:
        return dict(scope["headers"]).get(b"x-tenant", b"").decode("latin-1") or None

    app = limited(Policy("1/15m", by=tenant))
    one: dict[str, Any] = {"headers": [(b"x-tenant", b"one")]}
    assert await statuses(app, 2, "192.0.2.1", **one) == [200, 429]
    assert await statuses(app, 1, "192.0.2.2", **one) == [429]
    assert await statuses(app, 2, "192.0.2.1") == [200, 429]
    # A tenant that calls itself an address is none.
    forged: dict[str, Any] = {"headers": [(b"x-tenant", b"192.0.2.2")]}
    assert await statuses(app, 1, "192.0.2.9", **forged) == [200]
    assert await statuses(app, 1, "192.0.2.2") == [200]


async def test_long_keys_are_kept_short_and_apart():
    app = limited(Policy("1/15m", by=lambda scope: scope["query_string"].decode("latin-1")))
    long = b"x" * 100_000
    for query in (long + b"1", long + b"2", b"\xff" * 65, b"y" * 64):
        assert await statuses(app, 2, query_string=query) == [200, 429]
    table: Any = app._rules[0].take
    assert max(len(key) for key in table.__self__._table) <= 67


async def test_costs():
    app = limited(Policy("5/15m", cost=2))
    assert await statuses(app, 3) == [200, 200, 429]
    app = limited(Policy("5/15m", cost=lambda scope: int(scope["query_string"])))
    for cost, status, left in [(b"0", 200, None), (b"4", 200, b"1"), (b"2", 429, b"1")]:
        answer = await ask(app, query_string=cost)
        assert (answer.status, told(answer).get(b"ratelimit-remaining")) == (status, left)


@pytest.mark.parametrize("shared", [False, True])
async def test_a_cost_that_never_fits_is_refused(
    shared: bool, caplog: pytest.LogCaptureFixture
) -> None:
    options: dict[str, Any] = {"limiter": Shared()} if shared else {}
    reports: dict[str, Any] = {"report_only": True, "name": "reports"}
    costly: Any = {"cost": lambda scope: float(scope["query_string"])}
    app = limited(Policy("5/15m", **costly), Policy("4/15m", **costly, **reports), **options)
    for cost in (b"6", b"1e99", b"inf"):
        refused = await ask(app, query_string=cost)
        assert (refused.status, refused.error) == (429, "rate_limited")
        assert refused.header(b"retry-after") == [b"900"]
        assert told(refused)[b"ratelimit-remaining"] == b"0"
    # They have taken no place. What only reports refuses none.
    assert (await ask(app, query_string=b"5")).status == 200
    assert app.reports.counts == {"rate_limit": 1}


@pytest.mark.parametrize(
    ("made", "places"),
    [(1.5, 2), (True, 1), (-3, 1), (-0.5, 1), (float("nan"), 1), ("4", 1), (None, 1), ([], 1)],
)
async def test_a_cost_that_is_none_takes_a_place(
    made: Any, places: int, caplog: pytest.LogCaptureFixture
):
    app = limited(Policy("5/15m", name="export", cost=lambda scope: made))
    for asked in (1, 2):
        assert told(await ask(app))[b"ratelimit-remaining"] == b"%d" % (5 - places * asked)
    useless = f"cost of 'export' made a useless {type(made).__name__}. The request takes 1 place"
    assert caplog.text.count(useless) == (0 if made in (1.5, True) else 1)


@pytest.mark.parametrize("made", [0, 0.0, False])
async def test_a_cost_of_nothing_is_not_counted(made: Any):
    answer = await ask(limited(Policy("5/15m", cost=lambda scope: made)))
    assert (answer.status, told(answer)) == (200, {})


@pytest.mark.parametrize("made", [None, "", object(), b"tenant", True, 1.5, ["a"]])
async def test_whose_it_is_when_a_function_names_nobody(
    made: Any, caplog: pytest.LogCaptureFixture
):
    app = limited(Policy("1/15m", by=lambda scope: made))
    assert await statuses(app, 2) == [200, 429]
    assert await statuses(app, 1, "192.0.2.2") == [200]
    useless = f"by of 'default' made a useless {type(made).__name__}. The request is counted by"
    assert caplog.text.count(useless) == (1 if made else 0)


@pytest.mark.parametrize("by", ["principal", "function"])
async def test_numbers_and_uuids_name_somebody(by: Any):
    if by == "function":
        by = lambda scope: scope["authward.principal"].id  # noqa: E731
    app = limited(Policy("1/15m", by=by))
    for one in (0, 7, UUID(int=7), UUID(int=8)):
        caller: dict[str, Any] = {"authward.principal": SimpleNamespace(id=one)}
        assert await statuses(app, 2, **caller) == [200, 429]
        assert await statuses(app, 1, "192.0.2.2", **caller) == [429]


async def test_by_whoever_an_admission_knows():
    class Admission:
        def peek(self, scope: Scope) -> Principal | None:
            name = dict(scope["headers"]).get(b"authorization", b"").decode()
            return replace(ADA, id=name) if name else None

    app = limited(Policy("1/15m", by="principal"))
    known: dict[str, Any] = {}
    for name in (b"ada", b"bob"):
        known = {"authward": Admission(), "headers": [(b"authorization", name)]}
        assert await statuses(app, 2, **known) == [200, 429]
        assert await statuses(app, 1, "192.0.2.2", **known) == [429]
    # Whoever was authenticated goes before. A stranger is the client, and so is everybody where
    # that key holds something else.
    eve = {**known, "authward.principal": replace(ADA, id="eve")}
    assert await statuses(app, 2, **eve) == [200, 429]
    assert await statuses(app, 2, authward=Admission()) == [200, 429]
    assert await statuses(app, 1, "192.0.2.2", authward="else") == [200]


# --- below a mount ------------------------------------------------------------------------------


def route(path: str) -> Route:
    return Route(path, lambda request: PlainTextResponse("page"))


def test_paths_in_a_mounted_app():
    inner = Starlette(routes=[route("/login"), route("/other")])
    inner.add_middleware(RateLimit, Policy("1/15m", paths=["/login"]))
    client = TestClient(Starlette(routes=[Mount("/api", inner)]))
    assert [client.get("/api/login").status_code for _ in range(2)] == [200, 429]
    assert [client.get("/api/other").status_code for _ in range(2)] == [200, 200]


@pytest.mark.parametrize("asked", ["/v1/login", "/login"])
def test_paths_under_a_root_path(asked: str):
    """Of a server that leaves the prefix in the path, and of a proxy that cuts it off."""
    app = FastAPI()
    app.add_api_route("/login", lambda: "page")
    app.add_middleware(RateLimit, Policy("1/15m", paths=["/login"]))
    client = TestClient(app, root_path="/v1")
    assert [client.get(asked).status_code for _ in range(2)] == [200, 429]


async def test_paths_around_the_mount_are_those_the_client_asked_for():
    app = limited(Policy("1/15m", paths=["/api/login"]))
    assert await statuses(app, 2, path="/api/login") == [200, 429]
    assert await statuses(app, 1, path="/api/login", root_path="") == [429]


async def test_a_slash_at_the_end_is_another_path():
    app = limited(Policy("1/15m", paths=["/login"]))
    assert await statuses(app, 2, path="/login/") == [200, 200]
    assert await statuses(limited(Policy("1/15m", paths=["/login*"])), 2, path="/login/") == [
        200,
        429,
    ]


async def test_skip_and_allow():
    app = limited(
        Policy("1/15m", skip=lambda scope: scope["path"] == "/health", allow=["10.0.0.0/8"])
    )
    assert await statuses(app, 3, path="/health") == [200] * 3
    assert await statuses(app, 3, "10.1.1.1") == [200] * 3
    assert await statuses(app, 3, "::ffff:10.1.1.1") == [200] * 3
    assert await statuses(app, 2) == [200, 429]
    assert await statuses(app, 2, None) == [200, 429]


async def _internal(scope: Scope) -> bool:
    return False


@pytest.mark.parametrize(
    ("skip", "kind"),
    [
        # A plain function may return a coroutine all the same.
        pytest.param(lambda scope: _internal(scope), "coroutine", id="a coroutine"),
        pytest.param(lambda scope: _internal, "function", id="a function that nobody called"),
        pytest.param(lambda scope: "no", "str", id="a text"),
    ],
)
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
async def test_what_only_counts_as_true_skips_nothing(
    skip: Any, kind: str, caplog: pytest.LogCaptureFixture
):
    app = limited(Policy("2/15m", skip=skip))
    assert await statuses(app, 3) == [200, 200, 429]
    assert caplog.text.count(f"skip of 'default' made a useless {kind}. The request is") == 1
    gc.collect()  # the coroutine's warning, while it is ignored


@pytest.mark.parametrize("nothing", [None, False, "", 0])
async def test_what_counts_as_false_skips_nothing_in_silence(
    nothing: Any, caplog: pytest.LogCaptureFixture
):
    app = limited(Policy("1/15m", skip=lambda scope: nothing))
    assert await statuses(app, 2) == [200, 429]
    assert caplog.text == ""


async def test_deny():
    page = Page()
    app = limited(Policy("5/15m", deny=["192.0.2.0/24"]), app=page)
    denied = await ask(app)
    assert (denied.status, denied.error, told(denied)) == (403, "forbidden", {})
    assert await handshake(app) == [{"type": "websocket.close", "code": 1008}]
    assert page.reached == 0
    assert await statuses(app, 1, "192.0.3.1") == [200]


async def test_deny_goes_by_the_client_behind_the_proxy():
    app = limited(
        Policy("5/15m", deny=["192.0.2.0/24"]), clients=ClientRule(trusted_proxies=["10.0.0.1"])
    )
    said: dict[str, Any] = {"headers": [(b"x-forwarded-for", b"192.0.2.1")]}
    assert await statuses(app, 1, "10.0.0.1", **said) == [403]
    assert await statuses(app, 1, "10.0.0.2", **said) == [200]


@pytest.mark.parametrize(("status", "third"), [(200, 200), (399, 200), (400, 429), (500, 429)])
async def test_a_success_gives_its_place_back(status: int, third: int):
    page = Page(status)
    app = limited(Policy("2/15m", skip_successful=True), app=page)
    assert await statuses(app, 2) == [status] * 2
    page.status = 200
    assert await statuses(app, 1) == [third]


async def test_an_accepted_handshake_gives_its_place_back():
    app = limited(Policy("1/15m", skip_successful=True))
    for _ in range(3):
        assert (await handshake(app))[0]["type"] == "websocket.accept"


# --- several ------------------------------------------------------------------------------------


async def test_each_must_have_room_and_the_nearest_end_is_told():
    clock = Clock()
    app = limited(Policy("4/1h", name="hourly"), Policy("2/1m", name="burst"), clock=clock)
    left = [told(await ask(app)) for _ in range(2)]
    assert [one[b"ratelimit-policy"] for one in left] == [b"2;w=60"] * 2
    refused = await ask(app)
    assert (refused.status, refused.header(b"retry-after")) == (429, [b"60"])
    clock.turn(60)
    assert [told(await ask(app))[b"ratelimit-remaining"] for _ in range(2)] == [b"1", b"0"]
    clock.turn(60)
    refused = await ask(app)
    assert (refused.status, refused.header(b"retry-after")) == (429, [b"3480"])
    assert told(refused)[b"ratelimit-policy"] == b"4;w=3600"


@pytest.mark.parametrize("order", [1, -1])
async def test_what_one_refuses_takes_no_place_in_another(order: int):
    clock = Clock()
    policies = Policy(Limit(4, 3600), name="hourly"), Policy("2/1m", name="burst")
    app = limited(*policies[::order], clock=clock)
    assert await statuses(app, 50) == [200] * 2 + [429] * 48
    clock.turn(60)
    assert await statuses(app, 50) == [200] * 2 + [429] * 48


async def test_of_two_refusals_the_longer_one_answers():
    app = limited(Policy("1/1m", name="a"), Policy("1/1h", name="b"))
    await ask(app)
    refused = await ask(app)
    assert refused.header(b"retry-after") == [b"3600"]
    assert told(refused)[b"ratelimit-policy"] == b"1;w=3600"


# --- report only --------------------------------------------------------------------------------


async def test_report_only_counts_and_logs_and_lets_through(caplog: pytest.LogCaptureFixture):
    app = limited("1/15m", report_only=True)
    with caplog.at_level(logging.WARNING):
        answers = [await ask(app, path="/a\nb") for _ in range(3)]
    assert [(one.status, told(one)) for one in answers] == [(200, {})] * 3
    assert app.reports.counts == {"rate_limit": 2}
    assert "rate_limit would refuse GET /a\\x0ab with rate_limited" in caplog.text


async def test_one_policy_reports_and_the_other_refuses():
    app = limited(
        Policy("1/15m", name="strict", report_only=True, deny=["192.0.2.7"]),
        Policy("3/15m", name="loose"),
    )
    assert await statuses(app, 4) == [200] * 3 + [429]
    assert app.reports.counts == {"rate_limit": 2}
    assert told(await ask(app, "192.0.2.2"))[b"ratelimit-limit"] == b"3"
    assert await statuses(app, 1, "192.0.2.7") == [200]
    assert app.reports.counts == {"rate_limit": 3}


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("style", ["draft-6", "draft-11"])
async def test_what_only_reports_is_not_told(style: Any, shared: bool):
    options: dict[str, Any] = {"limiter": Shared()} if shared else {}
    app = limited(
        Policy("1/15m", name="strict", report_only=True),
        Policy("3/1h", name="loose"),
        headers=style,
        **options,
    )
    answers = [await ask(app) for _ in range(4)]
    assert [one.status for one in answers] == [200] * 3 + [429]
    assert {told(one)[b"ratelimit-policy"] for one in answers} == {
        b"3;w=3600" if style == "draft-6" else b'"loose";q=3;w=3600'
    }
    assert answers[3].header(b"retry-after") == [b"3600"]


# --- a limiter over all processes ---------------------------------------------------------------


class Shared:
    """A limiter as a database or Redis would be one."""

    def __init__(self) -> None:
        self.tables: dict[Limit, SlidingWindows] = {}
        self.asked: list[tuple[str, int]] = []
        self.away = False

    async def take(self, key: str, limit: Limit, cost: int = 1) -> Decision:
        await asyncio.sleep(0)
        if self.away:
            raise Unavailable("no connection")
        self.asked.append((key, cost))
        return self.tables.setdefault(limit, SlidingWindows(limit)).take(key, 0, cost)


async def test_a_limiter_is_shared():
    shared = Shared()
    one, other = (limited("3/15m", limiter=shared) for _ in range(2))
    assert await statuses(one, 2) == [200] * 2
    assert await statuses(other, 2) == [200, 429]
    assert shared.asked == [("policy default 192.0.2.1", 1)] * 4
    assert told(await ask(one, "192.0.2.2"))[b"ratelimit-remaining"] == b"2"


async def test_what_the_first_policy_refuses_is_not_asked_of_the_next():
    shared = Shared()
    policies = Policy("1/15m", name="a"), Policy("5/15m", name="b", cost=2)
    app = limited(*policies, limiter=shared)
    assert await statuses(app, 2) == [200, 429]
    asked = [("policy a 192.0.2.1", 1), ("policy b 192.0.2.1", 2), ("policy a 192.0.2.1", 1)]
    assert shared.asked == asked


async def test_while_it_is_away_each_process_limits_by_itself(caplog: pytest.LogCaptureFixture):
    shared = Shared()
    app = limited("2/15m", limiter=shared)
    shared.away = True
    with caplog.at_level(logging.WARNING):
        assert await statuses(app, 4) == [200, 200, 429, 429]
    assert caplog.text.count("this process counts by itself: no connection") == 1
    shared.away = False
    assert await statuses(app, 3) == [200, 200, 429]
    shared.away = True
    with caplog.at_level(logging.WARNING):
        assert await statuses(app, 1) == [429]
    assert caplog.text.count("this process counts by itself") == 2


async def test_any_other_fault_lets_nobody_through():
    class Broken:
        async def take(self, key: str, limit: Limit, cost: int = 1) -> Decision:
            raise RuntimeError

    page = Page()
    with pytest.raises(RuntimeError):
        await ask(limited("2/15m", limiter=Broken(), app=page))
    assert page.reached == 0


# --- configuration ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "cure"),
    [
        (Policy("100"), "limit: '100' is not a limit. Write it like '100/15m'"),
        (Policy(5), "limit: 5 is no limit. Write it like '100/15m'"),  # type: ignore[arg-type]
        (Policy("1/1m", name=5), "name: '5' is not 1 to 64"),  # type: ignore[arg-type]
        (Policy("1/1m", paths=None), "paths: None is no list of texts"),  # type: ignore[arg-type]
        (Policy("1/1m", methods=[5]), "methods: .* no list of texts"),  # type: ignore[list-item]
        (Policy("1/1m", by=5), "by: 5 is unknown"),  # type: ignore[arg-type]
        (Policy("5/1m", cost=1.5), "cost: 1.5 is not in 1 to 5"),  # type: ignore[arg-type]
        (Policy("5/1m", cost=True), "cost: True is not in 1 to 5"),
        (Policy("5/1m", cost="2"), "cost: '2' is not in 1 to 5"),  # type: ignore[arg-type]
        (Policy("5/1m", skip="/x"), "skip: '/x' is no function"),  # type: ignore[arg-type]
        (Policy("5/1m", skip=later), "skip: is not awaited. Write def"),  # type: ignore[arg-type]
        (Policy("5/1m", by=later), "by: is not awaited. Write def"),  # type: ignore[arg-type]
        (Policy("5/1m", cost=later), "cost: is not awaited. Write def"),  # type: ignore[arg-type]
        (Policy("5/1m", report_only="false"), "report_only: 'false' is neither True nor False"),  # type: ignore[arg-type]
        (Policy("5/1m", report_only=0), "report_only: 0 is neither"),  # type: ignore[arg-type]
        (Policy("5/1m", skip_successful="no"), "skip_successful: 'no' .* Did you mean False"),  # type: ignore[arg-type]
        (Policy("5/1m", methods=["GETT"]), r"methods: 'GETT' is no HTTP method\. .* mean 'GET'"),
        (Policy("5/1m", methods=["POST", ""]), "methods: '' is no HTTP method. Take one that is"),
        (Policy("5/1m", allow=[0]), "allow: .* no list of texts"),  # type: ignore[list-item]
        (Policy("5/1m", skip=Page()), "skip: is not awaited. Write def"),  # type: ignore[arg-type]
        (Policy("5/1m", allow=["0.0.0.0/0"]), "allow: .* nothing would be limited. List your own"),
        (Policy("5/1m", allow=["10.0.0.1", "::/0"]), "allow: .* has every address of its kind"),
        (Policy("5/1m", allow=["::ffff:0:0/96"]), "allow: .* has every address of its kind"),
        (Policy("5/1m", allow=None), "allow: None is no list of texts"),  # type: ignore[arg-type]
        (Policy("0/15m"), "limit: a limit of 0 requests. Take 1 to 10000"),
        (Policy("off"), "limit: 'off' is none. Leave the policy out"),
        (Policy("1/1m", name='a"b'), "name: 'a\"b' is not 1 to 64 letters"),
        (Policy("1/1m", name=""), "Take 'sign-in'"),
        (Policy("1/1m", paths="/login"), r"Did you mean paths=\['/login'\]"),
        (Policy("1/1m", paths=["login"]), "paths: 'login' does not begin with a slash"),
        (Policy("1/1m", methods="POST"), r"Did you mean methods=\['POST'\]"),
        (Policy("1/1m", by="user"), "by: 'user' is unknown"),  # type: ignore[arg-type]
        (Policy("5/1m", cost=6), "cost: 6 is not in 1 to 5"),
        (Policy("5/1m", cost=0), "cost: 0 is not in 1 to 5"),
        (Policy("5/1m", allow=["10.0.0.1/8"]), "allow: .* Did you mean '10.0.0.0/8'"),
        (Policy("5/1m", deny="10.0.0.1"), r"deny: .* Did you mean deny=\['10.0.0.1'\]"),
    ],
)
def test_policies_that_cannot_be(policy: Policy, cure: str):
    with pytest.raises(ConfigurationError, match=cure):
        RateLimit(Page(), policy)


def test_options_that_cannot_be():
    one = Policy("1/1m", skip_successful=True)
    with pytest.raises(ConfigurationError, match=r"name: \['default', 'default'\] are not all"):
        RateLimit(Page(), one, one)
    with pytest.raises(ConfigurationError, match=r"skip_successful: .* Leave one of the two out"):
        RateLimit(Page(), one, limiter=Shared())
    with pytest.raises(ConfigurationError, match="headers: 'draft-7' is unknown"):
        RateLimit(Page(), headers="draft-7")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="most_keys: 1 is too few"):
        RateLimit(Page(), most_keys=1)
    with pytest.raises(ConfigurationError, match=r"policies: 5 is no policy. Write '100/15m' or"):
        RateLimit(Page(), 5)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match=r"clients: .* Write ClientRule\(trusted_proxies="):
        RateLimit(Page(), clients=["10.0.0.1"])  # type: ignore[arg-type]
    for off in ("no", 0, None):
        with pytest.raises(ConfigurationError, match=r"report_only: .* Did you mean False"):
            RateLimit(Page(), "1/1m", report_only=off)  # type: ignore[arg-type]
    for wrong in ("redis://127.0.0.1", Shared):
        with pytest.raises(ConfigurationError, match=r"limiter: .* has no method take"):
            RateLimit(Page(), limiter=wrong)  # type: ignore[arg-type]


def test_a_limiter_says_what_it_takes():
    class Small(Shared):
        most = 1000

    RateLimit(Page(), "1000/1m", limiter=Small())
    cure = "limit: 'big' has 5000 requests, and this limiter takes up to 1000. Take fewer, or"
    with pytest.raises(ConfigurationError, match=cure):
        RateLimit(Page(), "10/1m", Policy("5000/1m", name="big"), limiter=Small())
    RateLimit(Page(), "5000/1m", limiter=Shared())


async def test_a_text_is_a_policy():
    app = RateLimit(Page(), "2/15m", clock=Clock())
    assert await statuses(app, 3) == [200, 200, 429]
    with pytest.raises(ConfigurationError, match="limit: '2' is not a limit"):
        RateLimit(Page(), "2")


# --- a real server ------------------------------------------------------------------------------


def test_over_a_socket_the_sixth_is_refused():
    page = Starlette(routes=[Route("/", lambda request: PlainTextResponse("page"))])
    with served(RateLimit(page, Policy("5/15m"))) as url, httpx2.Client(base_url=url) as client:
        answers = [client.get("/") for _ in range(6)]
    assert [one.status_code for one in answers] == [200] * 5 + [429]
    left = [one.headers["RateLimit-Remaining"] for one in answers]
    assert left == ["4", "3", "2", "1", "0", "0"]
    refused = answers[5]
    assert refused.json()["error"] == "rate_limited"
    assert 890 <= int(refused.headers["Retry-After"]) <= 900
    assert [name for name in refused.headers if name.startswith("x-ratelimit")] == []


def test_as_a_middleware_of_starlette():
    page = Starlette(routes=[Route("/", lambda request: PlainTextResponse("page"))])
    page.add_middleware(RateLimit, Policy("1/15m"), headers="draft-11")
    with served(page) as url, httpx2.Client(base_url=url) as client:
        assert [client.get("/").status_code for _ in range(2)] == [200, 429]


async def test_over_a_socket_the_second_handshake_is_refused():
    lines = (
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    )
    async with listening(RateLimit(Page(), Policy("1/15m"))) as port:
        status, head = await request(port, *lines)
        assert status == 101
        assert "ratelimit-remaining: 0" in head
        assert (await request(port, *lines))[0] == 403
        assert (await request(port))[0] == 429
