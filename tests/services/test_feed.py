"""The change feed: what is revoked, how old the view may be, and when it cannot be read."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence

import pytest

from authward.core.permissions import Role
from authward.core.tokens import SKEW
from authward.errors import TokenExpired, TokenRevoked, Unavailable
from authward.ports import Change, ChangeBatch, Cursor
from authward.services import feed as feed_module
from authward.services.feed import Feed, Pace

HOUR = 3600.0


class Clock:
    offset_ms = 0

    def __init__(self) -> None:
        self.at = 1_800_000_000.0

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at


class Changes:
    """A feed to be filled. `broken` is raised instead of read."""

    def __init__(self) -> None:
        self.rows: list[Change] = []
        self.granted: Mapping[str, Role] = {"user": Role()}
        self.broken: Exception | None = None
        self.asked: list[tuple[Cursor, int]] = []
        self.roles_asked = 0
        self.anew = False

    async def since(self, cursor: Cursor, *, horizon: int) -> ChangeBatch:
        self.asked.append((cursor, horizon))
        if self.broken is not None:
            raise self.broken
        if self.anew:
            return ChangeBatch((), Cursor(1), anew=True)
        return ChangeBatch(self.rows[cursor.head :], Cursor(len(self.rows)))

    async def roles(self) -> Mapping[str, Role]:
        self.roles_asked += 1
        return self.granted

    async def announce(self, changes: Sequence[Change]) -> None:
        raise AssertionError("a reader writes nothing")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def changes() -> Changes:
    return Changes()


@pytest.fixture
def feed(changes: Changes, clock: Clock) -> Feed:
    return feed_of(changes, clock)


def feed_of(
    changes: Changes,
    clock: Clock,
    interval: float = 0.25,
    on_scheme: Callable[[str], None] = lambda prefix: None,
) -> Feed:
    return Feed(changes, clock, interval=interval, max_lag=60, horizon=HOUR, on_scheme=on_scheme)


def revoked(session: str, at: int = 0) -> Change:
    return Change("session.revoked", session, 0, None, at)


def refusal_of(feed: Feed, user: str, session: str, ver: int) -> str:
    try:
        feed.revocations.check(user, session, ver, 0, ("user",))
    except (TokenExpired, TokenRevoked) as refusal:
        return refusal.code
    return ""


async def test_it_reads_on_from_where_it_was(feed: Feed, changes: Changes) -> None:
    changes.rows = [revoked("a"), revoked("b")]
    await feed.poll()
    await feed.poll()
    horizon = int((HOUR + 2 * SKEW) * 1000)
    assert changes.asked == [(Cursor(), horizon), (Cursor(2), horizon)]


async def test_each_kind_of_change(feed: Feed, changes: Changes) -> None:
    changes.rows = [
        revoked("session-1"),
        Change("user.revoked", "ada", 5, "kept", 0),
        Change("user.superseded", "eve", 7, None, 0),
    ]
    await feed.poll()
    assert refusal_of(feed, "bob", "session-1", 9) == "token_revoked"
    assert refusal_of(feed, "bob", "session-2", 0) == ""
    assert refusal_of(feed, "ada", "other", 4) == "token_revoked"
    assert refusal_of(feed, "ada", "kept", 4) == ""
    assert refusal_of(feed, "ada", "other", 5) == ""
    assert refusal_of(feed, "eve", "any", 6) == "token_expired"
    assert refusal_of(feed, "eve", "any", 7) == ""


async def test_who_watches_hears_of_what_is_news(feed: Feed, changes: Changes) -> None:
    """When they hear of it, it is already so."""
    heard: list[tuple[str, str]] = []

    def listen(user: str, session: str) -> None:
        def hear() -> None:
            assert feed.roles == changes.granted
            heard.append((user, refusal_of(feed, user, session, 0)))

        feed.watching.add((user, session), hear)

    await feed.poll()
    listen("ada", "s1")
    listen("eve", "s2")
    changes.rows = [revoked("s1")]
    await feed.poll()
    assert heard == [("ada", "token_revoked")]
    feed.apply([revoked("s1")])  # ours, which the feed told of first
    assert len(heard) == 1
    feed.apply([Change("user.superseded", "eve", 3, None, 0)])
    assert heard[1:] == [("eve", "token_expired")]
    # Whatever a role grants may concern anybody.
    changes.granted = {"user": Role(frozenset({"read:x"}))}
    changes.rows.append(Change("roles.changed", "user", 0, None, 0))
    await feed.poll()
    assert sorted(heard[2:]) == [("ada", "token_revoked"), ("eve", "token_expired")]


async def test_a_cut_through_a_role(feed: Feed, changes: Changes) -> None:
    changes.rows = [Change("sessions.revoked", "editor", 0, None, 0, 1000)]
    await feed.poll()
    check = feed.revocations.check
    with pytest.raises(TokenRevoked):
        check("ada", "s1", 0, 0, ("user", "editor"))
    check("ada", "s1", 0, 1, ("user", "editor"))
    check("ada", "s1", 0, 0, ("user",))


async def test_our_own_changes_count_at_once(feed: Feed, changes: Changes) -> None:
    await feed.poll()
    feed.apply([revoked("mine")])
    assert refusal_of(feed, "ada", "mine", 0) == "token_revoked"


async def test_never_read_is_closed(feed: Feed) -> None:
    with pytest.raises(Unavailable, match="never read") as caught:
        feed.require_fresh()
    assert caught.value.retry_after == 1
    assert not feed.healthy


async def test_too_old_is_closed_and_not_healthy_long_before(feed: Feed, clock: Clock) -> None:
    await feed.poll()
    assert feed.healthy
    clock.at += 1.5
    assert not feed.healthy
    feed.require_fresh()
    clock.at += 58.5
    feed.require_fresh()
    clock.at += 0.5
    with pytest.raises(Unavailable, match="too old") as caught:
        feed.require_fresh()
    assert caught.value.retry_after == 1
    await feed.poll()
    feed.require_fresh()
    assert feed.healthy


async def test_how_far_behind_it_is(changes: Changes, clock: Clock) -> None:
    feed = feed_of(changes, clock, interval=30)
    assert feed.lag == float("inf")
    await feed.poll()
    assert feed.lag == 0
    clock.at += 60
    assert feed.lag == 60
    assert feed.healthy
    # Never healthy where nobody is let in any more, however rarely it is read.
    clock.at += 0.5
    assert not feed.healthy
    changes.broken = Unavailable("gone")
    with pytest.raises(Unavailable):
        await feed.poll()
    assert feed.lag == 60.5


async def test_it_is_as_old_as_the_beginning_of_the_read(
    feed: Feed, changes: Changes, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow read shows how things were when it began."""
    since = changes.since

    async def slow(cursor: Cursor, *, horizon: int) -> ChangeBatch:
        batch = await since(cursor, horizon=horizon)
        clock.at += 61
        return batch

    monkeypatch.setattr(changes, "since", slow)
    await feed.poll()
    with pytest.raises(Unavailable):
        feed.require_fresh()


