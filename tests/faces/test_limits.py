"""The general limit of the server: exact, told, and not for those who look after it."""

from collections.abc import Callable

from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from authward import Authward
from authward.middleware import Policy, RateLimit
from authward.testing import access_token, as_user
from tests.faces.serving import EVIL, PAGE, serving

Make = Callable[..., Authward]
HEALTH = ("/healthz", "/readyz", "/metrics")


async def test_the_hundred_and_first_request(in_production: Make) -> None:
    auth = in_production(rate_limit="100/15m")
    async with serving(auth, auth.asgi()) as client:
        for left in range(99, -1, -1):
            # What is refused for another reason, or found nowhere, takes a place too.
            path = ("/api/public-data", "/api/profile", "/nowhere")[left % 3]
            answer = await client.get(path)
            assert answer.status_code == (200, 401, 404)[left % 3]
            assert answer.headers["ratelimit-policy"] == "100;w=900"
            assert answer.headers["ratelimit-limit"] == "100"
            assert answer.headers["ratelimit-remaining"] == str(left)
            assert 890 < int(answer.headers["ratelimit-reset"]) <= 900
        refused = await client.get("/api/public-data", headers={"origin": PAGE})
        health = [await client.get(path) for path in HEALTH * 2]
        preflight = await client.options(
            "/api/profile", headers={"origin": PAGE, "access-control-request-method": "PUT"}
        )
        stranger = await client.get("/api/public-data", headers={"host": "evil.example"})
    assert refused.status_code == 429
    told = refused.json()
    assert told.pop("timestamp").endswith("Z")
    assert told == {
        "statusCode": 429,
        "message": "Too many requests, please try again later",
        "error": "rate_limited",
        "path": "/api/public-data",
    }
    assert refused.headers["ratelimit-remaining"] == "0"
    assert refused.headers["retry-after"] == refused.headers["ratelimit-reset"]
    # A page can see why, and until when.
    assert refused.headers["access-control-allow-origin"] == PAGE
    assert "Retry-After" in refused.headers["access-control-expose-headers"]
    assert [answer.status_code for answer in health] == [200, 200, 401] * 2
    assert not any("ratelimit-limit" in answer.headers for answer in health)
    # Neither a browser's own question nor what is for another host is counted.
    assert preflight.status_code == 204
    assert stranger.status_code == 400


async def test_an_app_behind_it_is_counted_with_our_routes(in_production: Make) -> None:
    app = FastAPI()
    app.add_api_route("/things", lambda: "thing")
    auth = in_production(rate_limit="3/15m", rate_limit_headers="draft-11")
    auth.install(app)
    async with serving(auth, app) as client:
        answers = [
            await client.get(path) for path in ("/things", "/api/public-data", "/things", "/things")
        ]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    told = [answer.headers["ratelimit"] for answer in answers]
    assert told[0].startswith('"default";r=2;t=')
    assert told[3].startswith('"default";r=0;t=')
    assert "ratelimit-remaining" not in answers[0].headers


async def test_a_refused_origin_takes_a_place(in_production: Make) -> None:
    """Or a page could make its visitors ask as often as it likes."""
    auth = in_production(rate_limit="2/15m")
    async with serving(auth, auth.asgi(), origin=EVIL) as client:
        answers = [(await client.post("/api/auth/login", json={})).status_code for _ in range(3)]
    assert answers == [403, 403, 429]


async def test_who_is_refused_by_a_limit_is_written_down(in_production: Make) -> None:
    auth = in_production(rate_limit="2/15m")
    async with serving(auth, auth.asgi()) as client:
        statuses = [(await client.get("/api/public-data")).status_code for _ in range(5)]
        await auth.services.refusals.flush(all_of_it=True)
        rows = await auth.services.store.audit.latest(10)
    assert statuses == [200, 200, 429, 429, 429]
    denied = [row.event.detail for row in rows if row.event.kind == "access.denied"]
    # One row for all of a minute, or two where the first had been written already.
    assert sum(int(detail["count"]) for detail in denied) == 3
    assert {detail["error"] for detail in denied} == {"rate_limited"}


async def test_a_limit_of_the_app_tells_its_users_apart(auth: Authward) -> None:
    app = FastAPI()
    app.add_api_route("/things", lambda: "thing")
    app.add_middleware(RateLimit, Policy("2/1m", by="principal"))
    auth.install(app)
    async with serving(auth, app, host="localhost") as client:
        assert (await client.get("/api/public-data")).status_code == 200
        for _ in range(3):
            with as_user(auth) as caller:
                token = access_token(auth, caller)
            bearer = {"authorization": f"Bearer {token}"}
            answers = [await client.get("/things", headers=bearer) for _ in range(3)]
            assert [one.status_code for one in answers] == [200, 200, 429]
            assert [one.headers["ratelimit-remaining"] for one in answers] == ["1", "0", "0"]
        # Who brings no good token is one client, whatever is made up.
        strangers = [{}, {"authorization": "Bearer junk"}, {"authorization": "Bearer a.b.c"}]
        answers = [await client.get("/things", headers=one) for one in strangers]
        assert [one.status_code for one in answers] == [200, 200, 429]


async def test_what_an_app_says_of_itself_stands(in_production: Make) -> None:
    own = [(b"x-request-id", b"mine"), (b"ratelimit-limit", b"7"), (b"RateLimit-Reset", b"9")]

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": own})
        await send({"type": "http.response.body", "body": b""})

    auth = in_production(rate_limit="100/15m")
    async with serving(auth, auth.wrap(app)) as client:
        answer = await client.get("/")
    assert answer.headers.get_list("x-request-id") == ["mine"]
    assert answer.headers.get_list("ratelimit-limit") == ["7"]
    assert answer.headers.get_list("ratelimit-reset") == ["9"]
    assert answer.headers.get_list("ratelimit-remaining") == ["99"]
