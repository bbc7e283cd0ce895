"""Limits in Redis or Valkey, exact over all processes: one script on one key, one round trip."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable
from hashlib import sha1
from typing import Any, TypeVar

from authward.clock import SystemClock
from authward.core.limits import Decision, Limit
from authward.errors import ConfigurationError, Unavailable
from authward.ports import Clock
from authward.stores.counting import check_cost, stored_key

PATIENCE_S = 0.5
PREFIX = "authward:limit:"

# The list of a key and limit holds the microseconds at which places were taken, oldest first. What
# is dead is found by galloping and halving, and cut off when a place is taken: a refusal writes
# nothing.
_SCRIPT = """\
local key, most, window, cost = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local asked = time[1] * 1000000 + time[2] + ARGV[4] * 1000
local now, count = asked, redis.call('LLEN', key)
local function free_at(index) return redis.call('LINDEX', key, index) + window end
-- Time that runs backwards stands still.
if count > 0 then now = math.max(now, free_at(-1) - window) end
local dead, step = 0, 1
while dead + step <= count and free_at(dead + step - 1) <= now do
  dead = dead + step
  step = step * 2
end
local alive = math.min(dead + step - 1, count)
while dead < alive do
  local middle = math.floor((dead + alive) / 2)
  if free_at(middle) <= now then dead = middle + 1 else alive = middle end
end
local free = most - count + dead
if cost > free then
  return {0, math.max(free, 0), free_at(dead + cost - free - 1) - now}
end
if dead > 0 then redis.call('LTRIM', key, dead, -1) end
local place = string.format('%.0f', now)
for _ = 1, cost do redis.call('RPUSH', key, place) end
redis.call('PEXPIRE', key, math.ceil((now - asked + window) / 1000) + 1)
return {1, free - cost, free_at(0) - now}
"""
_SHA = sha1(_SCRIPT.encode(), usedforsecurity=False).hexdigest()

T = TypeVar("T")


class RedisLimiter:
    """`RateLimiter` on the Redis (6 or later) or Valkey of `url`: redis://, rediss:// or unix://,
    with redis-py's options as its query. Takes limits of any size.

    `take` and `ping` raise Unavailable after `patience` seconds at most, whatever has become of
    the server. At most `connections` at once. Use it in one event loop. Raises ConfigurationError.
    """

    def __init__(
        self,
        url: str,
        clock: Clock | None = None,
        *,
        patience: float = PATIENCE_S,
        connections: int = 16,
    ) -> None:
        try:
            from redis.asyncio import BlockingConnectionPool, Redis
            from redis.asyncio.retry import Retry
            from redis.backoff import NoBackoff
            from redis.exceptions import ConnectionError as Broken
            from redis.exceptions import NoScriptError, RedisError
        except ModuleNotFoundError as error:
            raise ConfigurationError(
                "redis_url: needs Redis's client: pip install redis hiredis"
            ) from error
        self._clock = SystemClock() if clock is None else clock
        self._unknown_script, self._failed = NoScriptError, RedisError
        try:
            pool: Any = BlockingConnectionPool.from_url(
                url,
                max_connections=connections,
                timeout=patience,
                socket_connect_timeout=patience,
                socket_timeout=patience,
                # Once more, at once, where a server started anew has cut what lay idle. Should the
                # first have been counted after all, that client is refused sooner, never later.
                retry=Retry(NoBackoff(), 1, supported_errors=(Broken,)),
                protocol=2,  # a greeting less, and all that is needed
                driver_info=None,
            )
            pool.make_connection()  # connects nothing, but reads the options
        except (ValueError, TypeError, RedisError) as error:
            raise ConfigurationError(
                f"redis_url: cannot be used ({error}). "
                "Write it like redis://user:password@host:6379/0"
            ) from None
        self._client: Any = Redis(connection_pool=pool)
        self._pool = pool
        self._patience = patience
        self._running: set[asyncio.Future[Any]] = set()

    async def take(self, key: str, limit: Limit, cost: int = 1) -> Decision:
        check_cost(cost, limit)
        window = math.ceil(round(limit.window * 1_000_000, 3))
        offset = self._clock.offset_ms
        values = (1, PREFIX + stored_key(key, limit), limit.most, window, cost, offset)
        allowed, remaining, reset = await self._bounded(self._run(values))
        return Decision(allowed == 1, limit, remaining, min(reset / 1_000_000, limit.window))

    async def ping(self) -> None:
        """Ask for a sign of life. Raises Unavailable."""
        await self._bounded(self._client.execute_command("PING"))

    async def close(self) -> None:
        """Let what is under way end, then close all connections."""
        while self._running:
            await asyncio.wait(self._running)
        await self._pool.aclose()

    async def _run(self, values: tuple[object, ...]) -> Any:
        try:
            return await self._client.execute_command("EVALSHA", _SHA, *values)
        except self._unknown_script:  # a server that is new, or was started anew
            return await self._client.execute_command("EVAL", _SCRIPT, *values)

    async def _bounded(self, work: Awaitable[T]) -> T:
        # In a task of its own: redis-py, told to stop at a bad moment, goes on, and we would wait.
        # Each of its steps has its bound, so it ends.
        task = asyncio.ensure_future(work)
        self._running.add(task)
        task.add_done_callback(self._ended)
        try:
            async with asyncio.timeout(self._patience):
                return await asyncio.shield(task)
        except self._failed as error:
            raise Unavailable(f"redis: {type(error).__name__}: {error}", retry_after=1) from error
        except TimeoutError as error:
            raise Unavailable("redis: no answer in time", retry_after=1) from error

    def _ended(self, task: asyncio.Future[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # nobody else looks at it, if the caller is gone
