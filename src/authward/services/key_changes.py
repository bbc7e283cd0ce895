"""What becomes of keys when they are made, moved and retired: rows for the store, and what is told
of them. Nothing here reads or writes anything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace

from authward.core.audit import Client, Event
from authward.core.keys import Algorithm, Key, Ring, State, StoredKey
from authward.core.rotation import ROTATING, algorithm_of, in_state, next_algorithm
from authward.errors import ConfigurationError, Unavailable
from authward.ports import Chance, KeyChange
from authward.services.rings import Seals, new_key

Decide = Callable[[Sequence[StoredKey], int], KeyChange | None]

ITSELF = Client("")
"""Who does what nobody asked for: the schedule, and the start."""
_LEFT_BEHIND = (
    "This process cannot open the keys: they are sealed under another AUTHWARD_SECRET. "
    "Restart it with that one"
)


class KeyChanges:
    """Changes of keys under the seals of this process; `algorithm` is that of access keys that come
    after no others.
    """

    def __init__(self, seals: Seals, algorithm: Algorithm, chance: Chance) -> None:
        self._seals = seals
        self._algorithm = algorithm
        self._chance = chance

    async def make(
        self, wanted: Iterable[tuple[Ring, State]], *, after: Sequence[StoredKey] = ()
    ) -> list[Key]:
        """New keys; access keys go on with the algorithm of those they come `after`. In a thread:
        to find an RSA key takes long, and requests must not wait.
        """
        pairs, algorithm = list(wanted), next_algorithm(after, self._algorithm)

        def made() -> list[Key]:
            return [
                new_key(ring, algorithm_of(ring, algorithm), state, self._chance)
                for ring, state in pairs
            ]

        return await asyncio.to_thread(made) if pairs else []

    def added(self, fresh: Iterable[Key], rings: Collection[Ring], now: int) -> list[StoredKey]:
        """Those new keys that are of these rings, as they begin."""
        return [
            replace(
                self._seals.seal(key),
                created_at=now,
                signing_at=now if key.state == "signing" else None,
            )
            for key in fresh
            if key.ring in rings
        ]

    def if_opened(self, decide: Decide) -> Decide:
        """What `decide` says, if this process opens every key that lives; all that only the secret
        before opens is sealed anew along with it. Else the decision raises Unavailable: a process
        that was left behind by a change of the master secret would seal new keys under the old
        one, and nobody else could open them.
        """

        def decided(keys: Sequence[StoredKey], now: int) -> KeyChange | None:
            try:
                self._seals.check(keys)
            except ConfigurationError as error:
                raise Unavailable(
                    f"keys not changed: {error}", text=_LEFT_BEHIND, retry_after=1
                ) from error
            change = decide(keys, now)
            if change is None:
                return None
            put = {key.kid for key in change.put}
            rest = self.resealed([key for key in keys if key.kid not in put], now)
            return change if rest is None else both(change, rest)

        return decided

    def resealed(self, keys: Sequence[StoredKey], now: int) -> KeyChange | None:
        """All that the secret before opens, under the present one."""
        put = [self._seals.renewed(key) for key in keys if self._seals.outdated(key)]
        # No process has to read anything anew: the keys are the same.
        event = Event("keys.resealed", ITSELF, detail={"keys": len(put)})
        return KeyChange(put, (), (event,)) if put else None

    def replaced(self, wrong: Sequence[StoredKey], put: Sequence[StoredKey], now: int) -> KeyChange:
        """Others in the place of pending keys, or where there were none."""
        rings = list(dict.fromkeys(key.ring for key in put))
        return both(
            self.retired(wrong, now, ITSELF, None),
            KeyChange(put, rings, told("key.published", put)),
        )

    def rotated(
        self,
        keys: Sequence[StoredKey],
        rings: Collection[Ring],
        fresh: Iterable[Key],
        now: int,
        client: Client,
        actor: str | None,
    ) -> KeyChange:
        """The pending key of each ring signs, and a fresh one is pending."""
        put, promoted = self.added(fresh, rings, now), []
        for ring in rings:
            for key in in_state(keys, ring, "signing"):
                put.append(self._seals.moved(key, "verifying", now))
            for key in in_state(keys, ring, "pending"):
                put.append(self._seals.moved(key, "signing", now))
                promoted.append(key)
        return KeyChange(put, list(rings), told("key.rotated", promoted, client, actor))

    def retired(
        self, keys: Sequence[StoredKey], now: int, client: Client, actor: str | None
    ) -> KeyChange:
        return KeyChange(
            [self._seals.moved(key, "retired", now) for key in keys],
            list(dict.fromkeys(key.ring for key in keys)),
            told("key.retired", keys, client, actor),
        )

    def killed(
        self,
        dying: Sequence[StoredKey],
        fresh: Iterable[Key],
        now: int,
        client: Client,
        actor: str | None,
    ) -> KeyChange:
        """These retired, and fresh ones in the places of those that signed or were to sign."""
        gone = self.retired(dying, now, client, actor)
        places = {(key.ring, key.state) for key in dying}
        successors = [key for key in fresh if (key.ring, key.state) in places]
        put = [*gone.put, *self.added(successors, gone.rings, now)]
        return KeyChange(put, gone.rings, told("key.killed", dying, client, actor))


def first_states(ring: Ring) -> tuple[State, ...]:
    """The states of the keys that a new ring begins with."""
    return ("signing", "pending") if ring in ROTATING else ("signing",)


def told(
    kind: str, keys: Iterable[StoredKey], client: Client = ITSELF, actor: str | None = None
) -> list[Event]:
    """An event of this kind about each key."""
    return [
        Event(kind, client, actor=actor, detail={"ring": key.ring, "kid": key.kid}) for key in keys
    ]


def both(one: KeyChange, other: KeyChange) -> KeyChange:
    """Two changes of different keys at once."""
    rings = list(dict.fromkeys([*one.rings, *other.rings]))
    return KeyChange(
        [*one.put, *other.put],
        rings,
        [*one.events, *other.events],
        max(one.before, other.before),
    )
