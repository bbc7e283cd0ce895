"""A generous leeway keeps expired tokens alive.

ASVS 9.2.1, RFC 7519 section 4.1.4.
"""

import pytest

from authward.core.tokens import SKEW
from tests.minting import NOW, Kind, each_kind


def test_the_leeway_is_a_minute():
    assert SKEW == 60


@each_kind
@pytest.mark.parametrize("late", [0, 0.001, 0.5, 1, 59, 60])
def test_an_expired_token_gets_no_leeway(kind: Kind, late: float):
    with pytest.raises(kind.expired):
        kind.read(kind.token, kind.claims.exp + late)


@each_kind
@pytest.mark.parametrize(("ahead", "holds"), [(0, True), (60, True), (61, False), (3600, False)])
def test_a_token_from_the_future_gets_a_minute(kind: Kind, ahead: int, holds: bool):
    token = kind.forge(payload=kind.with_claims(iat=NOW + ahead, exp=NOW + ahead + 900))
    if holds:
        assert kind.read(token).iat == NOW + ahead
    else:
        kind.refuses(token)
