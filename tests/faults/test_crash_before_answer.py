"""A server killed after the commit and before the answer: the retry gets what the lost answer held."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pytest

from tests.serving import environment, refresh_cookie, refresh_headers, register, serving

REFRESH = "/api/auth/refresh-token"

# The server's own app, but its process is killed at the moment the first refresh is about to be answered.
KILLED_BEFORE_ANSWER = '''
import os, signal, sys
import uvicorn
from authward import Authward

inner = Authward().asgi()

async def app(scope, receive, send):
    async def dying(message):
        if scope.get("path") == "{path}" and message["type"] == "http.response.start":
            assert message["status"] < 300, message
            os.kill(os.getpid(), signal.SIGKILL)
        await send(message)
    await inner(scope, receive, dying)

uvicorn.run(app, port=int(sys.argv[1]), log_level="warning")
'''


def killed_while_answering(
    database_url: str, folder: Path, path: str, request: dict[str, object], **settings: object
) -> None:
    """Send one request to a server that dies, by SIGKILL, with the work done and nothing said."""
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED_BEFORE_ANSWER.replace("{path}", path), str(port)],
        env=environment(database_url, **settings),
        cwd=folder,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        end = time.monotonic() + 60
        while True:
            try:
                httpx2.get(f"{url}/healthz", timeout=5)
                break
            except httpx2.TransportError:
                assert time.monotonic() < end and process.poll() is None
                time.sleep(0.05)
        with pytest.raises(httpx2.TransportError):
            httpx2.post(f"{url}{path}", timeout=30, **request)  # type: ignore[arg-type]
        assert process.wait(20) == -signal.SIGKILL
    finally:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()


def test_retry_of_a_lost_refresh_gets_the_same_successor(database_url: str, tmp_path: Path) -> None:
    # The grace is long, so that the retry falls into it however slow the machine; the first rotation is due because
    # the session is made under a grace of nothing.
    with serving(database_url, tmp_path, refresh_grace="0s") as before, before.client() as client:
        account = register(client)
    time.sleep(0.01)
    killed_while_answering(
        database_url, tmp_path, REFRESH, {"headers": refresh_headers(account)}, refresh_grace="0s"
    )
    with serving(database_url, tmp_path, refresh_grace="300s") as after, after.client() as client:
        retries = [client.post(REFRESH, headers=refresh_headers(account)) for _ in range(3)]
        assert [answer.status_code for answer in retries] == [200, 200, 200]
        [successor] = {refresh_cookie(answer) for answer in retries}
        assert successor != account.cookie
        # And the successor is the live token, not one more rotation.
        again = client.post(REFRESH, headers=refresh_headers(account, successor))
        assert refresh_cookie(again) == successor


@pytest.mark.parametrize("path", ["/api/auth/register", "/api/auth/login", "/api/auth/logout"])
def test_a_kill_leaves_no_half_state(database_url: str, tmp_path: Path, path: str) -> None:
    """Register, login and logout killed before the answer: the account is whole, or the session is over."""
    with serving(database_url, tmp_path) as before, before.client() as client:
        account = register(client)
    body = {"email": account.email, "password": "correct horse battery", "name": "Ada"}
    if path.endswith("register"):
        body["email"] = f"second-{account.email}"
    request: dict[str, object] = {"json": body}
    if path.endswith("logout"):
        request = {"headers": refresh_headers(account)}
    killed_while_answering(database_url, tmp_path, path, request)
    with serving(database_url, tmp_path) as after, after.client() as client:
        answer = client.post("/api/auth/login", json=body)
        assert answer.status_code == 200, answer.text
        answer = client.post(REFRESH, headers=refresh_headers(account))
        assert answer.status_code == (401 if path.endswith("logout") else 200), answer.text
