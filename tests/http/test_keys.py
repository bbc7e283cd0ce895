"""Signing keys over HTTP: what is shown, rotated, retired and killed."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from authward.core.keys import StoredKey
from authward.ports import KeyChange
from tests.here import Here
from tests.keys import key_past, publish_long_ago
from tests.serving import Account, error_of, refresh_cookie


async def ask(here: Here, me: Account, method: str, path: str, **body: Any) -> Any:
    request = {"json": body} if method == "POST" else {}
    answer = await here.send(method, f"/api/keys{path}", headers=me.bearer, **request)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


async def refused(here: Here, me: Account, path: str, **body: Any) -> tuple[int, str]:
    answer = await here.send("POST", f"/api/keys{path}", headers=me.bearer, json=body)
    return error_of(answer)


def the(keys: list[dict[str, Any]], ring: str, state: str) -> str:
    [kid] = [key["id"] for key in keys if (key["ring"], key["state"]) == (ring, state)]
    return str(kid)


@pytest.fixture
async def admin(here: Here) -> Account:
    return await here.register(role="admin")


async def test_what_is_shown_is_nothing_a_key_is_made_of(here: Here, admin: Account) -> None:
    keys = (await ask(here, admin, "GET", ""))["keys"]
    assert len(keys) == 7
    for key in keys:
        assert set(key) == {
            *("id", "ring", "algorithm", "state", "createdAt", "signingSince"),
            *("verifyingSince", "retiredAt", "sessions", "retirableAt"),
        }
        assert (key["sessions"] is None) == (key["ring"] != "refresh")
    [refresh] = [key for key in keys if (key["ring"], key["state"]) == ("refresh", "signing")]
    # One of the registration, and one of the sign-in as an admin: the change of role ended none.
    assert refresh["sessions"] == 2


async def test_a_rotation_is_told_with_who_did_it(here: Here, admin: Account) -> None:
    assert await refused(here, admin, "/rotate") == (409, "rotated_lately")
    assert await refused(here, admin, "/rotate", ring="audit") == (422, "validation_error")
    assert await refused(here, admin, "/rotate", ring="") == (422, "validation_error")
    before = (await ask(here, admin, "GET", ""))["keys"]
    await publish_long_ago(here.services)
    after = (await ask(here, admin, "POST", "/rotate"))["keys"]
    for ring in ("access", "refresh", "csrf"):
        assert the(after, ring, "signing") == the(before, ring, "pending")
        assert the(after, ring, "verifying") == the(before, ring, "signing")
    rotated = [event for event in await here.told() if event.kind == "key.rotated"]
    assert {event.actor for event in rotated} == {admin.id}
    assert (await here.profile(admin)).status_code == 200
    assert (await here.refresh(admin)).status_code == 200


@pytest.mark.parametrize("mistyped", ["rings", "Ring", "kid"])
async def test_a_field_that_is_mistyped_rotates_nothing(
    here: Here, admin: Account, mistyped: str
) -> None:
    before = (await ask(here, admin, "GET", ""))["keys"]
    await publish_long_ago(here.services)
    assert await refused(here, admin, "/rotate", **{mistyped: "access"}) == (
        422,
        "validation_error",
    )
    after = (await ask(here, admin, "GET", ""))["keys"]
    for ring in ("access", "refresh", "csrf"):
        assert the(after, ring, "signing") == the(before, ring, "signing")


async def test_without_a_body_all_rings_rotate(here: Here, admin: Account) -> None:
    before = (await ask(here, admin, "GET", ""))["keys"]
    await publish_long_ago(here.services)
    answer = await here.send("POST", "/api/keys/rotate", headers=admin.bearer)
    assert answer.status_code == 200, answer.text
    after = answer.json()["data"]["keys"]
    for ring in ("access", "refresh", "csrf"):
        assert the(after, ring, "signing") == the(before, ring, "pending")
    form = {**admin.bearer, "content-type": "text/plain"}
    answer = await here.send("POST", "/api/keys/rotate", headers=form)
    assert error_of(answer) == (415, "unsupported_media_type")


async def test_a_key_is_retired_when_nothing_hangs_on_it(here: Here, admin: Account) -> None:
    past = await key_past(here.services)
    would = await ask(here, admin, "POST", f"/{past}/retire", dryRun=True)
    assert would == {"retired": [past], "sessions": 0, "accounts": 0}
    assert await ask(here, admin, "POST", f"/{past}/retire") == would
    assert (await ask(here, admin, "POST", f"/{past}/retire"))["retired"] == []
    keys = (await ask(here, admin, "GET", ""))["keys"]
    for ring in ("refresh", "audit"):
        path = f"/{the(keys, ring, 'signing')}/retire"
        assert await refused(here, admin, path) == (409, "key_in_use")
    assert await refused(here, admin, "/no-such-key/retire") == (404, "not_found")


async def test_a_leaked_key_ends_what_hangs_on_it(here: Here, admin: Account) -> None:
    ada = await here.register()
    kid = the((await ask(here, admin, "GET", ""))["keys"], "refresh", "signing")
    would = await ask(here, admin, "POST", f"/{kid}/retire", compromised=True, dryRun=True)
    assert (would["sessions"], would["accounts"], len(would["retired"])) == (3, 2, 2)
    assert (await here.profile(ada)).status_code == 200
    assert await ask(here, admin, "POST", f"/{kid}/retire", compromised=True) == would
    for account in (ada, admin):
        assert error_of(await here.profile(account)) == (401, "token_revoked")
        assert error_of(await here.refresh(account)) == (401, "invalid_refresh_token")
    # The next one to sign in has a key of its own.
    assert (await here.profile(await here.login(ada.email))).status_code == 200


async def test_a_leaked_key_ends_what_moved_on_from_it_too(here: Here, admin: Account) -> None:
    ada = await here.register()
    kid = the((await ask(here, admin, "GET", ""))["keys"], "refresh", "signing")
    await publish_long_ago(here.services)
    await ask(here, admin, "POST", "/rotate", ring="refresh")
    here.clock.turn(11)
    for account in (ada, admin):
        answer = await here.refresh(account)
        assert answer.status_code == 200
        account.cookie = refresh_cookie(answer)
    would = await ask(here, admin, "POST", f"/{kid}/retire", compromised=True, dryRun=True)
    assert (would["sessions"], would["accounts"], len(would["retired"])) == (3, 2, 2)
    assert await ask(here, admin, "POST", f"/{kid}/retire", compromised=True) == would
    for account in (ada, admin):
        assert error_of(await here.refresh(account)) == (401, "invalid_refresh_token")


async def test_what_ends_with_a_key_that_was_retired_before_is_said(
    here: Here, admin: Account
) -> None:
    kid = the((await ask(here, admin, "GET", ""))["keys"], "refresh", "signing")
    await publish_long_ago(here.services)
    await ask(here, admin, "POST", "/rotate", ring="refresh")
    here.clock.turn(11)
    await here.refresh(admin)

    def retired(keys: Sequence[StoredKey], now: int) -> KeyChange:
        gone = [key for key in keys if key.kid == kid]
        put = [replace(key, state="retired", sealed=b"", retired_at=now) for key in gone]
        return KeyChange(put, ["refresh"])

    await here.services.store.keys.change(retired)
    await here.services.feed.poll()
    path = f"/api/keys/{kid}/retire"
    for dry_run, said in ((True, "Sessions would end"), (False, "Sessions ended")):
        body = {"compromised": True, "dryRun": dry_run}
        answer = await here.send("POST", path, json=body, headers=admin.bearer)
        assert answer.json()["message"] == said
        assert answer.json()["data"] == {"retired": [], "sessions": 2, "accounts": 1}
    admin = await here.login(admin.email)
    answer = await here.send("POST", path, json={"compromised": True}, headers=admin.bearer)
    assert (answer.status_code, answer.json()["message"]) == (200, "Nothing to retire")
