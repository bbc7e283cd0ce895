"""Every authentication event and denial leaves a row and a log line, and no secret does (OWASP ASVS
16.2, 16.3; CWE-117, CWE-532).
"""

import json
import logging
from collections import Counter
from typing import Any

import pytest

from authward.http.routes import ENDPOINTS
from tests.here import Here
from tests.serving import PASSWORD, REFRESH, refresh_cookie, refresh_headers

NEW_PASSWORD = "another long password"


async def play(here: Here) -> None:
    """All that the routes of accounts can tell, once each."""
    admin = await here.register(role="admin")
    user = await here.register()
    await here.send(
        "POST",
        "/api/auth/register",
        json={"email": user.email, "password": PASSWORD, "name": "Twin"},
    )
    await here.try_login(user.email, "wrong")
    await here.send("PATCH", "/api/profile", json={"name": "Bob"}, headers=user.bearer)
    await here.send("GET", "/api/users", headers=user.bearer)
    await here.send("GET", "/api/profile")
    for current in ("wrong", PASSWORD):
        await here.send(
            "POST",
            "/api/auth/change-password",
            json={"currentPassword": current, "newPassword": NEW_PASSWORD},
            headers=user.bearer,
        )
    here.clock.turn(11)
    rotated = refresh_cookie(await here.refresh(user))
    here.clock.turn(11)
    await here.refresh(user, rotated)
    await here.refresh(user)  # two generations old: reuse
    path = f"/api/users/{user.id}"
    for method, where, body in [
        ("PUT", f"{path}/role", {"role": "moderator"}),
        ("PUT", path, {"disabled": True}),
        ("DELETE", path, None),
    ]:
        assert (await here.send(method, where, json=body, headers=admin.bearer)).status_code == 200
    await here.send("POST", "/api/auth/logout", headers=refresh_headers(admin))
    again = await here.login(admin.email)
    await here.send("POST", "/api/auth/logout-all", headers=again.bearer)


EXPECTED = {
    ("user.registered", "ok"): 2,
    ("login.succeeded", "ok"): 4,
    ("login.failed", "refused"): 1,
    ("user.registration_refused", "refused"): 1,
    ("user.renamed", "ok"): 1,
    ("access.denied", "refused"): 2,
    ("password.change_refused", "refused"): 1,
    ("password.changed", "ok"): 1,
    ("session.refreshed", "ok"): 2,
    ("session.reuse_detected", "refused"): 1,
    ("user.role_set", "ok"): 2,
    ("user.edited", "ok"): 1,
    ("user.deleted", "ok"): 1,
    ("session.ended", "ok"): 1,
    ("session.all_ended", "ok"): 1,
}


async def test_every_flow_leaves_its_rows(here_on_each: Here) -> None:
    here = here_on_each
    await play(here)
    told = await here.told()
    assert Counter((event.kind, event.outcome) for event in told) == EXPECTED
    for event in told:
        assert event.subject or event.kind in (
            "access.denied",
            "user.registration_refused",
            "session.ended",
        ), event
        assert event.client.ip in ("127.0.0.1", "operator")


async def test_each_row_is_one_line_of_json_in_utc(
    here: Here, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "authward.audit"):
        # What a terminal takes for an escape sequence and a line's end, beyond ASCII: the server
        # itself refuses the ASCII ones.
        raw = {b"user-agent": b"evil\x9b31m\x85fake"}
        body = {"email": "a@example.com", "password": PASSWORD, "name": "Ada"}
        await here.send("POST", "/api/auth/register", json=body, headers=raw)
        for ascii_one in (b"a\x1b[31m", b"a\rb", b"a\nb: c"):
            lines = ["GET /api/profile HTTP/1.1", "Host: localhost"]
            answer = await here.raw(*lines, f"User-Agent: {ascii_one.decode()}")
            assert b" 400 " in answer.split(b"\r\n")[0] or b" 401 " in answer.split(b"\r\n")[0]
    lines = [record.getMessage() for record in caplog.records if record.name == "authward.audit"]
    assert lines
    for line in lines:
        assert line.isprintable()
        told = json.loads(line)
        assert told["time"].endswith("Z")
    assert json.loads(lines[0])["userAgent"] == "evil\\x9b31m\\x85fake"
    for event in await here.told():
        assert event.client.user_agent.isprintable()


CANARY = "canary-7f3e91c2d4"


def bodies() -> list[dict[str, Any]]:
    """The canary in each field of every body alone, in all of them, and where no text belongs."""
    fields = {
        field.alias or name
        for endpoint in ENDPOINTS
        if endpoint.body is not None
        for name, field in endpoint.body.model_fields.items()
    }
    alone = [{field: CANARY} for field in sorted(fields)]
    return [
        *alone,
        dict.fromkeys(fields, CANARY),
        {"email": [CANARY], "password": {CANARY: CANARY}},
    ]


async def test_a_canary_in_every_field_shows_up_nowhere(
    here: Here, caplog: pytest.LogCaptureFixture
) -> None:
    """A secret put where it does not belong is not logged, audited or said back in an error."""
    caplog.set_level(logging.DEBUG)
    admin = await here.register(role="admin")
    secret_headers = {
        "authorization": f"Bearer {CANARY}",
        "cookie": f"refreshToken={CANARY}; x-csrf-token={CANARY}",
        "x-csrf-token": CANARY,
    }
    for endpoint in ENDPOINTS:
        path = endpoint.path.replace("{id}", admin.id)
        for headers in (admin.bearer, secret_headers):
            for body in bodies() if endpoint.body is not None else [None]:
                # Names are for all to see: they are stored and answered, but still not logged.
                if endpoint.method in ("PATCH", "PUT", "DELETE") and headers is admin.bearer:
                    continue
                answer = await here.send(endpoint.method, path, json=body, headers=headers)
                assert answer.status_code < 500, answer.text
                assert CANARY not in answer.text, f"{endpoint.method} {path}: {answer.text}"
                assert CANARY not in str(answer.headers)
    login = {"email": admin.email, "password": CANARY}
    assert (await here.send("POST", "/api/auth/login", json=login)).status_code == 401
    change = {"currentPassword": CANARY, "newPassword": CANARY}
    await here.send("POST", "/api/auth/change-password", json=change, headers=admin.bearer)
    for event in await here.told():
        assert CANARY not in repr(event)
    assert CANARY not in caplog.text.replace("asyncio", "")
    assert CANARY not in here.services.metrics.text().decode()


async def test_a_flood_of_refusals_is_a_counted_row(here: Here) -> None:
    """An attacker does not buy a write each."""
    for _ in range(50):
        assert (await here.send("GET", "/api/profile")).status_code == 401
    denied = [event for event in await here.told() if event.kind == "access.denied"]
    assert sum(int(event.detail["count"]) for event in denied) == 50
    assert len(denied) <= 4


async def test_refused_refreshes_are_told(here: Here) -> None:
    account = await here.register()
    for headers in (
        {},
        {"cookie": "refreshToken=junk"},
        {"cookie": f"refreshToken={account.cookie}"},
    ):
        await here.send("POST", REFRESH, headers=headers)
    reasons = {
        event.detail.get("error") for event in await here.told() if event.kind == "access.denied"
    }
    assert {"invalid_refresh_token", "csrf_failed"} <= reasons
