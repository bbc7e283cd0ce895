"""Who sits on the network is any page of plain http, and acts with the visitor's cookies
(CVE-2025-24358 is that of a CSRF filter; "Exploiting CORS misconfigurations", PortSwigger, 2016).

In production no such page counts, whichever way an app lets it in.
"""

import secrets
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from authward import Authward
from authward.core.cors import CorsPolicy
from authward.errors import ConfigurationError

PLAIN, SAFE = "http://app.example.com", "https://app.example.com"
SOCKET = "wss://api.example.com/x"


def made(folder: Path, policy: CorsPolicy, **settings: Any) -> Authward:
    return Authward(
        env="production",
        public_url="https://api.example.com",
        secret=secrets.token_hex(32),
        database_url=f"sqlite:///{folder}/a.db",
        cors=policy,
        **settings,
    )


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    while scope["type"] == "lifespan":
        kind = (await receive())["type"]
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.close", "code": 1000})


@pytest.mark.parametrize(
    ("policy", "named"),
    [
        (CorsPolicy([SAFE, PLAIN]), PLAIN),
        (CorsPolicy([PLAIN], credentials=False), PLAIN),
        (CorsPolicy(subdomains_of=["http://localhost"]), "http://localhost"),
    ],
)
def test_a_policy_that_names_one_does_not_start(
    tmp_path: Path, policy: CorsPolicy, named: str
) -> None:
    https = named.replace("http", "https")
    with pytest.raises(
        ConfigurationError, match=f"cors: '{named}' is plain http.*Did you mean '{https}'"
    ):
        made(tmp_path, policy)
    made(tmp_path, policy, dangerously_plain_http=True)


@pytest.mark.parametrize("plain_http", [False, True])
def test_one_that_a_function_lets_in_has_no_cookie_route_and_no_socket(
    tmp_path: Path, plain_http: bool
) -> None:
    policy = CorsPolicy(allow=lambda origin: True)
    auth = made(tmp_path, policy, dangerously_plain_http=plain_http)
    with TestClient(auth.wrap(app), base_url="https://api.example.com") as client:
        answer = client.post(
            "/api/auth/register",
            json={"email": "a@example.com", "password": "long walks by", "name": "A"},
        )
        assert answer.status_code == 201
        for origin, trusted in ((PLAIN, plain_http), (SAFE, True)):
            headers = {"origin": origin, "sec-fetch-site": "cross-site"}
            refreshed = client.post("/api/auth/refresh-token", headers=headers)
            assert (refreshed.status_code == 200) is trusted
            read = client.get("/api/profile", headers=headers)
            assert ("access-control-allow-origin" in read.headers) is trusted
            if trusted:
                with client.websocket_connect(SOCKET, headers=headers):
                    pass
            else:
                with (
                    pytest.raises(WebSocketDisconnect),
                    client.websocket_connect(SOCKET, headers=headers),
                ):
                    pass


def test_one_that_reads_what_everybody_may_read_still_does(tmp_path: Path) -> None:
    policy = CorsPolicy(["*"], credentials=False, dangerously_allow_any_origin=True)
    auth = made(tmp_path, policy)
    with TestClient(auth.asgi(), base_url="https://api.example.com") as client:
        read = client.get("/api/profile", headers={"origin": PLAIN})
    assert read.headers["access-control-allow-origin"] == "*"
