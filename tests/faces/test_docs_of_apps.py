"""`/docs` of our own server and of an installed FastAPI app: its own policy wins, and is kept."""

from collections.abc import Callable
from shutil import which

import pytest
from fastapi import FastAPI
from playwright.async_api import async_playwright
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
