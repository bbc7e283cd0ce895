"""`/docs` of our own server and of an installed FastAPI app: its own policy wins, and is kept."""

import re
from collections.abc import Callable
from shutil import which
from urllib.parse import urljoin

import pytest
from fastapi import FastAPI
from playwright.async_api import async_playwright
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient
from starlette.types import ASGIApp

from authward import Authward
from authward.ui.pages import DOCS_POLICY
from tests.faces.serving import complete, serving
from tests.http.serving import served
from tests.http.test_docs_pages import FLAGS
from tests.needs import require

Make = Callable[..., Authward]


def installed(auth: Authward) -> FastAPI:
    app = FastAPI()
    app.add_api_route("/things", lambda: "thing", methods=["POST"])
    auth.install(app)
    return app


DOCS: dict[str, Callable[[Authward], ASGIApp]] = {
    "our own": Authward.asgi,
    "of an installed FastAPI app": installed,
}


@pytest.mark.parametrize("whose", DOCS)
async def test_the_docs_page_keeps_its_own_policy(in_production: Make, whose: str) -> None:
    auth = in_production(docs=True)
    async with serving(auth, DOCS[whose](auth)) as client:
        complete(await client.get("/docs"), 200, content_security_policy=DOCS_POLICY)
        complete(await client.get("/openapi.json"), 200)


@pytest.mark.parametrize("mount", ["", "/v1"])
@pytest.mark.parametrize("docs_url", ["/", "/docs", "/docs/", "/a/docs"])
def test_whatever_the_page_loads_is_there(make_auth: Make, docs_url: str, mount: str) -> None:
    auth, app = make_auth(), FastAPI(docs_url=docs_url)
    auth.install(app, deny_by_default=True)
    whole: ASGIApp = Starlette(routes=[Mount(mount, app)]) if mount else app
    with TestClient(whole, base_url="http://localhost") as client:
        page = client.get(mount + docs_url)
        named = re.findall(r'(?:src|href|data-document)="((?!data:)[^"]+)"', page.text)
        assert len(named) == 6
        for one in named:
            assert client.get(urljoin(str(page.url), one)).status_code == 200, one


@pytest.mark.browser
async def test_a_browser_shows_the_docs_of_an_installed_app(make_auth: Make) -> None:
    chromium = require("Chromium", "apt-get install chromium", found=which("chromium"))
    asked: list[str] = []
    told: list[str] = []
    with served(installed(make_auth())) as url:
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=chromium, args=FLAGS)
            page = await browser.new_page()
            page.on("request", lambda request: asked.append(request.url))
            page.on("console", lambda message: told.append(message.text))
            page.on("pageerror", lambda error: told.append(str(error)))
            answer = await page.goto(f"{url}/docs")
            await page.wait_for_selector(".opblock")
            shown = await page.locator(".opblock-summary-path").all_inner_texts()
            await browser.close()
    assert answer is not None
    assert answer.headers["content-security-policy"] == DOCS_POLICY
    assert answer.headers["x-frame-options"] == "SAMEORIGIN"
    assert any("things" in path for path in shown)
    # The console would name each violation of the policy.
    assert told == []
    assert [one for one in asked if not one.startswith((f"{url}/", "data:"))] == []
