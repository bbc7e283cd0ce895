"""Many sign-ins, or one with a monstrous password, to keep the server busy hashing.

CWE-400; CVE-2013-1443 and CVE-2014-9016 (long passwords in Django and Drupal).
"""

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from authward.core.passwords import Verdict
from authward.http.parse import MAX_BODY
from authward.services import hashing
from tests.here import Here, Serve
from tests.serving import PASSWORD, error_of

TEN_MEGABYTES = "x" * 10_000_000


class Hashing:
    """Counts hash calls, and holds them up until `go_on` is set."""

    def __init__(self) -> None:
        self.calls = 0
        self.go_on = threading.Event()

    def watch(self, patch: pytest.MonkeyPatch) -> None:
        for name in ("hash_password", "verify_password"):
            patch.setattr(hashing, name, self._counted(getattr(hashing, name)))

    def _counted(self, work: Any) -> Any:
        def counted(*arguments: Any) -> str | Verdict:
            self.calls += 1
            assert self.go_on.wait(60)
            done: str | Verdict = work(*arguments)
            return done

        return counted


@pytest.fixture
def hashes() -> Iterator[Hashing]:
    hashes = Hashing()
    hashes.go_on.set()
    yield hashes
    hashes.go_on.set()


async def test_a_huge_password_costs_no_hash(
    here: Here, hashes: Hashing, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = await here.register()
    hashes.watch(monkeypatch)
    own = {"email": account.email, "name": "Ada"}
    for size, expected in (
        (TEN_MEGABYTES, (413, "payload_too_large")),
        ("x" * (MAX_BODY - 500), (422, "validation_error")),
        ("x" * 257, (422, "validation_error")),
    ):
        for path, body, headers in (
            ("register", {**own, "password": size}, {}),
            ("login", {**own, "password": size}, {}),
            ("change-password", {"currentPassword": size, "newPassword": PASSWORD}, account.bearer),
            ("change-password", {"currentPassword": PASSWORD, "newPassword": size}, account.bearer),
        ):
            answer = await here.send("POST", f"/api/auth/{path}", json=body, headers=headers)
            assert error_of(answer) == expected, path
            assert len(answer.content) < 1000
    assert hashes.calls == 0
    # The counter does count.
    await here.login(account.email)
    assert hashes.calls == 1


async def test_a_body_that_does_not_say_its_length_is_cut_off_too(
    here: Here, hashes: Hashing, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashes.watch(monkeypatch)
    sent = 0

    async def endless() -> Any:
        nonlocal sent
        yield b'{"email": "ada@example.com", "password": "'
        while sent < 10_000_000:
            sent += 65536
            yield b"x" * 65536

    headers = {"content-type": "application/json"}
    answer = await here.send("POST", "/api/auth/login", content=endless(), headers=headers)
    assert error_of(answer) == (413, "payload_too_large")
    assert hashes.calls == 0


async def test_a_storm_of_sign_ins_leaves_the_rest_alone(
    serve_on: Serve, sqlite_database: str, hashes: Hashing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While every hashing thread is held up, protected routes answer, and late sign-ins are told to
    come again at once.
    """
    here = await serve_on(sqlite_database, hashing_threads=2, hashing_queue=8)
    account = await here.register()
    hashes.watch(monkeypatch)
    hashes.go_on.clear()
    waiting = [asyncio.create_task(here.try_login(account.email)) for _ in range(10)]
    async with asyncio.timeout(30):
        while here.services.accounts._hasher._pending < 10:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    late = [await here.try_login(account.email) for _ in range(5)]
    late.append(await here.try_login("nobody@example.com"))
    for answer in late:
        assert error_of(answer) == (503, "overloaded")
        assert int(answer.headers["retry-after"]) >= 1
    for _ in range(20):
        assert (await here.profile(account)).status_code == 200
        assert (await here.refresh(account)).status_code == 200
    assert not any(task.done() for task in waiting)
    assert hashes.calls == 2
    hashes.go_on.set()
    answers = await asyncio.gather(*waiting)
    assert Counter(answer.status_code for answer in answers) == {200: 10}
    assert (await here.try_login(account.email)).status_code == 200


async def test_who_hangs_up_frees_the_place(
    serve_on: Serve, sqlite_database: str, hashes: Hashing, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = await serve_on(sqlite_database, hashing_threads=1, hashing_queue=1)
    account = await here.register()
    hashes.watch(monkeypatch)
    hashes.go_on.clear()
    for _ in range(3):
        hanging = [asyncio.create_task(here.try_login(account.email)) for _ in range(2)]
        async with asyncio.timeout(30):
            while here.services.accounts._hasher._pending < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        for task in hanging:
            task.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)
        hashes.go_on.set()
        async with asyncio.timeout(30):
            while here.services.accounts._hasher._pending:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        hashes.go_on.clear()
    hashes.go_on.set()
    assert (await here.try_login(account.email)).status_code == 200
