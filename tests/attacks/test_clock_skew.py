"""A generous leeway keeps expired tokens alive.

ASVS 9.2.1, RFC 7519 section 4.1.4.
"""

import pytest

from authward.core.tokens import SKEW
from tests.attacks.targets import EXPIRED, OK, Target
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


async def test_a_running_server_gives_no_leeway(target: Target):
    clock = target.here.clock
    end = int(clock.now()) + 30
    token = target.forge(payload=target.with_claims(exp=end))
    assert await target.answer(token) == OK
    clock.turn(end - clock.now())
    await target.refuses({"it has just ended": token}, EXPIRED)
    # Nor is it remembered once the clock is set back and on again.
    clock.turn(-60)
    assert await target.answer(token) == OK
    clock.turn(60)
    await target.refuses({"ended again": token}, EXPIRED)


async def test_a_running_server_takes_a_minute_of_the_future_and_no_more(target: Target):
    now = int(target.here.clock.now())

    def ahead(seconds: int) -> str:
        return target.forge(payload=target.with_claims(iat=now + seconds, exp=now + 900))

    assert await target.answer(ahead(SKEW)) == OK
    await target.refuses({seconds: ahead(seconds) for seconds in (SKEW + 30, 600, 890)})
    reversed_ = target.forge(payload=target.with_claims(iat=now, exp=now - 1))
    await target.refuses({"it ended before it began": reversed_})
