"""Access tokens of an Authward server, verified in a service beside it."""

from pathlib import Path
from typing import Any

import httpx2
import pytest
from joserfc.jwk import OKPKey
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import WebSocketRoute
from starlette.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from authward.clock import SystemClock
from authward.core.keys import Key
from authward.core.principal import Principal
from authward.core.tokens import MAX_ACCESS_CHARS, mint
from authward.errors import ConfigurationError
from authward.middleware import bearer as module
from authward.middleware.bearer import PRINCIPAL, BearerAuth
from authward.testing import TurnableClock
from tests.http.serving import served
from tests.middleware.driving import Answer, drive, http_scope
from tests.minting import (
    ACCESS,
    NOW,
    POLICY,
    REFRESH,
    access_claims,
    access_ring,
    key,
    pkcs8,
)
from tests.pages import examples

PAGE = examples("docs/requests.md")
BEARER = "authward.bearer"
OTHER = key("c-key-of-ours", material=bytes(range(64, 96)))


@pytest.fixture
def clock() -> TurnableClock:
    """One at which the tokens of tests hold."""
    clock = TurnableClock()
    clock.turn(NOW + 1 - clock.now())
    return clock


async def whoami(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        return await send({"type": "lifespan.shutdown.complete"})
    caller = scope.get(PRINCIPAL)
    await PlainTextResponse("nobody" if caller is None else caller.id)(scope, receive, send)


def guarded(clock: TurnableClock, app: Any = whoami, **options: Any) -> BearerAuth:
    given: dict[str, Any] = {
        "keys": [ACCESS.key],
        "issuer": POLICY.issuer,
        "audience": POLICY.audience,
        "clock": clock,
    }
    return BearerAuth(app, **{**given, **options})


async def ask(app: BearerAuth, *tokens: str, path: str = "/", method: str = "GET") -> Answer:
    headers = [(b"authorization", f"Bearer {token}".encode("latin-1")) for token in tokens]
    return await drive(app, http_scope(method, path, headers))


def token_of(ring_key: Key = ACCESS.key, **claims: Any) -> str:
    return mint(access_claims(**claims), access_ring(ring_key).signing)


# --- requests -------------------------------------------------------------------------------------


async def test_a_valid_token_says_who_calls(clock: TurnableClock):
    seen: list[Principal] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["authward.principal"])
        await whoami(scope, receive, send)

    token = token_of(role="editor", permissions=("read:reports",))
    answer = await ask(guarded(clock, app), token)
    assert answer.body == b"user-0000000001"
    assert seen == [
        Principal(
            id="user-0000000001",
            email="ada@example.com",
            role="editor",
            permissions=frozenset({"read:reports"}),
            session_id="session-000000000001",
            version=3,
            auth_time=NOW - 60,
            expires_at=NOW + 900,
        )
    ]


async def test_a_role_grants_nothing_that_the_token_does_not_name(clock: TurnableClock):
    scope = http_scope(headers=[(b"authorization", b"Bearer " + token_of(role="admin").encode())])
    await drive(guarded(clock), scope)
    assert scope[PRINCIPAL].permissions == frozenset()


async def test_a_token_without_an_address(clock: TurnableClock):
    token = token_of(email=None)
    scope = http_scope(headers=[(b"authorization", b"bearer  " + token.encode())])
    await drive(guarded(clock), scope)
    assert scope[PRINCIPAL].email == ""


REFUSED = {
    "none": ([], "missing_token"),
    "another issuer": ([token_of(iss="https://evil.example")], "invalid_token"),
    "another audience": ([token_of(aud=POLICY.audience + "x")], "invalid_token"),
    "part of an audience": ([token_of(aud="api")], "invalid_token"),
    "another key": ([token_of(OTHER)], "invalid_token"),
    "a refresh token": ([REFRESH.token], "invalid_token"),
    "expired": ([token_of(iat=NOW - 900, exp=NOW)], "token_expired"),
    "from the future": ([token_of(iat=NOW + 3600, exp=NOW + 7200)], "invalid_token"),
    "alg none": ([ACCESS.forge(header={"alg": "none", "typ": "at+jwt"})], "invalid_token"),
    "another signature": ([ACCESS.token[:-4] + "AAAA"], "invalid_token"),
    "too long": (["a.b." + "c" * MAX_ACCESS_CHARS], "invalid_token"),
    "nonsense": (["\xff"], "invalid_token"),
    "two": ([ACCESS.token, ACCESS.token], "malformed_request"),
}


@pytest.mark.parametrize("method", ["GET", "OPTIONS", "POST"])
@pytest.mark.parametrize("case", REFUSED)
async def test_what_is_refused(case: str, method: str, clock: TurnableClock):
    async def untouched(scope: Scope, receive: Receive, send: Send) -> None:
        pytest.fail("the app was asked")

    tokens, code = REFUSED[case]
    answer = await ask(guarded(clock, untouched), *tokens, method=method)
    assert answer.error == code
    assert answer.header(b"cache-control") == [b"no-store"]
    challenge = b'Bearer realm="authward"'
    if code == "malformed_request":
        assert (answer.status, answer.header(b"www-authenticate")) == (400, [])
    elif code == "missing_token":
        assert (answer.status, answer.header(b"www-authenticate")) == (401, [challenge])
    else:
        assert answer.status == 401
        [told] = answer.header(b"www-authenticate")
        assert told.startswith(challenge + b', error="invalid_token", error_description="')


