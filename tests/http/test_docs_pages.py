"""`/docs`, `/openapi.json`, `/authward.js`: files with tags; a page that asks nobody else."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from shutil import which
from typing import Any

import httpx2
import pytest
from playwright.async_api import async_playwright
from starlette.applications import Starlette
from starlette.routing import Mount

from authward import Authward, ConfigurationError
from authward.clock import SystemClock
from authward.http.routes import DESCRIBED
from authward.ui import pages
from tests.http.serving import served
from tests.http.talking import PAGE, SECRET
from tests.needs import require

FILES = {
    "/docs": "text/html; charset=utf-8",
    "/docs/docs.css": "text/css; charset=utf-8",
    "/docs/docs.js": "text/javascript; charset=utf-8",
    "/docs/swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "/docs/swagger-ui.css": "text/css; charset=utf-8",
    "/openapi.json": "application/json",
    "/authward.js": "text/javascript; charset=utf-8",
}
FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
]


@asynccontextmanager
async def asking(tmp_path: Path, **settings: Any) -> AsyncIterator[httpx2.AsyncClient]:
    settings = {"database_url": f"sqlite:///{tmp_path}/a.db", "secret": SECRET, **settings}
    auth = Authward(**settings)
    transport = httpx2.ASGITransport(auth.asgi())
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client
    await auth.shutdown()


async def test_each_file_has_its_type_and_a_tag_that_saves_the_next_answer(tmp_path: Path):
    async with asking(tmp_path) as client:
        for path, kind in FILES.items():
            answer = await client.get(path)
            assert (answer.status_code, answer.headers["content-type"]) == (200, kind)
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["cache-control"] == "no-cache"
            assert len(answer.content) > 200
            tag = answer.headers["etag"]
            for sent in (tag, f"W/{tag}", f'"other", {tag}', "*"):
                again = await client.get(path, headers={"if-none-match": sent})
                assert (again.status_code, again.content) == (304, b"")
                assert again.headers["etag"] == tag
            assert (await client.get(path, headers={"if-none-match": '"x"'})).status_code == 200
            assert (await client.head(path)).headers["content-length"]
            refused = await client.post(path)
            assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")
            assert refused.json()["error"] == "method_not_allowed"


async def test_the_front_page_is_no_page(tmp_path: Path):
    async with asking(tmp_path) as client:
        for path in ("/", "/docs/", "/docs/other.js", "/docs/../docs.js"):
            assert (await client.get(path)).json()["error"] == "not_found"


async def test_production_serves_the_module_but_no_docs_unless_asked(tmp_path: Path):
    settings = {"env": "production", "hosts": "localhost"}
    async with asking(tmp_path, **settings) as client:
        found = {path: (await client.get(path)).status_code for path in FILES}
    assert found == {path: 200 if path == "/authward.js" else 404 for path in FILES}
    (tmp_path / "asked").mkdir()
    async with asking(tmp_path / "asked", docs=True, **settings) as client:
        assert (await client.get("/docs")).status_code == 200
        assert "__Host-refreshToken" in (await client.get("/openapi.json")).text


async def test_a_page_of_an_allowed_origin_may_import_the_module(tmp_path: Path):
    async with asking(tmp_path, origins=(PAGE,)) as client:
        allowed = await client.get("/authward.js", headers={"origin": PAGE})
        other = await client.get("/authward.js", headers={"origin": "https://evil.example"})
    assert allowed.headers["access-control-allow-origin"] == PAGE
    assert "access-control-allow-origin" not in other.headers
    for answer in (allowed, other):
        assert answer.headers["vary"] == "Origin"
        assert answer.headers["cross-origin-resource-policy"] == "cross-origin"


def test_the_page_holds_no_script_and_no_style_and_its_policy_allows_none():
    page = pages.docs_page("/docs", "/openapi.json", "<b>A & B</b>").decode()
    assert "<style" not in page
    assert "style=" not in page
    assert page.count("<script") == page.count("></script>") == 2
    assert "<title>&lt;b&gt;A &amp; B&lt;/b&gt;</title>" in page
    assert "unsafe" not in pages.DOCS_POLICY
    assert pages.DOCS_POLICY.startswith("default-src 'none';")
    assert "http" not in pages.DOCS_POLICY


@pytest.mark.parametrize(
    ("path", "document", "said"),
    [
        ("/docs", "/openapi.json", ("docs/docs.js", 'data-document="openapi.json"')),
        ("/a/docs", "/openapi.json", ("docs/docs.js", 'data-document="../openapi.json"')),
        ("/docs", "/v1/api.json", ("docs/docs.js", 'data-document="v1/api.json"')),
    ],
)
def test_its_addresses_are_relative(path: str, document: str, said: tuple[str, str]):
    page = pages.docs_page(path, document, "Title").decode()
    assert all(one in page for one in said)
    assert 'src="/' not in page
    assert 'href="/' not in page


def test_the_module_of_a_wheel_lies_beside_the_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    ours = pages.browser_module()
    assert b"export function createClient" in ours
    (tmp_path / "authward.js").write_text("packaged")
    monkeypatch.setattr(pages, "HERE", tmp_path)
    assert pages.browser_module() == b"packaged"


def test_what_is_served_is_installed():
    assert b"createClient" in pages.browser_module()
    assert b"SwaggerUIBundle" in (pages.HERE / "docs.js").read_bytes()


def test_without_swagger_ui_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pages, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match="fastapi-offline"):
        pages.docs_routes(SystemClock())


# --- in a browser -------------------------------------------------------------------------


@pytest.mark.browser
@pytest.mark.parametrize(
    ("width", "mount"), [(390, ""), (1280, "/below")], ids=["phone", "desk, below a mount"]
)
async def test_a_browser_shows_every_operation_without_asking_anybody_else(
    tmp_path: Path, width: int, mount: str
):
    chromium = require("Chromium", "apt-get install chromium", found=which("chromium"))
    auth = Authward(database_url=f"sqlite:///{tmp_path}/a.db", secret=SECRET)
    asked: list[str] = []
    told: list[str] = []
    with served(below(mount, auth)) as url:
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=chromium, args=FLAGS)
            page = await browser.new_page(viewport={"width": width, "height": 844})
            page.on("request", lambda request: asked.append(request.url))
            page.on("console", lambda message: told.append(message.text))
            page.on("pageerror", lambda error: told.append(str(error)))
            await page.goto(f"{url}{mount}/docs")
            await page.wait_for_selector(".opblock")
            shown = await page.locator(".opblock").count()
            # One operation, opened and carried out: forms, examples and answers are drawn, too.
            await page.locator("#operations-health-authward_healthz button").first.click()
            await page.get_by_role("button", name="Execute").click()
            await page.wait_for_selector(".live-responses-table")
            live = page.locator(".live-responses-table .response-col_status").last
            status = await live.inner_text()
            wide = await page.evaluate("document.documentElement.scrollWidth")
            await browser.close()
    assert shown == len(DESCRIBED)
    assert told == []
    assert [one for one in asked if not one.startswith((f"{url}{mount}/", "data:"))] == []
    assert status.startswith("200")
    assert wide <= width


def below(mount: str, auth: Authward) -> Any:
    """The app, or it mounted at a path of another one."""
    return Starlette(routes=[Mount(mount, auth.asgi())]) if mount else auth.asgi()
