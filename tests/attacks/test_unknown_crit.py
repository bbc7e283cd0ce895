"""A header marked critical that nobody understands is ignored.

CVE-2026-32597 (PyJWT), RFC 7515 section 4.1.11.
"""

from typing import Any

import pytest

from tests.attacks.targets import Target
from tests.minting import Kind, b64, compact, each_kind
from tests.planting import signature

CRITICAL: list[dict[str, Any]] = [
    {"crit": ["exp"], "exp": 1},
    {"crit": ["b64"], "b64": False},
    {"crit": ["b64"], "b64": True},
    {"crit": ["http://evil.example/x"], "http://evil.example/x": True},
    {"crit": ["kid"]},
    {"crit": []},
    {"crit": None},
    {"crit": "kid"},
    {"crit": [["kid"]]},
    {"b64": False},
    {"b64": True},
]


@each_kind
@pytest.mark.parametrize("extra", CRITICAL, ids=str)
def test_a_well_signed_token_with_crit_is_refused(kind: Kind, extra):
    kind.refuses(kind.forge(header={**kind.header, **extra}))
    kind.refuses(kind.forge(header={**extra, **kind.header}))


@each_kind
def test_crit_hidden_behind_a_second_key_is_refused(kind: Kind):
    written = compact(kind.header)
    kind.refuses(kind.forge(header=b'{"crit":["x"],' + written[1:]))
    kind.refuses(kind.forge(header=written[:-1] + b',"crit":["x"],"crit":null}'))


async def test_no_running_server_overlooks_it(target: Target):
    tokens = {}
    for extra in CRITICAL:
        tokens[f"{extra} last"] = target.forge(header={**target.header, **extra})
        tokens[f"{extra} first"] = target.forge(header={**extra, **target.header})
    # An unencoded and a detached payload (RFC 7797), signed as that asks.
    header = compact({**target.header, "b64": False, "crit": ["b64"]})
    signed = b64(header).encode() + b"." + target.payload
    made = b64(signature(target.key, signed))
    tokens["unencoded"] = f"{b64(header)}.{b64(target.payload)}.{made}"
    tokens["detached"] = f"{b64(header)}..{made}"
    await target.refuses(tokens)
