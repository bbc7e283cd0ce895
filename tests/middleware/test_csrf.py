"""CSRF around any ASGI app: the whole table of decisions, forms, cookies, WebSockets."""

import itertools
import json
import re
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from authward.core.cookies import read_cookie
from authward.core.csrf import anonymous_binding, session_binding
from authward.core.csrf import csrf_token as token_of
from authward.errors import ConfigurationError, MalformedRequest
from authward.middleware.csrf import CSRF, FORM_BYTES, csrf_field, csrf_token
from tests.generating import few
from tests.middleware.driving import GONE, Answer, Header, drive, http_scope
from tests.pages import examples

PAGE = examples("docs/csrf.md")
OWN, APP = "https://api.example.com", "https://app.example.com"
NEW, OLD, STRANGE = bytes(range(32)), bytes(range(32, 64)), bytes(range(64, 96))
SESSION, OTHER = "session-000000000001", "session-000000000002"
BROWSER = "0123456789abcdef0123456789abcdef"
COOKIE = "__Host-x-csrf-token"
FORM = (b"content-type", b"application/x-www-form-urlencoded")
RIGHT = token_of(NEW, session_binding(SESSION))


def sid(scope: Scope) -> str | None:
    """The app's own session: its cookie."""
    return read_cookie(scope["headers"], "sid")


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the body it was sent."""
    body = b""
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


def guarded(app: ASGIApp = echo, **options: Any) -> CSRF:
    given: dict[str, Any] = {"secrets": [NEW, OLD], "origins": [OWN, APP], "binding": sid}
    return CSRF(app, **{**given, **options})


def said(headers: dict[str, str]) -> list[Header]:
    return [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]


async def post(app: ASGIApp, *chunks: Any, path: str = "/", **headers: str) -> Answer:
    """A POST of somebody with a session, or without: cookie=""."""
    given = {"cookie": f"sid={SESSION}", **{k.replace("_", "-"): v for k, v in headers.items()}}
    if not given["cookie"]:
        del given["cookie"]
    if chunks and "content-type" not in given:
        given["content-type"] = "application/x-www-form-urlencoded"
    return await drive(app, http_scope("POST", path, said(given)), chunks or (b"",))


# --- the whole table ------------------------------------------------------------------------------

# + it is proven where the request came from, ? it is not, - refused, ! a header that is there twice
PLACES = """
             absent none same-origin same-site cross-site empty nonsense twice
    absent   ?      ?    ?           -         -          -     -        !
    own      +      +    +           +         +          +     +        !
    allowed  +      +    +           +         +          +     +        !
    case     +      +    +           +         +          +     +        !
    foreign  -      -    -           -         -          -     -        !
    twin     -      -    -           -         -          -     -        !
    null     -      -    -           -         -          -     -        !
    empty    -      -    -           -         -          -     -        !
    twice    -      -    -           -         -          -     -        !
"""
# What becomes of a request with this token: proven, unproven, and the same two under strict.
TOKENS = """
              +      ?      +strict ?strict
    absent    passes failed failed  failed
    right     passes passes passes  passes
    older     passes passes passes  passes
    other     failed failed failed  failed
    browser's failed failed failed  failed
    raw       failed failed failed  failed
    strange   failed failed failed  failed
    shorter   failed failed failed  failed
    longer    failed failed failed  failed
    empty     failed failed failed  failed
    accents   failed failed failed  failed
    huge      failed failed failed  failed
