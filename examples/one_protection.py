"""One protection alone, around an app that has nothing else to do with Authward.

uvicorn examples.one_protection:app
"""

from starlette.types import Receive, Scope, Send

from authward.middleware import Policy, RateLimit


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "http":
        raise RuntimeError("HTTP only")
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"Hello"})


app = RateLimit(
    hello,
    Policy("100/15m", name="all"),
    # Beside it, and tighter: searching costs more.
    Policy("5/1m", name="search", paths=["/search"]),
)

if __name__ == "__main__":
    raise SystemExit("usage: uvicorn examples.one_protection:app")
