"""Handlers of an app: told in order, in the background, and never at anybody's cost."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from contextvars import ContextVar
from functools import partial
from typing import Any

import pytest

from authward.core.audit import Client, Event
from authward.core.events import AuthEvent
from authward.services import handlers as module
from authward.services.handlers import Handler, Handling, Wanted
from authward.testing import TurnableClock

HERE = Client("203.0.113.9")


def events(*kinds: str) -> list[Event]:
    return [Event(kind, HERE) for kind in kinds]


class World:
    """Handlers that are told, and what they heard."""

    def __init__(self) -> None:
        self.wanted: list[Wanted] = []
        self.heard: list[str] = []
        self.handling = Handling(self.wanted, TurnableClock())
        self.handling.start()

    def on(self, kind: str, handler: Handler) -> None:
        self.wanted.append(Wanted(kind, handler))

    def hear(self, event: AuthEvent) -> None:
        self.heard.append(event.kind)

    async def hear_later(self, event: AuthEvent) -> None:
        await asyncio.sleep(0)
        self.heard.append(event.kind)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    yield world
    await world.handling.stop()


async def test_nobody_listens(world: World) -> None:
    world.handling.tell(events("login.failed"))
    assert world.handling.dropped == 0


@pytest.mark.parametrize("form", ["sync", "async", "partial", "object", "returns awaitable"])
async def test_each_form_of_handler_hears_its_kind_in_order(world: World, form: str) -> None:
    class Called:
        async def __call__(self, event: AuthEvent) -> None:
            await world.hear_later(event)

    def told(event: AuthEvent, prefix: str = "") -> None:
        world.hear(event)

    async def told_later(event: AuthEvent, prefix: str) -> None:
        await world.hear_later(event)

    forms: dict[str, Handler] = {
        "sync": world.hear,
        "async": world.hear_later,
        "partial": partial(told_later, prefix="x"),
        "object": Called(),
        "returns awaitable": lambda event: world.hear_later(event),
    }
    world.on("login.failed", forms[form])
    world.handling.tell(events("login.failed", "user.created", "login.failed"))
    await world.handling.stop()
    assert world.heard == ["login.failed", "login.failed"]


async def test_a_star_hears_all_and_a_late_one_what_is_to_come(world: World) -> None:
    world.on("*", world.hear_later)
    world.handling.tell(events("login.failed", "user.created"))
    world.on("user.created", world.hear_later)
    world.handling.tell(events("user.created"))
    await world.handling.stop()
    assert sorted(world.heard) == ["login.failed", "user.created", "user.created", "user.created"]
    # What comes after the end is nobody's.
    world.handling.tell(events("user.created"))
    assert len(world.heard) == 4


async def test_a_sync_handler_does_not_hold_up_the_loop(world: World) -> None:
    gate, threads = threading.Event(), set()

    def slow(event: AuthEvent) -> None:
        threads.add(threading.current_thread())
        assert gate.wait(30)
        world.hear(event)

    world.on("login.failed", slow)
    world.on("login.failed", world.hear_later)
    world.handling.tell(events("login.failed", "login.failed"))
    while len(world.heard) < 2:  # noqa: ASYNC110
        await asyncio.sleep(0)
    gate.set()
    await world.handling.stop()
    assert len(world.heard) == 4
    [thread] = threads
    assert thread is not threading.main_thread()
    assert thread.daemon


def broken(error: BaseException) -> Callable[[AuthEvent], None]:
    def handler(event: AuthEvent) -> None:
        raise error

    return handler


def broken_later(error: BaseException) -> Handler:
    async def handler(event: AuthEvent) -> None:
        raise error

    return handler


@pytest.mark.parametrize(
    "error",
    [
        ValueError("x"),
        SystemExit(3),
        StopIteration(),
        asyncio.CancelledError(),
        GeneratorExit(),
        KeyboardInterrupt(),
        RecursionError(),
        BaseException("x"),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("make", [broken, broken_later])
async def test_a_handler_that_fails_is_named_in_the_log_and_told_on(
    world: World,
    make: Any,
    error: BaseException,
    caplog: pytest.LogCaptureFixture,
) -> None:
    world.on("login.failed", make(error))
    world.on("login.failed", world.hear_later)
    world.handling.tell(events("login.failed", "login.failed"))
    await world.handling.stop()
    assert world.heard == ["login.failed"] * 2
    said = [one.getMessage() for one in caplog.records if one.name == "authward.events"]
    assert len(said) == 2
    assert f"{make.__name__}.<locals>.handler failed on login.failed" in said[0]


@pytest.mark.parametrize("waits", [True, False])
async def test_one_that_cancels_its_own_task_is_told_on(
    world: World, caplog: pytest.LogCaptureFixture, waits: bool
) -> None:
    """As with a timeout that it took from elsewhere: it cancels itself, and nobody else."""

    async def cancels(event: AuthEvent) -> None:
        world.hear(event)
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        if waits:
            await asyncio.sleep(0)

    world.on("login.failed", cancels)
    world.handling.tell(events("login.failed", "login.failed", "login.failed"))
    await world.handling.stop()
    assert world.heard == ["login.failed"] * 3
    said = [one.getMessage() for one in caplog.records if one.name == "authward.events"]
    assert len(said) == (3 if waits else 0)
    assert all("cancels failed on login.failed" in one for one in said)


class Mute:
    """Answers no question."""

    def __getattribute__(self, name: str) -> object:
        raise SystemExit(name)

    def __call__(self, event: AuthEvent) -> None: ...


@pytest.mark.parametrize("why", ["answers nothing", "no thread left"])
async def test_one_that_cannot_be_told_anything_is_no_fault_of_who_is_served(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, why: str
) -> None:
    def no_thread(name: str) -> None:
        raise RuntimeError("can't start new thread")

    world.on("login.failed", world.hear_later)
    if why == "no thread left":
        monkeypatch.setattr(module, "_Thread", no_thread)
        world.on("login.failed", world.hear)
    else:
        world.on("login.failed", Mute())
    world.on("login.failed", world.hear_later)
    for _ in range(2):
        world.handling.tell(events("login.failed"))
    await world.handling.stop()
    assert world.heard == ["login.failed"] * 4
    [said] = [one.getMessage() for one in caplog.records if one.name == "authward.events"]
    assert said.endswith("is told nothing")
    assert said.startswith("Mute" if why == "answers nothing" else "tests.services.test_handlers")


async def test_one_that_will_not_end_is_left(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    gate = asyncio.Event()

    async def stays(event: AuthEvent) -> None:
        while not gate.is_set():
            with suppress(asyncio.CancelledError):
                await gate.wait()

    world.on("*", stays)
    world.handling.tell(events("login.failed"))
    await asyncio.sleep(0)
    await world.handling.stop(within=0.01)
    assert "stays was not told 1 events" in caplog.text
    gate.set()


async def test_one_that_is_too_slow_loses_events_and_nobody_else_does(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "MOST_WAITING", 3)
    gate = asyncio.Event()

    async def slow(event: AuthEvent) -> None:
        await gate.wait()

    world.on("*", slow)
    world.on("*", world.hear_later)
    for _ in range(8):
        world.handling.tell(events("login.failed"))
        for _ in range(5):
            await asyncio.sleep(0)
    assert len(world.heard) == 8
    assert world.handling.dropped == 5
    assert len([one for one in caplog.records if "too slow" in one.getMessage()]) == 1
    gate.set()


class Deaf:
    """Never comes back."""

    def __init__(self) -> None:
        self.gate = threading.Event()

    def __call__(self, event: AuthEvent) -> None:
        self.gate.wait(30)


@pytest.mark.parametrize("form", ["sync", "async"])
async def test_one_that_hangs_does_not_keep_the_process(
    world: World, form: str, caplog: pytest.LogCaptureFixture
) -> None:
    deaf = Deaf()

    async def hangs(event: AuthEvent) -> None:
        await asyncio.Event().wait()

    world.on("login.failed", deaf if form == "sync" else hangs)
    world.handling.tell(events("login.failed", "login.failed"))
    await asyncio.sleep(0.01)
    await world.handling.stop(within=0.01)
    assert "was not told 2 events" in caplog.text
    assert ("Deaf" if form == "sync" else "hangs") in caplog.text
    deaf.gate.set()  # and what it has to say then, nobody waits for
    await asyncio.sleep(0.01)


async def test_a_handler_does_not_work_for_the_request_that_came_first(world: World) -> None:
    of_request: ContextVar[str] = ContextVar("of_request", default="")
    seen = []

    async def look(event: AuthEvent) -> None:
        seen.append(of_request.get())

    world.on("*", look)
    of_request.set("r1")
    world.handling.tell(events("login.failed"))
    await world.handling.stop()
    assert seen == [""]


def test_a_thread_that_comes_back_after_its_loop_has_closed() -> None:
    deaf, late = Deaf(), threading.Event()

    def handler(event: AuthEvent) -> None:
        deaf(event)
        late.set()

    async def tell() -> None:
        handling = Handling([Wanted("*", handler)], TurnableClock())
        handling.start()
        handling.tell(events("login.failed"))
        await asyncio.sleep(0.01)
        await handling.stop(within=0)

    asyncio.run(tell())
    deaf.gate.set()
    assert late.wait(30)


async def test_a_loop_that_ends_takes_them_along(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """It cancels its tasks, and waits for each: none may go on."""

    async def hangs(event: AuthEvent) -> None:
        await asyncio.Event().wait()

    world.on("*", hangs)
    world.handling.tell(events("login.failed", "login.failed"))
    await asyncio.sleep(0)
    [told] = world.handling._told
    told.task.cancel()
    await asyncio.wait([told.task])
    assert told.task.cancelled()
    assert "hangs is told no more: its task was cancelled" in caplog.text
    await world.handling.stop()
    assert "hangs was not told 2 events" in caplog.text
