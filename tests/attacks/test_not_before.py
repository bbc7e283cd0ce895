"""`nbf` and other claims we never write, ignored by a verifier that knows no better.

RFC 7519 section 4.1.5, RFC 8725 section 3.10.
"""

from typing import Any

import pytest

from tests.attacks.targets import Target
from tests.minting import NOW, Kind, each_kind


@each_kind
@pytest.mark.parametrize(
    "extra",
    [
        {"nbf": NOW + 3600},
        {"nbf": NOW - 3600},
        {"nbf": None},
        {"admin": True},
        {"scope": "admin"},
        {"": ""},
        {"cnf": {"jkt": "x"}},
        {"__proto__": {"role": "admin"}},
    ],
    ids=str,
)
def test_a_claim_we_never_write_is_refused_though_we_signed_it(kind: Kind, extra):
    kind.refuses(kind.forge(payload=kind.with_claims(**extra)))


async def test_no_running_server_overlooks_one(target: Target):
    now = int(target.here.clock.now())
    tokens = {}
    extras: list[dict[str, Any]] = [
        *({"nbf": now + seconds} for seconds in (-3600, -1, 0, 30, 60, 61, 3600)),
        {"nbf": None},
        {"nbf": str(now)},
        {"admin": True},
        {"scope": "admin"},
        {"cnf": {"jkt": "x"}},
        {"__proto__": {"role": "admin"}},
    ]
    for extra in extras:
        tokens[str(extra)] = target.forge(payload=target.with_claims(**extra))
    await target.refuses(tokens)
