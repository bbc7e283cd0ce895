"""Key rings over time: made, rotated, retired, killed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from authward.core.audit import Client
from authward.core.keys import RINGS, Algorithm, Key, StoredKey
from authward.core.rotation import (
    ROTATING,
    Lives,
    check_promotable,
    check_retirable,
    check_rotates,
    doomed,
    due,
    in_state,
    in_turn,
    retirable,
    retirable_at,
    the_one,
    unfit,
)
from authward.errors import ConfigurationError, Refusal, Unavailable
from authward.ports import Chance, Clock, KeyChange, Matched, SessionMatch, Store
from authward.services.key_changes import ITSELF, Decide, KeyChanges, both, first_states
from authward.services.kills import Killed, Kills, begun, ending, until_now
from authward.services.rings import Rings, Seals

PUBLISHED_S = 300
"""How long others may keep our public keys; so long, at least, a key is published before it signs.
"""

log = logging.getLogger("authward.keys")


@dataclass(frozen=True, slots=True)
class KeyPolicy:
    """What access keys are for, how long what keys signed lives, and how often each ring is rotated
    by itself. `unused` ends a refresh token, `grace` is that of a refresh. Milliseconds.

    Who `serves` brings the algorithm in. A command takes it for the very first keys only: the shell
    it is called from may know nothing of it. Nor does it know how long sessions live: the database
    does.
    """

    algorithm: Algorithm
    lives: Lives
    unused: int
    grace: int
    every: int | None = None
    serves: bool = True


@dataclass(frozen=True, slots=True)
class KeyView:
    """A key as it may be shown: how many live sessions hang on it, and from when on nothing is lost
    with it; None where that does not apply.
    """

    key: StoredKey
    sessions: int | None
    retirable_at: int | None


class Keys:
    """The key rings over any store. `actor` None is the operator."""

    def __init__(
        self, store: Store, seals: Seals, policy: KeyPolicy, clock: Clock, chance: Chance
    ) -> None:
        self._store = store
        self._seals = seals
        self._policy = policy
        self._clock = clock
        self._changes = KeyChanges(seals, policy.algorithm, chance)
        self._kills = Kills(store, policy.lives, clock)
        self._reading = asyncio.Lock()
        self._follow: Callable[[Rings | None], None] | None = None
        self._rings: Rings | None = None
        self._read: Sequence[StoredKey] = ()
        self.loaded = False
        """Whether the rings in use are what the database says, as far as is known here."""

    # --- the rings of this process ------------------------------------------------------------

    @property
    def rings(self) -> Rings:
        """Those in use. Raises Unavailable where there are none: before `start`, and where a key
        that signed here is gone and the next cannot be read.
        """
        if self._rings is None:
            raise Unavailable("key rings not read", retry_after=1)
        return self._rings

    async def start(
        self, opened: Callable[[Sequence[Key]], Awaitable[None]] | None = None
    ) -> Rings:
        """Open the stored rings, making keys for those that have none, sealing all anew under a
        changed master secret, and publishing a next key where there is none, or, if it `serves`,
        none of the wanted kind. `opened` is told the audit keys before anything is recorded: one of
        them signs that.

        Raises ConfigurationError if the master secret is not the one they were sealed with, or a
        key is too weak.
        """
        store = self._store.keys
        keys = await store.all()
        self._seals.check(keys)
        missing = [ring for ring in RINGS if all(key.ring != ring for key in keys)]
        if missing:
            made = await self._changes.make(
                ((ring, state) for ring in missing for state in first_states(ring)), after=keys
            )
            keys = await store.add_first([self._seals.seal(key) for key in made])
        if opened is not None:
            await opened(self._seals.audit(keys))
        if any(self._seals.outdated(key) for key in keys):
            keys = await store.change(self._changes.resealed)
        if unfit(keys, self._wanted):
            keys = await self._publish(keys)
        return await self._use(keys)

    def follow(self, used: Callable[[Rings | None], None]) -> None:
        """From now on tell of each new set of rings; None while there is none to go by."""
        self._follow = used

    async def reload(self) -> None:
        """Read the rings anew. Raises Unavailable if they cannot be: rather nobody is let in than
        somebody with a key that was killed. Keys that are known to be gone are used no more then,
        and if one of them is to sign, none is: nothing is signed or verified here until the rings
        can be read.
        """
        # One at a time: an answer that is late must not undo a newer one.
        async with self._reading:
            keys = await self._store.keys.all()
            if self.loaded and keys == self._read:
                return
            try:
                await self._use(keys)
            except ConfigurationError as error:
                self.loaded = False
                self._drop_gone(keys)
                log.error("key rings not read: %s", error)
                raise Unavailable(f"key rings: {error}", retry_after=1) from error

    # --- what is done with keys ---------------------------------------------------------------

    async def views(self) -> list[KeyView]:
        """Every key, ring by ring, up to the one that signs next."""
        keys, live = await self._store.keys.all(), await self._live_sessions()
        lives = await self._lives()
        return [_view(key, lives, live) for key in in_turn(keys)]

    async def rotate(
        self, ring: str | None, client: Client, *, actor: str | None = None
    ) -> list[StoredKey]:
        """Let the next key of a ring sign (of all three, if None), and publish the one after it;
        the keys that sign from now on.

        Raises RotatedLately, ValidationError.
        """
        rings = ROTATING if ring is None else (check_rotates(ring),)
        there = await self._store.keys.all()
        fresh = await self._changes.make(((one, "pending") for one in rings), after=there)

        def decide(keys: Sequence[StoredKey], now: int) -> KeyChange:
            for one in rings:
                check_promotable(keys, one, now, self._policy.lives)
            return self._changes.rotated(keys, rings, fresh, now, client, actor)

        after = await self._change(decide)
        return [key for one in rings for key in in_state(after, one, "signing")]

    async def rotate_due(self) -> None:
        """What the schedule asks for now: rotate rings, retire keys that are past. Of many
        processes at once one does it.
        """
        every, lives = self._policy.every, self._policy.lives
        if every is None:
            return
        keys, about = await self._store.keys.all(), int(self._clock.now() * 1000)
        rings = due(keys, about, every, lives)
        if not rings and not retirable(keys, about, lives, None):
            return
        fresh = await self._changes.make(((one, "pending") for one in rings), after=keys)

        def decide(keys: Sequence[StoredKey], now: int) -> KeyChange | None:
            turning = [one for one in due(keys, now, every, lives) if one in rings]
            past = retirable(keys, now, lives, None)
            if not turning and not past:
                return None
            return both(
                self._changes.rotated(keys, turning, fresh, now, ITSELF, None),
                self._changes.retired(past, now, ITSELF, None),
            )

        await self._change(decide)

    async def retire(
        self,
        kid: str | None,
        client: Client,
        *,
        actor: str | None = None,
        dry_run: bool = False,
    ) -> list[StoredKey]:
        """Retire a key that nothing hangs on any more, or, if None, all such; those that were, or
        would be.

        Raises NotFound, KeyInUse.
        """
        live, lives = await self._live_sessions(), await self._lives()
        done: list[StoredKey] = []

        def decide(keys: Sequence[StoredKey], now: int) -> KeyChange | None:
            done[:] = _to_retire(keys, kid, now, lives, live)
            if dry_run or not done:
                return None
            return self._changes.retired(done, now, client, actor)

        await self._change(decide)
        return done

    async def count_killed(self, kid: str | None) -> Killed:
        """What `kill` would do now. Raises NotFound, KeyInUse."""
        keys = await self._store.keys.all()
        dying = doomed(keys, kid)
        match = ending(keys, dying, kid, self._policy.lives)
        if match is None:
            return Killed(dying, Matched(0, 0))
        return Killed(dying, await self._store.sessions.count_matching(match))

    async def kill(
        self,
        kid: str | None,
        client: Client,
        *,
        actor: str | None = None,
        told: Sequence[StoredKey] = (),
    ) -> Killed:
        """Retire at once a key that somebody else knows, with the one that was to sign next; or, if
        None, every key that has signed. New ones take over. Sessions whose refresh token it signed
        or could have, at any time, end everywhere within a second: whoever had it may have moved
        them to another key, and have that one's tokens. From its transaction on their access tokens
        are refused, or no refresh token of theirs is good; if this process dies after that, another
        ends the rest. Repeating it after an error is harmless, but for None: that ends those too
        who have signed in since. `told` are keys of which it was said that they would die too: they
        do, though one of them may have begun to sign since.

        Raises NotFound, KeyInUse.
        """
        there = await self._store.keys.all()
        about = doomed(there, kid, {key.kid for key in told})
        said = {key.kid for key in (*told, *about)}
        touched = {key.ring for key in about}
        fresh = await self._changes.make(
            ((one, state) for one in touched for state in first_states(one)), after=there
        )
        dying: list[StoredKey] = []
        matches: list[SessionMatch | None] = []

        def decide(keys: Sequence[StoredKey], now: int) -> KeyChange | None:
            dying[:] = doomed(keys, kid, said)
            match = ending(keys, dying, kid, self._policy.lives)
            match = None if match is None else until_now(match, now)
            matches[:] = [match]
            killed = self._changes.killed(dying, fresh, now, client, actor) if dying else None
            if match is None:
                return killed
            return both(killed or KeyChange(), begun(match, kid, client, actor))

        await self._change(decide)
        [match] = matches
        if match is None:
            return Killed(dying, Matched(0, 0))
        return Killed(dying, await self._kills.end(match, kid or "all", client, actor))

    async def end_left(self, *, younger_too: bool = True) -> None:
        """End what is left of a kill whose process died; what was begun just now may be under way
        still, and is done twice if `younger_too`, which harms nothing. What goes wrong is logged,
        and keeps no key from rotating.
        """
        try:
            await self._kills.finish(younger_too=younger_too)
            await self._kills.sweep()
        except Refusal as away:
            log.warning("what is left of a kill not ended: %s", away.reason)
        except Exception:
            log.exception("what is left of a kill not ended")

    async def tend(self) -> None:
        """What is to be done now and then: end what is left of a kill, and go by the schedule."""
        await self.end_left(younger_too=False)
        await self.rotate_due()

    # --- how ----------------------------------------------------------------------------------

    async def _use(self, keys: Sequence[StoredKey]) -> Rings:
        # In a thread: to check an RSA key takes a while, and requests must not wait.
        rings = await asyncio.to_thread(self._seals.open, keys)
        self._read = keys
        self.loaded = True
        self._go_by(rings)
        return rings

    def _drop_gone(self, keys: Sequence[StoredKey]) -> None:
        """Which keys are gone can be read without any secret: whoever knows a killed one must not
        be let in for as long as this process lacks the secret of the others.
        """
        if self._rings is None:
            return
        alive = {key.kid for key in keys if key.state != "retired"}
        left = [key for key in self._rings.keys if key.kid in alive]
        if len(left) == len(self._rings.keys):
            return
        try:
            self._go_by(Rings.of(left))
        except ConfigurationError:
            self._go_by(None)  # the one that signs is gone

    def _go_by(self, rings: Rings | None) -> None:
        self._rings = rings
        if self._follow is not None:
            self._follow(rings)

    async def _change(self, decide: Decide) -> list[StoredKey]:
        """Change keys, and go by it here before anybody is answered. Raises Unavailable, and
        changes nothing, if this process cannot open them.
        """
        after = await self._store.keys.change(self._changes.if_opened(decide))
        await self.reload()
        return after

    async def _publish(self, keys: Sequence[StoredKey]) -> list[StoredKey]:
        """A next key of the wanted kind in each ring that has none."""
        rings = unfit(keys, self._wanted)
        fresh = await self._changes.make(
            ((ring, "pending") for ring in rings), after=() if self._wanted else keys
        )

        def decide(keys: Sequence[StoredKey], now: int) -> KeyChange | None:
            found = unfit(keys, self._wanted)
            wanting = {ring: wrong for ring, wrong in found.items() if ring in rings}
            if not wanting:
                return None
            wrong = [key for pending in wanting.values() for key in pending]
            return self._changes.replaced(wrong, self._changes.added(fresh, wanting, now), now)

        return await self._store.keys.change(self._changes.if_opened(decide))

    @property
    def _wanted(self) -> Algorithm | None:
        return self._policy.algorithm if self._policy.serves else None

    async def _live_sessions(self) -> Mapping[str, int]:
        policy = self._policy
        return await self._store.keys.live_sessions(
            unused=policy.unused, grace=policy.grace, late=policy.lives.notice
        )

    async def _lives(self) -> Lives:
        """How long what keys signed lives: of a server as it is set, for all others as the sessions
        say that are there.
        """
        lives = self._policy.lives
        if self._policy.serves:
            return lives
        return lives.with_sessions_of(await self._store.keys.longest_session())


def _to_retire(
    keys: Sequence[StoredKey], kid: str | None, now: int, lives: Lives, live: Mapping[str, int]
) -> list[StoredKey]:
    if kid is None:
        return retirable(keys, now, lives, live)
    key = the_one(keys, kid)
    if key.state == "retired":
        return []
    check_retirable(key, now, lives, live)
    return [key]


def _view(key: StoredKey, lives: Lives, live: Mapping[str, int]) -> KeyView:
    hanging = live.get(key.kid, 0) if key.ring == "refresh" else None
    return KeyView(key, hanging, retirable_at(key, lives, hanging))
