"""A denial nobody hears of: each leaves a row that says what was refused, and to whom.

OWASP ASVS 16.3.1 and 16.3.2; CWE-778 (insufficient logging).
"""

from collections import Counter
from typing import Any

from tests.here import OPERATOR, Here
from tests.serving import REFRESH, refresh_cookie, refresh_headers

EVIL = {"origin": "https://evil.example"}


async def test_each_denial_leaves_its_row(here: Here) -> None:
    admin, ada = await here.register(role="admin"), await here.register()
    moderator = await here.register(role="moderator")
    over = await here.login(ada.email)
    await here.send("POST", "/api/auth/logout", headers=refresh_headers(over))
    stale = await here.register()
    await here.services.users.set_role(None, stale.id, "moderator", OPERATOR)
    mine = refresh_headers(ada)
    without_token = {"cookie": mine["cookie"]}
    edit = {"json": {"name": "Edited"}, "headers": moderator.bearer}

    asked: list[tuple[str, str, dict[str, Any], str, str | None]] = [
        ("GET", "/api/profile", {}, "missing_token", None),
        ("GET", "/api/profile", {"headers": {"authorization": "Bearer x"}}, "invalid_token", None),
        ("GET", "/api/profile", {"headers": over.bearer}, "token_revoked", None),
        ("GET", "/api/profile", {"headers": stale.bearer}, "token_expired", None),
        ("GET", "/api/users", {"headers": ada.bearer}, "forbidden", ada.id),
        ("PUT", f"/api/users/{admin.id}", edit, "forbidden", moderator.id),
        ("POST", REFRESH, {}, "missing_refresh_token", None),
        ("POST", REFRESH, {"headers": {"cookie": "refreshToken=x"}}, "invalid_refresh_token", None),
        ("POST", REFRESH, {"headers": without_token}, "csrf_failed", ada.id),
        (
            "POST",
            REFRESH,
            {"headers": {**mine, "sec-fetch-site": "cross-site"}},
            "origin_not_allowed",
            ada.id,
        ),
        ("POST", REFRESH, {"headers": {**mine, **admin.bearer}}, "invalid_token", ada.id),
        ("POST", "/api/auth/login", {"headers": EVIL, "json": {}}, "origin_not_allowed", None),
        ("POST", "/nowhere", {"headers": EVIL}, "origin_not_allowed", None),
    ]
    for method, path, request, error, _ in asked:
        answer = await here.send(method, path, **request)
        assert answer.json()["error"] == error, path
    told = [event for event in await here.told() if event.kind == "access.denied"]
    counted: Counter[tuple[object, str | None]] = Counter()
    for event in told:
        counted[event.detail["error"], event.subject] += int(event.detail["count"])
    assert counted == Counter((error, subject) for *_, error, subject in asked)
    for event in told:
        assert event.outcome == "refused"
        assert event.client.ip == "127.0.0.1"
        assert event.detail["reason"]


async def test_an_expired_refresh_token_is_denied_too(here: Here) -> None:
    ada = await here.register()
    here.clock.turn(8 * 86400)
    assert (await here.refresh(ada)).json()["error"] == "refresh_token_expired"
    [event] = [event for event in await here.told() if event.kind == "access.denied"]
    assert event.detail["error"] == "refresh_token_expired"


async def test_a_dead_session_is_told_of_once_a_minute_however_often_it_is_tried(
    here: Here,
) -> None:
    ada = await here.register()
    await here.send("POST", "/api/auth/logout", headers=refresh_headers(ada))
    for _ in range(30):
        assert (await here.refresh(ada)).status_code == 401
    rows = [event for event in await here.told() if event.kind == "session.refresh_refused"]
    assert sum(int(event.detail["count"]) for event in rows) == 30
    assert len(rows) <= 4
    assert {event.subject for event in rows} == {ada.id}


async def test_a_retry_from_elsewhere_is_told(here: Here) -> None:
    """Within the grace a thief gets the live token: that it came from another browser is known."""
    ada = await here.register()
    here.clock.turn(11)
    mine = refresh_cookie(await here.refresh(ada))
    headers = {**refresh_headers(ada), "user-agent": "another browser"}
    stolen = await here.send("POST", REFRESH, headers=headers)
    assert refresh_cookie(stolen) == mine
    [event] = [event for event in await here.told() if event.kind == "session.refresh_overlap"]
    assert (event.subject, event.client.user_agent) == (ada.id, "another browser")
