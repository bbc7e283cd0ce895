"""The examples do what they say."""

import json
import runpy
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from click.testing import CliRunner
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from authward.cli import main
from tests.examples.conftest import PAGE

pytestmark = pytest.mark.xdist_group("examples")  # one process serves them

ROOT = Path(__file__).parents[2]
PASSWORD = "correct horse battery"


@contextmanager
def signed_up(url: str) -> Iterator[httpx2.Client]:
    """A client that is signed in."""
    with httpx2.Client(base_url=url, timeout=30) as client:
        sign_in(client, "register", {"email": "ada@example.com", "name": "Ada"})
        yield client


@contextmanager
def signed_in_admin(
    url: str, folder: Path, example: str = "fastapi_app"
) -> Iterator[httpx2.Client]:
    """The first admin, made as the docs say."""
    create = [
        "users",
        "create",
        "--email",
        "root@example.com",
        "--role",
        "admin",
        "--password-stdin",
    ]
    database = f"sqlite:///{folder}/{example}.db"
    done = CliRunner().invoke(main, [*create, "--database-url", database], input=PASSWORD)
    assert done.exit_code == 0, done.output
    with httpx2.Client(base_url=url, timeout=30) as client:
        sign_in(client, "login", {"email": "root@example.com"})
        yield client


def sign_in(client: httpx2.Client, how: str, who: dict[str, str]) -> None:
    answer = client.post(f"/api/auth/{how}", json={**who, "password": PASSWORD})
    token = answer.raise_for_status().json()["data"]["accessToken"]
    client.headers["authorization"] = f"Bearer {token}"


def is_protected(url: str) -> None:
    """Check what `install` and `wrap` bring along. Uses the limit up, so it comes last."""
    answer = httpx2.get(url, headers={"origin": PAGE})
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"].startswith("default-src 'self'")
    assert answer.headers["access-control-allow-origin"] == PAGE
    foreign = httpx2.post(url, headers={"origin": "https://evil.example"})
    assert (foreign.status_code, foreign.json()["error"]) == (403, "origin_not_allowed")
    assert "access-control-allow-origin" not in foreign.headers
    for _ in range(int(foreign.headers["ratelimit-remaining"])):
        assert httpx2.get(url).status_code != 429
    limited = httpx2.get(url)
    assert (limited.status_code, limited.json()["error"]) == (429, "rate_limited")
    assert 0 < int(limited.headers["retry-after"]) <= 900


def test_fastapi_app(urls: Mapping[str, str], folder: Path) -> None:
    url = urls["fastapi_app"]
    assert httpx2.get(f"{url}/api/me").json()["error"] == "missing_token"
    broken = httpx2.post(f"{url}/api/drafts", content=b"{")
    assert broken.json()["error"] == "missing_token"
    with signed_up(url) as ada, signed_in_admin(url, folder) as root:
        me = ada.get("/api/me").json()
        assert (me["email"], me["role"], me["permissions"]) == ("ada@example.com", "user", [])
        assert ada.get("/api/reports").json()["error"] == "forbidden"
        assert ada.delete("/api/reports/first").status_code == 403
        assert root.delete("/api/reports/first").status_code == 200
        assert root.get("/api/users").status_code == 200
    assert "/api/drafts" in httpx2.get(f"{url}/openapi.json").json()["paths"]
    is_protected(f"{url}/api/me")


def test_starlette_app(urls: Mapping[str, str]) -> None:
    url = urls["starlette_app"]
    assert httpx2.get(f"{url}/api/reports").json()["error"] == "missing_token"
    with signed_up(url) as ada:
        assert ada.get("/api/me").json() == {"email": "ada@example.com", "role": "user"}
        assert ada.get("/api/reports").json()["error"] == "forbidden"
        assert ada.delete("/api/reports").json()["error"] == "forbidden"
    is_protected(f"{url}/api/me")


def test_bare_asgi(urls: Mapping[str, str]) -> None:
    # The app knows no lifespan: the first request starts us, and the last of the process ends us.
    url = urls["bare_asgi"]
    assert httpx2.get(url).json()["error"] == "missing_token"
    with signed_up(url) as ada:
        assert ada.get("/").text == "Hello ada@example.com"
        assert ada.get("/admin").json()["error"] == "forbidden"
    is_protected(f"{url}/")


def test_one_protection(urls: Mapping[str, str]) -> None:
    url = urls["one_protection"]
    answers = [httpx2.get(f"{url}/search") for _ in range(6)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429]
    assert [answer.headers["ratelimit-remaining"] for answer in answers] == [*"43210", "0"]
    assert answers[5].json()["error"] == "rate_limited"
    assert httpx2.get(url).headers["ratelimit-policy"] == "100;w=900"
    # This one and no other.
    assert "content-security-policy" not in answers[0].headers


