"""What docs/commands.md writes can be typed, and answers what it shows."""

import asyncio
import json
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from authward.cli import main
from authward.core.audit import Client, Event
from authward.ports import NewSession
from authward.stores.sql import SqlStore
from authward.testing import TurnableClock
from tests.cheap import make_hashing_cheap
from tests.contracts.making import AUDIT_KEYS
from tests.keys import publish_long_ago_in
from tests.pages import ROOT, do, examples, transcript
from tests.unlimited import UNLIMITED

from .conftest import PASSWORD

PAGE = examples("docs/commands.md")
TEXT = (ROOT / "docs/commands.md").read_text(encoding="utf-8")
SYNOPSES = [
    PAGE["serve sh"],
    PAGE["init sh"],
    PAGE["migrate sh"],
    PAGE["routes sh"],
    PAGE["sessions sh"],
    PAGE["audit sh"],
    PAGE["Making and listing accounts sh"],
    PAGE["Changing one account sh"],
    PAGE["Roles sh"],
    PAGE["Signing keys sh"],
    PAGE["Why somebody may, or may not sh"],
    PAGE["Importing accounts sh"],
]
LINES = [
    re.sub(r"\s+", " ", line)
    for block in SYNOPSES
    for line in re.split(r"\n(?=authward )", block.rstrip())
]
# What the page says of many commands at once: beside `--json`, which it says of all.
ELSEWHERE = {"--json", "--help", "--database-url", "--id"}


# --- what can be typed ------------------------------------------------------------------------


def command_of(line: str) -> tuple[click.Command, str]:
    """The command that a line names, and the rest of the line."""
    found: click.Command = main
    words = line.split()[1:]
    while isinstance(found, click.Group):
        found = found.commands[words.pop(0)]
    return found, " ".join(words)


def options_of(command: click.Command) -> dict[str, str]:
    """Each spelling of an option → its longest."""
    options = [one for one in command.params if isinstance(one, click.Option)]
    return {
        name: max(one.opts, key=len) for one in options for name in (*one.opts, *one.secondary_opts)
    }


@pytest.mark.parametrize("line", LINES)
def test_a_synopsis_names_the_options_there_are_and_all_of_them(line: str) -> None:
    command, rest = command_of(line)
    rest = rest.replace("[FILTERS]", filters())
    spelt = re.findall(r"(?<![\w-])--?[a-z][\w-]*", rest)
    options = options_of(command)
    assert [name for name in spelt if name not in options] == []
    named = {options[name] for name in spelt}
    assert {*options.values()} - named <= ELSEWHERE


def filters() -> str:
    """What FILTERS stands for."""
    found = re.search(r"^FILTERS are (.*?)\n\n", TEXT, re.MULTILINE | re.DOTALL)
    assert found is not None
    return " ".join(f"[{name} X]" for name in re.findall(r"`(--\w+)", found[1]))


@pytest.mark.parametrize("line", LINES)
def test_what_stands_in_brackets_may_be_left_out(line: str, folder: Path) -> None:
    Path("FILE").touch()
    least = without_optional(line).replace("TIME|AGE", "2h").removesuffix("| --all")
    command, rest = command_of(least)
    with command.make_context(line, shlex.split(rest)):
        pass  # it closes the file


def without_optional(line: str) -> str:
    """A line without what stands in brackets."""
    while (shorter := re.sub(r" *\[[^][]*\]", "", line)) != line:
        line = shorter
    return line.strip()


def with_optional(line: str) -> str:
    """A line with all that stands in brackets."""
    return re.sub(r"[][]", "", line)


@pytest.mark.parametrize("line", [line for line in LINES if re.search(r"--?\w+ [\d.]+\]", line)])
def test_a_synopsis_shows_defaults(line: str) -> None:
    command, rest = command_of(line)
    shown = command.get_help(click.Context(command))
    for name, value in re.findall(r"\[(--?\w+) ([\d.]+)\]", rest):
        told = re.search(rf"{name}\b.*?default: ([\w.]+)", shown, re.DOTALL)
        assert told is not None
        assert told[1] == value


