"""When a key goes on to its next state: pending, signing, verifying, retired.

A ring has one key that signs and one, published long before, that signs next. What signed before
verifies until the last token it signed is dead. Times are milliseconds, in database time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from authward.core.keys import RINGS, Algorithm, Ring, StoredKey
from authward.core.times import SECOND, iso_time, next_second
from authward.core.tokens import SKEW
from authward.errors import Detail, KeyInUse, NotFound, RotatedLately, ValidationError

ROTATING: tuple[Ring, ...] = ("access", "refresh", "csrf")
"""All but that of the audit log: each of its rows hangs on the key that signed it, for good."""
_AUDIT = "The key of the audit log stays as long as the log: every row of it hangs on that key"


@dataclass(frozen=True, slots=True)
class Lives:
    """`notice` is how long a key is published before it signs: time enough for every process, and
    for other services that keep our public keys. Then, for how long what a ring signed may live
    after another key took over.
    """

    notice: int
    access: int
    refresh: int
    csrf: int

    @classmethod
    def of(cls, *, notice: float, access: float, refresh: float, session: float) -> Lives:
        """Of durations in seconds. A process that hears late of a new key signs on with the old one
        for a while, and clocks differ.
        """
        late = notice + 2 * SKEW

        def life(seconds: float) -> int:
            return int((seconds + late) * 1000)

        # A CSRF token has no end of its own: it dies with its session, or the anonymous cookie.
        return cls(int(notice * 1000), life(access), life(refresh), life(max(session, 86_400)))

    def with_sessions_of(self, life: int) -> Lives:
        """The same, where sessions may live for so many milliseconds; no token of theirs, but for
        access tokens, outlives them."""
        life += self.notice + 2 * SKEW * 1000
        return replace(self, refresh=max(self.refresh, life), csrf=max(self.csrf, life))

    def of_ring(self, ring: Ring) -> int:
        return {"access": self.access, "refresh": self.refresh}.get(ring, self.csrf)


def in_state(keys: Iterable[StoredKey], ring: Ring, *states: str) -> list[StoredKey]:
    """The keys of a ring in one of these states."""
    return [key for key in keys if key.ring == ring and key.state in states]


def in_turn(keys: Iterable[StoredKey]) -> list[StoredKey]:
    """Ring by ring, from those that signed long ago to the one that signs next."""
    states = ("retired", "verifying", "signing", "pending")
    # Time alone does not tell: the first two of a ring are made at once.
    return sorted(
        keys,
        key=lambda key: (
            *(RINGS.index(key.ring), states.index(key.state)),
            *(key.created_at, key.kid),
        ),
    )


def check_rotates(ring: str) -> Ring:
    """The ring of this name. Raises ValidationError if it is none that rotates."""
    for one in ROTATING:
        if one == ring:
            return one
    message = f"Use one of: {', '.join(ROTATING)}"
    if ring in RINGS:
        message = f"{_AUDIT}. {message}"
    raise ValidationError(details=[Detail("ring", "unknown_ring", message)])


def check_promotable(keys: Sequence[StoredKey], ring: Ring, now: int, lives: Lives) -> None:
    """Refuse to let a key sign that is not known everywhere yet. Raises RotatedLately."""
    for key in in_state(keys, ring, "pending"):
        if not _over(key.created_at, lives.notice, now):
            since, sign = iso_time(key.created_at), iso_time(key.created_at + lives.notice)
            raise RotatedLately(
                f"{ring}: pending since {since}",
                text=f"The next key of the ring {ring} is published since {since}. "
                f"It can sign from {sign} on. Other rings can be rotated by their names",
            )


def due(keys: Sequence[StoredKey], now: int, every: int, lives: Lives) -> list[Ring]:
    """The rings whose key has signed for `every` milliseconds, and whose next one may sign."""
    return [
        ring
        for ring in ROTATING
        if any(_over(key.signing_at or 0, every, now) for key in in_state(keys, ring, "signing"))
        and all(_over(key.created_at, lives.notice, now) for key in in_state(keys, ring, "pending"))
    ]


def _over(since: int, wait: int, now: int) -> bool:
    """Whether `wait` is over. A time further ahead than that was written by a clock that was wrong,
    and counts as long ago: else one wrong minute would stop rotation for years.

    Whoever can set the database's clock back gains no more by it than by setting it forward, which
    has always let keys sign early. Such a key verifies wherever it is known, and nobody learns it:
    who has not heard of it refuses its tokens for a while. A small correction only makes the wait
    longer, at most twice as long.
    """
    return abs(now - since) >= wait


def unfit(keys: Sequence[StoredKey], algorithm: Algorithm | None) -> dict[Ring, list[StoredKey]]:
    """The rings that have no key to sign next, or one of another algorithm than is wanted now (with
    None any will do), and those keys.
    """
    found: dict[Ring, list[StoredKey]] = {}
    for ring in ROTATING:
        pending = in_state(keys, ring, "pending")
        wrong = algorithm is not None and any(
            key.algorithm != algorithm_of(ring, algorithm) for key in pending
        )
        if not pending or wrong:
            found[ring] = pending
    return found


def next_algorithm(keys: Sequence[StoredKey], first: Algorithm) -> Algorithm:
    """What a new access key is for: the same as the one that signs next, or else as the one that
    signs; `first` where there is none.
    """
    for state in ("pending", "signing"):
        for key in in_state(keys, "access", state):
            return key.algorithm
    return first


def algorithm_of(ring: Ring, algorithm: Algorithm) -> Algorithm:
    """What new keys of a ring are for, if `algorithm` is that of access tokens. All others stay
    within this server, and refresh tokens must come out the same each time.
    """
    return algorithm if ring == "access" else "HS256"


def retirable_at(key: StoredKey, lives: Lives, hanging: int | None) -> int | None:
    """From when on nothing is lost with a key; None if it signs, or is to sign. `hanging` is how
    many live sessions have a refresh token of it, None where that is not known.
    """
    if key.state != "verifying":
        return None
    since = key.verifying_at or 0
    if key.ring == "refresh" and hanging == 0:
        # Since then every process signs with another.
        return since + lives.notice
    return since + lives.of_ring(key.ring)


def retirable(
    keys: Iterable[StoredKey], now: int, lives: Lives, hanging: Mapping[str, int] | None
) -> list[StoredKey]:
    """The keys that nothing is lost with now. Without `hanging`, time alone decides."""
    found = []
    for key in keys:
        at = retirable_at(key, lives, _hanging(key, hanging))
        if at is not None and at <= now:
            found.append(key)
    return found


def check_retirable(key: StoredKey, now: int, lives: Lives, hanging: Mapping[str, int]) -> None:
    """Refuse to retire a key that something hangs on. Raises KeyInUse."""
    check_mortal(key)
    live = _hanging(key, hanging)
    at = retirable_at(key, lives, live)
    if at is None:
        cure = "Rotate the ring first" if key.state == "signing" else "It is the next to sign"
        raise KeyInUse(
            f"{key.kid} is {key.state}",
            text=f"This key is {key.state}. {cure}; or retire it as compromised",
        )
    if now < at:
        hang = f"Live sessions that hang on it: {live}. " if live else ""
        raise KeyInUse(
            f"{key.kid} until {iso_time(at)}",
            text=f"{hang}Nothing is lost with this key from {iso_time(at)} on",
        )


def check_mortal(key: StoredKey) -> None:
    """Raises KeyInUse for a key of the audit log."""
    if key.ring == "audit":
        raise KeyInUse("audit ring", text=_AUDIT)


def the_one(keys: Iterable[StoredKey], kid: str) -> StoredKey:
    """The key of this id. Raises NotFound."""
    for key in keys:
        if key.kid == kid:
            return key
    raise NotFound("no key has this id")


def doomed(
    keys: Sequence[StoredKey], kid: str | None, told: Collection[str] = ()
) -> list[StoredKey]:
    """The keys that die if this one is known to somebody else: it, and the one that signs next,
    which lay beside it; and those that were `told` to, whatever a rotation has made of them since.
    None: every key there is, of the rings that rotate. Raises NotFound, KeyInUse.
    """
    if kid is None:
        return [key for key in keys if key.ring in ROTATING and key.state != "retired"]
    key = the_one(keys, kid)
    check_mortal(key)
    dies = key.state != "retired"
    alive = in_state(keys, key.ring, "pending", "signing", "verifying")
    others = [one for one in alive if one.kid in told or (dies and one.state == "pending")]
    return [one for one in others if one.kid != kid] + [key] * dies


def all_end(keys: Sequence[StoredKey], dying: Collection[StoredKey]) -> bool:
    """Whether no refresh token is left that verifies."""
    kids = {key.kid for key in dying}
    used = in_state(keys, "refresh", "signing", "verifying")
    return any(key.kid in kids for key in used) and all(key.kid in kids for key in used)


def signed_before(keys: Iterable[StoredKey], lives: Lives) -> int:
    """Sessions opened before then could have been signed with one of these keys, which do so no
    more, and have moved on to another; 0 if there is none such. Whoever heard late of the next key
    signed on for a while, but from no key that was retired does a session move on: a kill that is
    repeated ends nobody who signed in since. A whole second, as tokens know no less.
    """
    until = []
    for key in keys:
        if key.verifying_at is not None:
            late = -(-(key.verifying_at + lives.notice) // SECOND) * SECOND
            gone = late if key.retired_at is None else next_second(key.retired_at)
            until.append(min(late, gone))
    return max(until, default=0)


def _hanging(key: StoredKey, hanging: Mapping[str, int] | None) -> int | None:
    return None if hanging is None or key.ring != "refresh" else hanging.get(key.kid, 0)
