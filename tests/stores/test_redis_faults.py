"""Redis that is stopped, started anew, silent, full, or no Redis at all."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import pytest

from authward.core.limits import Limit
from authward.errors import ConfigurationError, Unavailable
from authward.services.limits import FallbackLimiter
from authward.settings import Settings
from authward.stores import redis
from authward.stores.redis import RedisLimiter
from tests.contracts.limiting import let_in
from tests.contracts.making import TurnedClock
from tests.redis import Server
from tests.stores.gate import gate_to

FIVE = Limit(5, 900)
PATIENCE = 3
SLOW = 10 * PATIENCE  # what a busy machine may make of it

Make = Callable[..., RedisLimiter]


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    """Makes limiters that are closed in the end."""
    async with AsyncExitStack() as stack:

        def made(url: str, **options: float) -> RedisLimiter:
            limiter = RedisLimiter(url, TurnedClock(), **options)  # type: ignore[arg-type]
            stack.push_async_callback(limiter.close)
            return limiter

        yield made


def scripts_run(server: Server) -> int:
    """How many scripts were asked for, those that were not known included."""
    return sum(
        int(server.info(f"cmdstat_{name}").split(",")[0].removeprefix("calls="))
        for name in ("evalsha", "eval")
    )


async def test_a_decision_is_one_command(redis_server: Server, make: Make) -> None:
    limiter = make(redis_server.url, patience=10)
    assert await let_in(limiter, "a", FIVE, 1) == 1
    assert scripts_run(redis_server) == 2, "the script is brought once"
    for _ in range(10):
        await limiter.take("a", FIVE)
    assert scripts_run(redis_server) == 12


async def test_a_place_is_nine_bytes_or_so_and_goes_by_itself(
    redis_server: Server, make: Make
) -> None:
    limiter = make(redis_server.url, patience=10)
    await limiter.take("many", Limit(1000, 900), 1000)
    [name] = redis_server.ask("KEYS", "*")
    assert name == f"{redis.PREFIX}1000/900.0 many"
    assert redis_server.ask("MEMORY", "USAGE", name) < 12_000
    left = redis_server.ask("PTTL", name)
    assert 890_000 < left <= 900_001
    await limiter.take("brief", Limit(2, 60), 1)
    assert 0 < redis_server.ask("PTTL", f"{redis.PREFIX}2/60.0 brief") <= 60_001


async def test_a_refusal_writes_nothing(redis_server: Server, make: Make) -> None:
    limiter = make(redis_server.url, patience=10)
    assert await let_in(limiter, "a", FIVE, 5) == 5
    before = redis_server.info("rdb_changes_since_last_save")
    assert await let_in(limiter, "a", FIVE, 20) == 0
    assert redis_server.info("rdb_changes_since_last_save") == before
    assert await let_in(limiter, "b", FIVE, 1) == 1
    assert redis_server.info("rdb_changes_since_last_save") != before


class TestAway:
    async def test_never_there(self, make: Make, free_url: str) -> None:
        limiter = make(free_url)
        began = time.perf_counter()
        with pytest.raises(Unavailable, match="redis: ") as away:
            await limiter.take("a", FIVE)
        assert time.perf_counter() - began < SLOW
        assert away.value.retry_after == 1
        with pytest.raises(Unavailable):
            await limiter.ping()

    async def test_stopped_and_started_again(self, redis_server: Server, make: Make) -> None:
        limiter = make(redis_server.url, patience=10)
        assert await let_in(limiter, "a", FIVE, 10) == 5
        await limiter.ping()
        redis_server.stop()
        with pytest.raises(Unavailable):
            await limiter.take("a", FIVE)
        redis_server.start()
        # Its scripts are gone with it, and what lay idle in the pool is dead.
        assert await let_in(limiter, "a", FIVE, 10) == 5

    async def test_restarted_between_two_requests(self, redis_server: Server, make: Make) -> None:
        limiter = make(redis_server.url, patience=10)
        assert await let_in(limiter, "a", FIVE, 10) == 5
        redis_server.stop()
        redis_server.start()
        assert await let_in(limiter, "a", FIVE, 10) == 5, "one of them met a dead connection"

    async def test_its_scripts_are_flushed(self, redis_server: Server, make: Make) -> None:
        limiter = make(redis_server.url, patience=10)
        assert await let_in(limiter, "a", FIVE, 2) == 2
        assert redis_server.ask("SCRIPT", "FLUSH") == "OK"
        assert await let_in(limiter, "a", FIVE, 10) == 3

    async def test_silent(self, redis_server: Server, make: Make) -> None:
        """The process stands still, its socket still accepts."""
        warm, cold = (make(redis_server.url, patience=PATIENCE) for _ in range(2))
        await warm.ping()
        os.kill(redis_server.pid, signal.SIGSTOP)
        try:
            for limiter in (warm, cold):
                began = time.perf_counter()
                found = await asyncio.gather(
                    *(limiter.take("a", FIVE) for _ in range(50)), return_exceptions=True
                )
                assert [type(one) for one in found] == [Unavailable] * 50
                assert time.perf_counter() - began < SLOW
        finally:
            os.kill(redis_server.pid, signal.SIGCONT)
        patient = make(redis_server.url, patience=10)
        await patient.ping()
        # What nobody waited for any more may have been counted: sooner refused, never later.
        assert await let_in(patient, "a", FIVE, 50) <= 5
        assert not (await patient.take("a", FIVE)).allowed

    async def test_a_connection_is_not_lost_to_the_pool_when_its_caller_goes(
        self, redis_url: str, make: Make
    ) -> None:
        async with gate_to(redis_url) as gate:
            limiter = make(gate.url, patience=10, connections=2)
            await limiter.ping()
            gate.freeze()
            callers = [asyncio.create_task(limiter.ping()) for _ in range(4)]
            while len(limiter._pool._in_use_connections) < 2:  # noqa: ASYNC110
                await asyncio.sleep(0)
            for caller in callers:
                caller.cancel()
            async with asyncio.timeout(60):
                await asyncio.gather(*callers, return_exceptions=True)
            gate.thaw()
            async with asyncio.timeout(60):
                await asyncio.gather(*(limiter.ping() for _ in range(8)))

    async def test_a_crowd_shares_the_connections_there_are(
        self, redis_server: Server, make: Make
    ) -> None:
        limiter = make(redis_server.url, patience=10, connections=3)
        assert await let_in(limiter, "a", Limit(200, 900), 200) == 200
        assert int(redis_server.info("connected_clients")) <= 4  # and the one that asks

    @pytest.mark.parametrize(
        ("command", "said"),
        [
            (("CONFIG", "SET", "requirepass", "hunter2"), "NOAUTH|AUTH|Authentication"),
            (("SET", f"{redis.PREFIX}5/900.0 a", "a text"), "WRONGTYPE|wrong kind"),
            (("CONFIG", "SET", "maxmemory", "1"), "OOM|maxmemory"),
            (("REPLICAOF", "127.0.0.1", "1"), "READONLY|read only|replica"),
        ],
        ids=["password", "type", "memory", "replica"],
    )
    async def test_not_able_to_count(
        self, redis_server: Server, make: Make, command: tuple[str, ...], said: str
    ) -> None:
        assert redis_server.ask(*command) == "OK"
        with pytest.raises(Unavailable, match=said):
            await make(redis_server.url, patience=10).take("a", FIVE)

    async def test_slow_at_each_step(self, make: Make) -> None:
        """No answer takes too long by itself."""

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError):
                while await reader.read(65536):
                    await asyncio.sleep(0.6 * PATIENCE)
                    writer.write(b"+OK\r\n")
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        limiter = make(f"redis://:password@127.0.0.1:{port}/1", patience=PATIENCE)
        with pytest.raises(Unavailable, match="redis: no answer in time"):
            await limiter.take("a", FIVE)
        server.close()
        await server.wait_closed()

    async def test_something_else_listens_there(self, make: Make) -> None:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(Unavailable, match="redis: "):
            await make(f"redis://127.0.0.1:{port}", patience=10).take("a", FIVE)
        server.close()
        await server.wait_closed()


class TestFallback:
    """A real server that is stopped and started, and a clock for the pauses."""

    async def test_goes_on_alone_and_comes_back(
        self, redis_server: Server, make: Make, clock: TurnedClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("INFO", logger="authward.limits")
        limiter = FallbackLimiter(make(redis_server.url, patience=10), clock, pause=60)
        assert await let_in(limiter, "a", FIVE, 10) == 5
        assert (limiter.degraded, limiter.decided_alone) == (False, 0)

        redis_server.stop()
        # Alone it knows nothing of before; but of each window it lets in no more than that.
        assert await let_in(limiter, "a", FIVE, 10) == 5
        assert await let_in(limiter, "a", FIVE, 10) == 0
        assert (limiter.degraded, limiter.decided_alone) == (True, 20)

        redis_server.start()
        assert await let_in(limiter, "a", FIVE, 1) == 0, "it asks after a pause, not before"
        clock.turn(61_000)
        # One asks, the others are not kept waiting for what it finds.
        assert await let_in(limiter, "a", FIVE, 10) == 1
        assert await let_in(limiter, "a", FIVE, 10) == 4
        assert (limiter.degraded, limiter.decided_alone) == (False, 30)
        told = [(one.levelname, one.message.partition(": ")[2]) for one in caplog.records]
        assert [level for level, _ in told] == ["ERROR", "WARNING"]
        assert told[0][1].startswith("this process counts by itself: redis: ConnectionError")
        assert told[1][1] == "all processes count together again"

        redis_server.stop()
        assert await let_in(limiter, "a", FIVE, 10) == 0, "what was counted alone still counts"
        assert limiter.degraded


@pytest.fixture
def free_url() -> str:
    """Where nobody listens."""
    return "redis://127.0.0.1:1"


class TestUrls:
    @pytest.mark.parametrize(
        "url",
        [
            "http://localhost:6379",
            "localhost:6379",
            "",
            "redis://localhost:port",
            "redis://localhost:99999",
            "redis://localhost?colour=blue",
            "redis://localhost?socket_timeout=soon",
            "rediss://localhost?ssl_cert_reqs=perhaps",
        ],
    )
    def test_that_cannot_be_used_say_the_cure(self, url: str) -> None:
        with pytest.raises(ConfigurationError, match=r"redis_url: cannot be used .*Write it like"):
            RedisLimiter(url)

    def test_a_password_is_not_told(self) -> None:
        with pytest.raises(ConfigurationError) as refused:
            RedisLimiter("redis://:hunter2@localhost:6379?colour=blue")
        assert "hunter2" not in str(refused.value)

    @pytest.mark.parametrize(
        "url",
        [
            *("", "hunter2", "redis:hunter2", "user:hunter2@host", "http://hunter2@host"),
            *("redis://", "redis:///0", "redis://host/hunter2", "redis://host/1/2"),
            *("redis://host:0", "redis://host:99999", "redis://host:hunter2", "redis://[::1"),
            *("unix://run/valkey.sock", "unix:///", "unix:/run/valkey.sock"),
        ],
    )
    def test_that_a_client_would_read_as_localhost_or_not_at_all_stop_the_start(
        self, url: str
    ) -> None:
        with pytest.raises(ConfigurationError) as refused:
            Settings(redis_url=url)
        assert str(refused.value).startswith("redis_url: names no server. Use redis://user:pass")
        assert "hunter2" not in str(refused.value)

    @pytest.mark.parametrize(
        "url",
        [
            *("redis://localhost", "redis://user:p%40ss@[::1]:6379/3", "rediss://:p@host:1/"),
            *("unix:///run/valkey.sock?db=1", "unix://user@/run/valkey.sock"),
        ],
    )
    def test_that_name_a_server_are_settings(self, url: str) -> None:
        assert Settings(redis_url=url).redis_url == url
        RedisLimiter(url)

    async def test_a_unix_socket(self, redis_server: Server, make: Make) -> None:
        limiter = make(f"unix://{redis_server.socket}?db=2", patience=10)
        assert await let_in(limiter, "a", FIVE, 10) == 5
        assert redis_server.ask("DBSIZE") == 0

    async def test_a_user_and_password(self, redis_server: Server, make: Make) -> None:
        rule = ["ACL", "SETUSER", "ward", "on", ">p@ss", "~authward:limit:*"]
        assert redis_server.ask(*rule, "+evalsha", "+eval", "+@list", "+time", "+pexpire") == "OK"
        assert redis_server.ask("CONFIG", "SET", "requirepass", "other") == "OK"
        url = redis_server.url.replace("//", "//ward:p%40ss@")
        assert await let_in(make(url, patience=10), "a", FIVE, 10) == 5
        with pytest.raises(Unavailable, match="redis: ") as refused:
            await make(url.replace("p%40ss", "wrong"), patience=10).take("a", FIVE)
        assert "wrong" not in refused.value.reason.replace("WRONGPASS", "")


class TestImports:
    def test_without_the_extra(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "redis.asyncio", None)
        with pytest.raises(ConfigurationError) as refused:
            RedisLimiter("redis://localhost")
        assert str(refused.value) == "redis_url: needs Redis's client: pip install redis hiredis"
        monkeypatch.setattr("authward.checks.find_spec", lambda name: None)
        with pytest.raises(ConfigurationError, match="pip install redis hiredis"):
            Settings(redis_url="redis://localhost")

    def test_it_is_loaded_when_it_is_used(self) -> None:
        code = (
            "import sys, authward, authward.app, authward.cli, authward.stores.redis\n"
            "sys.exit('redis' in sys.modules or 'hiredis' in sys.modules)"
        )
        done = subprocess.run([sys.executable, "-c", code], check=False, timeout=60)
        assert done.returncode == 0