async def test_another_scheme_is_no_token(clock: TurnableClock):
    scope = http_scope(headers=[(b"authorization", b"Basic " + ACCESS.token.encode())])
    assert (await drive(guarded(clock), scope)).error == "missing_token"


async def test_a_token_is_verified_once_and_expires_all_the_same(
    clock: TurnableClock, monkeypatch: pytest.MonkeyPatch
):
    app = guarded(clock)
    assert (await ask(app, ACCESS.token)).status == 200
    with monkeypatch.context() as patched:
        patched.setattr(module, "check_access", lambda *_: pytest.fail("verified again"))
        assert (await ask(app, ACCESS.token)).status == 200
        clock.turn(900)
        assert (await ask(app, ACCESS.token)).error == "token_expired"
    assert (await ask(app, ACCESS.token)).error == "token_expired"
    assert len(app._known[1]) == 0


async def test_a_failure_is_not_remembered(clock: TurnableClock):
    app = guarded(clock)
    for _ in range(2):
        assert (await ask(app, ACCESS.token[:-4] + "AAAA")).error == "invalid_token"
    assert len(app._known[1]) == 0


# --- paths that need no token ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/health", 200),
        ("/static/app.js", 200),
        ("/static/a/b", 200),
        ("/static/.well-known", 200),
        ("/", 401),
        ("/Health", 401),
        ("/health/", 401),
        ("/healthy", 401),
        ("/x/health", 401),
        ("/static", 401),
        ("/static/../api/users", 401),
        ("/static/./x", 401),
        ("/static/..", 401),
        ("/static//api/users", 401),
        ("/static/\\..\\api", 401),
    ],
)
async def test_only_what_is_public_goes_without(path: str, status: int, clock: TurnableClock):
    app = guarded(clock, public=["/health", "/static/*"])
    answer = await ask(app, path=path)
    assert answer.status == status
    assert status == 401 or answer.body == b"nobody"
    assert (await ask(app, ACCESS.token, path=path)).status == 200


async def test_on_a_public_path_no_token_is_looked_at(clock: TurnableClock):
    app = guarded(clock, public=["/health"])
    for tokens in ([ACCESS.token], ["junk"], [ACCESS.token, "junk"]):
        assert (await ask(app, *tokens, path="/health")).body == b"nobody"


# --- keys -----------------------------------------------------------------------------------------


async def test_public_keys_of_the_server(clock: TurnableClock):
    private = key("ed-key-of-ours", algorithm="EdDSA", material=pkcs8("ed25519"))
    jwk = OKPKey.import_key(private.material).as_dict(private=False)
    app = guarded(clock, keys=[{**jwk, "kid": private.kid, "alg": "EdDSA", "use": "sig"}])
    assert (await ask(app, token_of(private))).status == 200
    assert (await ask(app, ACCESS.token)).error == "invalid_token"


async def test_keys_rotate_without_a_restart(clock: TurnableClock):
    app = guarded(clock)
    assert (await ask(app, ACCESS.token)).status == 200
    app.use_keys([ACCESS.key, OTHER])
    assert (await ask(app, ACCESS.token)).status == 200
    assert (await ask(app, token_of(OTHER))).status == 200
    app.use_keys([OTHER])
    # Remembered or not: the key is gone.
    assert (await ask(app, ACCESS.token)).error == "invalid_token"
    with pytest.raises(ConfigurationError):
        app.use_keys([])
    assert (await ask(app, token_of(OTHER))).status == 200


# --- WebSockets -----------------------------------------------------------------------------------


async def talk(socket: WebSocket) -> None:
    await socket.accept()
    async for text in socket.iter_text():
        await socket.send_text(f"{socket.scope[PRINCIPAL].id}: {text}")


CHAT = Starlette(routes=[WebSocketRoute("/", talk)])


def test_a_websocket_by_its_subprotocols(clock: TurnableClock):
    client = TestClient(guarded(clock, CHAT))
    with client.websocket_connect("/", subprotocols=[BEARER, ACCESS.token]) as socket:
        # The token is not echoed.
        assert socket.accepted_subprotocol == BEARER
        socket.send_text("hello")
        assert socket.receive_text() == "user-0000000001: hello"


@pytest.mark.parametrize(
    "subprotocols",
    [
        *(None, [], [BEARER], [ACCESS.token], [BEARER, "junk"], [BEARER, ACCESS.token, "x"]),
        *([BEARER, REFRESH.token], [ACCESS.token, BEARER], ["chat", ACCESS.token]),
    ],
)
def test_a_websocket_without_a_token(subprotocols: Any, clock: TurnableClock):
    client = TestClient(guarded(clock, CHAT))
    headers = {"authorization": f"Bearer {ACCESS.token}", "cookie": f"token={ACCESS.token}"}
    with (
        pytest.raises(WebSocketDisconnect) as refused,
        client.websocket_connect(
            f"/?access_token={ACCESS.token}", subprotocols=subprotocols, headers=headers
        ),
    ):
        pytest.fail("accepted")
    assert refused.value.code == 1008


