"""The handlers of docs/events.md hear what the page says."""

from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.pages import examples
from tests.serving import PASSWORD, REFRESH, account_of, refresh_cookie, refresh_headers

PAGE = examples("docs/events.md")
ADA = "ada@example.com"


def test_its_handlers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AUTHWARD_DATABASE_URL", f"sqlite:///{tmp_path}/test.db")
    monkeypatch.setenv("AUTHWARD_REFRESH_GRACE", "0")
    page: dict[str, Any] = {"__name__": "pasted"}
    exec(PAGE["Events python"], page)
    told: list[tuple[Any, ...]] = []

    async def tell_owner(*who: Any) -> None:
        await pasted(*who)
        told.append(who)

    pasted, page["tell_owner"] = page["tell_owner"], tell_owner
    # At its end it tells what waits.
    with TestClient(page["auth"].asgi(), "http://localhost") as client:
        body = {"email": ADA, "password": PASSWORD, "name": "Ada"}
        account = account_of(client.post("/api/auth/register", json=body), ADA)
        client.cookies.clear()
        newer = client.post(REFRESH, headers=refresh_headers(account))
        assert refresh_cookie(newer) != account.cookie
        client.cookies.clear()
        assert client.post(REFRESH, headers=refresh_headers(account)).status_code == 401
    assert [user for user, _ in told] == [account.id]
    lines = capsys.readouterr().out.splitlines()
    for line in ("user.registered ok", "session.refreshed ok", "session.reuse_detected refused"):
        assert line in lines
