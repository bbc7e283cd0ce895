"""Files over HTTP: the browser module, and the API's documentation, which needs no network."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from html import escape
from importlib.util import find_spec
from pathlib import Path
from posixpath import relpath
from string import Template

from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from authward.core.envelope import JSON, Header
from authward.errors import ConfigurationError, MethodNotAllowed
from authward.http.openapi import document_bytes
from authward.http.tags import entity_tag, has_tag
from authward.middleware.answers import send_answer, send_refusal
from authward.ports import Clock

HERE = Path(__file__).parent
CHECKOUT = HERE.parents[2] / "clients" / "js"
JAVASCRIPT = b"text/javascript; charset=utf-8"
CSS = b"text/css; charset=utf-8"
HTML = b"text/html; charset=utf-8"
_NOSNIFF: Header = (b"x-content-type-options", b"nosniff")
# Importing a module is a CORS request, which this header does not touch: CORS decides. It keeps the
# file usable where a default of `same-origin` is added, and there is nothing secret in it.
_FOR_EVERY_SITE: Header = (b"cross-origin-resource-policy", b"cross-origin")
# Swagger UI sets styles through the DOM, which is no inline style in the sense of CSP, and its CSS
# draws icons as data: images. It asks this server alone.
DOCS_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_DOCS_HEADERS: tuple[Header, ...] = (
    (b"content-security-policy", DOCS_POLICY.encode()),
    (b"referrer-policy", b"no-referrer"),
)


class File:
    """One file as an ASGI app, with an entity tag. `load` runs once, at the first request."""

    def __init__(
        self, content_type: bytes, load: Callable[[], bytes], clock: Clock, *headers: Header
    ) -> None:
        self._load = cache(load)
        self._tag = cache(lambda: entity_tag(self._load()))
        self._clock = clock
        self._type: Header = (b"content-type", content_type)
        self._headers = ((b"cache-control", b"no-cache"), _NOSNIFF, *headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in ("GET", "HEAD"):
            allow = [(b"allow", b"GET, HEAD")]
            return await send_refusal(scope, send, MethodNotAllowed(), self._clock.now(), allow)
        shared = [(b"etag", self._tag()), *self._headers]
        if has_tag(scope["headers"], self._tag()):
            await send({"type": "http.response.start", "status": 304, "headers": shared})
            return await send({"type": "http.response.body", "body": b""})
        await send_answer(send, 200, [self._type, *shared], self._load())


def module_route(clock: Clock) -> Route:
    """`/authward.js`, the browser module."""
    file = File(JAVASCRIPT, browser_module, clock, _FOR_EVERY_SITE)
    return Route("/authward.js", file, name="authward:module")


def api_routes(clock: Clock, *, production: bool) -> list[Route]:
    """`/openapi.json` and `/docs` of our own routes. Raises ConfigurationError."""
    document = File(JSON, lambda: document_bytes(production=production), clock)
    return [Route("/openapi.json", document, name="authward:openapi"), *docs_routes(clock)]


def docs_routes(
    clock: Clock,
    *,
    path: str = "/docs",
    document: str = "/openapi.json",
    title: str = "Authward API",
) -> list[Route]:
    """A page at `path` that shows the OpenAPI document at the path `document`, and its files.

    All addresses in the page are relative, so it may lie behind any mount. Raises
    ConfigurationError if Swagger UI is not installed.
    """
    swagger = _swagger_ui()
    own = [("docs.js", JAVASCRIPT, HERE), ("docs.css", CSS, HERE)]
    theirs = [("swagger-ui-bundle.js", JAVASCRIPT, swagger), ("swagger-ui.css", CSS, swagger)]
    page = File(HTML, lambda: docs_page(path, document, title), clock, *_DOCS_HEADERS)
    return [
        Route(path, page, name=f"authward:{path}"),
        *(
            Route(f"{path.rstrip('/')}/{name}", File(kind, (folder / name).read_bytes, clock))
            for name, kind, folder in own + theirs
        ),
    ]


def docs_page(path: str, document: str, title: str) -> bytes:
    """The page's HTML. It holds no script and no style."""
    folder = path.rpartition("/")[0] or "/"
    values = {
        "title": title,
        "document": relpath(document, folder),
        "assets": path.rpartition("/")[2] or ".",  # of "/" and "/docs/"
    }
    template = Template((HERE / "docs.html").read_text(encoding="utf-8"))
    return template.substitute({name: escape(value) for name, value in values.items()}).encode()


def browser_module() -> bytes:
    """`authward.js`: beside this file in a wheel, in clients/js in a checkout."""
    beside = HERE / "authward.js"
    return (beside if beside.exists() else CHECKOUT / "authward.js").read_bytes()


def _swagger_ui() -> Path:
    # Found, not imported: the package's code would load FastAPI, and we use its static files alone.
    found = find_spec("fastapi_offline")
    if found is None or found.origin is None:
        raise ConfigurationError(
            "docs: fastapi-offline, which brings Swagger UI, is missing. "
            "Install it, or set AUTHWARD_DOCS=false"
        )
    return Path(found.origin).with_name("static")