# --- what it does -----------------------------------------------------------------------------


@pytest.fixture
def place(database: Path) -> Iterator[Path]:
    """A folder with a database that has an admin, where hashing costs nothing and somebody sits
    at the terminal.
    """
    with pytest.MonkeyPatch.context() as patch:
        make_hashing_cheap(patch)
        for module in ("accounts", "audit", "prune", "keys", "sessions", "users"):
            patch.setattr(f"authward.cli.{module}.someone_there", lambda: True)
        yield database


def test_a_folder_of_its_own(folder: Path) -> None:
    do(without_optional(PAGE["init sh"]))
    assert {one.name for one in folder.iterdir()} == {"authward.toml", "authward.secret"}
    do(without_optional(PAGE["migrate sh"]))
    assert (folder / "authward.db").exists()


def test_making_and_listing_accounts(place: Path) -> None:
    create, listing = PAGE["Making and listing accounts sh"].splitlines()
    do(without_optional(create), input=f"{PASSWORD}\n{PASSWORD}\n")
    do("authward users delete --email ada@example.com --yes")
    do(with_optional(create), input=PASSWORD)
    everybody = do(without_optional(listing)).stdout
    assert all(name in everybody for name in ("ada@example.com", "root@example.com", "Ada"))
    first = do("authward users list --limit 1")
    [cursor] = re.findall(r"--cursor (\S+)", first.output)
    found = do(with_optional(listing).replace("CURSOR", cursor)).stdout
    assert "ada@example.com" in found
    assert "root@example.com" not in found


def test_a_password_from_a_script(place: Path) -> None:
    said, _, create = PAGE["Making and listing accounts sh 2"].partition(" | ")
    assert said == 'printf %s "$PASSWORD"'
    do(create, input=PASSWORD)
    assert "ada@example.com" in do("authward users list --role admin").stdout


def test_changing_an_account(place: Path) -> None:
    lines = PAGE["Changing one account sh"].splitlines()
    do("authward users create --email ada@example.com --password-stdin", input=PASSWORD)
    do("authward roles grant editor update:posts")
    open_session("session-0000000000001", "ada@example.com")
    *_, reset, delete = lines
    for line in lines[:-2]:
        do(without_optional(line))
    do(without_optional(reset), input=f"{PASSWORD}\n{PASSWORD}\n")
    do(without_optional(delete), input="y\n")
    assert "ada@example.com" not in do("authward users list").stdout
    do("authward users create --email ada@example.com --password-stdin", input=PASSWORD)
    open_session("session-0000000000002", "ada@example.com")
    open_session("session-0000000000003", "ada@example.com")
    for line in lines:
        if command_of(line)[0].name == "disable":
            continue  # it would end the sessions, and so there would be none to revoke
        line = line.replace("--session ID", "--session session-0000000000003")
        done = do(with_optional(line), input=PASSWORD)
        if command_of(line)[0].name == "permissions":
            assert "read:reports" in done.output
    assert "ada@example.com" not in do("authward users list").stdout


def open_session(id: str, email: str, *, hours_ago: float = 0) -> None:
    asyncio.run(opening(id, email, hours_ago))


async def opening(id: str, email: str, hours_ago: float) -> None:
    clock = TurnableClock()
    clock.turn(-3600 * hours_ago)
    store = SqlStore("sqlite:///authward.db", clock)
    store.audit.use(AUDIT_KEYS)
    try:
        user = await store.users.by_email(email)
        assert user is not None
        new = NewSession(id, user.id, user.epoch, "kid", 86_400_000, "192.0.2.1", "")
        await store.sessions.open(new, Event("login.ok", Client("")), replaces=None)
    finally:
        await store.close()


