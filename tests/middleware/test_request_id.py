"""An id for every request: in the scope and on the answer, and of others only where trusted."""

import gc
import os
import re
import subprocess
import sys
import weakref
from typing import Any

import httpx2
import pytest
from starlette.types import Message, Receive, Scope, Send

from authward.errors import ConfigurationError
from authward.middleware.request_id import RequestId, request_id
from tests.http.serving import served
from tests.middleware.driving import Answer, drive, http_scope

NAME = b"x-request-id"
THEIRS = b"their-id.00000001"


async def tells(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the id it was given."""
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        return await send({"type": "lifespan.shutdown.complete"})
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-app", b"1")]})
    await send({"type": "http.response.body", "body": request_id(scope).encode()})


async def ask(app: RequestId, *values: bytes, name: bytes = NAME) -> Answer:
    return await drive(app, http_scope(headers=[(name, value) for value in values]))


async def test_each_request_has_an_id_of_its_own():
    app = RequestId(tells)
    seen = set()
    for _ in range(600):
        answer = await ask(app)
        assert answer.headers == [(b"x-app", b"1"), (NAME, answer.body)]
        seen.add(answer.body)
    assert len(seen) == 600
    assert all(re.fullmatch(b"[0-9a-f]{32}", one) for one in seen)


async def test_ids_come_from_chance():
    app = RequestId(tells, chance=lambda size: b"\xab" * size)
    assert (await ask(app)).body == b"ab" * 16


async def test_an_id_that_came_along_is_not_believed():
    answer = await ask(RequestId(tells), THEIRS)
    assert answer.body != THEIRS
    assert answer.header(NAME) == [answer.body]


async def test_it_is_taken_over_where_it_is_trusted():
    answer = await ask(RequestId(tells, trust_incoming=True), THEIRS)
    assert answer.body == THEIRS
    assert answer.header(NAME) == [THEIRS]


@pytest.mark.parametrize(
    "values",
    [(), (b"short",), (b"x" * 65,), (b"a\x1b[31mbcdefg",), (THEIRS, THEIRS), (THEIRS, b"")],
)
async def test_even_there_only_one_that_does_no_harm(values: tuple[bytes, ...]):
    answer = await ask(RequestId(tells, trust_incoming=True), *values)
    assert re.fullmatch(b"[0-9a-f]{32}", answer.body)


async def test_the_header_may_have_another_name():
    app = RequestId(tells, header="X-Correlation-Id", trust_incoming=True)
    answer = await ask(app, THEIRS, name=b"x-correlation-id")
    assert answer.header(b"x-correlation-id") == [THEIRS]
    assert answer.header(NAME) == []


async def test_an_answer_has_one_id():
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(
            {"type": "http.response.start", "status": 200, "headers": [(b"X-Request-ID", b"mine")]}
        )
        await send({"type": "http.response.body", "body": request_id(scope).encode()})

    answer = await ask(RequestId(app))
    assert answer.headers == [(NAME, answer.body)]


async def test_without_one_there_is_none():
    assert request_id(http_scope()) == ""


@pytest.mark.parametrize("kind", ["websocket.accept", "websocket.http.response.start"])
async def test_a_websocket_has_one_too(kind: str):
    sent: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": kind})
        await send({"type": "websocket.send", "text": request_id(scope)})

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "websocket", "path": "/", "headers": []}
    await RequestId(app)(scope, None, send)  # type: ignore[arg-type]
    assert sent[0]["headers"] == [(NAME, sent[1]["text"].encode())]
    assert sent[1].keys() == {"type", "text"}


async def test_what_is_no_request_goes_straight_on():
    seen: list[Any] = []

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append((scope, receive, send))

    scope, receive, send = {"type": "lifespan"}, object(), object()
    await RequestId(inner)(scope, receive, send)  # type: ignore[arg-type]
    assert seen == [({"type": "lifespan"}, receive, send)]


@pytest.mark.parametrize("header", ["", "x id", "x-id:", "x-id\r\nset-cookie", None, b"x-id"])
def test_a_header_that_is_none_does_not_start(header: Any):
    with pytest.raises(ConfigurationError, match="header: "):
        RequestId(tells, header=header)


FORKING = """
import os
from authward.middleware.request_id import RequestId
kept, gone = RequestId(None), RequestId(None)
del gone
kept._mint()
if pid := os.fork():
    os.waitpid(pid, 0)
print(*(kept._mint() for _ in range(3)), flush=True)
os._exit(0)
"""


@pytest.mark.parametrize("given", ["no", "false", 0, None])
def test_text_that_says_no_trusts_nobody(given: Any):
    with pytest.raises(ConfigurationError, match=r"trust_incoming: .* Did you mean False"):
        RequestId(tells, trust_incoming=given)


def test_processes_that_fork_share_no_ids():
    done = subprocess.run(
        [sys.executable, "-c", FORKING], capture_output=True, text=True, check=True
    )
    ids = done.stdout.split()
    assert len(ids) == len(set(ids)) == 6


def test_what_is_told_of_forks_keeps_nothing_alive(monkeypatch: pytest.MonkeyPatch):
    told: list[Any] = []
    monkeypatch.setattr(
        os, "register_at_fork", lambda *, after_in_child: told.append(after_in_child), raising=False
    )
    kept, gone = RequestId(tells), RequestId(tells)
    kept._mint()
    known = weakref.ref(gone._mint)
    del gone
    gc.collect()
    assert known() is None
    for forked in told:
        forked()
    assert kept._mint.ready == []


async def test_where_nothing_forks(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delattr(os, "register_at_fork", raising=False)
    assert (await ask(RequestId(tells))).body


def test_on_a_real_socket():
    with served(RequestId(tells)) as url:
        answer = httpx2.get(url, headers={"x-request-id": THEIRS.decode()})
        assert answer.headers["x-request-id"] == answer.text != THEIRS.decode()
