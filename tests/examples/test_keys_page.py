"""The commands of docs/keys.md do what the page says, beside a server that runs."""

import asyncio
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from starlette.testclient import TestClient

from authward import Authward
from tests.cli.conftest import be_in
from tests.keys import kid_of, publish_long_ago_in
from tests.needs import require
from tests.pages import at_terminal, do, examples, loose, served, transcript
from tests.serving import Account, account_of, new_email, refresh_headers, register

# One server for them all.
pytestmark = [pytest.mark.xdist_group("keys-page"), pytest.mark.timeout(300)]

PAGE = examples("docs/keys.md")
DATABASE = "authward.db"
DAY_MS = 86_400_000


@dataclass
class Served:
    """A server that was started with a new master secret, and how it answered somebody who had
    signed in before.
    """

    folder: Path
    url: str
    answered: int = 0

    def register(self) -> Account:
        """Somebody new, whose session hangs on the key that signs now."""
        signing = kid("refresh", "signing")
        with httpx2.Client(base_url=self.url) as client:
            while kid_of((somebody := register(client)).cookie) != signing:
                pass  # it has not heard of a rotation yet
        return somebody

    def refresh(self, account: Account) -> httpx2.Response:
        url = f"{self.url}/api/auth/refresh-token"
        return httpx2.post(url, headers=refresh_headers(account))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Served as "Changing the master secret" says, where `init` made the secret file."""
    require("openssl", "apt-get install openssl", found=shutil.which("openssl"))
    folder = tmp_path_factory.mktemp("keys")
    with pytest.MonkeyPatch.context() as patch:
        be_in(folder, patch)
        do("authward init")
        with TestClient(Authward(algorithm="EdDSA").asgi(), "http://localhost") as client:
            email = new_email()
            body = {"email": email, "password": "long walks by the river", "name": "Ada"}
            before = account_of(client.post("/api/auth/register", json=body), email)
    with served(PAGE["Changing the master secret sh"], folder, ALGORITHM="EdDSA") as url:
        server = Served(folder, url)
        server.answered = server.refresh(before).status_code
        yield server


@pytest.fixture(autouse=True)
def beside(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Be where the server is. The next keys have been published for long."""
    be_in(server.folder, monkeypatch)
    asyncio.run(publish_long_ago_in(f"sqlite:///{DATABASE}"))


def pass_days(days: int) -> None:
    with closing(sqlite3.connect(DATABASE)) as database:
        for column in ("created_at", "signing_at", "verifying_at"):
            database.execute(f"UPDATE keys SET {column} = {column} - {days * DAY_MS}")
        database.commit()


def kid(ring: str, state: str) -> str:
    rows = [line.split() for line in do("authward keys list").stdout.splitlines()]
    [found] = [row[1] for row in rows if (row[0], row[3]) == (ring, state)]
    return found


def test_changing_the_master_secret(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    assert server.answered == 200  # nobody is signed out
    do("authward keys list")
    monkeypatch.setenv("AUTHWARD_SECRET_FILE", "authward.secret.old")
    do("authward keys list", code=2)
    for name in ("authward.secret", "authward.secret.old"):
        assert (server.folder / name).stat().st_mode & 0o077 == 0


def test_the_list(server: Served) -> None:
    pass_days(40)
    do("authward keys retire")
    server.register()
    do("authward keys rotate")
    pass_days(1)
    [(line, shown)] = transcript(PAGE["Rings and states console"])
    assert loose(do(line).stdout) == loose(shown)


def test_rotating(server: Served) -> None:
    ada = server.register()
    whole, one = PAGE["Rotation sh"].splitlines()
    before = kid("csrf", "signing")
    assert [line.split()[0] for line in do(whole).stdout.splitlines()] == [
        *("access:", "refresh:", "csrf:")
    ]
    assert "rotated_lately" in do(f"{one.strip()} --json", code=1).stdout
    asyncio.run(publish_long_ago_in(f"sqlite:///{DATABASE}"))
    assert [line.split()[0] for line in do(one).stdout.splitlines()] == ["access:"]
    assert kid("csrf", "signing") != before
    assert server.refresh(ada).status_code == 200


def test_retiring(server: Served) -> None:
    every, one = PAGE["Rotation sh 2"].splitlines()
    for line in (every, one):
        asyncio.run(publish_long_ago_in(f"sqlite:///{DATABASE}"))
        old = kid("access", "signing")
        do("authward keys rotate --ring access")
        pass_days(1)
        assert f"access: {old} is retired" in do(line.replace("KID", old)).stdout.splitlines()


def test_a_key_has_leaked(server: Served) -> None:
    ada, _ = server.register(), server.register()
    [(line, shown)] = transcript(PAGE["A key has leaked console"])
    [_, _, _, named, _] = line.split()
    signing = kid("refresh", "signing")
    told = at_terminal(line.replace(named, signing), server.folder, "y")
    assert loose(told) == loose(shown)
    assert [signing in row for row in told.splitlines()] == [
        named in row for row in shown.splitlines()
    ]
    assert server.refresh(ada).status_code == 401


def test_after_restoring_a_backup(server: Served) -> None:
    ada = server.register()
    before = {kid(ring, "signing") for ring in ("access", "refresh", "csrf")}
    do(PAGE["After restoring a backup sh"])
    assert server.refresh(ada).status_code == 401
    assert not before & {kid(ring, "signing") for ring in ("access", "refresh", "csrf")}
