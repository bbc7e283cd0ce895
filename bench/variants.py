"""The servers that are compared, each the same route behind another stack."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Group = Literal["protected", "open"]


@dataclass(frozen=True, slots=True)
class Variant:
    """`app` is an ASGI app, or None for Express. `environment` is the peers' set it runs in, or
    None for our own. `like` is the variant whose headers and body it repeats without a check.
    `registers`: it gives an access token of its own. `http` is uvicorn's protocol class.
    """

    label: str
    group: Group
    app: str | None = None
    environment: str | None = None
    like: str | None = None
    registers: bool = False
    http: str = "httptools"


VARIANTS: dict[str, Variant] = {
    # Those that are compared with one another stand side by side, to be measured so.
    "fastapi-bytes": Variant(
        "FastAPI, the same headers", "open", "bench.peers.plain:fastapi_app", like="fastapi-ours"
    ),
    "fastapi-ours": Variant(
        "FastAPI + Authward",
        "protected",
        "bench.apps.fastapi_app:app",
        registers=True,
        http="authward.uvicorn:Http",
    ),
    "fastapi-stock": Variant(
        "FastAPI + Authward, uvicorn's own protocol",
        "protected",
        "bench.apps.fastapi_app:app",
        registers=True,
    ),
    "fastapi-bytes-ours": Variant(
        "FastAPI, the same headers, our protocol",
        "open",
        "bench.peers.plain:fastapi_app",
        like="fastapi-ours",
        http="authward.uvicorn:Http",
    ),
    "fastapi": Variant("FastAPI", "open", "bench.peers.plain:fastapi_app"),
    "bare-bytes": Variant(
        "bare ASGI, the same headers", "open", "bench.peers.plain:bare_app", like="bare-ours"
    ),
    "bare-ours": Variant(
        "bare ASGI + Authward",
        "protected",
        "bench.apps.bare_app:app",
        registers=True,
        http="authward.uvicorn:Http",
    ),
    "bare-stock": Variant(
        "bare ASGI + Authward, uvicorn's own protocol",
        "protected",
        "bench.apps.bare_app:app",
        registers=True,
    ),
    "bare-bytes-ours": Variant(
        "bare ASGI, the same headers, our protocol",
        "open",
        "bench.peers.plain:bare_app",
        like="bare-ours",
        http="authward.uvicorn:Http",
    ),
    "bare": Variant("bare ASGI", "open", "bench.peers.plain:bare_app"),
    "starlette": Variant("Starlette", "open", "bench.peers.plain:starlette_app"),
    "express": Variant("Express 4", "open"),
    "express-guide": Variant(
        "Express 4 + helmet, cors, express-rate-limit, csrf-csrf, jsonwebtoken",
        "protected",
        registers=True,
    ),
    "authx": Variant(
        "FastAPI + AuthX, slowapi, CORS",
        "protected",
        "bench.peers.authx_app:app",
        environment="authx",
        registers=True,
    ),
    "fastapi-users": Variant(
        "FastAPI + fastapi-users, slowapi, CORS, secure",
        "protected",
        "bench.peers.fastapi_users_app:app",
        environment="fastapi-users",
        registers=True,
    ),
}
