"""Another's address in other letters: reset or register as somebody else.

CVE-2019-19844 (Django), Unicode UTS #39.
"""

import contextlib

import pytest

from authward.core.users import BadEmail, canonical_email

# Each pair is one address to some mail system or database, so it is one account to us.
SAME = [
    ("ada@example.com", "ADA@EXAMPLE.COM"),
    ("mike@example.org", "MIKE@example.org"),
    ("mike@example.org", "mi\u212ae@example.org"),  # KELVIN SIGN, the one of the CVE
    ("straße@example.com", "STRASSE@example.com"),
    ("ﬁnn@example.com", "FINN@example.com"),
    ("zoë@example.com", "zoe\u0308@example.com"),
    ("ada@exämple.com", "ada@XN--EXMPLE-CUA.com"),
    ("ａda@example.com", "ada@example.com"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_what_folds_together_is_one_account(one: str, other: str):
    assert canonical_email(one) == canonical_email(other)


# Each of these only looks like the other; a mail to one never reaches the other.
OTHERS = [
    ("ada@example.com", "аda@example.com"),  # Cyrillic a
    ("ada@example.com", "ada@exаmple.com"),
    ("mike@example.org", "mıke@example.org"),  # dotless i
    ("ada@example.com", "a.da@example.com"),
    ("ada@example.com", "ada+x@example.com"),
    ("ada@example.com", "ada@example.co"),
]


@pytest.mark.parametrize(("one", "other"), OTHERS)
def test_what_only_looks_alike_is_another_account(one: str, other: str):
    try:
        assert canonical_email(one) != canonical_email(other)
    except BadEmail:
        assert canonical_email(one)


def test_the_domain_is_compared_as_dns_would():
    assert canonical_email("ada@\u212aelvin.example.org") == "ada@kelvin.example.org"
    for address in ("ada@example\u3002com", "ada@ex\u00adample.com"):
        with contextlib.suppress(BadEmail):
            assert canonical_email(address) == "ada@example.com"
