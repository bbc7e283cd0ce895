"""A middleware that acts for somebody else must not leave them behind under the caller's own header
(CWE-384, CWE-524): callers are remembered by what was verified, and asked for by what is there now.
"""

import httpx2
import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from authward import Authward
from authward.core.audit import Client
from tests.cheap import make_hashing_cheap


@pytest.fixture
async def stage(sqlite_database: str, monkeypatch: pytest.MonkeyPatch):
    """An app behind a middleware that puts Bob's token in where `x-act-as` asks for it, and takes
    any token away where `x-strip` does; and the tokens of Ann and Bob.
    """
    make_hashing_cheap(monkeypatch)
    auth = Authward(database_url=sqlite_database)
    await auth.startup()
    tokens = {}
    for name in ("ann", "bob"):
        signed_in = await auth.services.accounts.register(
            f"{name}@example.com", "long walks by the river", name, Client(""), presented=None
        )
        tokens[name] = signed_in.access_token

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        me = auth.principal(scope)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": me.email.encode()})

    def acting(inner: ASGIApp) -> ASGIApp:
        async def act(scope: Scope, receive: Receive, send: Send) -> None:
            names = {name for name, _ in scope["headers"]}
            if b"x-act-as" in names or b"x-strip" in names:
                kept = [pair for pair in scope["headers"] if pair[0] != b"authorization"]
                if b"x-act-as" in names:
                    kept.append((b"authorization", b"Bearer " + tokens["bob"].encode()))
                # In place, as some do, and with a list of its own, as others do.
                if b"x-in-place" in names:
                    scope["headers"][:] = kept
                else:
                    scope = {**scope, "headers": kept}
            await inner(scope, receive, send)

        return act

    transport = httpx2.ASGITransport(auth.wrap(acting(app)))
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:

        async def whoami(authorization: str | None, **headers: str) -> str:
            given = {name.replace("_", "-"): value for name, value in headers.items()}
            if authorization is not None:
                given["authorization"] = authorization
            answer = await client.get("/", headers=given)
            return answer.text if answer.status_code == 200 else str(answer.status_code)

        yield whoami, tokens, auth.services.tokens._memory.verified
    await auth.shutdown()


@pytest.mark.parametrize("how", [{}, {"x_in_place": "1"}], ids=["a list of its own", "in place"])
async def test_ann_stays_ann(stage, how):
    whoami, tokens, _ = stage
    ann = f"Bearer {tokens['ann']}"
    for _ in range(2):
        assert await whoami(ann, x_act_as="bob", **how) == "bob@example.com"
        assert await whoami(ann) == "ann@example.com"
    for _ in range(2):
        assert await whoami(ann, x_strip="1", **how) == "401"


@pytest.mark.parametrize("header", ["Basic eDp5", "Bearer zzz", "x"])
async def test_what_is_no_token_opens_nothing_afterwards(stage, header):
    whoami, _, _ = stage
    assert await whoami(header, x_act_as="bob") == "bob@example.com"
    assert await whoami(header) == "401"


async def test_padding_is_not_remembered(stage):
    """Or each length of it would be kept, at sixty kilobytes each."""
    whoami, tokens, remembered = stage
    for spaces in range(1, 40):
        assert await whoami("Bearer" + " " * spaces + tokens["ann"]) == "ann@example.com"
    assert len(remembered) == 1
