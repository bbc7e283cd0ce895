"""Every route, fuzzed from its own OpenAPI over a real socket: no 500, every answer as declared.

AUTHWARD_TEST_FUZZ_EXAMPLES=500 looks longer; AUTHWARD_TEST_FUZZ_SEED=7 looks elsewhere.
"""

import asyncio
import json
import os
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from uuid import uuid4

import pytest
import requests
import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.generation.feedback import FeedbackSources
from schemathesis.pytest._test_builder import build_operation_test
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from authward import Authward
from authward.core.audit import Client
from authward.http.endpoint import Endpoint
from authward.http.openapi import document
from authward.http.routes import DESCRIBED
from tests.cheap import make_hashing_cheap
from tests.http.serving import served

EXAMPLES = int(os.environ.get("AUTHWARD_TEST_FUZZ_EXAMPLES", "15"))
SEED = int(os.environ.get("AUTHWARD_TEST_FUZZ_SEED", "1"))
# The accounts of the document's own examples, so that those requests succeed.
PASSWORD = "correct horse battery staple"
EMAILS = {"user": "ada@example.com", "admin": "root@example.com"}
# A schema cannot say which cursors were given out, which roles there are, what admin keeps, and
# which ring rotates now.
JUDGED = (
    *("/api/users", "/api/users/{id}/role", "/api/roles/{name}"),
    *("/api/keys/rotate", "/api/audit-events"),
)

CONFIG = {
    "seed": SEED,
    "generation": {
        "deterministic": True,
        "max-examples": EXAMPLES,
        "mode": "all",
        "no-shrink": True,
    },
    "phases": {"stateful": {"enabled": False}},
}
pytestmark = [pytest.mark.fuzz, pytest.mark.timeout(120 + 5 * EXAMPLES)]


@dataclass
class Caller:
    """Somebody with a browser: tokens that are renewed once a request has ended their session."""

    url: str
    email: str | None
    session: requests.Session = field(default_factory=requests.Session)
    password: str = PASSWORD
    token: str = ""
    cookie: str | None = None
    target: str | None = None

    def __post_init__(self) -> None:
        # What is sent is ours to say: a jar would send a second cookie of the name.
        self.session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))

    def sign_in(self) -> None:
        body = {"email": self.email, "password": self.password}
        answer = self.session.post(f"{self.url}/api/auth/login", json=body)
        assert answer.status_code == 200, answer.text
        self.token = answer.json()["data"]["accessToken"]
        self.cookie = answer.cookies["refreshToken"]

    def credentials(self, case: schemathesis.Case) -> dict[str, Any]:
        if self.email is None:
            return {}
        if not self.token:
            self.sign_in()
        headers = {"Authorization": f"Bearer {self.token}", "Origin": self.url}
        cookies = {"refreshToken": self.cookie}
        return {
            "headers": {} if negated(case, "header") else headers,
            "cookies": {} if negated(case, "cookie") else cookies,
        }

    def existing(self, path: str) -> str:
        """An id that the route knows."""
        if path.startswith("/api/auth/sessions"):
            claims = json.loads(urlsafe_b64decode(self.token.split(".")[1] + "=="))
            return str(claims["sid"])
        if self.target is None:
            body = {"email": f"{uuid4()}@example.com", "password": PASSWORD, "name": "Target"}
            answer = self.session.post(f"{self.url}/api/auth/register", json=body)
            self.target = str(answer.json()["data"]["user"]["id"])
        return self.target

    def remember(self, case: schemathesis.Case) -> None:
        """What a request that worked means for the next one."""
        body: Any = case.body
        if case.path == "/api/auth/change-password":
            self.password = body["newPassword"]
        if case.path.startswith(("/api/auth/logout", "/api/auth/sessions/")):
            self.token = ""
        if case.method == "DELETE":
            self.target = None

    def ask(self, case: schemathesis.Case) -> None:
        credentials = self.credentials(case)
        if self.email == EMAILS["admin"] and case.path_parameters and not negated(case, "path"):
            case.path_parameters["id"] = self.existing(case.path)
        response = case.call(base_url=self.url, session=self.session, **credentials)
        if response.content == NO_HTTP:
            return
        if response.status_code == 200:
            self.remember(case)
        case.validate_response(
            response,
            excluded_checks=unfair(case, response.status_code),
            transport_kwargs={"base_url": self.url, **credentials},
        )


NO_HTTP = b"Invalid HTTP request received."
"""uvicorn's own answer to a head that no parser takes, as with a header `transfer-encoding;`."""


def unfair(case: schemathesis.Case, status: int) -> list[Any]:
    """Checks that would ask for what no server can know, or promises."""
    if status == 422 and case.path in JUDGED:
        return [positive_data_acceptance]
    # Fields we do not know are ignored. That much the check allows, but it takes a number in a
    # query, which is text there, for wrong as well.
    if "x-schemathesis-unknown-property" in case.query:
        return [negative_data_rejection]
    return []


def negated(case: schemathesis.Case, where: str) -> bool:
    """Whether a part of the request is wrong on purpose."""
    parts = {} if case.meta is None else case.meta.components
    return any(
        location.value == where and part.mode.is_negative for location, part in parts.items()
    )


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    database_url = f"sqlite:///{tmp_path_factory.mktemp('fuzz') / 'authward.db'}"

    async def prepare() -> None:
        auth = Authward(database_url=database_url)
        await auth.startup()
        for role, email in EMAILS.items():
            await auth.services.accounts.create(email, PASSWORD, role, Client(), role=role)
        await auth.shutdown()

    with pytest.MonkeyPatch.context() as patch:
        make_hashing_cheap(patch)
        asyncio.run(prepare())
        with served(Authward(database_url=database_url).asgi()) as found:
            yield found


@pytest.fixture(scope="module")
def api(url: str) -> Any:
    config = SchemathesisConfig.from_dict(CONFIG)
    return schemathesis.openapi.from_url(f"{url}/openapi.json", config=config)


@pytest.fixture(scope="module")
def callers(url: str) -> list[Caller]:
    return [Caller(url, email) for email in (None, *EMAILS.values())]


@pytest.mark.parametrize("one", DESCRIBED, ids=lambda one: f"{one.method} {one.path}")
def test_every_route(one: Endpoint, api: Any, callers: list[Caller]):
    # Built here: schemathesis' own parametrization builds all cases when tests are collected, which
    # costs every run of pytest ten seconds, and xdist takes all its items for one.
    def ask(case: schemathesis.Case) -> None:
        for caller in callers[:1] if one.who == "anyone" else callers:
            # A case is spent by its first call.
            caller.ask(case.derive(keep_auth=True))

    build_operation_test(
        config=api.config,
        operation=api[one.path][one.method],
        test_func=ask,
        given_kwargs={},
        feedback=FeedbackSources(),
    )()


def test_the_document_is_the_servers_own(url: str):
    assert requests.get(f"{url}/openapi.json").json() == document()
