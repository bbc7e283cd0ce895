"""Issuer and audience compared as substrings or prefixes.

CVE-2024-53861 (PyJWT), ASVS 9.2.3, RFC 8725 sections 3.8 and 3.9.
"""

import pytest

from tests.attacks.targets import Target
from tests.minting import ACCESS, POLICY, Kind, each_kind


def near(text: str) -> list[object]:
    almost: list[object] = [
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
    return [one for one in almost if one != text]


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


async def test_no_running_server_takes_what_is_near(target: Target):
    settings = target.here.auth.settings
    tokens = {"no issuer": target.forge(payload=target.with_claims(iss=...))}
    for issuer in near(settings.issuer):
        tokens[f"iss {issuer!r}"] = target.forge(payload=target.with_claims(iss=issuer))
    for audience in [..., *near(settings.audience)] if "aud" in target.claims else []:
        tokens[f"aud {audience!r}"] = target.forge(payload=target.with_claims(aud=audience))
    assert len(tokens) >= (37 if target.typ == "at+jwt" else 18)
    await target.refuses(tokens)
