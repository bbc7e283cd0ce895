"""The examples of docs/headers.md run as they are pasted, and send what the page says."""

import re
from typing import Any

from starlette.testclient import TestClient
from starlette.types import ASGIApp, Receive, Scope, Send

from authward.core.headers import SecurityPolicy
from authward.middleware import SecurityHeaders
from tests.pages import ROOT, examples

PAGE = examples("docs/headers.md")
CSP = "content-security-policy"


def run(block: str) -> dict[str, Any]:
    """What an example defines, run by itself."""
    names: dict[str, Any] = {"__name__": "pasted"}
    exec(block, names)
    return names


def sent(app: ASGIApp) -> dict[str, str]:
    """The headers of an answer of that app."""
    return dict(TestClient(app, "https://api.example.com").get("/").headers)


def sent_by(policy: SecurityPolicy) -> dict[str, str]:
    return sent(SecurityHeaders(hello, policy=policy))


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


def directives(policy: str) -> dict[str, str]:
    """Name → sources, of a Content-Security-Policy."""
    named = [one.split() for one in policy.split(";")]
    return {name: " ".join(sources) for name, *sources in named}


def test_around_any_app() -> None:
    app = run(PAGE["Security headers python"])["app"]
    answer = TestClient(app, "https://api.example.com").get("/")
    assert answer.text == "hello"
    assert dict(answer.headers) == sent_by(SecurityPolicy())


def test_the_table_says_what_is_sent() -> None:
    text = (ROOT / "docs/headers.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| `?([^`|\n]*)`? \| .* \|$", text, re.MULTILINE)
    stated = {name.replace("_", "-"): shown.strip() for name, shown in rows}
    headers = sent_by(SecurityPolicy())
    found = {name: headers[name] for name in stated if name in headers}
    below = {name: shown for name, shown in stated.items() if shown.startswith("[below]")}
    assert below.keys() == {CSP, "permissions-policy"}
    assert found.keys() == headers.keys() - {"content-length"}
    assert {**found, **below} == {name: stated[name] for name in found}


def test_the_default_policy_is_the_one_shown() -> None:
    shown = directives(PAGE["Content-Security-Policy "])
    assert directives(sent_by(SecurityPolicy())[CSP]) == shown


def test_headers_of_ones_own() -> None:
    headers = sent_by(run(PAGE["What is sent python"])["policy"])
    assert headers["x-frame-options"] == "DENY"
    assert "x-download-options" not in headers
    assert headers["strict-transport-security"] == "max-age=63072000; includeSubDomains; preload"
    assert headers["x-robots-tag"] == "noindex"


def test_a_policy_that_differs() -> None:
    default = directives(PAGE["Content-Security-Policy "])
    found = directives(sent_by(run(PAGE["Content-Security-Policy python"])["policy"])[CSP])
    wanted = {
        **default,
        "img-src": "'self' https://images.example",
        "connect-src": "'self' https://api.example",
    }
    del wanted["font-src"]
    assert found == wanted


def test_nonces() -> None:
    app = run(PAGE["Nonces python"])["app"]
    nonces = []
    for _ in range(2):
        answer = TestClient(app, "https://api.example.com").get("/")
        [nonce] = re.findall(r'<script nonce="([^"]+)">', answer.text)
        scripts = directives(answer.headers[CSP])["script-src"]
        assert scripts == f"'nonce-{nonce}' 'strict-dynamic'"
        nonces.append(nonce)
    assert len({*nonces}) == 2
    assert {len(nonce) for nonce in nonces} == {24}


def permissions(policy: SecurityPolicy) -> dict[str, str]:
    """Feature → who may use it."""
    header = sent_by(policy)["permissions-policy"]
    return dict(one.strip().split("=", 1) for one in header.split(","))


def test_permissions() -> None:
    text = (ROOT / "docs/headers.md").read_text(encoding="utf-8")
    sentence = re.search(r"may use (.*?)\. Passkeys", text, re.DOTALL)
    assert sentence is not None
    default = dict.fromkeys(re.findall(r"`([\w-]+)`", sentence[1]), "()")
    assert permissions(SecurityPolicy()) == default
    found = permissions(run(PAGE["Permissions-Policy python"])["policy"])
    wanted = {**default, "camera": '(self "https://meet.example")', "fullscreen": "()"}
    del wanted["midi"]
    assert found == wanted