def test_roles(place: Path) -> None:
    do("authward roles grant author write:posts")
    for line in PAGE["Roles sh"].splitlines():
        do(line)
        if " include " in line:
            assert re.search(r"editor.*author", do("authward roles list").stdout)
    assert "editor" not in do("authward roles list").stdout


def test_what_was_so_already(place: Path) -> None:
    do("authward roles grant editor update:posts publish:posts")
    [(line, shown)] = transcript(PAGE["Roles console"])
    assert do(line).output == shown


def test_why_not(place: Path) -> None:
    do("authward roles grant author update:posts")
    do("authward roles grant auditor read:reports")
    do("authward users create --email ada@example.com --password-stdin", input=PASSWORD)
    do("authward users set-role --email ada@example.com --role user --also author")
    [(line, shown)] = transcript(PAGE["Why somebody may, or may not console"])
    assert do(line, code=1).output == shown


def test_many_sessions_at_once(place: Path) -> None:
    for person in range(4):
        email = f"u{person}@example.com"
        create = f"authward users create --email {email} --role moderator --password-stdin"
        do(create, input=PASSWORD)
        for number in range(3):
            open_session(f"session-{person}-{number}", email, hours_ago=2.1)
        open_session(f"session-{person}-later", email, hours_ago=1.9)
    open_session("session-of-the-admin", "root@example.com", hours_ago=3)
    [(line, shown)] = transcript(PAGE["sessions console"])
    assert do(line, input="y\n").output == shown


def test_the_audit_log(place: Path) -> None:
    do("authward users create --email ada@example.com --password-stdin", input=PASSWORD)
    told = {}
    for line in PAGE["audit sh"].splitlines():
        typed = without_optional(line).replace("USER", "ada@example.com").replace("TIME|AGE", "30d")
        told[command_of(line)[0].name] = do(typed, input="y\n").output
    assert "user.created" in told["tail"]
    assert '"user.created"' in told["export"]
    assert "rows in" in told["verify"]


def test_signing_keys(place: Path) -> None:
    asyncio.run(publish_long_ago_in("sqlite:///authward.db"))
    listed, rotate, retire = map(without_optional, PAGE["Signing keys sh"].splitlines())
    before = do(listed).stdout
    do(rotate)
    assert do(listed).stdout != before
    do(retire)


def test_importing(place: Path) -> None:
    hashed = "$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy"
    row = {"id": "17", "email": "ada@example.com", "password": hashed, "role": "editor"}
    Path("FILE").write_text(f"{json.dumps(row)}\nnonsense\n", encoding="utf-8")
    line = PAGE["Importing accounts sh"].strip()
    do(without_optional(line), code=1)
    do(with_optional(line).replace("ROLE", "user"))
    assert "ada@example.com" in do("authward users list").stdout


SHOP = """
from authward import Authward
from fastapi import FastAPI, WebSocket
from starlette.staticfiles import StaticFiles

auth = Authward()
app = FastAPI(openapi_url=None)

@app.get("/health", dependencies=[auth.public])
async def health(): ...

@app.post("/orders", dependencies=[auth.authenticate])
async def order(): ...

@app.delete("/orders/{id}", dependencies=[auth.require("delete:orders")])
async def cancel(id: str): ...

@app.websocket("/live", dependencies=[auth.authorize("admin", "moderator")])
async def live(websocket: WebSocket): ...

app.mount("/static", StaticFiles(directory="."))
auth.install(app, public=["/static"])
"""


def test_the_routes_of_an_app(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in UNLIMITED:
        monkeypatch.delenv(name)
    monkeypatch.setattr("sys.path", [*sys.path])
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    Path("shop.py").write_text(SHOP, encoding="utf-8")
    [(line, shown)] = transcript(PAGE["routes console"])
    try:
        told = do(line).stdout
    finally:
        sys.modules.pop("shop", None)
    parts = [re.escape(part) for part in shown.split("…\n")]
    assert re.fullmatch("(?:.*\n)+?".join(parts), told)
