"""Limits over all processes: what is counted apart from what."""

from authward.core.limits import Decision, Limit, SlidingWindows
from authward.services.throttling import Throttling

TWO = Limit(2, 60)


class Counting:
    """A limiter in memory."""

    def __init__(self) -> None:
        self.windows: dict[Limit, SlidingWindows] = {}
        self.keys: list[str] = []

    async def take(self, key: str, limit: Limit, cost: int = 1) -> Decision:
        self.keys.append(key)
        windows = self.windows.setdefault(limit, SlidingWindows(limit))
        return windows.take(key, 0.0, cost)


async def allowed(throttling: Throttling, route: str, client: str = "192.0.2.1") -> bool:
    decision = await throttling.take(route, client)
    assert decision is not None
    return decision.allowed


async def test_each_route_and_client_has_a_count_of_its_own():
    throttling = Throttling(Counting(), "here", general=TWO, credential=TWO)
    assert [await allowed(throttling, "/login") for _ in range(3)] == [True, True, False]
    assert await allowed(throttling, "/register")
    assert await allowed(throttling, "/login", "192.0.2.2")
    general = [await throttling.take_general("192.0.2.1") for _ in range(3)]
    assert [one.allowed for one in general if one is not None] == [True, True, False]


async def test_installations_on_one_limiter_are_apart():
    shared = Counting()
    here = Throttling(shared, "here", general=None, credential=TWO)
    there = Throttling(shared, "there", general=None, credential=TWO)
    assert [await allowed(here, "/login") for _ in range(3)] == [True, True, False]
    assert await allowed(there, "/login")


async def test_its_keys_are_nobody_elses():
    shared = Counting()
    # Whatever an installation is called: `policy` begins the keys of policies.
    throttling = Throttling(shared, "policy", general=TWO, credential=TWO)
    await throttling.take("/login", "192.0.2.1")
    await throttling.take_general("192.0.2.1")
    assert shared.keys == ["server policy /login 192.0.2.1", "server policy general 192.0.2.1"]


async def test_what_is_off_counts_nothing():
    throttling = Throttling(Counting(), "here", general=None, credential=None)
    assert await throttling.take("/login", "192.0.2.1") is None
    assert await throttling.take_general("192.0.2.1") is None
