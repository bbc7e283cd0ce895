"""`authward routes`."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from authward.cli.listing import changes, limit_text
from authward.core.limits import Limit
from authward.http.routes import ENDPOINTS
from tests.unlimited import UNLIMITED

from .conftest import Run, said

APP = """
from fastapi import FastAPI, WebSocket
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Host, Route
from starlette.staticfiles import StaticFiles
from authward import Authward
from authward.middleware import CSRF, RateLimit
from authward.middleware.policies import Policy
from authward.starlette import authenticate, public

print("noise of the app")
auth = Authward()
app = FastAPI(openapi_url=None)

@app.get("/open", dependencies=[auth.public])
async def open_(): ...

@app.post("/open", dependencies=[auth.public])
async def post_open(): ...

@app.delete("/things/{id:int}", dependencies=[auth.require("delete:things")])
async def delete(id: int): ...

@app.websocket("/live", dependencies=[auth.authorize("admin", "moderator")])
async def live(websocket: WebSocket): ...

@authenticate
async def me(request):
    return PlainTextResponse("me")

@public
async def form(request):
    return PlainTextResponse("form")

inner = Starlette(routes=[Route("/me", me), Route("/form", form, methods=["POST"])])
inner.add_middleware(CSRF, secrets=[b"x" * 32], origins=["https://a.example"])
inner.add_middleware(
    RateLimit,
    Policy("5/1m", name="few", paths=["/form"]),
    Policy("9/1h", name="posts", methods=["POST"]),
    Policy("7/1d", name="seen", report_only=True),
)
app.mount("/inner", inner)
app.mount("/static", StaticFiles(directory="."))
auth.install(app, deny_by_default=True, public=["/static"])

def make():
    return app

wrapped = Authward().wrap(inner)
plain = FastAPI()

def broken():
    raise ValueError("no luck")

def misconfigured():
    return Authward(origins=["https://a.example/x"])
"""
UNDECLARED = """

