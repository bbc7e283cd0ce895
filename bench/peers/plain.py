"""Bare ASGI, Starlette and FastAPI, without any protection."""

import msgspec
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from bench.clients import from_many
from bench.peers.sent import DATA, with_headers

PATH = "/api/members/profile"
encode = msgspec.json.Encoder().encode


async def answer(scope, receive, send):
    if scope["type"] == "lifespan":
        return await lifespan(receive, send)
    body = encode(DATA)
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def lifespan(receive, send):
    for word in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{word}.complete"})


async def starlette_profile(request):
    return JSONResponse(DATA)


api = FastAPI()


@api.get(PATH)
async def fastapi_profile() -> dict[str, str]:
    return DATA


bare_app = from_many(with_headers(answer))
starlette_app = from_many(with_headers(Starlette(routes=[Route(PATH, starlette_profile)])))
fastapi_app = from_many(with_headers(api))
