"""A real Chromium, a page on one port, `authward serve` on another: cross-origin and same-site."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from shutil import which
from string import Template
from typing import Any
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest
from playwright.async_api import Browser, BrowserContext, Page, Request, Response, async_playwright

from authward.settings import Settings
from tests.needs import require
from tests.pages import examples
from tests.postgres import free_port

DOCUMENTED = examples("docs/browser.md")
HOST = "127.0.0.1"
PASSWORD = "long walks by the river"
FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PAGE = Template("""<!doctype html>
<meta charset="utf-8">
<link rel="icon" href="data:,">
<title>A page</title>
<script type="module">
import { createClient } from "$api/authward.js";
globalThis.auth = createClient({ baseUrl: "$api" });
globalThis.states = [];
auth.onChange((state, user) => states.push(user ? state + " " + user.email : state));
globalThis.ready = auth.restore();
</script>
""")
# What old browsers, and pages on plain http under a name of their own, lack.
NO_LOCKS = "Object.defineProperty(navigator, 'locks', { value: undefined });"
NO_CHANNEL = "delete globalThis.BroadcastChannel;"


@dataclass
class Tab:
    """One page, what it asked of the API and what it was answered: (method, path, status)."""

    page: Page
    asked: list[tuple[str, str]] = field(default_factory=list)
    answered: list[tuple[str, str, int]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    async def run(self, code: str, value: Any = None) -> Any:
        """The value of a JavaScript function's body, which may await."""
        return await self.page.evaluate(f"async (value) => {{ {code} }}", value)

    async def register(self, who: str) -> None:
        account = {"email": f"{who}@example.com", "password": PASSWORD, "name": who}
        await self.run("await auth.register(value)", account)

    async def login(self, who: str) -> None:
        await self.run("await auth.login(...value)", [f"{who}@example.com", PASSWORD])

    async def fetch(self, times: int = 1) -> list[int]:
        """The statuses of that many parallel calls of a protected route."""
        code = """const calls = Array.from({ length: value }, () => auth.fetch("/api/profile"));
            return (await Promise.all(calls)).map((answer) => answer.status);"""
        statuses: list[int] = await self.run(code, times)
        return statuses

    async def state(self) -> str:
        state: str = await self.run("return auth.state")
        return state

    async def becomes(self, state: str) -> None:
        await self.page.wait_for_function("(wanted) => auth.state === wanted", arg=state)

    def count(self, method: str, path: str) -> int:
        return self.asked.count((method, path))

    def forget(self) -> None:
        self.asked.clear()
        self.answered.clear()


@dataclass
class Site:
    """One browser profile on the page's origin."""

    origin: str
    api: str
    context: BrowserContext
    tabs: list[Tab] = field(default_factory=list)

    async def open(self, *, without: str = "") -> Tab:
        """A new tab, past `auth.restore()`; the script `without` ran before its page."""
        page = await self.context.new_page()
        tab = Tab(page)

        def ours(url: str) -> bool:
            return url.startswith(self.api + "/api/")

        def asked(request: Request) -> None:
            if ours(request.url) and request.method != "OPTIONS":
                tab.asked.append((request.method, urlsplit(request.url).path))

        def answered(response: Response) -> None:
            if ours(response.url) and response.request.method != "OPTIONS":
                path = urlsplit(response.url).path
                tab.answered.append((response.request.method, path, response.status))

        page.on("request", asked)
        page.on("response", answered)
        page.on("pageerror", lambda error: tab.errors.append(str(error)))
        if without:
            await page.add_init_script(without)
        await page.goto(self.origin)
        await page.wait_for_function("() => globalThis.ready")
        await tab.run("await ready")
        self.tabs.append(tab)
        return tab

    async def refresh_cookie(self) -> dict[str, Any] | None:
        cookies = [
            cookie for cookie in await self.context.cookies() if "refreshToken" in cookie["name"]
        ]
        assert len(cookies) <= 1
        return dict(cookies[0]) if cookies else None


@pytest.fixture(scope="module")
def chromium_path() -> str:
    return require("Chromium", "apt-get install chromium", found=which("chromium"))


@pytest.fixture(scope="module")
def ports() -> tuple[int, int]:
    """The page's, the API's."""
    return free_port(), free_port()


@pytest.fixture(scope="module")
def page_origin(ports: tuple[int, int]) -> Iterator[str]:
    api = f"http://{HOST}:{ports[1]}"
    pages = {
        "/": PAGE.substitute(api=api).encode(),
        # What docs/browser.md asks its reader to save.
        "/example": DOCUMENTED["Try it html"].replace("http://127.0.0.1:8000", api).encode(),
    }

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            html = pages[self.path]
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(html)))
            self.end_headers()
            self.wfile.write(html)

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer((HOST, ports[0]), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://{HOST}:{ports[0]}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
async def api(
    chromium_path: str,
    ports: tuple[int, int],
    page_origin: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[str]:
    """`authward serve` as a process: access tokens live four seconds, the grace is one."""
    folder = tmp_path_factory.mktemp("serve")
    url = f"http://{HOST}:{ports[1]}"
    env = {key: value for key, value in os.environ.items() if not key.startswith("AUTHWARD_")}
    env |= {
        "AUTHWARD_DATABASE_URL": f"sqlite:///{folder / 'authward.db'}",
        "AUTHWARD_ORIGINS": page_origin,
        "AUTHWARD_ACCESS_TTL": "4s",
        "AUTHWARD_REFRESH_GRACE": "1s",
    }
    # These tests sign in more often than any limit would allow.
    limits = {"rate_limit", "auth_rate_limit"} & Settings.model_fields.keys()
    env |= {f"AUTHWARD_{name.upper()}": "off" for name in limits}
    command = [sys.executable, "-m", "authward", "serve", "--host", HOST, "--port", str(ports[1])]
    log = folder / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=folder, env=env, stdout=out, stderr=out)
    try:
        await until_ready(url, process, log)
        yield url
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    told = log.read_text(errors="replace")
    assert "Traceback" not in told, told


async def until_ready(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    for _ in range(2000):
        if process.poll() is not None:
            break
        try:
            with urlopen(f"{url}/readyz", timeout=30):
                return
        except (URLError, OSError):
            await asyncio.sleep(0.05)
    process.kill()
    process.wait()
    pytest.fail(f"the server did not start:\n{log.read_text(errors='replace')}", pytrace=False)


@pytest.fixture(scope="module")
async def browser(chromium_path: str) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=chromium_path, args=FLAGS)
        yield chromium
        await chromium.close()


@pytest.fixture
async def site(browser: Browser, api: str, page_origin: str) -> AsyncIterator[Site]:
    context = await browser.new_context()
    context.set_default_timeout(60_000)
    site = Site(page_origin, api, context)
    yield site
    await context.close()
    assert [error for tab in site.tabs for error in tab.errors] == []
