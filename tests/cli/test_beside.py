"""One server, and the command line and hostile bytes beside it."""

import socket
import sqlite3
from functools import partial
from pathlib import Path

import bcrypt
import httpx2
import pytest

from authward.server import listen

from .conftest import PASSWORD, SHARED, Run, Served, bearer, register, said
from .test_server import login_request, on_wire, raw, until

pytestmark = [pytest.mark.usefixtures("beside"), *SHARED]


@pytest.mark.parametrize("command", ["disable", "revoke", "reset-password", "delete --yes"])
def test_what_the_command_line_ends_is_refused(run: Run, shared: Served, command: str) -> None:
    email = f"{command.split()[0]}@example.com"
    with shared.client() as client:
        headers = bearer(register(client, email)["accessToken"])
        assert client.get("/api/profile", headers=headers).status_code == 200
        if command == "reset-password":
            run(f"users {command} --password-stdin --email {email}", input=PASSWORD)
        else:
            run(f"users {command} --email {email}")
        until(partial(_refused, client, headers))
        answer = client.get("/api/profile", headers=headers).json()
        assert answer["error"] == "token_revoked"


def _refused(client: httpx2.Client, headers: dict[str, str]) -> bool:
    return client.get("/api/profile", headers=headers).status_code == 401


def test_one_session_of_several(run: Run, shared: Served) -> None:
    with shared.client() as phone, shared.client() as laptop:
        token = register(phone, "mary@example.com")["accessToken"]
        body = {"email": "mary@example.com", "password": PASSWORD}
        other = laptop.post("/api/auth/login", json=body).json()["data"]["accessToken"]
        found = said(run("users sessions --json --email mary@example.com"))["sessions"]
        assert [one["ip"] for one in found] == ["127.0.0.1"] * 2
        head = run("users sessions --email mary@example.com").stdout.splitlines()[0]
        assert head.split() == ["ID", "CREATED", "LAST", "USED", "IP", "USER", "AGENT"]

        own = phone.get("/api/auth/sessions", headers=bearer(token)).json()["data"]["sessions"]
        (current,) = [one["id"] for one in own if one["current"]]
        ended = run("users revoke --email mary@example.com --session", current)
        assert ended.stdout == "mary@example.com: 1 session ended\n"
        until(lambda: phone.get("/api/profile", headers=bearer(token)).status_code == 401)
        assert laptop.get("/api/profile", headers=bearer(other)).status_code == 200

        run("users revoke --email mary@example.com --session", current, code=1)
        assert said(run("users revoke --json --email mary@example.com")) == {"ended": 1}
        assert "0 sessions ended" in run("users revoke --email mary@example.com").stdout


def test_a_new_role_needs_a_new_token(run: Run, shared: Served) -> None:
    with shared.client() as client:
        token = register(client, "new-admin@example.com")["accessToken"]
        assert client.get("/api/users", headers=bearer(token)).status_code == 403
        run("users set-role --email new-admin@example.com --role admin")
        until(lambda: client.get("/api/users", headers=bearer(token)).status_code == 401)
        answer = client.get("/api/users", headers=bearer(token)).json()
        assert answer["error"] == "token_expired"


def test_everyone_imported_keeps_their_password(
    run: Run, shared: Served, shared_folder: Path
) -> None:
    # bcryptjs writes $2a$ and $2b$, PHP and others $2y$.
    made = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    run(
        "users import -",
        input="\n".join(
            f'{{"email": "moved{prefix}@example.com", "password": "$2{prefix}{made[3:]}"}}'
            for prefix in "aby"
        ),
    )
    with shared.client() as client:
        for prefix in "aby":
            body = {"email": f"MOVED{prefix}@example.com", "password": PASSWORD}
            for _ in range(2):
                assert client.post("/api/auth/login", json=body).status_code == 200
            wrong = client.post("/api/auth/login", json={**body, "password": "x"})
            assert wrong.status_code == 401
    connection = sqlite3.connect(shared_folder / "authward.db")
    hashes = connection.execute("SELECT password_hash FROM users WHERE email LIKE 'moved%'")
    # The first login has replaced each by a hash of today's parameters.
    assert [hashed[:10] for (hashed,) in hashes] == ["$argon2id$"] * 3
    connection.close()


def test_no_header_says_who_we_are(shared: Served) -> None:
    with shared.client() as client:
        for path in ("/healthz", "/nowhere"):
            assert "server" not in client.get(path).headers


def test_a_forwarded_address_is_not_believed(shared: Served) -> None:
    with shared.client() as client:
        client.headers.update({"X-Forwarded-For": "6.6.6.6", "X-Forwarded-Proto": "https"})
        token = register(client, "forwarded@example.com")["accessToken"]
        answer = client.get("/api/auth/sessions", headers=bearer(token)).json()
        assert answer["data"]["sessions"][0]["ip"] == "127.0.0.1"


def test_a_head_without_end_is_cut_off(shared: Served) -> None:
    start = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
    for head in (b"X: " + b"a" * 600_000, b"X: a\r\n" * 100_000):
        assert raw(shared, start + head).startswith(b"HTTP/1.1 400 ")
    # In pieces too: the other request in between makes them arrive apart.
    with socket.create_connection(on_wire(shared), timeout=120) as connection:
        connection.sendall(start)
        with shared.client() as client:
            client.get("/healthz")
        connection.sendall(b"\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
    within = raw(shared, start + b"X: " + b"a" * 8000 + b"\r\nConnection: close\r\n\r\n")
    assert within.startswith(b"HTTP/1.1 200 ")


def test_nothing_hostile_reaches_the_log(shared: Served) -> None:
    agent = b"User-Agent: a\xc2\x85b\x85c\r\n"
    request = b"GET /a%0d%0aforged%1b[31m?token=canary HTTP/1.1\r\nHost: localhost\r\n"
    raw(shared, request + agent + b"Connection: close\r\n\r\n")
    raw(shared, b"GET /\x1b[31m HTTP/1.1\r\nHost: localhost\r\n\r\n")
    raw(shared, b"\x1b[2J\r\n\r\n")
    login = login_request(agent=agent, email="ada\u2028@example.com\n", password="canary")
    raw(shared, b"".join(login))
    raw(shared, b"GET /last HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    until(lambda: "GET /last 404" in shared.logged())
    logged = shared.logged()
    assert "GET /a%0D%0Aforged%1B" in logged
    assert "canary" not in logged
    assert not set(logged) & {"\x1b", "\r", "\x85", "\u2028"}
    assert not any(line.startswith("forged") for line in logged.splitlines())


def test_listening_on_ipv6() -> None:
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            pytest.skip("IPv6 is missing; it comes with: sysctl net.ipv6.conf.lo.disable_ipv6=0")
    with listen("::1", 0) as listener:
        socket.create_connection(("::1", listener.getsockname()[1]), timeout=5).close()
