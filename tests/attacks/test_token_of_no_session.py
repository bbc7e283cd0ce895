"""A CSRF token that is bound to no session's id, and so is good in every session (CWE-352).

`binding=` an async function: nobody awaits it, and the text of a coroutine is the same for all but
its address, which comes again.
"""

import functools
import gc
import re
from typing import Any
from uuid import UUID

import pytest
from starlette.types import Receive, Scope, Send

from authward.core.cookies import read_cookie
from authward.errors import ConfigurationError
from authward.middleware.csrf import CSRF, csrf_token
from tests.middleware.driving import drive, http_scope

SECRET = bytes(range(32))


async def page(scope: Scope, receive: Receive, send: Send) -> None:
    token = csrf_token(scope).encode() if scope["method"] == "GET" else b"bought"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": token})


def sid(scope: Scope) -> str | None:
    return read_cookie(scope["headers"], "sid")


async def later(scope: Scope) -> str | None:
    return sid(scope)


class Later:
    async def __call__(self, scope: Scope) -> str | None:
        return sid(scope)


class Session:
    """What an ORM hands out, say."""


def guarded(**options: Any) -> CSRF:
    return CSRF(page, secrets=[SECRET], origins=["https://a.example"], **options)


@pytest.mark.parametrize("option", ["binding", "protects"])
@pytest.mark.parametrize("given", [later, Later(), functools.partial(later)])
def test_an_async_function_does_not_start(option: str, given: Any):
    with pytest.raises(ConfigurationError, match=f"{option}: is not awaited. Write def"):
        guarded(**{option: given})


@pytest.mark.parametrize("option", ["binding", "protects"])
def test_a_path_in_place_of_a_function_does_not_start(option: str):
    with pytest.raises(ConfigurationError, match=f"{option}: '/x' is no function"):
        guarded(**{option: "/x"})


@pytest.mark.parametrize(
    "binding",
    [
        # A plain function may return a coroutine all the same.
        pytest.param(lambda scope: later(scope), id="a coroutine"),
        pytest.param(lambda scope: Session(), id="an object"),
        pytest.param(lambda scope: {"id": sid(scope)}, id="a mapping"),
        pytest.param(lambda scope: True, id="whether there is one"),
        pytest.param(lambda scope: b"victim", id="bytes"),
    ],
)
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
async def test_what_is_no_id_signs_nothing_and_lets_nothing_pass(binding: Any):
    app = guarded(binding=binding)
    cookie = (b"cookie", b"sid=attacker")
    with pytest.raises(ConfigurationError, match=r"binding: .* is no session's id\. Return text"):
        await drive(app, http_scope("GET", headers=[cookie]))
    planted = [(b"cookie", b"sid=victim"), (b"x-csrf-token", b"x")]
    with pytest.raises(ConfigurationError, match="binding: "):
        await drive(app, http_scope("POST", headers=planted))
    gc.collect()  # the coroutine's warning, while it is ignored


@pytest.mark.parametrize("kind", [str, int, UUID])
async def test_each_session_has_a_token_of_its_own(kind: Any):
    app = guarded(binding=lambda scope: kind(sid(scope)))
    ids = [f"{number:032d}" for number in (1, 2)]
    tokens = []
    for one in ids:
        shown = await drive(app, http_scope("GET", headers=[(b"cookie", f"sid={one}".encode())]))
        assert re.fullmatch(rb"[\w-]{43}", shown.body)
        tokens.append(shown.body)
    for session, own in enumerate(ids):
        for number, token in enumerate(tokens):
            headers = [(b"cookie", f"sid={own}".encode()), (b"x-csrf-token", token)]
            answer = await drive(app, http_scope("POST", headers=headers))
            assert answer.status == (200 if number == session else 403)
