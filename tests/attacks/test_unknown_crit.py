"""A header marked critical that nobody understands is ignored.

CVE-2026-32597 (PyJWT), RFC 7515 section 4.1.11.
"""

import pytest

from tests.minting import Kind, compact, each_kind

CRITICAL = [
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
