"""The examples of other services: they verify what a real server signs, in each algorithm that has
public keys, and refuse everything else; also after the keys went on.
"""

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.fleets import Fleet
from tests.keys import kid_of
from tests.node import node, packages
from tests.serving import Account, register, serving, sign_in

EXAMPLES = Path(__file__).parents[2] / "examples"
ASYMMETRIC = ("EdDSA", "ES256", "RS256")

Verify = Callable[..., list[dict[str, Any]]]

pytestmark = [pytest.mark.xdist_group("verifying-elsewhere"), pytest.mark.timeout(300)]


@pytest.fixture(scope="module", params=ASYMMETRIC)
def fleet(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Fleet]:
    """A server, which signs with one algorithm."""
    folder = tmp_path_factory.mktemp(request.param)
    url = f"sqlite:///{folder / 'test.db'}"
    with serving(url, folder, algorithm=request.param) as found:
        yield Fleet(found, url)


def run(*command: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [str(one) for one in command], capture_output=True, text=True, timeout=100, check=False
    )


def answers(*command: object) -> list[dict[str, Any]]:
    done = run(*command)
    assert done.returncode in (0, 1), done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == any("refused" in one for one in found)
    return found


def joserfc() -> tuple[object, ...]:
    return sys.executable, EXAMPLES / "verify_with_joserfc.py"


def jose() -> tuple[object, ...]:
    return node(), packages(EXAMPLES / "verify-with-jose") / "verify.mjs"


def with_joserfc(url: str, *tokens: str) -> list[dict[str, Any]]:
    return answers(*joserfc(), url, *tokens)


def with_jose(url: str, *tokens: str) -> list[dict[str, Any]]:
    return answers(*jose(), url, *tokens)


each_example = pytest.mark.parametrize("verify", [with_joserfc, with_jose])


def tampered(token: str) -> str:
    head, claims, signature = token.split(".")
    return ".".join((head, claims, ("B" if signature[0] == "A" else "A") + signature[1:]))


@each_example
def test_a_real_token_holds_and_no_other(fleet: Fleet, verify: Verify) -> None:
    server = fleet.server
    with server.client() as client:
        ada = register(client)
        signed = answers_of(ada)
        refused = [tampered(ada.access), ada.cookie, ada.access.rpartition(".")[0] + ".", "junk"]
        found = verify(server.url, ada.access, *refused, ada.access)
    assert found[0] == found[-1] == signed
    assert len(found) == 6
    assert all("refused" in one for one in found[1:-1]), found


def answers_of(account: Account) -> dict[str, str]:
    return {"sub": account.id, "role": "user"}


@each_example
def test_tokens_of_before_and_after_a_rotation(fleet: Fleet, verify: Verify) -> None:
    server = fleet.server
    admin = fleet.admin()
    with closing(sqlite3.connect(fleet.database_url.removeprefix("sqlite:///"))) as database:
        # As if they had been published long ago.
        database.execute("UPDATE keys SET created_at = created_at - 600000")
        database.commit()
    with server.client() as client:
        body = {"ring": "access"}
        answer = client.post("/api/keys/rotate", json=body, headers=admin.bearer)
        assert answer.status_code == 200, answer.text
        later = sign_in(client, admin.email)
        kids = {key["kid"] for key in client.get("/.well-known/jwks.json").json()["keys"]}
    assert kid_of(admin.access) != kid_of(later.access)
    assert {kid_of(admin.access), kid_of(later.access)} < kids
    found = verify(server.url, admin.access, later.access)
    assert [one.get("sub") for one in found] == [admin.id] * 2


LATER = """
const [verify_mjs, url, token, kid] = process.argv.slice(2);
const { verifier } = await import(verify_mjs);
const verify = verifier(url);
const { sub } = await verify(token);
const answer = await fetch(`${url}/api/keys/${kid}/retire`, {
  method: "POST",
  headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
  body: JSON.stringify({ compromised: true }),
});
const now = Date.now;
Date.now = () => now() + 301_000;
const later = await verify(token).then(() => "held", error => error.code);
console.log(JSON.stringify({ sub, status: answer.status, later }));
"""


def test_what_a_killed_key_signed_is_refused_once_the_set_may_be_kept_no_longer(
    fleet: Fleet,
) -> None:
    admin = fleet.admin()
    program, verify = jose()
    url, token = fleet.server.url, admin.access
    words = ("as-if-a-file", verify, url, token, kid_of(token))
    done = run(program, "--input-type=module", "-e", LATER, *words)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "sub": admin.id,
        "status": 200,
        "later": "ERR_JWKS_NO_MATCHING_KEY",
    }


@pytest.mark.parametrize("command", [joserfc, jose])
@pytest.mark.parametrize("words", [(), ("https://api.example.com",)])
def test_what_is_left_out_gets_a_line_of_usage(
    command: Callable[[], tuple[object, ...]], words: tuple[str, ...]
) -> None:
    done = run(*command(), *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: ")
    assert len(done.stderr.splitlines()) <= 2


def test_a_server_that_is_not_there_is_named() -> None:
    done = run(*joserfc(), "http://127.0.0.1:1", "junk.junk.junk")
    assert (done.returncode, done.stdout) == (2, "")
    assert "http://127.0.0.1:1 gives no keys" in done.stderr
    assert "Traceback" not in done.stderr