async def test_a_failed_read_leaves_all_as_it_was(
    feed: Feed, changes: Changes, clock: Clock
) -> None:
    changes.rows = [revoked("a")]
    await feed.poll()
    clock.at += 61
    changes.broken = Unavailable("gone")
    with pytest.raises(Unavailable, match="gone"):
        await feed.poll()
    with pytest.raises(Unavailable, match="too old"):
        feed.require_fresh()
    assert refusal_of(feed, "ada", "a", 0) == "token_revoked"


async def test_roles_are_read_first_and_when_they_change(feed: Feed, changes: Changes) -> None:
    changes.granted = {"admin": Role(frozenset({"read:users"}))}
    await feed.poll()
    await feed.poll()
    assert (feed.roles_version, changes.roles_asked) == (1, 1)
    assert feed.permissions(("admin",), ("read:reports",)) == {"read:users", "read:reports"}
    assert feed.permissions(("nobody",), ()) == frozenset()

    changes.rows.append(Change("roles.changed", "", 0, None, 0))
    await feed.poll()
    assert (feed.roles_version, changes.roles_asked) == (1, 2)

    # A backup was put back: the roles are those it holds, though it tells of no change.
    changes.granted = {"admin": Role()}
    changes.anew = True
    await feed.poll()
    assert (feed.roles_version, feed.permissions(("admin",), ())) == (2, frozenset())

    changes.granted = {"admin": Role()}
    changes.rows.append(Change("roles.changed", "", 0, None, 0))
    await feed.poll()
    assert feed.roles_version == 2
    assert feed.permissions(("admin",), ()) == frozenset()


