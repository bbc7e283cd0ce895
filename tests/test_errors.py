"""The tree of refusals: what a client may know of each."""

import pytest

from authward import errors
from authward.errors import ConfigurationError, Detail, Refusal, Unauthorized

TABLE = {
    "malformed_request": 400,
    "missing_token": 401,
    "token_expired": 401,
    "invalid_token": 401,
    "token_revoked": 401,
    "invalid_credentials": 401,
    "missing_refresh_token": 401,
    "refresh_token_expired": 401,
    "invalid_refresh_token": 401,
    "refresh_token_reused": 401,
    "forbidden": 403,
    "csrf_failed": 403,
    "origin_not_allowed": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "user_exists": 409,
    "last_admin": 409,
    "role_in_use": 409,
    "key_in_use": 409,
    "rotated_lately": 409,
    "payload_too_large": 413,
    "rate_limited": 429,
    "unsupported_media_type": 415,
    "validation_error": 422,
    "internal_error": 500,
    "overloaded": 503,
    "unavailable": 503,
}


def tree(root: type[Refusal]) -> list[type[Refusal]]:
    own = [one for one in root.__subclasses__() if one.__module__ == errors.__name__]
    return [*own, *(deeper for one in own for deeper in tree(one))]


RAISED = [one for one in tree(Refusal) if one is not Unauthorized]


def test_every_code_has_its_status_and_is_one_class():
    """Codes are API: one that goes or moves breaks clients. A new one joins this table."""
    assert {one.code: one.status for one in RAISED} == TABLE
    assert len(RAISED) == len(TABLE)


def test_what_challenges_is_what_is_401():
    for one in RAISED:
        assert issubclass(one, Unauthorized) is (one.status == 401)


@pytest.mark.parametrize("refusal", RAISED, ids=lambda one: one.code)
def test_a_refusal_says_its_text_and_keeps_its_reason(refusal: type[Refusal]):
    raised = refusal("the reason")
    assert raised.message == refusal.text != ""
    assert raised.reason == str(raised) == "the reason"
    assert "the reason" not in raised.message
    assert raised.details == ()
    assert raised.retry_after is None


def test_a_refusal_without_reason_is_named_by_its_code():
    assert str(errors.NotFound()) == "not_found"
    assert errors.NotFound().reason == ""


def test_text_details_and_retry_can_be_said():
    detail = Detail("email", "invalid_email", "No")
    raised = errors.ValidationError(text="Other", details=[detail], retry_after=3)
    assert (raised.message, raised.details, raised.retry_after) == ("Other", (detail,), 3)
    assert errors.ValidationError(text="").message == ""


def test_a_configuration_error_is_no_refusal():
    assert not issubclass(ConfigurationError, Refusal)
