"""A worker killed after its commit and before its answer: the retry gets what was lost."""

import httpx2
import pytest

from tests.fleets import Fleet
from tests.serving import REFRESH, refresh_cookie, refresh_headers, register

GRACE = 10.0


async def test_the_retry_of_a_lost_refresh_gets_the_same_successor(fleet: Fleet) -> None:
    with fleet.server.client() as client:
        account = register(client)
        fleet.server.turn(GRACE)
        # Its process is killed by SIGKILL, with the work done and nothing said.
        with pytest.raises(httpx2.TransportError):
            client.post(REFRESH, headers={**refresh_headers(account), "x-test-die": "1"})
        # The rotation was committed: it is written down, and the retries do not rotate again.
        assert len(await fleet.told("session.refreshed", account.id)) == 1
        retries = [client.post(REFRESH, headers=refresh_headers(account)) for _ in range(4)]
        assert [answer.status_code for answer in retries] == [200] * 4
        [successor] = {refresh_cookie(answer) for answer in retries}
        assert successor != account.cookie
        answer = client.post(REFRESH, headers=refresh_headers(account, successor))
        assert refresh_cookie(answer) == successor
        assert len(await fleet.told("session.refreshed", account.id)) == 1
        # And it is the live token: after the grace it rotates.
        fleet.server.turn(GRACE)
        answer = client.post(REFRESH, headers=refresh_headers(account, successor))
        assert refresh_cookie(answer) != successor
