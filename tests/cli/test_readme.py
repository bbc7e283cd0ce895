"""What the README and the pages of the command line and the settings say, done."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import click
import httpx2
import pytest

from authward.cli import main
from authward.settings import Settings
from tests.needs import require
from tests.pages import examples

from .conftest import SHARED, Run, Served, clean_environment, register

pytestmark = SHARED

ROOT = Path(__file__).parents[2]


PAGE = examples("README.md")


def page(name: str) -> str:
    """A page of the checkout."""
    return (ROOT / name).read_text(encoding="utf-8")


def test_it_leads_with_the_two_commands() -> None:
    lines = PAGE["Authward sh"].splitlines()
    assert [line.partition("#")[0].strip() for line in lines] == ["make serve", "make test"]
    assert page("README.md").index("make serve") < 600


def test_the_curl_block(shared: Served, folder: Path) -> None:
    require("curl", "apt-get install curl", found=shutil.which("curl"))
    script = PAGE["From sign-up to sign-out, with curl sh"]
    # Verbatim, but for the port, which is another server's while tests run.
    assert script.count("http://127.0.0.1:8000") == 1
    # Whoever tries it tries it twice.
    for _ in range(2):
        done = subprocess.run(
            ["sh", "-euc", script.replace("http://127.0.0.1:8000", shared.url)],
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        answers = re.findall(r'"(?:message|error)":"([^"]*)"', done.stdout)
        assert answers == [
            "User registered successfully",
            "Profile",
            "Token refreshed",
            "Logged out",
            "The session has ended",
            "token_revoked",
        ]
        assert done.stderr == ""


def test_the_admin_line(run: Run, folder: Path) -> None:
    line = PAGE["From sign-up to sign-out, with curl sh 2"]
    words = line.strip().removeprefix(".venv/bin/authward ")
    run(f"{words} --password-stdin", input="long walks by the river")


@pytest.fixture
def app(folder: Path) -> Iterator[ModuleType]:
    """The README's FastAPI app as a module."""
    code = PAGE["In your FastAPI app python"]
    module = ModuleType("readme_app")
    sys.modules["readme_app"] = module
    exec(compile(code, "README.md", "exec"), module.__dict__)
    yield module
    del sys.modules["readme_app"]


async def test_the_fastapi_block(app: ModuleType) -> None:
    transport = httpx2.ASGITransport(app=app.app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
        body = {"email": "ada@example.com", "password": "long walks by the river", "name": "Ada"}
        answer = await client.post("/api/auth/register", json=body)
        token = {"Authorization": f"Bearer {answer.json()['data']['accessToken']}"}
        assert (await client.get("/api/hello")).status_code == 401
        assert (await client.get("/api/hello", headers=token)).json() == "Hello ada@example.com"
        assert (await client.get("/api/reports", headers=token)).status_code == 403
    await app.auth.shutdown()


def test_the_fastapi_block_served_as_it_says(folder: Path) -> None:
    """In a folder with nothing but the file."""
    code = PAGE["In your FastAPI app python"]
    # What installs it needs a package index: `make wheel` does that.
    words = (
        PAGE["In your FastAPI app sh"].strip().splitlines()[-1].removeprefix(".venv/bin/").split()
    )
    assert words == ["uvicorn", "app:app", "--http", "authward.uvicorn:Http"]
    (folder / "app.py").write_text(code)
    served = subprocess.Popen(
        [sys.executable, "-m", *words, "--port", "0"],
        cwd=folder,
        env=clean_environment(),
        stderr=subprocess.PIPE,
        text=True,
    )
    with served:
        try:
            assert served.stderr is not None
            said = iter(served.stderr.readline, "")
            running = (re.search(r"running on (http://\S+)", line) for line in said)
            url = next(found[1] for found in running if found)
            document = httpx2.get(f"{url}/openapi.json").json()
            assert {"/api/hello", "/api/auth/login"} <= document["paths"].keys()
            assert httpx2.get(f"{url}/docs").status_code == 200
            assert (folder / "authward.db").exists()
        finally:
            served.terminate()


def test_links_lead_somewhere() -> None:
    for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", path.read_text(encoding="utf-8")):
            if not target.startswith("http"):
                assert (path.parent / target).exists(), f"{path.name}: {target}"


def commands(group: click.Group, name: str = "") -> Iterator[tuple[str, click.Command]]:
    for command in group.commands.values():
        path = f"{name} {command.name}".strip()
        if isinstance(command, click.Group):
            yield from commands(command, path)
        else:
            yield path, command


@pytest.mark.parametrize(("name", "command"), [*commands(main)])
def test_every_command_and_option_is_documented(name: str, command: click.Command) -> None:
    text = page("docs/commands.md")
    assert f"authward {name}" in text
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert max(parameter.opts, key=len) in text, parameter.opts
    assert command.help
    assert {"--json"} <= {option for one in command.params for option in one.opts}


def test_every_setting_is_documented_with_its_default(folder: Path) -> None:
    row = re.compile(r"^\| `AUTHWARD_(\w+)` \| (.*?) \| .{10,} \|$", re.MULTILINE)
    rows = dict(row.findall(page("docs/settings.md")))
    assert {name.lower() for name in rows} == set(Settings.model_fields)
    for name, shown in rows.items():
        default = Settings.model_fields[name.lower()].default
        if shown == "none":
            assert default in (None, ())
        else:
            stated = Settings(**{name.lower(): shown.strip("`")})
            assert getattr(stated, name.lower()) == default, name


def test_the_server_is_the_documented_one(shared: Served) -> None:
    with shared.client() as client:
        assert register(client, "someone@example.com")["user"]["role"] == "user"
        assert client.get("/docs").status_code == 200
