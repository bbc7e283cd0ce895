"""A neighbouring host plants a CSRF cookie and sends the header that goes with it.

CVE-2025-24358 (gorilla/csrf), OWASP CSRF Prevention Cheat Sheet (naive double submit).
"""

import hashlib
import hmac
from base64 import urlsafe_b64encode

import pytest

from authward.core.csrf import Provenance, check_csrf, csrf_token
from authward.errors import CsrfFailed

SECRET = bytes(range(32))
VICTIM, ATTACKER = "session-of-the-victim", "session-of-the-attacker"


def refused(token: str) -> None:
    for where in (Provenance.PROVEN, Provenance.UNPROVEN):
        for strict in (False, True):
            with pytest.raises(CsrfFailed):
                check_csrf(where, token, VICTIM, [SECRET], strict=strict)


def test_the_attackers_own_good_token_is_worth_nothing_in_the_victims_session():
    token = csrf_token(SECRET, ATTACKER)
    check_csrf(Provenance.UNPROVEN, token, ATTACKER, [SECRET], strict=True)
    refused(token)


def test_nor_is_one_of_an_anonymous_id_that_was_planted():
    refused(csrf_token(SECRET, "0123456789abcdef0123456789abcdef"))


def test_nor_any_value_that_merely_equals_a_cookie():
    for planted in ("planted", VICTIM, "0123456789abcdef0123456789abcdef"):
        refused(planted)


def test_knowing_the_session_id_is_not_knowing_the_token():
    for guess in (
        hashlib.sha256(VICTIM.encode()).digest(),
        hmac.digest(b"", VICTIM.encode(), "sha256"),
        hmac.digest(VICTIM.encode(), b"authward csrf v1\0" + VICTIM.encode(), "sha256"),
    ):
        refused(urlsafe_b64encode(guess).rstrip(b"=").decode())


def test_a_new_session_has_a_new_token():
    refused(csrf_token(SECRET, VICTIM + "2"))
    refused(csrf_token(bytes(32), VICTIM))
