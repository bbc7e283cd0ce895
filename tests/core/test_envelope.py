"""The shape of every answer."""

import json

import pytest

from authward.core.envelope import failure, failure_headers, success, wants_problem
from authward.errors import (
    Detail,
    Forbidden,
    InvalidCredentials,
    InvalidToken,
    MissingToken,
    Overloaded,
    TokenExpired,
    TokenRevoked,
    ValidationError,
)

AT = 1_795_420_800_007  # 2026-11-23T08:00:00.007Z


def read(refusal, path: str = "/api/profile", *, problem: bool = False):
    return json.loads(failure(refusal, path, AT, problem=problem))


def test_success():
    assert json.loads(success(201, {"id": "é"}, "User registered")) == {
        "statusCode": 201,
        "data": {"id": "é"},
        "message": "User registered",
    }


def test_failure():
    assert read(TokenExpired("exp has passed")) == {
        "statusCode": 401,
        "message": "Token has expired",
        "error": "token_expired",
        "path": "/api/profile",
        "timestamp": "2026-11-23T08:00:00.007Z",
    }


def test_failure_as_problem_details():
    assert read(TokenExpired("exp has passed"), problem=True) == {
        "type": "about:blank",
        "title": "Token has expired",
        "status": 401,
        "instance": "/api/profile",
        "error": "token_expired",
        "timestamp": "2026-11-23T08:00:00.007Z",
    }


@pytest.mark.parametrize("problem", [False, True])
def test_wrong_fields_are_listed(problem: bool):
    refusal = ValidationError(details=[Detail("password", "too_short", "Use at least 8")])
    assert read(refusal, problem=problem)["details"] == [
        {"field": "password", "code": "too_short", "message": "Use at least 8"}
    ]


@pytest.mark.parametrize("problem", [False, True])
def test_the_reason_is_for_the_log_alone(problem: bool):
    assert "canary" not in json.dumps(read(Forbidden("canary"), problem=problem))


@pytest.mark.parametrize("problem", [False, True])
def test_a_path_that_is_no_text_is_still_answered(problem: bool):
    body = read(Forbidden(), "/a\ud800/é", problem=problem)
    assert body["instance" if problem else "path"] == "/a?/é"


@pytest.mark.parametrize("refusal", [TokenExpired, InvalidToken, TokenRevoked])
def test_a_bad_bearer_is_told_so(refusal):
    challenge = dict(failure_headers(refusal(), problem=False))[b"www-authenticate"]
    assert challenge.startswith(b'Bearer realm="authward", error="invalid_token", error_descr')
    assert refusal.text.encode() in challenge


@pytest.mark.parametrize("refusal", [MissingToken, InvalidCredentials])
def test_without_a_bearer_the_challenge_says_no_more_than_the_scheme(refusal):
    headers = dict(failure_headers(refusal(), problem=False))
    assert headers[b"www-authenticate"] == b'Bearer realm="authward"'


def test_only_401_challenges():
    assert b"www-authenticate" not in dict(failure_headers(Forbidden(), problem=False))


def test_no_error_is_kept_and_each_varies_by_what_was_asked_for():
    plain = dict(failure_headers(Forbidden(), problem=False))
    assert plain == {
        b"content-type": b"application/json",
        b"cache-control": b"no-store",
        b"vary": b"Accept",
    }
    problem = dict(failure_headers(Forbidden(), problem=True))
    assert problem == {**plain, b"content-type": b"application/problem+json"}


def test_when_to_come_back():
    headers = dict(failure_headers(Overloaded(retry_after=0), problem=False))
    assert headers[b"retry-after"] == b"0"
    assert b"retry-after" not in dict(failure_headers(Overloaded(), problem=False))


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (b"application/problem+json", True),
        (b"text/html, Application/Problem+JSON;q=0.9, */*", True),
        (b"application/json", False),
        (b"*/*", False),
    ],
)
def test_problem_details_are_for_who_asks(accept: bytes, expected: bool):
    assert wants_problem([(b"host", b"x"), (b"accept", accept)]) is expected
    assert not wants_problem([(b"x-accept", accept)])
