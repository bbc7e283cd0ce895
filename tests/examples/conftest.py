"""The examples, served by uvicorn in a process beside the tests; and a server for the pages."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from tests.cli.conftest import be_in
from tests.pages import do, served
from tests.serving import Account, NoCookies, register, sign_in

PAGE = "http://localhost:5173"
"""An allow-listed origin."""
READER = "http://127.0.0.1:3000"
"""The page of whoever tries what docs/browser.md says."""
PROTECTED = f"rate_limit=40/15m origins={PAGE}"
SERVED = (
    f"fastapi_app {PROTECTED}",
    f"starlette_app {PROTECTED}",
    f"bare_asgi {PROTECTED}",
    "one_protection",
    "websocket_app access_ttl=6s",
    "deny_by_default",
    "policies",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the databases of the examples lie."""
    return tmp_path_factory.mktemp("examples")


@pytest.fixture(scope="module")
def urls(folder: Path) -> Iterator[Mapping[str, str]]:
    """The address of each example."""
    with subprocess.Popen(
        [sys.executable, Path(__file__).with_name("server.py"), *SERVED],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield json.loads(process.stdout.readline()) if process.stdout else {}
        finally:
            process.communicate()
    assert process.returncode == 0


@dataclass
class Described:
    """A server as the pages describe it, and who has an account there."""

    url: str
    folder: Path
    client: httpx2.Client
    ada: Account
    admin: Account


@pytest.fixture(scope="session")
def described(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Described]:
    """One server for the pages that show answers; their tests are in the group "described"."""
    folder = tmp_path_factory.mktemp("described")
    account = {"email": "root@example.com", "password": "correct horse battery"}
    with pytest.MonkeyPatch.context() as patch:
        be_in(folder, patch)
        create = f"authward users create --email {account['email']} --role admin --password-stdin"
        do(create, input=account["password"])
    with (
        served("exec authward serve", folder, ORIGINS=READER) as url,
        httpx2.Client(base_url=url, cookies=NoCookies()) as client,
    ):
        admin = sign_in(client, account["email"], account["password"])
        yield Described(url, folder, client, register(client), admin)
