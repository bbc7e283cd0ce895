"""An ASGI app without a framework, or with one that Authward has no face for.

uvicorn examples.bare_asgi:app
"""

from starlette.types import Receive, Scope, Send

from authward import Authward

auth = Authward()


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "http":
        raise RuntimeError("HTTP only")
    if scope["path"] == "/admin":
        caller = auth.principal(scope, roles=["admin"])
    else:
        caller = auth.principal(scope)
    # Who may not is answered for us: auth.principal raises.
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": f"Hello {caller.email}".encode()})


app = auth.wrap(hello)

if __name__ == "__main__":
    raise SystemExit("usage: uvicorn examples.bare_asgi:app")
