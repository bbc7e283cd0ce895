"""`report_only`: nothing is refused, all of it logged and counted, and no foreign page let in."""

import logging
from collections.abc import Callable

import pytest

from authward import Authward
from tests.cheap import make_hashing_cheap
from tests.faces.serving import EVIL, PAGE, serving
from tests.serving import PASSWORD, REFRESH, account_of, new_email

Make = Callable[..., Authward]
LIMITS = {"rate_limit": "2/15m", "auth_rate_limit": "1/15m"}


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    make_hashing_cheap(monkeypatch)


async def test_what_would_be_refused_goes_on(
    in_production: Make, caplog: pytest.LogCaptureFixture
) -> None:
    auth = in_production(report_only="cors,csrf,rate_limit", **LIMITS)
    counts = auth._front.reports.counts
    body = {"email": new_email(), "password": PASSWORD, "name": "Ada"}
    caplog.set_level(logging.WARNING, "authward.reports")
    async with serving(auth, auth.asgi()) as client:
        for _ in range(2):
            assert (await client.get("/api/public-data")).status_code == 200
        assert counts == {}
        foreign = await client.post("/api/auth/register", json=body, headers={"origin": EVIL})
        made = account_of(foreign, body["email"])
        # One of the general limit, one of CORS. The credential limit had room for one.
        assert counts == {"rate_limit": 1, "cors": 1}
        second = await client.post("/api/auth/register", json=body, headers={"origin": PAGE})
        assert second.status_code == 409
        assert counts == {"rate_limit": 3, "cors": 1}
        cookie = {"cookie": f"__Host-refreshToken={made.cookie}"}
        forged = await client.post(REFRESH, headers={**cookie, "x-csrf-token": "forged"})
        assert forged.status_code == 200
        assert counts == {"rate_limit": 4, "cors": 1, "csrf": 1}
        foreign_refresh = await client.post(REFRESH, headers={**cookie, "origin": EVIL})
        assert foreign_refresh.status_code == 200
        assert counts == {"rate_limit": 5, "cors": 2, "csrf": 2}
    for answer in (foreign, foreign_refresh):
        assert not [name for name in answer.headers if name.startswith("access-control-")]
    assert second.headers["access-control-allow-origin"] == PAGE
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == sum(counts.values())
    assert said[1] == (
        "report only: cors would refuse POST /api/auth/register with origin_not_allowed: "
        f"origin {EVIL}"
    )
    assert {line.split()[2] for line in said} == {"cors", "csrf", "rate_limit"}


async def test_a_foreign_origin_learns_nothing_from_a_preflight(in_production: Make) -> None:
    auth = in_production(report_only="cors,csrf,rate_limit", **LIMITS)
    asks = {"origin": EVIL, "access-control-request-method": "PUT"}
    async with serving(auth, auth.asgi()) as client:
        answer = await client.options("/api/profile", headers=asks)
    assert answer.status_code == 204
    assert not [name for name in answer.headers if name.startswith("access-control-")]


@pytest.mark.parametrize("reported", ["cors", "csrf", "rate_limit"])
async def test_one_that_reports_leaves_the_others_at_work(
    in_production: Make, reported: str
) -> None:
    auth = in_production(report_only=reported, rate_limit="3/15m")
    body = {"email": new_email(), "password": PASSWORD, "name": "Ada"}
    async with serving(auth, auth.asgi()) as client:
        made = account_of(await client.post("/api/auth/register", json=body), body["email"])
        cookie = {"cookie": f"__Host-refreshToken={made.cookie}"}
        refused = {
            "cors": await client.post("/api/auth/login", json=body, headers={"origin": EVIL}),
            "csrf": await client.post(REFRESH, headers=cookie),
            "rate_limit": await client.get("/api/public-data"),
        }
    expected = {"cors": 403, "csrf": 403, "rate_limit": 429}
    found = {name: answer.status_code for name, answer in refused.items()}
    assert found == {**expected, reported: 200}
    assert auth._front.reports.counts == {reported: 1}
