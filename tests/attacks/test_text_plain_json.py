"""JSON as text/plain, which any page may post without a preflight: CVE-2021-32677 of FastAPI.

Also as a form, whose one field is the JSON, and with no type at all.
"""

from collections.abc import AsyncIterator

import pytest

from tests.http.talking import PASSWORD, Api, talking

ATTEMPTS = [
    ("text/plain", '{"email": "mallory@example.com", "password": "%s", "name": "M"}'),
    ("application/x-www-form-urlencoded", '{"email": "mallory@example.com", "x": "=%s"}'),
    ("multipart/form-data; boundary=x", '--x\r\n\r\n{"email": "mallory@example.com%s"}\r\n--x--'),
    (None, '{"email": "mallory@example.com", "password": "%s", "name": "M"}'),
]


@pytest.fixture
async def api(sqlite_url: str) -> AsyncIterator[Api]:
    async with talking(sqlite_url) as found:
        yield found


@pytest.mark.parametrize(("kind", "body"), ATTEMPTS, ids=lambda value: str(value)[:12])
async def test_another_sites_page_makes_no_account(api: Api, kind: str | None, body: str):
    for origin in ("https://evil.example", None):
        headers = {} if kind is None else {"content-type": kind}
        headers |= {} if origin is None else {"origin": origin}
        answer = await api.send(
            "POST", "/api/auth/register", content=(body % PASSWORD).encode(), headers=headers
        )
        assert answer.status_code == (415 if origin is None else 403)
        assert "set-cookie" not in answer.headers
    users = await api.auth.services.users.page(limit=9, cursor=None, search=None, role=None)
    assert users.users == []
