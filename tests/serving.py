"""`authward serve` as a real process on a real socket, on a database of the test's choice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from secrets import token_hex
from typing import Any

import httpx2

PASSWORD = "correct horse battery"
SECRET = "Zk3v9Qw1xT7rB5nY2mC8pL4sD6fG0hJ1aE3uO9iK7tR="


class _NoCookies(CookieJar):
    """Tests say which cookie they send."""

    def __init__(self) -> None:
        super().__init__(DefaultCookiePolicy(allowed_domains=[]))


@dataclass
class Server:
    """A running server: its address, its log so far, the process."""

    url: str
    log_file: Path
    process: subprocess.Popen[bytes]

    @property
    def log(self) -> str:
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    def client(self, **options: Any) -> httpx2.Client:
        """A client that keeps no cookies and no idle connections: each request may meet any worker."""
        limits = httpx2.Limits(max_keepalive_connections=0)
        return httpx2.Client(
            base_url=self.url, cookies=_NoCookies(), timeout=60, limits=limits, **options
        )

    def async_client(self, **options: Any) -> httpx2.AsyncClient:
        limits = httpx2.Limits(max_connections=100, max_keepalive_connections=0)
        return httpx2.AsyncClient(
            base_url=self.url, cookies=_NoCookies(), timeout=60, limits=limits, **options
        )


@dataclass
class Account:
    """Somebody signed in."""

    email: str
    id: str
    access: str
    cookie: str
    csrf: str
    bearer: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.bearer = {"authorization": f"Bearer {self.access}"}


def environment(database_url: str, **settings: object) -> dict[str, str]:
    """This process's environment, with these settings and no others."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AUTHWARD_")}
    own = {"database_url": database_url, "secret": SECRET, **settings}
    return kept | {f"AUTHWARD_{name.upper()}": str(value) for name, value in own.items()}


@contextmanager
def serving(database_url: str, folder: Path, *, workers: int = 1, **settings: object) -> Iterator[Server]:
    """A server while the block runs; it is always ended, by its id."""
    log_file = folder / f"server-{token_hex(4)}.log"
    port = settings.pop("port", 0)
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "authward", "serve", "--json"]
            + ["--port", str(port), "--workers", str(workers)],
            env=environment(database_url, **settings),
            cwd=folder,
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    try:
        yield Server(_address(process, log_file), log_file, process)
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _address(process: subprocess.Popen[bytes], log_file: Path) -> str:
    import json

    end = time.monotonic() + 90
    url = ""
    while time.monotonic() < end:
        assert process.poll() is None, log_file.read_text()
        if not url:
            for line in log_file.read_text().splitlines():
                if line.startswith("{") and '"url"' in line:
                    url = json.loads(line)["url"].rstrip("/")
        else:
            try:
                if httpx2.get(f"{url}/readyz", timeout=5).status_code == 200:
                    return url
            except httpx2.TransportError:
                pass
        time.sleep(0.05)
    raise AssertionError(f"the server did not get ready: {log_file.read_text()}")


def register(client: httpx2.Client, email: str | None = None) -> Account:
    """Somebody new, signed in."""
    email = email or f"u{token_hex(6)}@example.com"
    body = {"email": email, "password": PASSWORD, "name": "Ada"}
    return account_of(client.post("/api/auth/register", json=body), email)


def sign_in(client: httpx2.Client, email: str, password: str = PASSWORD) -> Account:
    return account_of(
        client.post("/api/auth/login", json={"email": email, "password": password}), email
    )


def account_of(answer: httpx2.Response, email: str) -> Account:
    assert answer.status_code in (200, 201), answer.text
    data = answer.json()["data"]
    return Account(
        email, data["user"]["id"], data["accessToken"], refresh_cookie(answer), data["csrfToken"]
    )


def refresh_cookie(answer: httpx2.Response) -> str:
    """The refresh token an answer sets."""
    [cookie] = [c for c in answer.headers.get_list("set-cookie") if "refreshToken=" in c]
    return cookie.partition("refreshToken=")[2].partition(";")[0]


def refresh_headers(account: Account, cookie: str | None = None) -> dict[str, str]:
    """What a client sends to refresh: the cookie (the account's, unless another is given) and its token."""
    return {"cookie": f"refreshToken={cookie or account.cookie}", "x-csrf-token": account.csrf}
