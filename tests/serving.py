"""`authward serve` as a real process on a real socket, and what its clients need."""

import json
import os
import signal
import struct
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

from tests.unlimited import UNLIMITED

ROOT = Path(__file__).parents[1]
PASSWORD = "correct horse battery"
SECRET = "Zk3v9Qw1xT7rB5nY2mC8pL4sD6fG0hJ1aE3uO9iK7tR="
REFRESH = "/api/auth/refresh-token"
START_S = 110


class NoCookies(CookieJar):
    """Tests say which cookie they send."""

    def __init__(self) -> None:
        super().__init__(DefaultCookiePolicy(allowed_domains=[]))


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


@dataclass
class Server:
    """A running server: its address, its log so far, the process and the clock of its processes."""

    url: str
    log_file: Path
    process: "subprocess.Popen[bytes]"
    clock_file: Path

    @property
    def log(self) -> str:
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    @property
    def turned(self) -> float:
        """By how many seconds its clock was turned so far."""
        return float(struct.unpack("<q", self.clock_file.read_bytes())[0] / 1000)

    def turn(self, seconds: float) -> None:
        """Let time pass in all of its processes at once, and in its database."""
        with self.clock_file.open("r+b") as file:
            file.write(struct.pack("<q", round((self.turned + seconds) * 1000)))

    def client(self, **options: Any) -> httpx2.Client:
        """One that keeps no cookies and no idle connections: each request may meet any worker."""
        limits = httpx2.Limits(max_keepalive_connections=0)
        return httpx2.Client(
            base_url=self.url,
            cookies=NoCookies(),
            timeout=60,
            limits=limits,
            verify=False,
            **options,
        )

    def async_client(self, *, connections: int = 100, keep: int = 0) -> httpx2.AsyncClient:
        limits = httpx2.Limits(
            max_connections=connections, max_keepalive_connections=keep, keepalive_expiry=70
        )
        return httpx2.AsyncClient(
            base_url=self.url, cookies=NoCookies(), timeout=60, limits=limits, verify=False
        )


def environment(database_url: str, **settings: object) -> dict[str, str]:
    """This process's environment, with these settings and no others."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("AUTHWARD_") or name.startswith("AUTHWARD_TEST_")
    }
    own = {"database_url": database_url, "secret": SECRET, **settings}
    paths = f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}".rstrip(os.pathsep)
    return {
        **kept,
        **UNLIMITED,
        "PYTHONPATH": paths,
        **{f"AUTHWARD_{name.upper()}": str(value) for name, value in own.items()},
    }


@contextmanager
def serving(
    database_url: str, folder: Path, *, workers: int = 1, cheap: bool = True, **settings: object
) -> Iterator[Server]:
    """A server while the block runs; it is always ended, by its id."""
    name = token_hex(4)
    log_file, clock_file = folder / f"server-{name}.log", folder / f"clock-{name}"
    clock_file.write_bytes(bytes(8))
    own = {"test_clock": clock_file, "test_cheap_hashing": int(cheap)}
    command = ["serve", "--json", "--port", "0", "--workers", str(workers)]
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.served", *command],
            env=environment(database_url, **own, **settings),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield Server(_address(process, log_file), log_file, process, clock_file)
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _address(process: "subprocess.Popen[bytes]", log_file: Path) -> str:
    end = time.monotonic() + START_S
    url = ""
    while time.monotonic() < end:
        told = log_file.read_text()
        assert process.poll() is None, told
        if not url:
            facts = [line for line in told.splitlines() if line.startswith('{"url"')]
            url = json.loads(facts[0])["listening"] if facts else ""
        elif _ready(url):
            return url
        time.sleep(0.05)
    raise AssertionError(f"the server did not get ready: {log_file.read_text()}")


def _ready(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/readyz", timeout=START_S).status_code == 200
    except httpx2.TransportError:
        return False


# --- what clients do ----------------------------------------------------------------------


def new_email() -> str:
    return f"u{token_hex(6)}@example.com"


def register(client: httpx2.Client, email: str | None = None) -> Account:
    """Somebody new, signed in."""
    email = email or new_email()
    body = {"email": email, "password": PASSWORD, "name": "Ada"}
    return account_of(client.post("/api/auth/register", json=body), email)


def sign_in(client: httpx2.Client, email: str, password: str = PASSWORD) -> Account:
    body = {"email": email, "password": password}
    return account_of(client.post("/api/auth/login", json=body), email)


def account_of(answer: httpx2.Response, email: str) -> Account:
    assert answer.status_code in (200, 201), answer.text
    data = answer.json()["data"]
    return Account(
        email, data["user"]["id"], data["accessToken"], refresh_cookie(answer), data["csrfToken"]
    )


def refresh_cookie(answer: httpx2.Response) -> str:
    """The refresh token an answer sets."""
    [cookie] = [c for c in answer.headers.get_list("set-cookie") if "refreshToken=" in c]
    return str(cookie.partition("refreshToken=")[2].partition(";")[0])


def refresh_headers(account: Account, cookie: str | None = None) -> dict[str, str]:
    """What a client sends to refresh: the cookie (the account's, unless another is given) and its
    token.
    """
    return {"cookie": f"refreshToken={cookie or account.cookie}", "x-csrf-token": account.csrf}


def renew(account: Account, answer: httpx2.Response) -> None:
    """Go on with what a refresh answered."""
    data = answer.json()["data"]
    account.access, account.csrf = data["accessToken"], data["csrfToken"]
    account.cookie = refresh_cookie(answer)
    account.bearer = {"authorization": f"Bearer {account.access}"}


def error_of(answer: httpx2.Response) -> tuple[int, str]:
    """Status and error code; the code of a success is empty."""
    return answer.status_code, str(answer.json().get("error", ""))
