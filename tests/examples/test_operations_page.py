"""What docs/operations.md gives to be pasted works beside a server, whose log looks as it shows."""

import json
import logging
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml  # type: ignore[import-untyped]
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from authward import Authward
from tests.cli.conftest import be_in
from tests.needs import require
from tests.pages import do, examples, served, shell_environment
from tests.serving import error_of

pytestmark = [pytest.mark.xdist_group("operations-page"), pytest.mark.timeout(300)]

PAGE = examples("docs/operations.md")


@dataclass
class Served:
    """A server that logs JSON."""

    folder: Path
    url: str

    def here(self, text: str) -> str:
        """The page's words, with the port of this server and the files in this folder."""
        assert "127.0.0.1:8000" in text
        text = text.replace("http://127.0.0.1:8000", self.url)
        text = text.replace("127.0.0.1:8000", self.url.removeprefix("http://"))
        return text.replace("/path/to", str(self.folder))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("operations")
    with served("exec authward serve", folder, LOG_FORMAT="json") as url:
        yield Served(folder, url)


def test_prometheus(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    require("curl", "apt-get install curl", found=shutil.which("curl"))
    be_in(server.folder, monkeypatch)
    script = server.here(PAGE["Prometheus sh"])
    [login] = re.findall(r"^# (\{.*\})$", script, re.MULTILINE)
    account = json.loads(login)
    do("authward roles grant monitor read:metrics")
    create = f"authward users create --email {account['email']} --role monitor --password-stdin"
    do(create, input=account["password"])
    for name, text, mode in (("login.json", login, 0o600), ("fetch", script, 0o700)):
        Path(name).write_text(text, encoding="utf-8")
        Path(name).chmod(mode)
    config = prometheus_config(server)
    [first, second] = [fetch_token(config) for _ in range(2)]
    # The role is new, and the server hears of it a moment later.
    while error_of_scrape(answer := scrape(config, second)) == (403, "forbidden"):
        pass
    families = {one.name: one for one in text_string_to_metric_families(answer.text)}
    [logins] = [one for one in families["authward_logins"].samples if one.labels["outcome"] == "ok"]
    assert logins.value == 2
    # Each sign-in ends the session of the one before.
    assert error_of_scrape(scrape(config, first)) == (401, "token_revoked")


def prometheus_config(server: Served) -> dict[str, Any]:
    """The configuration, as Prometheus reads it."""
    text = server.here(PAGE["Prometheus yaml"])
    Path("prometheus.yml").write_text(text, encoding="utf-8")
    promtool = shutil.which("promtool")
    if promtool is not None:
        check = [promtool, "check", "config", "--syntax-only", "prometheus.yml"]
        subprocess.run(check, check=True, timeout=60)
    [config] = yaml.safe_load(text)["scrape_configs"]
    assert config.keys() == {"job_name", "authorization", "static_configs"}
    return dict(config)


def fetch_token(config: dict[str, Any]) -> str:
    """What cron does; the token that Prometheus then finds."""
    done = subprocess.run(
        ["./fetch"], env=shell_environment(), capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    token = Path(config["authorization"]["credentials_file"])
    assert token.stat().st_mode & 0o077 == 0
    return token.read_text(encoding="utf-8")


def scrape(config: dict[str, Any], token: str) -> httpx2.Response:
    [[target]] = [one["targets"] for one in config["static_configs"]]
    return httpx2.get(f"http://{target}/metrics", headers={"authorization": f"Bearer {token}"})


def error_of_scrape(answer: httpx2.Response) -> tuple[int, str]:
    return (200, "") if answer.status_code == 200 else error_of(answer)


def test_the_line_in_the_log(server: Served) -> None:
    shown = json.loads(PAGE["Logs json"])
    body = {"email": "nobody@example.com", "password": "long walks by the river"}
    httpx2.post(f"{server.url}/api/auth/login", json=body, headers={"user-agent": "curl/8"})
    told = logged(server, shown["message"])
    assert [*told] == [*shown]
    varies = dict.fromkeys(("time", "ip", "requestId", "reason"))
    assert {**told, **varies} == {**shown, **varies}
    for name in ("time", "requestId"):
        assert len(told[name]) == len(shown[name])


def logged(server: Served, message: str) -> dict[str, Any]:
    """The entry, once it is there: refusals are written a moment later."""
    while True:
        for line in (server.folder / "server.log").read_text(encoding="utf-8").splitlines():
            entry: dict[str, Any] = json.loads(line)
            if entry["message"] == message:
                return entry
        httpx2.get(f"{server.url}/healthz")


def test_the_id_in_the_logs_of_an_app(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    be_in(tmp_path, monkeypatch)
    auth, app = Authward(), FastAPI()
    auth.install(app)

    @app.get("/work", dependencies=[auth.public])
    def work() -> None:
        logging.getLogger("shop").warning("worked")

    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    exec(PAGE["Logs python"], {"__name__": "pasted"})
    with TestClient(app, "http://localhost") as client:
        request_id = client.get("/work").headers["x-request-id"]
    logging.getLogger("shop").warning("elsewhere")
    worked, elsewhere = capsys.readouterr().err.splitlines()[-2:]
    assert worked.endswith(f" {request_id} worked")
    assert re.search(r"\d  elsewhere$", elsewhere)