@app.patch("/forgotten")
async def forgotten(): ...
"""
EXPECTED = """\
DELETE     /things/{id}  permission delete:things  -       100/15m
GET        /inner/me     signed in                 -       100/15m, seen 7/1d (reported)
GET        /open         anyone                    -       100/15m
POST       /inner/form   anyone                    token   \
100/15m, few 5/1m, posts 9/1h, seen 7/1d (reported)
POST       /open         anyone                    origin  100/15m
mount      /static/*     anyone                    origin  100/15m
websocket  /live         role admin or moderator   origin  100/15m"""


@pytest.fixture(autouse=True)
def limits(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The default ones."""
    for name in UNLIMITED:
        monkeypatch.delenv(name)


@pytest.fixture
def app(folder: Path) -> Iterator[Path]:
    """A module with an app, in the folder we are in."""
    file = folder / "shop.py"
    file.write_text(APP)
    before = [*sys.path]
    yield file
    sys.path[:] = before
    sys.modules.pop("shop", None)


def lines(output: str) -> list[list[str]]:
    return [line.split() for line in output.splitlines()]


def forget(app: Path, text: str) -> None:
    """Change the module, as if the command were run anew."""
    app.write_text(text)
    sys.modules.pop("shop", None)
    cached = app.parent / "__pycache__"
    for file in cached.iterdir() if cached.exists() else ():
        file.unlink()


def test_our_own_server(run: Run, folder: Path) -> None:
    result = run("routes")
    head, *rows = lines(result.stdout)
    assert head == ["METHOD", "PATH", "WHO", "CSRF", "LIMITS"]
    assert len([row for row in rows if row[1].startswith(("/api", "/healthz", "/readyz"))]) == len(
        ENDPOINTS
    )
    told = {f"{row[0]} {row[1]}": " ".join(row[2:]) for row in rows}
    assert told["POST /api/auth/login"] == "anyone origin 100/15m, credential 5/15m"
    assert told["POST /api/auth/logout"] == "session cookie token 100/15m"
    assert told["GET /api/profile"] == "signed in - 100/15m"
    assert told["GET /healthz"] == "anyone - -"
    assert told["GET /docs"] == "anyone - 100/15m"
    run("routes --check")
    # Nothing was made.
    assert list(folder.iterdir()) == []


def test_settings_are_told(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTHWARD_RATE_LIMIT", "off")
    monkeypatch.setenv("AUTHWARD_AUTH_RATE_LIMIT", "3/1h")
    monkeypatch.setenv("AUTHWARD_REPORT_ONLY", "csrf,cors,rate_limit")
    monkeypatch.setenv("AUTHWARD_DOCS", "false")
    told = {f"{row[0]} {row[1]}": " ".join(row[2:]) for row in lines(run("routes").stdout)}
    assert told["POST /api/auth/login"] == "anyone origin (reported) credential 3/1h (reported)"
    assert told["POST /api/auth/logout"] == "session cookie token (reported) -"
    assert "GET /docs" not in told


@pytest.mark.parametrize("target", ["shop:app", "shop:make --factory"])
def test_an_app(run: Run, app: Path, target: str) -> None:
    result = run(f"routes {target} --check")
    rows = lines(result.stdout)
    for row in lines(EXPECTED):
        assert row in rows
    assert len(rows) == 1 + len(lines(EXPECTED)) + len(ENDPOINTS) + 3  # module, metrics, keys
    assert "noise of the app" not in result.stdout
    assert str(app.parent) not in result.stdout


def test_a_wrapped_app_and_middleware_around_it(run: Run, app: Path) -> None:
    forget(app, APP + "\nwrapped = RateLimit(wrapped)\n")
    rows = lines(run("routes shop:wrapped").stdout)
    assert rows[[row[1] for row in rows].index("/me")][:4] == ["GET", "/me", "signed", "in"]
    assert "/api/auth/login" in [row[1] for row in rows]


def test_an_opaque_app(run: Run, folder: Path, app: Path) -> None:
    forget(app, APP + "\nasync def raw(scope, receive, send): ...\nopaque = auth.wrap(raw)\n")
    failed = run("routes shop:opaque --check", code=1)
    assert "mount /* (shop.raw)" in failed.stderr


def test_the_routes_of_an_authward_that_is_mounted(run: Run, app: Path) -> None:
    forget(app, APP + "\nouter = Starlette()\nouter.mount('/in', app)\nAuthward().install(outer)\n")
    paths = [row[1] for row in lines(run("routes shop:outer").stdout)]
    assert {"/api/auth/login", "/in/api/auth/login", "/in/inner/me"} < {*paths}


def test_json(run: Run, app: Path) -> None:
    found = {
        f"{row['method']} {row['path']}": row
        for row in said(run("routes shop:app --json"))["routes"]
    }
    assert found["DELETE /things/{id}"] == {
        "path": "/things/{id}",
        "method": "DELETE",
        "who": "permission delete:things",
        "csrf": "-",
        "limits": "100/15m",
        "endpoint": "shop.delete",
    }


def test_undeclared_routes(run: Run, app: Path) -> None:
    forget(app, APP + UNDECLARED)
    listed = run("routes shop:app").stdout
    assert ["PATCH", "/forgotten", "UNDECLARED", "origin", "100/15m"] in lines(listed)
    failed = run("routes shop:app --check", code=1)
    assert failed.stderr.splitlines()[-3:] == [
        "authward: nothing says who may call",
        "  PATCH /forgotten (shop.forgotten)",
        "Give it a guard, or say that it is public",
    ]
    told = said(run("routes shop:app --check --json", code=1))
    assert told["error"] == "undeclared_routes"
    assert [(row["path"], row["who"]) for row in told["undeclared"]] == [("/forgotten", None)]


def test_public_paths_in_vain(run: Run, app: Path) -> None:
    forget(app, APP.replace('["/static"]', '["/static", "/gone"]'))
    run("routes shop:app")
    assert "nothing lies at /gone" in run("routes shop:app --check", code=1).stderr


def test_a_path_opened_for_one_method(run: Run, app: Path) -> None:
    """An endpoint of several methods is shown as what it is to each."""
    both = """
@app.api_route("/hook", methods=["GET", "POST", "PUT"])
async def hook(): ...
"""
    forget(app, APP.replace('["/static"]', '["/static", "GET /hook"]') + both)
    listed = lines(run("routes shop:app").stdout)
    assert ["GET", "/hook", "anyone", "-", "100/15m"] in listed
    assert ["POST,PUT", "/hook", "UNDECLARED", "origin", "100/15m"] in listed
    assert "\n  POST,PUT /hook (shop.hook)" in run("routes shop:app --check", code=1).stderr
    forget(app, APP.replace('["/static"]', '["/static", "get /hook"]') + both)
    assert "Did you mean 'GET /hook'?" in run("routes shop:app", code=2).stderr


class TestSnapshot:
    def test_missing(self, run: Run, app: Path) -> None:
        failed = run("routes shop:app --snapshot routes.txt", code=2)
        assert "there is no routes.txt" in failed.stderr
        assert "--update" in failed.stderr
        assert said(run("routes --snapshot routes.txt --json", code=2))["error"] == "no_snapshot"

    def test_unchanged(self, run: Run, app: Path) -> None:
        run("routes shop:app --snapshot routes.txt --update")
        written = (app.parent / "routes.txt").read_text()
        assert "DELETE /things/{id} | permission delete:things | - | 100/15m\n" in written
        assert str(app.parent) not in written
        assert "0x" not in written
        forget(app, APP)
        run("routes shop:app --snapshot routes.txt")
        run("routes shop:app --snapshot routes.txt --update")
        assert (app.parent / "routes.txt").read_text() == written
        assert sorted(file.name for file in app.parent.glob("*.*")) == ["routes.txt", "shop.py"]

    def test_changed(self, run: Run, app: Path) -> None:
        run("routes shop:app --snapshot routes.txt --update")
        other = APP.replace('"delete:things"', '"remove:things"').replace(
            'post("/open"', 'put("/open"'
        )
        forget(app, other)
        failed = run("routes shop:app --snapshot routes.txt", code=1)
        assert failed.stderr.endswith(
            "authward: the routes are not those in routes.txt\n"
            "  + PUT /open | anyone | origin | 100/15m\n"
            "  - POST /open | anyone | origin | 100/15m\n"
            "  ~ DELETE /things/{id}\n"
            "      was permission delete:things | - | 100/15m\n"
            "      is  permission remove:things | - | 100/15m\n"
            "If that is meant: --snapshot routes.txt --update\n"
        )
        told = said(run("routes shop:app --snapshot routes.txt --json", code=1))
        assert told["error"] == "routes_changed"
        assert told["added"] == ["PUT /open | anyone | origin | 100/15m"]
        assert told["removed"] == ["POST /open | anyone | origin | 100/15m"]
        assert [one["route"] for one in told["changed"]] == ["DELETE /things/{id}"]
        run("routes shop:app --snapshot routes.txt --update")
        run("routes shop:app --snapshot routes.txt")

    def test_an_undeclared_route_is_not_written(self, run: Run, app: Path) -> None:
        forget(app, APP + UNDECLARED)
        run("routes shop:app --check --snapshot routes.txt --update", code=1)
        assert not (app.parent / "routes.txt").exists()

    def test_unreadable(self, run: Run, app: Path) -> None:
        (app.parent / "routes.txt").write_bytes(b"\xff")
        assert "cannot be read" in run("routes --snapshot routes.txt", code=2).stderr
        failed = run("routes --snapshot missing/routes.txt --update", code=1)
        assert failed.stderr == (
            "authward: missing/routes.txt cannot be written: No such file or directory\n"
        )

    def test_routes_of_one_path_are_counted(self) -> None:
        assert str(changes("GET /x | a\nGET /x | b\n", [])) == "  - GET /x | a\n  - GET /x | b"


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("shop", "'shop' names no app. Write MODULE:APP"),
        (":app", "':app' names no app"),
        ("nowhere:app", "there is no module 'nowhere' here"),
        ("nowhere.at.all:app", "there is no module 'nowhere' here"),
        ("shop:nothing", "shop has no 'nothing'"),
        ("shop:app.nothing.more", "shop has no 'app.nothing.more'"),
        ("shop:plain", "shop:plain has no Authward. Call auth.install(app)"),
        ("shop:make", "of a function that makes the app say --factory"),
        ("shop:broken --factory", "shop:broken cannot be loaded: ValueError: no luck"),
        ("shop:misconfigured --factory", "origins: 'https://a.example/x'"),
        ("needy:app", "needy needs absent_package, which is not installed"),
        ("odd:app", "odd:app cannot be loaded: AttributeError"),
    ],
)
def test_what_is_no_app(run: Run, app: Path, words: str, why: str) -> None:
    (app.parent / "needy.py").write_text("import absent_package")
    (app.parent / "odd.py").write_text("None.x")
    assert why in run(f"routes {words}", code=2).stderr
    told = json.loads(run(f"routes {words} --json", code=2).stdout)
    assert why in told["message"]


@pytest.mark.parametrize("words", ["--update", "--factory"])
def test_options_that_say_nothing_alone(run: Run, folder: Path, words: str) -> None:
    assert "Name it" in run(f"routes {words}", code=2).stderr


def test_limits_are_told_as_settings_write_them() -> None:
    for text in ("100/15m", "5/1d", "7/90s", "1/1500ms", "2/3h"):
        limit = Limit.parse(text)
        assert limit is not None
        assert limit_text(limit) == text