async def test_roles_that_cannot_be_read_are_asked_for_again(
    feed: Feed, changes: Changes, monkeypatch: pytest.MonkeyPatch
) -> None:
    await feed.poll()
    changes.granted = {"user": Role(frozenset({"read:x"}))}
    changes.rows.append(Change("roles.changed", "", 0, None, 0))

    async def broken() -> Mapping[str, Role]:
        raise Unavailable("gone")

    with monkeypatch.context() as patch:
        patch.setattr(changes, "roles", broken)
        with pytest.raises(Unavailable):
            await feed.poll()
    await feed.poll()
    assert feed.permissions(("user",), ()) == {"read:x"}


async def test_what_no_token_remembers_is_forgotten(
    feed: Feed, changes: Changes, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "PRUNE_EVERY", 1)
    changes.rows = [revoked("a", int(clock.at * 1000))]
    await feed.poll()
    clock.at += HOUR + 2 * SKEW
    await feed.poll()
    assert refusal_of(feed, "ada", "a", 0) == "token_revoked"
    clock.at += 0.1
    await feed.poll()
    assert len(feed.revocations) == 0


async def test_a_scheme_that_others_brought_in_is_heard_of(changes: Changes, clock: Clock) -> None:
    heard: list[str] = []
    feed = feed_of(changes, clock, on_scheme=heard.append)
    changes.rows.append(Change("scheme.added", "$2a$10$", 0, None, 0))
    await feed.poll()
    await feed.poll()
    assert heard == ["$2a$10$"]
    assert len(feed.revocations) == 0


