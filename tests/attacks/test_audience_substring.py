"""Issuer and audience compared as substrings or prefixes.

CVE-2024-53861 (PyJWT), ASVS 9.2.3, RFC 8725 sections 3.8 and 3.9.
"""

import pytest

from tests.minting import ACCESS, POLICY, Kind, each_kind


def near(text: str) -> list[object]:
    return [
        "",
        text[:-1],
        text[1:],
        text + "x",
        "x" + text,
        text + "/",
        text + " ",
        text.upper(),
        text.replace(".", "x"),
        f"{text},{text}",
        [text],
        [text, "https://evil.example"],
        ["https://evil.example", text],
        [],
        {text: True},
        {"0": text},
        True,
        0,
        None,
    ]


@each_kind
@pytest.mark.parametrize("issuer", near(POLICY.issuer), ids=repr)
def test_the_issuer_is_exact(kind: Kind, issuer):
    kind.refuses(kind.forge(payload=kind.with_claims(iss=issuer)))


@pytest.mark.parametrize("audience", near(POLICY.audience), ids=repr)
def test_the_audience_is_exact_and_one(audience):
    """We mint one audience; a list, even one that holds us, is not what we wrote."""
    ACCESS.refuses(ACCESS.forge(payload=ACCESS.with_claims(aud=audience)))


def test_no_audience_is_not_every_audience():
    ACCESS.refuses(ACCESS.forge(payload=ACCESS.with_claims(aud=...)))