def test_policies(urls: Mapping[str, str], folder: Path) -> None:
    url = urls["policies"]
    assert httpx2.get(f"{url}/api/posts/0").json()["error"] == "missing_token"
    with signed_up(url) as ada, signed_in_admin(url, folder, "policies") as root:
        assert ada.post("/api/posts", json={"text": "Hello"}).json() == 0
        assert root.post("/api/posts", json={"text": "Root's"}).json() == 1
        # An author their own, and no other; the admin is no editor.
        assert ada.get("/api/posts/0").json() == {"text": "Hello", "mayEdit": True}
        assert ada.get("/api/posts/1").json() == {"text": "Root's", "mayEdit": False}
        assert ada.put("/api/posts/0", json={"text": "Hello, all"}).status_code == 200
        refused = ada.put("/api/posts/1", json={"text": "Mine now"})
        assert (refused.status_code, refused.json()["error"]) == (403, "forbidden")
        assert root.put("/api/posts/0", json={"text": "Mine now"}).status_code == 403
        assert root.get("/api/posts/0").json() == {"text": "Hello, all", "mayEdit": False}
        assert ada.put("/api/posts/7", json={"text": "x"}).json()["error"] == "not_found"
        # What is locked not even its author changes.
        assert ada.post("/api/posts/0/lock").status_code == 403
        assert root.post("/api/posts/0/lock").status_code == 200
        assert ada.put("/api/posts/0", json={"text": "x"}).status_code == 403
        edit_as_editor(url, folder)


def edit_as_editor(url: str, folder: Path) -> None:
    with sqlite3.connect(folder / "policies.db") as database:
        database.execute("INSERT INTO roles (name) VALUES ('editor')")
        database.execute("UPDATE users SET role = 'editor' WHERE email = 'ada@example.com'")
    database.close()
    with httpx2.Client(base_url=url, timeout=30) as ada:
        sign_in(ada, "login", {"email": "ada@example.com"})
        assert ada.put("/api/posts/1", json={"text": "Better"}).status_code == 200
        assert ada.put("/api/posts/0", json={"text": "x"}).status_code == 403


def test_deny_by_default(urls: Mapping[str, str]) -> None:
    url = urls["deny_by_default"]
    assert httpx2.get(f"{url}/health").json() == "well"
    assert "auth.public" in httpx2.get(f"{url}/static/deny_by_default.py").text
    assert httpx2.get(f"{url}/api/reports").json()["error"] == "missing_token"
    with signed_up(url) as ada:
        assert ada.get("/api/reports").json()["error"] == "forbidden"
        assert ada.delete("/api/reports/first").json()["error"] == "forbidden"


class TestWebSocket:
    def open(self, url: str, *offered: str, **more: Any) -> ClientConnection:
        return connect(
            url.replace("http", "ws", 1) + "/echo",
            subprotocols=offered or None,  # type: ignore[arg-type]
            open_timeout=30,
            **more,
        )

    def said(self, socket: ClientConnection, message: object) -> Any:
        socket.send(json.dumps(message))
        return json.loads(socket.recv(30))

    def test_from_the_handshake_to_the_end(self, urls: Mapping[str, str]) -> None:
        url = urls["websocket_app"]
        with signed_up(url) as ada:
            token = ada.headers["authorization"].removeprefix("Bearer ")
            for offered in ((), ("authward.bearer",), ("authward.bearer", "junk")):
                self.is_refused(url, *offered)
            self.is_refused(url, "authward.bearer", token, origin="https://evil.example")
            with self.open(url, "authward.bearer", token, origin=url) as socket:
                assert socket.subprotocol == "authward.bearer"
                assert self.said(socket, "hi") == {"you": "ada@example.com", "said": "hi"}
                refused = self.said(socket, {"renew": "junk"})
                assert refused == {"renewed": False, "error": "invalid_token"}
                refreshed = ada.post("/api/auth/refresh-token", headers={"origin": url})
                newer = refreshed.json()["data"]["accessToken"]
                assert self.said(socket, {"renew": newer}) == {"renewed": True}
                self.ends(socket, "token_expired")
            with self.open(url, "authward.bearer", self.refreshed(ada, url)) as socket:
                ada.post("/api/auth/logout", headers={"origin": url})
                self.ends(socket, "token_revoked")

    def refreshed(self, client: httpx2.Client, url: str) -> str:
        answer = client.post("/api/auth/refresh-token", headers={"origin": url})
        token: str = answer.json()["data"]["accessToken"]
        return token

    def is_refused(self, url: str, *offered: str, **more: Any) -> None:
        with pytest.raises(InvalidStatus) as refused:
            self.open(url, *offered, **more)
        assert refused.value.response.status_code == 403

    def ends(self, socket: ClientConnection, reason: str) -> None:
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(30)
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4401, reason)


# The tests of an example that is a test file run here, each by its name. It sets a variable of the
# environment for good; here only while it is loaded.
with pytest.MonkeyPatch.context() as patch:
    patch.delenv("AUTHWARD_DATABASE_URL", raising=False)
    patch.setenv("AUTHWARD_DATABASE_URL", "")
    pytest.register_assert_rewrite("examples.testing_an_app")
    from examples import testing_an_app
client = testing_an_app.client
TestTestingAnApp = type(
    "TestTestingAnApp",
    (),
    {name: staticmethod(it) for name, it in vars(testing_an_app).items() if name[:5] == "test_"},
)


def test_every_example_is_run() -> None:
    tests = Path(__file__).parent.glob("test_*.py")
    tested = "".join(one.read_text(encoding="utf-8") for one in tests)
    for example in (ROOT / "examples").glob("*"):
        assert example.stem in tested


@pytest.mark.parametrize(
    "example", sorted((ROOT / "examples").glob("*.py")), ids=lambda one: one.stem
)
def test_each_says_how_it_is_used(
    example: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """To whoever runs the file and leaves it at that."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", [str(example)])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(example), run_name="__main__")
    # Python itself writes the text of an exit, and ends with 1.
    text = ended.value.code if isinstance(ended.value.code, str) else capsys.readouterr().err
    assert text.startswith("usage: ")
    assert example.stem in text
    assert ended.value.code
