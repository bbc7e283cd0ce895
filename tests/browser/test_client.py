"""The browser client against the real server, in a real Chromium: page and API on two origins."""

import asyncio
import json
import re
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from playwright.async_api import expect

from tests.browser.conftest import NO_CHANNEL, NO_LOCKS, Site

# One worker: one browser and one server for the file.
pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

REFRESH = ("POST", "/api/auth/refresh-token")
PROFILE = ("GET", "/api/profile")
BARE = NO_LOCKS + NO_CHANNEL

every_browser = pytest.mark.parametrize(
    "without",
    [pytest.param("", id="locks"), pytest.param(BARE, id="no-locks")],
)


async def token_expires() -> None:
    await asyncio.sleep(4.1)


async def grace_passes() -> None:
    await asyncio.sleep(1.2)


@every_browser
async def test_ten_calls_after_expiry_make_one_refresh(site: Site, without: str) -> None:
    tab = await site.open(without=without)
    await tab.register(f"ten-{len(without)}")
    await token_expires()
    tab.forget()
    assert await tab.fetch(10) == [200] * 10
    assert tab.count(*REFRESH) == 1
    assert tab.count(*PROFILE) == 20
    assert sorted(status for *_, status in tab.answered) == [200] * 11 + [401] * 10
    assert await tab.state() == "signed-in"


@every_browser
async def test_two_tabs_refresh_at_once_and_both_go_on(site: Site, without: str) -> None:
    first = await site.open(without=without)
    await first.register(f"tabs-{len(without)}")
    second = await site.open(without=without)
    for _ in range(2):
        await token_expires()
        first.forget()
        second.forget()
        here, there = await asyncio.gather(first.fetch(3), second.fetch(3))
        assert here + there == [200] * 6
        assert [first.count(*REFRESH), second.count(*REFRESH)] == [1, 1]
    assert [await first.state(), await second.state()] == ["signed-in", "signed-in"]


async def test_a_reload_stays_signed_in(site: Site) -> None:
    tab = await site.open()
    await tab.register("reload")
    before = await tab.run("return auth.user.id")
    for _ in range(2):
        await tab.page.reload()
        assert await tab.run("return await ready") == "signed-in"
        assert await tab.run("return auth.user.id") == before
        assert await tab.run("return auth.user.email") == "reload@example.com"
        assert await tab.fetch() == [200]


async def test_the_first_call_after_a_reload_restores_by_itself(site: Site) -> None:
    tab = await site.open()
    await tab.register("restores")
    code = """const { createClient } = await import(value + "/authward.js");
        const other = createClient({ baseUrl: value });
        return [other.state, (await other.fetch("/api/profile")).status, other.state];"""
    assert await tab.run(code, site.api) == ["unknown", 200, "signed-in"]


async def test_signing_out_in_one_tab_signs_out_the_other(site: Site) -> None:
    first = await site.open()
    await first.register("leaving")
    second = await site.open()
    assert await second.state() == "signed-in"
    await first.run("await auth.logout()")
    await second.becomes("signed-out")
    assert await second.run("return states.at(-1)") == "signed-out"
    assert await second.fetch() == [401]
    assert await site.refresh_cookie() is None
    await second.page.reload()
    assert await second.run("return await ready") == "signed-out"


async def test_signing_out_everywhere_reaches_another_browser(site: Site) -> None:
    here = await site.open()
    await here.register("everywhere")
    browser = site.context.browser
    assert browser is not None
    elsewhere = Site(site.origin, site.api, await browser.new_context())
    there = await elsewhere.open()
    await there.login("everywhere")
    await here.run("await auth.logoutAll()")
    assert await here.state() == "signed-out"
    await token_expires()
    assert await there.fetch() == [401]
    assert await there.state() == "signed-out"
    await elsewhere.context.close()


async def test_signing_in_in_one_tab_signs_in_the_other(site: Site) -> None:
    first, second = await site.open(), await site.open()
    assert await second.state() == "signed-out"
    await first.register("entering")
    await second.becomes("signed-in")
    assert await second.fetch() == [200]


async def test_a_replayed_old_cookie_ends_the_session_and_the_pages_learn_it(site: Site) -> None:
    tab = await site.open()
    await tab.register("stolen")
    second = await site.open()
    stolen = await site.refresh_cookie()
    assert stolen is not None
    for _ in range(2):
        await grace_passes()
        assert await tab.run("return await auth.refresh()") == "signed-in"
    current = await site.refresh_cookie()
    assert current is not None
    assert current["value"] != stolen["value"]
    await grace_passes()

    assert await asyncio.to_thread(replay, site, stolen) == (401, "refresh_token_reused")

    assert await tab.fetch() == [401]
    assert await tab.state() == "signed-out"
    assert await tab.run("return states.at(-1)") == "signed-out"
    await second.becomes("signed-out")
    await tab.page.reload()
    assert await tab.run("return await ready") == "signed-out"


