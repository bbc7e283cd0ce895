"""A thief with the whole database has no token, password or key, nor a hash of one that can be
guessed (OWASP ASVS 6.5.2, 14.2).
"""

import hashlib
import hmac
from base64 import b64encode, urlsafe_b64encode
from typing import Any

import pytest
from sqlalchemy import text

from tests.here import Here
from tests.serving import PASSWORD, SECRET, Account, refresh_cookie

TABLES = ["users", "sessions", "keys", "changes", "audit_events", "roles", "role_permissions"]


async def dump(here: Here) -> bytes:
    """Every cell of every table, bytes as they are."""
    cells: list[bytes] = []
    for table in TABLES:
        for row in await here.services.store.database.read(text(f"SELECT * FROM {table}")):
            cells += [_bytes(cell) for cell in row]
    return b"\0".join(cells)


def _bytes(cell: Any) -> bytes:
    return bytes(cell) if isinstance(cell, bytes | memoryview) else str(cell).encode()


def spellings(secret: str) -> list[bytes]:
    """A secret as it is, and the fast hashes of it that a careless table would hold."""
    raw = secret.encode()
    digests = [hashlib.new(name, raw).digest() for name in ("md5", "sha1", "sha256", "sha512")]
    digests.append(hmac.digest(SECRET.encode(), raw, "sha256"))
    found = [raw, b64encode(raw)]
    for digest in digests:
        found += [digest, digest.hex().encode(), b64encode(digest), urlsafe_b64encode(digest)]
    return found


@pytest.fixture
async def lived(here_on_each: Here) -> tuple[Here, Account, list[str]]:
    """An account that signed in, refreshed, failed, changed its password; and its secrets."""
    here = here_on_each
    account = await here.register()
    secrets = [PASSWORD, account.access, account.cookie, account.csrf]
    here.clock.turn(11)
    answer = await here.refresh(account)
    secrets += [refresh_cookie(answer), answer.json()["data"]["accessToken"]]
    await here.try_login(account.email, "a wrong password 1")
    await here.send(
        "POST",
        "/api/auth/change-password",
        json={"currentPassword": PASSWORD, "newPassword": "another long password"},
        headers=account.bearer,
    )
    await here.services.refusals.flush(all_of_it=True)
    return here, account, [*secrets, "a wrong password 1", "another long password", SECRET]


async def test_no_secret_and_no_fast_hash_of_one(lived: tuple[Here, Account, list[str]]) -> None:
    here, account, secrets = lived
    dumped = await dump(here)
    assert account.email.encode() in dumped, "the dump holds the accounts"
    for secret in secrets:
        for spelling in spellings(secret):
            assert spelling not in dumped, f"{secret[:12]}… is in the database"
    # Neither are the signatures, the part of a token that cannot be made without a key.
    for token in (account.access, account.cookie):
        assert token.rpartition(".")[2].encode() not in dumped


async def test_keys_lie_there_sealed(lived: tuple[Here, Account, list[str]]) -> None:
    here, _, _ = lived
    dumped = await dump(here)
    rings = here.services.tokens._rings
    for material in [
        *rings.csrf,
        *(key.material for key in rings.audit),
        rings.access.signing.key.material,
        rings.refresh.signing.key.material,
    ]:
        for spelling in (material, material.hex().encode(), b64encode(material)):
            assert spelling not in dumped


async def test_a_dump_mints_nothing(lived: tuple[Here, Account, list[str]]) -> None:
    """What the session row holds, signed with what the key row holds, is refused."""
    from joserfc import jws
    from joserfc.jwk import OctKey

    here, account, _ = lived
    row = (
        await here.services.store.database.read(text("SELECT * FROM keys WHERE ring = 'refresh'"))
    )[0]
    header = {"alg": "HS256", "typ": "rt+jwt", "kid": row.kid}
    payload = account.cookie.split(".")[1]
    padded = payload + "=" * (-len(payload) % 4)
    from base64 import urlsafe_b64decode

    forged = jws.serialize_compact(
        header, urlsafe_b64decode(padded), OctKey.import_key(bytes(row.sealed))
    )
    answer = await here.refresh(account, forged)
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_refresh_token")
