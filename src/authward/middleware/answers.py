"""Sending whole answers over ASGI."""

from __future__ import annotations

from collections.abc import Iterable

from starlette.types import Receive, Scope, Send

from authward.core.envelope import Header, failure, failure_headers, wants_problem
from authward.errors import NotFound, Refusal
from authward.ports import Clock


async def send_answer(send: Send, status: int, headers: Iterable[Header], body: bytes) -> None:
    """One complete response. A 204 has no length, and a 304 not one of its own (RFC 9110 section
    8.6).
    """
    length = [] if status in (204, 304) else [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": [*headers, *length]})
    await send({"type": "http.response.body", "body": body})


async def send_refusal(
    scope: Scope, send: Send, refusal: Refusal, now: float, extra: Iterable[Header] = ()
) -> None:
    """A refusal in the form the client asked for. `now` in seconds."""
    problem = wants_problem(scope["headers"])
    body = failure(refusal, scope["path"], int(now * 1000), problem=problem)
    await send_answer(
        send, refusal.status, [*failure_headers(refusal, problem=problem), *extra], body
    )


async def refuse(
    scope: Scope,
    receive: Receive,
    send: Send,
    refusal: Refusal,
    now: float,
    extra: Iterable[Header] = (),
) -> None:
    """Refuse a request, or a WebSocket before it is accepted, which the server answers with 403.
    `now` in seconds.
    """
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008})
    else:
        await send_refusal(scope, send, refusal, now, extra)


class NoApp:
    """What lies behind our routes when there is no app: 404."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await send_refusal(scope, send, NotFound(), self._clock.now())
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        else:
            while (await receive())["type"] != "lifespan.shutdown":
                await send({"type": "lifespan.startup.complete"})
            await send({"type": "lifespan.shutdown.complete"})
