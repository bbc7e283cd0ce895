"""A bare ASGI app behind the whole shield, with one route for a role."""

import msgspec
from starlette.types import Receive, Scope, Send

from authward import Authward
from bench.clients import from_many

auth = Authward()
encode = msgspec.json.Encoder().encode


async def profile(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "http":
        raise RuntimeError("HTTP only")
    me = auth.principal(scope, roles=("user",))
    body = encode({"id": me.id, "email": me.email, "role": me.role})
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


app = from_many(auth.wrap(profile))
