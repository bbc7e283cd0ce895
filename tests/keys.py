"""Keys as tests want them: old enough to go on to their next state."""

import json
import os
from base64 import urlsafe_b64decode
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from authward.core.keys import Key, StoredKey
from authward.ports import KeyChange, Store
from authward.stores.sql import SqlStore
from authward.testing import TurnableClock

LONG_MS = 600_000


async def publish_long_ago_in(database_url: str) -> None:
    """Each pending key of a database may sign now."""
    store = SqlStore(database_url, TurnableClock())
    await _publish_long_ago(store)
    await store.close()


async def publish_long_ago(services: Any) -> None:
    """Each pending key may sign now."""
    await _publish_long_ago(services.store)


async def _publish_long_ago(store: Store) -> None:

    def decide(keys: Sequence[StoredKey], now: int) -> KeyChange:
        pending = [key for key in keys if key.state == "pending"]
        return KeyChange([replace(key, created_at=key.created_at - LONG_MS) for key in pending])

    await store.keys.change(decide)


async def key_past(services: Any) -> str:
    """A key that signed long ago, and that nothing hangs on: its kid."""
    key = Key(os.urandom(12).hex(), "csrf", "HS256", "verifying", os.urandom(32), 0)
    past = replace(services.keys._seals.seal(key), created_at=1, signing_at=1, verifying_at=1)
    await services.store.keys.change(lambda keys, now: KeyChange([past]))
    return key.kid


def kid_of(token: str) -> str:
    """The id of the key that signed a token."""
    head = token.partition(".")[0]
    return str(json.loads(urlsafe_b64decode(head + "=" * (-len(head) % 4)))["kid"])
