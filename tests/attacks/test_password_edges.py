"""Passwords at the edges of what is allowed, over HTTP: taken exactly as they are, or refused.

OWASP ASVS 6.2.1 to 6.2.9, NIST SP 800-63B-4 section 3.1.1.2.
"""

from typing import Any

import pytest

from tests.here import Here
from tests.serving import error_of, new_email

ALLOWED = {
    "eight characters": "abcd efg",
    "eight emoji": "🦊" * 8,
    "two hundred and fifty-six characters": "x" * 256,
    "two hundred and fifty-six emoji, a kilobyte": "🦊" * 256,
    "blanks around": "  padded password  ",
    "blanks alone": " " * 8,
    "a line's end": "first line\nsecond line",
    "combined accents": "cafe\u0301 cafe\u0301",
    "composed accents": "caf\u00e9 caf\u00e9 x",
    "no letters at all": "\u200b\u00a0\u3000\ufeff" * 2,
    "a family, joined": "\U0001f468\u200d\U0001f469\u200d\U0001f467" * 2,
    "what SQL and shells mind": "'; DROP TABLE users; --`$(x)",
}
REFUSED = {
    "seven characters": ("abc def", "too_short"),
    "seven emoji, though 28 bytes": ("🦊" * 7, "too_short"),
    "two hundred and fifty-seven": ("x" * 257, "too_long"),
    "two hundred and fifty-seven emoji": ("🦊" * 257, "too_long"),
}


async def post(here: Here, path: str, email: str, password: str) -> Any:
    body = {"email": email, "password": password, "name": "Ada"}
    return await here.send("POST", f"/api/auth/{path}", json=body)


async def test_what_is_allowed_signs_in_exactly_as_it_is(here: Here) -> None:
    for name, password in ALLOWED.items():
        email = new_email()
        assert (await post(here, "register", email, password)).status_code == 201, name
        assert (await post(here, "login", email, password)).status_code == 200, name
        changed = {
            password + " ",
            " " + password,
            password[:-1],
            password.strip(),
            password.swapcase(),
            password.replace("\u00e9", "e\u0301"),
            password.replace("e\u0301", "\u00e9"),
        } - {password, ""}
        for other in changed:
            answer = await post(here, "login", email, other)
            too_long = len(other) > 256
            assert answer.status_code == (422 if too_long else 401), (name, other)


async def test_what_is_refused_says_why(here: Here) -> None:
    for name, (password, code) in REFUSED.items():
        email = new_email()
        answer = await post(here, "register", email, password)
        assert error_of(answer) == (422, "validation_error"), name
        [detail] = answer.json()["details"]
        assert detail["field"] == "password"
        assert code in (detail["code"], detail["code"].replace("string_", "")), detail
        assert password not in answer.text
        # The same limits hold where it is changed.
        account = await here.register()
        body = {"currentPassword": "correct horse battery", "newPassword": password}
        path = "/api/auth/change-password"
        answer = await here.send("POST", path, json=body, headers=account.bearer)
        assert error_of(answer) == (422, "validation_error"), name
        assert [one["field"] for one in answer.json()["details"]] == ["newPassword"]


@pytest.mark.parametrize("password", [None, 12345678, 1.5, True, [], {}, ["x" * 8]])
async def test_what_is_no_text_is_no_password(here: Here, password: Any) -> None:
    for path in ("register", "login"):
        answer = await post(here, path, "ada@example.com", password)
        assert error_of(answer) == (422, "validation_error")
