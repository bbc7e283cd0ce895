"""A default, short or copied master secret opens every key ring sealed with it.

CWE-1392, ASVS 13.3.1, OWASP Secrets Management Cheat Sheet.
"""

import base64
import hashlib
import secrets
import string

import pytest

from authward.core.keys import MasterSecret
from authward.errors import ConfigurationError

SHORT = [
    "",
    "   \n",
    "x",
    "secret",
    "changeme",
    "correct horse battery staple",
    hashlib.sha256(b"").hexdigest()[:62],
    base64.urlsafe_b64encode(hashlib.sha256(b"").digest()[:31]).decode().rstrip("="),
    base64.b64encode(hashlib.sha256(b"").digest()[:31]).decode(),
    "0" * 63,
    "a1" * 31,
    "é" * 15,
    # Long, but no encoding of bytes.
    "ünd so wéiter: eine lange, frei erdachte Zeile",
    "the quick brown fox jumps over the lazy dog, twice",
    hashlib.sha256(b"").hexdigest()[:-1] + ".",
    hashlib.sha256(b"").hexdigest() + "0",
    base64.b64encode(hashlib.sha512(b"").digest()[:36]).decode() + "x",
    "a=" * 32,
]
GUESSABLE = [
    "a" * 64,
    "ab" * 40,
    "0123456789abcdef" * 4,
    "0123456789abcdef" * 4 + "0123",
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
    string.ascii_letters + string.digits,
    "zyxwvutsrqponmlkjihgfedcbaZYXWVUTSRQPONMLKJIHGFEDCBA",
    "secret" * 12,
    "your-super-secret-jwt-key-change-this-in-production",
    "change-me-in-production-change-me-in-production",
    "your_access_token_secret_here_your_access_token_secret",
    "this_is_my_super_secret_default_password_for_auth",
    "PLEASE-CHANGE-THIS-SECRET-KEY-IN-PRODUCTION-12345",
    base64.b64encode(bytes(32)).decode(),
    bytes(32).hex(),
    (b"\xff" * 32).hex(),
    "django-insecure-" + "secret-key-" * 4,
    "thequickbrownfoxjumpsoverthelazydogandrunsaway12",
    "Thequickbrownfoxjumpsoverthelazydogandrunsaway42",
    "correct-horse-battery-staple-and-a-long-afternoon0",
    "THEQUICKBROWNFOXJUMPSOVERTHELAZYDOGANDRUNSAWAY99",
    base64.b64encode(b"the quick brown fox jumps over the lazy dog").decode(),
    base64.urlsafe_b64encode("Größe, Straße, Übermut und noch viel mehr".encode()).decode(),
    b"the quick brown fox jumps over the lazy dog".hex(),
]


@pytest.mark.parametrize("secret", SHORT, ids=repr)
def test_a_short_secret_stops_start_up_with_the_cure(secret: str):
    with pytest.raises(ConfigurationError) as caught:
        MasterSecret(secret)
    assert "openssl rand -base64 32" in str(caught.value)
    assert len(secret) < 8 or secret not in str(caught.value)


@pytest.mark.parametrize("secret", GUESSABLE, ids=repr)
def test_a_guessable_secret_stops_start_up_with_the_cure(secret: str):
    with pytest.raises(ConfigurationError, match="openssl rand -base64 32") as caught:
        MasterSecret(secret)
    assert secret not in str(caught.value)


def test_no_random_secret_is_ever_called_guessable():
    for _ in range(300):
        MasterSecret(secrets.token_hex(32))
        MasterSecret(secrets.token_urlsafe(32))
        MasterSecret(base64.b64encode(secrets.token_bytes(32)).decode())