"""
ORIGINS = {
    "absent": [],
    "own": [OWN],
    "allowed": [APP],
    "case": ["HTTPS://API.example.com:443"],
    "foreign": ["https://evil.example"],
    "twin": ["http://api.example.com"],
    "null": ["null"],
    "empty": [""],
    "twice": [OWN, OWN],
}
SITES = {
    "absent": [],
    "none": ["none"],
    "same-origin": ["same-origin"],
    "same-site": ["same-site"],
    "cross-site": ["cross-site"],
    "empty": [""],
    "nonsense": ["Same-Origin"],
    "twice": ["same-origin", "same-origin"],
}
VERDICTS = {"passes": (200, ""), "failed": (403, "csrf_failed")}
REFUSED, MALFORMED = (403, "origin_not_allowed"), (400, "malformed_request")
SAFE = ["GET", "HEAD", "OPTIONS", "TRACE"]
UNSAFE = ["POST", "PUT", "PATCH", "DELETE", "PURGE", "get"]


def grid(text: str) -> dict[tuple[str, str], str]:
    """A table by row and column."""
    head, *rows = text.strip("\n").splitlines()
    columns = head.split()
    cells: dict[tuple[str, str], str] = {}
    for row in rows:
        name, *values = row.split()
        cells |= {(name, column): v for column, v in zip(columns, values, strict=True)}
    return cells


def tokens_of(binding: str, other: str) -> dict[str, list[str]]:
    right = token_of(NEW, binding)
    return {
        "absent": [],
        "right": [right],
        "older": [token_of(OLD, binding)],
        "other": [token_of(NEW, other)],
        "browser's": [token_of(NEW, anonymous_binding("f" * 32))],
        "raw": [token_of(NEW, SESSION)],
        "strange": [token_of(STRANGE, binding)],
        "shorter": [right[:-1]],
        "longer": [right + "="],
        "empty": [""],
        "accents": ["é" * 43],
        "huge": ["x" * 100_000],
    }


WHO = {
    "a session": (f"sid={SESSION}", session_binding(SESSION), session_binding(OTHER)),
    "a browser": (f"{COOKIE}={BROWSER}", anonymous_binding(BROWSER), session_binding(BROWSER)),
}


@pytest.mark.parametrize("strict", [False, True], ids=["standard", "strict"])
@pytest.mark.parametrize("method", SAFE + UNSAFE)
@pytest.mark.parametrize("who", WHO)
async def test_every_cell_of_the_table(who: str, method: str, strict: bool):
    cookie, binding, other = WHO[who]
    app = guarded(strict=strict)
    tokens = tokens_of(binding, other)
    places, outcomes = grid(PLACES), grid(TOKENS)
    assert len(places) == len(ORIGINS) * len(SITES)
    assert len(outcomes) == len(tokens) * 4
    for (origin, site), token in itertools.product(places, tokens):
        place = places[origin, site]
        if method in SAFE:
            expected = (200, "")
        elif place in "+?":
            column = f"{place}strict" if strict else place
            expected = VERDICTS[outcomes[token, column]]
        else:
            expected = MALFORMED if place == "!" else REFUSED
        headers = [(b"cookie", cookie.encode())]
        headers += [(b"origin", value.encode()) for value in ORIGINS[origin]]
        headers += [(b"sec-fetch-site", value.encode()) for value in SITES[site]]
        headers += [(b"x-csrf-token", value.encode("latin-1")) for value in tokens[token]]
        answer = await drive(app, http_scope(method, headers=headers))
        assert (answer.status, answer.error) == expected, (origin, site, token)


@pytest.mark.parametrize("strict", [False, True])
async def test_who_has_neither_session_nor_cookie_has_no_right_token(strict: bool):
    app = guarded(strict=strict)
    for token in tokens_of(session_binding(""), anonymous_binding("")).values():
        headers = {"x_csrf_token": token[0]} if token else {}
        answer = await post(app, cookie="", origin=OWN, **headers)
        assert answer.error == ("" if not token and not strict else "csrf_failed")


async def test_a_token_sent_twice_is_malformed():
    token = (b"x-csrf-token", RIGHT.encode())
    headers = [(b"cookie", b"sid=" + SESSION.encode()), token, token]
    answer = await drive(guarded(), http_scope("POST", headers=headers))
    assert (answer.status, answer.error) == MALFORMED


async def test_without_a_binding_all_tokens_are_the_browsers():
    app = guarded(binding=None)
    token = token_of(NEW, anonymous_binding(BROWSER))
    cookie = f"sid={SESSION}; {COOKIE}={BROWSER}"
    assert (await post(app, cookie=cookie, x_csrf_token=token)).error == ""
    assert (await post(app, cookie=cookie, x_csrf_token=RIGHT)).error == "csrf_failed"


async def test_an_empty_session_is_none():
    answer = await post(guarded(), cookie="sid=", x_csrf_token=token_of(NEW, session_binding("")))
    assert answer.error == "csrf_failed"


# --- which requests -------------------------------------------------------------------------------


async def test_exempt_paths_are_let_alone():
    app = guarded(exempt=["/hooks/*", "/ping"])
    for path, expected in {
        "/hooks/a": "",
        "/ping": "",
        "/hooks": "origin_not_allowed",
        "/ping/": "origin_not_allowed",
        "/HOOKS/a": "origin_not_allowed",
        "/": "origin_not_allowed",
    }.items():
        assert (await post(app, path=path, origin="null")).error == expected, path


async def test_the_app_says_which_routes_go_by_the_cookie():
    app = guarded(protects=lambda scope: scope["path"].startswith("/pages/"))
    assert (await post(app, path="/pages/a", origin="null")).error == "origin_not_allowed"
    assert (await post(app, path="/api/a", origin="null")).error == ""


@pytest.mark.parametrize("said", [None, 0, "", [], True, "no"])
async def test_what_protects_lets_alone_by_false_alone(said: Any):
    """A function that forgets to return says None."""
    refused = await post(guarded(protects=lambda scope: said), origin="https://evil.example")
    assert refused.error == "origin_not_allowed"
    passed = await post(guarded(protects=lambda scope: False), origin="https://evil.example")
    assert passed.status == 200


@pytest.mark.parametrize("value", ["Bearer junk", "Basic YTpi", "Bearer " + RIGHT])
async def test_a_header_beside_the_cookie_exempts_nothing(value: str):
    assert (await post(guarded(), authorization=value)).error == "csrf_failed"
    answer = await post(guarded(), authorization=value, origin="https://evil.example")
    assert answer.error == "origin_not_allowed"


async def test_host_says_nothing_about_whose_page_it_is():
    answer = await post(guarded(), host="evil.example", origin="https://evil.example")
    assert answer.error == "origin_not_allowed"


async def test_a_lifespan_passes():
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    await drive(guarded(app), {"type": "lifespan"})
    await drive(guarded(app), {"type": "strange"})
    assert seen == ["lifespan", "strange"]


# --- WebSockets -----------------------------------------------------------------------------------


async def accept(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.accept"})


async def handshake(app: ASGIApp, *headers: Header, path: str = "/") -> str:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    await app({"type": "websocket", "path": path, "headers": list(headers)}, receive, send)
    [message] = sent
    return str(message["type"]).removeprefix("websocket.")


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([(b"origin", OWN.encode())], "accept"),
        ([(b"origin", APP.encode()), (b"sec-fetch-site", b"same-site")], "accept"),
        ([], "accept"),
        ([(b"sec-fetch-site", b"same-origin")], "accept"),
        ([(b"sec-fetch-site", b"cross-site")], "close"),
        ([(b"origin", b"https://evil.example")], "close"),
        ([(b"origin", b"http://api.example.com")], "close"),
        ([(b"origin", b"null")], "close"),
        ([(b"origin", OWN.encode())] * 2, "close"),
        ([(b"sec-fetch-site", b"same-origin")] * 2, "close"),
    ],
    ids=str,
)
async def test_a_foreign_page_opens_no_websocket(headers: list[Header], expected: str):
    assert await handshake(guarded(accept, strict=True), *headers) == expected


async def test_exempt_goes_for_websockets_too():
    app = guarded(accept, exempt=["/open"])
    assert await handshake(app, (b"origin", b"null"), path="/open") == "accept"
    assert await handshake(app, (b"origin", b"null"), path="/shut") == "close"


# --- forms ----------------------------------------------------------------------------------------


async def test_a_form_carries_its_token_in_a_field_and_arrives_whole():
    body = f"a=1&_csrf={RIGHT}&b=%26".encode()
    answer = await post(guarded(form_field="_csrf"), body)
    assert (answer.status, answer.body) == (200, body)


@few
@given(st.lists(st.binary(max_size=40), max_size=8), st.integers(0, 8))
async def test_the_app_gets_every_byte_however_it_came(chunks: list[bytes], at: int):
    field = b"&_csrf=" + RIGHT.encode() + b"&"
    parts = [*chunks[:at], *([field[:9], b"", field[9:]]), *chunks[at:]]
    answer = await post(guarded(form_field="_csrf"), *parts, origin=OWN)
    duplicated = b"_csrf=" in b"".join(chunks)
    assert duplicated or answer.body == b"".join(parts)


@pytest.mark.parametrize("origin", [OWN, None])
async def test_a_wrong_field_is_refused_from_anywhere(origin: str | None):
    app = guarded(form_field="_csrf")
    headers = {} if origin is None else {"origin": origin}
    for wrong in (b"_csrf=x", b"_csrf=", f"_csrf={RIGHT}&_csrf={RIGHT}".encode()):
        assert (await post(app, wrong, **headers)).error == "csrf_failed"
    missing = await post(app, b"a=1", **headers)
    assert missing.error == ("" if origin else "csrf_failed")


async def test_the_header_goes_before_the_field():
    app = guarded(form_field="_csrf")
    body = f"_csrf={RIGHT}".encode()
    assert (await post(app, body, x_csrf_token="x")).error == "csrf_failed"
    passes = await post(app, b"_csrf=x", x_csrf_token=RIGHT)
    assert (passes.error, passes.body) == ("", b"_csrf=x")


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({}, "application/x-www-form-urlencoded"),
        ({"form_field": "_csrf"}, "multipart/form-data; boundary=x"),
        ({"form_field": "_csrf"}, "text/plain"),
        ({"form_field": "_csrf"}, "application/json"),
    ],
)
async def test_no_other_body_is_read_for_a_token(options: dict[str, Any], kind: str):
    body = f"_csrf={RIGHT}".encode()
    answer = await post(guarded(**options), body, content_type=kind)
    assert (answer.error, answer.received) == ("csrf_failed", 0)


async def test_nor_is_a_form_of_a_foreign_page():
    answer = await post(guarded(form_field="_csrf"), b"_csrf=x", origin="null")
    assert (answer.error, answer.received) == ("origin_not_allowed", 0)


async def test_a_token_is_found_in_the_first_sixty_four_kilobytes_and_a_longer_form_arrives():
    app = guarded(form_field="_csrf")
    field = f"_csrf={RIGHT}&".encode()
    chunks = [b"x" * 10_000] * 20
    early = await post(app, field, *chunks)
    assert (early.status, early.body) == (200, field + b"x" * 200_000)
    late = await post(app, *chunks, b"&" + field)
    assert late.error == "csrf_failed"
    assert late.received * 10_000 <= FORM_BYTES + 20_000
    fits = b"a" * (FORM_BYTES - len(field)) + b"&" + field[:-1]
    assert len(fits) == FORM_BYTES
    assert (await post(app, fits)).error == ""
    assert (await post(app, b"a" + fits)).error == "csrf_failed"


async def test_a_client_that_goes_away_within_its_form_is_told_to_the_app():
    seen: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.extend([await receive(), await receive()])

    await post(guarded(app, form_field="_csrf"), b"a=1&", GONE, origin=OWN)
    assert seen == [
        {"type": "http.request", "body": b"a=1&", "more_body": True},
        {"type": "http.disconnect"},
    ]


# --- tokens and cookies ---------------------------------------------------------------------------


def page(make: Any = csrf_token) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        text = make(scope)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": text.encode()})

    return app


async def get(app: ASGIApp, cookie: str = "") -> Answer:
    return await drive(app, http_scope(headers=said({"cookie": cookie} if cookie else {})))


async def test_a_new_browser_gets_a_cookie_with_the_first_token():
    answer = await get(guarded(page(), chance=lambda size: bytes(size)))
    [cookie] = answer.header(b"set-cookie")
    assert cookie.decode() == (
        f"{COOKIE}={'0' * 32}; Max-Age=86400; Path=/; HttpOnly; SameSite=Lax; Secure"
    )
    assert answer.body.decode() == token_of(NEW, anonymous_binding("0" * 32))
    assert answer.header(b"vary") == [b"Cookie"]


async def test_and_none_where_no_token_is_asked_for():
    answer = await get(guarded(page(lambda scope: "hello")))
    assert (answer.headers, answer.body) == ([], b"hello")


async def test_a_page_of_many_forms_has_one_token_and_one_cookie():
    answer = await get(guarded(page(lambda scope: f"{csrf_token(scope)} {csrf_token(scope)}")))
    first, second = answer.body.split()
    assert first == second
    assert len(answer.header(b"set-cookie")) == 1


async def test_two_browsers_have_two_ids():
    app = guarded(page())
    assert len({(await get(app)).body for _ in range(50)}) == 50


async def test_the_token_is_the_same_in_every_tab_and_holds():
    app = guarded(page())
    first = await get(app)
    cookie = first.header(b"set-cookie")[0].decode().partition(";")[0]
    again = await get(app, cookie)
    assert again.body == first.body
    # Another day from now on.
    assert again.header(b"set-cookie") == first.header(b"set-cookie")
    answer = await post(guarded(), cookie=cookie, x_csrf_token=first.body.decode())
    assert answer.error == ""


async def test_who_has_a_session_gets_no_cookie():
    answer = await get(guarded(page()), f"sid={SESSION}")
    assert answer.body.decode() == RIGHT
    assert answer.header(b"set-cookie") == []
    assert answer.header(b"vary") == [b"Cookie"]


@pytest.mark.parametrize("planted", ["", "x", SESSION, "A" * 32, "0" * 33])
async def test_an_id_that_is_none_of_ours_is_replaced(planted: str):
    answer = await get(guarded(page()), f"{COOKIE}={planted}")
    [cookie] = answer.header(b"set-cookie")
    assert re.fullmatch(rf"{COOKIE}=[0-9a-f]{{32}};.*", cookie.decode())


async def test_in_development_the_cookie_goes_without_https():
    app = guarded(page(), secure=False, origins=["http://localhost:3000"])
    [cookie] = (await get(app)).header(b"set-cookie")
    assert cookie.startswith(b"x-csrf-token=")
    assert b"Secure" not in cookie


async def test_two_ids_are_refused_but_the_page_is_shown():
    twice = f"{COOKIE}={BROWSER}; {COOKIE}={'f' * 32}"
    token = token_of(NEW, anonymous_binding(BROWSER))
    answer = await post(guarded(), cookie=twice, x_csrf_token=token, origin=OWN)
    assert (answer.status, answer.error) == MALFORMED
    assert (await get(guarded(page()), twice)).status == 200


async def test_a_binding_may_refuse():
    def twice(scope: Scope) -> str | None:
        raise MalformedRequest("two sessions", text="Two sessions")

    answer = await post(guarded(binding=twice), x_csrf_token=RIGHT)
    assert (answer.status, answer.error) == MALFORMED


async def test_tokens_asked_for_after_the_answer_began_come_too_late():
    async def late(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": csrf_token(scope).encode()})

    with pytest.raises(ConfigurationError, match="Ask for the token before"):
        await get(guarded(late))
    # Where no cookie is needed it is never too late.
    assert (await get(guarded(late), f"sid={SESSION}")).body.decode() == RIGHT
    assert (await get(guarded(late), f"{COOKIE}={BROWSER}")).status == 200


async def test_without_csrf_around_there_is_no_token():
    for make in (csrf_token, csrf_field):
        with pytest.raises(ConfigurationError, match=r"Wrap it: CSRF\(app\)"):
            make(http_scope())
        with pytest.raises(ConfigurationError, match=r"Wrap it: CSRF\(app\)"):
            make({"authward.csrf": "x"})


async def test_the_field_is_html_for_templates():
    seen: list[Any] = []

    def make(scope: Scope) -> str:
        seen.append(csrf_field(scope))
        return str(seen[0])

    answer = await get(guarded(page(make), form_field="_csrf"), f"sid={SESSION}")
    assert answer.body.decode() == f'<input type="hidden" name="_csrf" value="{RIGHT}">'
    assert seen[0].__html__() == seen[0]
    with pytest.raises(ConfigurationError, match="form_field='_csrf'"):
        await get(guarded(page(csrf_field)))


async def test_a_new_secret_signs_while_the_old_one_verifies():
    old = token_of(OLD, session_binding(SESSION))
    assert (await get(guarded(page()), f"sid={SESSION}")).body.decode() == RIGHT
    assert (await post(guarded(), x_csrf_token=old)).error == ""
    assert (await post(guarded(secrets=[NEW]), x_csrf_token=old)).error == "csrf_failed"


# --- an app with a sign-in ------------------------------------------------------------------------


def shop() -> Starlette:
    """Pages made on the server, a session cookie of its own, signing in by a form."""

    async def form(request: Request) -> Response:
        return HTMLResponse(f"<form method=post>{csrf_field(request.scope)}</form>")

    async def sign_in(request: Request) -> Response:
        answer = RedirectResponse("/account/form", 303)
        answer.set_cookie("sid", "s" + request.query_params["as"])
        return answer

    async def buy(request: Request) -> Response:
        return Response(await request.body())

    return Starlette(
        routes=[
            Route("/form", form),
            Route("/sign-in", sign_in, methods=["POST"]),
            Mount("/account", routes=[Route("/form", form), Route("/buy", buy, methods=["POST"])]),
        ]
    )


def token_in(answer: httpx2.Response) -> str:
    found = re.search(r'value="([^"]+)"', answer.text)
    assert found, answer.text
    return found[1]


async def test_signing_in_changes_the_token_and_so_does_signing_in_as_another():
    transport = httpx2.ASGITransport(guarded(shop(), form_field="_csrf", strict=True))
    async with httpx2.AsyncClient(transport=transport, base_url=OWN) as client:
        stranger = token_in(await client.get("/form"))
        assert token_in(await client.get("/form")) == stranger
        forged = await client.post("/sign-in?as=mallory", data={"_csrf": "x"})
        assert forged.json()["error"] == "csrf_failed"
        await client.post("/sign-in?as=ada", data={"_csrf": stranger})
        ada = token_in(await client.get("/account/form"))
        assert ada != stranger
        old = await client.post("/account/buy", data={"_csrf": stranger})
        assert (old.status_code, old.json()["error"]) == (403, "csrf_failed")
        bought = await client.post("/account/buy", data={"_csrf": ada, "what": "book"})
        assert bought.text == f"_csrf={ada}&what=book"
        await client.post("/sign-in?as=grace", data={"_csrf": ada})
        assert token_in(await client.get("/account/form")) not in (stranger, ada)
        assert (await client.post("/account/buy", data={"_csrf": ada})).status_code == 403


# --- reports and options --------------------------------------------------------------------------


async def test_report_only_counts_logs_and_lets_pass(caplog: pytest.LogCaptureFixture):
    app = guarded(report_only=True, form_field="_csrf")
    answer = await post(app, b"_csrf=x")
    assert (answer.status, answer.body) == (200, b"_csrf=x")
    assert (await post(app, origin="null", path="/a\nb")).status == 200
    assert app.reports.counts == {"csrf": 2}
    assert "would refuse POST / with csrf_failed" in caplog.text
    assert "/a\\x0ab with origin_not_allowed" in caplog.text
    assert (await post(app, x_csrf_token=RIGHT)).status == 200
    assert await handshake(guarded(accept, report_only=True), (b"origin", b"null")) == "accept"
    assert app.reports.counts == {"csrf": 2}


async def test_what_the_body_is_refused_with_is_for_who_refused_it():
    async def receive() -> Message:
        raise MalformedRequest("from further out")

    async def send(message: Message) -> None:
        raise AssertionError(message)

    app = guarded(report_only=True, form_field="_csrf")
    with pytest.raises(MalformedRequest, match="from further out"):
        await app(http_scope("POST", headers=[FORM]), receive, send)
    assert app.reports.counts == {}


async def test_refusals_are_envelopes():
    answer = await post(guarded(), path="/a")
    assert answer.header(b"cache-control") == [b"no-store"]
    assert json.loads(answer.body) == {
        "statusCode": 403,
        "message": "Invalid CSRF token",
        "error": "csrf_failed",
        "path": "/a",
        "timestamp": json.loads(answer.body)["timestamp"],
    }


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"secrets": [b"short"]}, "secrets: number 1 has fewer than 32 bytes"),
        ({"origins": []}, "origins: there is none"),
        ({"origins": ["http://app.example.com"]}, "'http://app.example.com' is not https"),
        ({"form_field": "a b"}, "form_field: "),
        ({"exempt": "/hooks"}, r"Did you mean exempt=\['/hooks'\]"),
        ({"exempt": ["hooks"]}, "Did you mean '/hooks'"),
        ({"exempt": ["/*"]}, r"exempt: '/\*' would let everybody in everywhere"),
        ({"exempt": ["/a/../b"]}, "exempt: '/a/../b' may be taken for another path"),
        ({"secrets": [bytes(32)]}, "secrets: number 1 is guessable"),
        ({"secure": "no"}, r"secure: 'no' is neither True nor False\. Did you mean False"),
        ({"strict": "yes"}, "strict: 'yes' is neither"),
        ({"report_only": "no"}, "report_only: 'no' is neither"),
    ],
)
def test_options_that_cannot_be_honoured_start_nothing(options: dict[str, Any], text: str):
    with pytest.raises(ConfigurationError, match=text):
        guarded(**options)


async def test_the_example_of_its_page_runs():
    names: dict[str, Any] = {"__name__": "pasted"}
    exec(PAGE["CSRF python"], names)
    transport = httpx2.ASGITransport(names["app"])
    async with httpx2.AsyncClient(
        transport=transport, base_url="https://shop.example.com"
    ) as client:
        token = token_in(await client.get("/"))
        assert (await client.post("/buy", data={"_csrf": token})).text == "bought"
        assert (await client.post("/buy", data={"_csrf": "x"})).status_code == 403