async def test_it_follows_until_it_is_stopped(
    changes: Changes, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    feed = feed_of(changes, clock, 0.001)

    async def until(times: int) -> None:
        async with asyncio.timeout(60):
            while len(changes.asked) < times:  # noqa: ASYNC110
                await asyncio.sleep(0.001)

    await feed.stop()
    with caplog.at_level(logging.WARNING):
        await feed.start()
        assert len(changes.asked) == 1
        await until(3)
        # Neither an outage nor a fault of the store ends it.
        changes.broken = Unavailable("the database is gone")
        await until(5)
        assert "not read: the database is gone" in caplog.text
        changes.broken = RuntimeError("a fault")
        await until(8)
        assert "RuntimeError: a fault" in caplog.text
        changes.broken = None
        changes.rows = [revoked("late")]
        await until(11)
    assert refusal_of(feed, "ada", "late", 0) == "token_revoked"
    await feed.stop()
    count = len(changes.asked)
    await asyncio.sleep(0.01)
    assert len(changes.asked) == count


async def test_it_does_not_start_on_what_it_cannot_read(feed: Feed, changes: Changes) -> None:
    changes.broken = Unavailable("gone")
    with pytest.raises(Unavailable):
        await feed.start()
    await feed.stop()


async def test_a_late_answer_does_not_undo_a_newer_one(
    feed: Feed, changes: Changes, monkeypatch: pytest.MonkeyPatch
) -> None:
    await feed.poll()
    roles, asked, go = changes.roles, asyncio.Event(), asyncio.Event()

    async def late() -> Mapping[str, Role]:
        snapshot = await roles()
        if not asked.is_set():
            asked.set()
            await go.wait()
        return snapshot

    monkeypatch.setattr(changes, "roles", late)
    changes.granted = {"user": Role(frozenset({"update:x"}))}
    changes.rows.append(Change("roles.changed", "user", 0, None, 0))
    following = asyncio.create_task(feed.poll())
    await asked.wait()
    # Taken away meanwhile, by a request of this process.
    changes.granted = {"user": Role()}
    changes.rows.append(Change("roles.changed", "user", 0, None, 0))
    answered = asyncio.create_task(feed.catch_up())
    for _ in range(5):
        await asyncio.sleep(0)
    go.set()
    await answered
    assert feed.permissions(("user",), ()) == frozenset()
    await following
    assert feed.permissions(("user",), ()) == frozenset()
    await feed.poll()
    assert changes.asked[-1][0] == Cursor(2)


async def test_only_what_is_new_counts(
    feed: Feed, changes: Changes, monkeypatch: pytest.MonkeyPatch
) -> None:
    await feed.poll()
    version = feed.version
    feed.apply([revoked("ours")])
    assert feed.version == version + 1
    changes.rows = [revoked("ours", 1)]
    await feed.poll()
    assert feed.version == version + 1
    feed.apply([Change("user.revoked", "ada", ver, None, 0) for ver in (1, 2, 2)])
    assert feed.version == version + 3
    # Bounded: what was pushed out counts again, which is harmless.
    monkeypatch.setattr(feed_module, "KNOWN", 3)
    feed.apply([revoked("more"), revoked("more")])
    assert len(feed._known) == 1
    assert feed.version == version + 4


async def test_what_was_forgotten_is_new_again(
    feed: Feed, changes: Changes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "PRUNE_EVERY", 1)
    feed.apply([revoked("a")])
    version = feed.version
    await feed.poll()
    before = feed.version
    feed.apply([revoked("a")])
    assert (version, feed.version) == (1, before + 1)


def test_the_first_goes_at_once_and_the_next_after_the_gap() -> None:
    pace = Pace(0.02)
    assert pace.wait(100.0) == 0
    assert pace.wait(100.0) == pytest.approx(0.02)
    assert pace.wait(100.03) == pytest.approx(0.01)
    assert pace.wait(101.0) == 0


async def test_who_wakes_without_end_does_not_keep_it_reading(
    changes: Changes, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "WAKE_PAUSE_S", 30)
    feed = feed_of(changes, clock, interval=30)
    await feed.start()
    for _ in range(200):
        feed.wake()
        await asyncio.sleep(0)
    await feed.stop()
    # At the start, and the first word at once.
    assert len(changes.asked) == 2


async def test_keys_are_read_anew_when_they_changed_and_nothing_counts_until_they_are(
    changes: Changes, clock: Clock
) -> None:
    told: list[int] = []
    away = True

    async def on_keys() -> None:
        told.append(len(told))
        if away:
            raise Unavailable("no such secret")

    feed = feed_of(changes, clock)
    feed._on_keys = on_keys
    await feed.poll()
    changes.rows = [revoked("a")]
    await feed.poll()
    assert told == []
    fresh_until, before = feed.fresh_until, feed.version
    changes.rows += [revoked("b"), Change("keys.changed", "access", 0, None, 0)]
    for _ in range(2):
        with pytest.raises(Unavailable):
            await feed.poll()
    # What was revoked counts, what is known of it stays as old as it was.
    assert refusal_of(feed, "user", "b", 0) == "token_revoked"
    assert feed.fresh_until == fresh_until
    assert feed.version > before
    away = False
    heard: list[str] = []
    feed.watching.add(["session"], lambda: heard.append("x"))
    await feed.poll()
    await feed.poll()
    assert told == [0, 1, 2]
    assert heard == ["x"], "who stays connected looks once more"
    changes.rows += [Change("keys.changed", "csrf", 0, None, 0)]
    await feed.poll()
    assert told == [0, 1, 2, 3]
    assert heard == ["x"], "no token hangs on that"