def test_a_websocket_ends_with_its_token(clock: TurnableClock):
    client = TestClient(guarded(clock, CHAT))
    with client.websocket_connect("/", subprotocols=[BEARER, ACCESS.token]) as socket:
        clock.turn(900)
        with pytest.raises(WebSocketDisconnect) as ended:
            socket.receive_text()
    assert (ended.value.code, ended.value.reason) == (4401, "token_expired")


def test_a_websocket_ends_with_its_key(clock: TurnableClock):
    app = guarded(clock, CHAT)
    with TestClient(app).websocket_connect("/", subprotocols=[BEARER, ACCESS.token]) as socket:
        app.use_keys([OTHER])
        with pytest.raises(WebSocketDisconnect) as ended:
            socket.receive_text()
    assert (ended.value.code, ended.value.reason) == (4401, "invalid_token")


async def test_a_public_websocket(clock: TurnableClock):
    sent: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "websocket", "path": "/open", "headers": [], "subprotocols": []}
    await guarded(clock, app, public=["/open"])(scope, None, send)  # type: ignore[arg-type]
    assert sent == [{"type": "websocket.accept"}]


# --- beginnings -----------------------------------------------------------------------------------


async def test_what_is_no_request_goes_straight_on(clock: TurnableClock):
    seen: list[Any] = []

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append((scope, receive, send))

    scope, receive, send = {"type": "lifespan"}, object(), object()
    await guarded(clock, inner)(scope, receive, send)  # type: ignore[arg-type]
    assert seen == [(scope, receive, send)]


@pytest.mark.parametrize(
    ("options", "cure"),
    [
        ({"issuer": ""}, "issuer: missing. .*AUTHWARD_ISSUER"),
        ({"issuer": None}, "issuer: missing. "),
        ({"audience": ["authward"]}, r"audience: \['authward'\] is no text. .*AUTHWARD_AUDIENCE"),
        ({"audience": ""}, "audience: missing. .*AUTHWARD_AUDIENCE"),
        ({"keys": []}, "keys: there is none"),
        ({"public": "/health"}, "public: this is a text"),
        ({"public": ["health"]}, "public: .*Did you mean '/health'"),
        ({"public": ["/*"]}, "public: '/\\*' would let everybody in"),
    ],
)
def test_options_that_cannot_be_honoured_start_nothing(
    options: dict[str, Any], cure: str, clock: TurnableClock
):
    with pytest.raises(ConfigurationError, match=cure):
        guarded(clock, **options)


async def test_the_real_clock_is_the_default():
    app = BearerAuth(whoami, keys=[ACCESS.key], issuer=POLICY.issuer, audience=POLICY.audience)
    assert (await ask(app, token_of(iat=0, exp=1))).error == "token_expired"


def test_on_a_real_socket(clock: TurnableClock):
    with served(guarded(clock)) as url, httpx2.Client(base_url=url) as client:
        refused = client.get("/profile?token=x")
        assert (refused.status_code, refused.json()["error"]) == (401, "missing_token")
        assert refused.json()["path"] == "/profile"
        assert refused.headers["www-authenticate"] == 'Bearer realm="authward"'
        bearer = {"authorization": f"Bearer {ACCESS.token}"}
        assert client.get("/", headers=bearer).text == "user-0000000001"
        clock.turn(900)
        expired = client.get("/", headers=bearer)
        assert (expired.status_code, expired.json()["error"]) == (401, "token_expired")


async def test_the_examples_of_its_page_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    jwk = OKPKey.import_key(pkcs8("ed25519")).as_dict(private=False)
    published = {"keys": [{**jwk, "kid": "ed-key-of-ours", "alg": "EdDSA", "use": "sig"}]}
    (tmp_path / "jwks.json").write_bytes(httpx2.Response(200, json=published).content)
    names: dict[str, Any] = {"__name__": "pasted"}
    exec(PAGE["Hosts, request ids and bearer tokens python"], names)
    host = [(b"host", b"api.example.com")]
    answer = await drive(names["app"], http_scope(path="/health", headers=host))
    assert answer.status == 200
    assert len(answer.header(b"x-request-id")) == 1
    refused = await drive(names["app"], http_scope(path="/reports", headers=host))
    assert (refused.status, refused.error) == (401, "missing_token")
    assert (await drive(names["app"], http_scope(path="/health"))).status == 400
    now = int(SystemClock().now())
    ed = key("ed-key-of-ours", algorithm="EdDSA", material=pkcs8("ed25519"))
    for permissions, status in ((("read:reports",), 200), ((), 403)):
        token = token_of(
            ed, iss="authward", aud="authward", iat=now, exp=now + 9, permissions=permissions
        )
        headers = [*host, (b"authorization", f"Bearer {token}".encode())]
        answer = await drive(names["app"], http_scope(path="/reports", headers=headers))
        assert answer.status == status