def replay(site: Site, cookie: dict[str, Any]) -> tuple[int, str]:
    headers = {"Cookie": f"{cookie['name']}={cookie['value']}", "Origin": site.origin}
    request = Request(f"{site.api}{REFRESH[1]}", method="POST", headers=headers)
    try:
        with urlopen(request, timeout=60) as answer:
            return answer.status, ""
    except HTTPError as error:
        with error:
            return error.code, json.load(error)["error"]


async def test_nothing_a_script_can_read_holds_a_token(site: Site) -> None:
    tab = await site.open()
    await tab.register("stored")
    assert await tab.fetch() == [200]
    code = """return [localStorage.length, sessionStorage.length, document.cookie,
        (await indexedDB.databases()).length, (await caches.keys()).length, history.state,
        JSON.stringify([auth, auth.user, states]).includes("eyJ")]"""
    assert await tab.run(code) == [0, 0, "", 0, 0, None, False]
    cookie = await site.refresh_cookie()
    assert cookie is not None
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Strict", "/")
    for other in await site.context.cookies():
        assert other.get("httpOnly"), other.get("name")


async def test_two_users_in_two_tabs_the_earlier_is_told(site: Site) -> None:
    first = await site.open()
    await first.register("ann")
    second = await site.open()
    await second.register("ben")
    await first.becomes("signed-out")
    assert await second.fetch() == [200]
    assert await second.run("return auth.user.email") == "ben@example.com"


@pytest.mark.parametrize(
    "without",
    [pytest.param(NO_CHANNEL, id="locks"), pytest.param(BARE, id="no-locks")],
)
async def test_a_call_is_never_sent_again_as_somebody_else(site: Site, without: str) -> None:
    names = [f"ann-{len(without)}", f"ben-{len(without)}"]
    first = await site.open(without=without)
    await first.register(names[0])
    second = await site.open(without=without)
    await second.register(names[1])
    await token_expires()
    first.forget()

    code = """const headers = { "Content-Type": "application/json" };
        const body = JSON.stringify({ name: "Mallory" });
        const answer = await auth.fetch("/api/profile", { method: "PATCH", headers, body });
        return [answer.status, auth.state, auth.user, states.at(-1)];"""
    assert await first.run(code) == [401, "signed-out", None, "signed-out"]
    assert first.count("PATCH", "/api/profile") == 1
    # Once with the CSRF token of the session that is no more, once with the new one.
    assert first.count(*REFRESH) <= 2

    code = """return await (await auth.fetch("/api/profile")).text()"""
    assert "Mallory" not in await second.run(code)
    assert await second.fetch() == [200]
    assert await second.run("return auth.user.email") == f"{names[1]}@example.com"


async def test_no_network_signs_nobody_out(site: Site) -> None:
    tab = await site.open()
    await tab.register("offline")
    await token_expires()
    await tab.page.route("**/api/auth/refresh-token", lambda route: route.abort())
    code = """return await auth.fetch("/api/profile").then(() => null, (error) => error.code)"""
    assert await tab.run(code) == "network_error"
    assert await tab.state() == "signed-in"
    await tab.page.unroute_all()
    assert await tab.fetch() == [200]


async def test_errors_reach_the_page_whole(site: Site) -> None:
    tab = await site.open()
    code = """const failed = (error) => [error.name, error.code, error.status, error.details];
        return await auth.login("nobody@example.com", "a wrong one").then(() => null, failed)"""
    assert await tab.run(code) == ["AuthwardError", "invalid_credentials", 401, []]
    code = """const failed = (error) => [error.code, error.status, error.details.length > 0];
        const account = { email: "no address", password: "x", name: "" };
        return await auth.register(account).then(() => null, failed)"""
    assert await tab.run(code) == ["validation_error", 422, True]


async def test_the_documented_page_works(site: Site) -> None:
    page = await site.context.new_page()
    await page.goto(f"{site.origin}/example")
    who, said = page.locator("#who"), page.locator("#said")
    await expect(who).to_have_text("signed-out ")
    await page.click("#in")
    await expect(who).to_have_text(re.compile("^signed-in .+@example.com$"))
    await page.click("#call")
    await expect(said).to_contain_text('"statusCode": 200')
    await page.reload()
    await expect(who).to_have_text(re.compile("^signed-in .+@example.com$"))
    await page.click("#out")
    await expect(who).to_have_text("signed-out ")
    await page.click("#call")
    await expect(said).to_contain_text('"error": "missing_token"')
