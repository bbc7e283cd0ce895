"""Events as an app is told them, and the one list of their kinds."""

import ast
import re
from collections.abc import Iterator
from dataclasses import FrozenInstanceError
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import pytest

import authward
from authward.core.audit import Client, Event
from authward.core.events import EVENT_KINDS, AuthEvent, known_kind
from authward.errors import ConfigurationError
from authward.ports import ChangeKind

SOURCE = Path(authward.__file__).parent
NAMED = re.compile(r"[a-z]+\.[a-z]+(?:_[a-z]+)*")
BEGINNINGS = {kind.partition(".")[0] for kind in EVENT_KINDS}


def words() -> Iterator[str]:
    """Every text in the code that reads like a kind of event."""
    for file in SOURCE.rglob("*.py"):
        if file.name == "events.py" or "migrations" in file.parts:
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                value = node.value
                if NAMED.fullmatch(value) and value.partition(".")[0] in BEGINNINGS:
                    yield value


def first_arguments(*names: str) -> Iterator[ast.expr]:
    """What stands first in each call of one of these."""
    for file in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                called = node.func
                name = called.attr if isinstance(called, ast.Attribute) else None
                name = called.id if isinstance(called, ast.Name) else name
                if name in names and node.args:
                    yield node.args[0]


def test_every_kind_in_the_code_is_listed_and_every_listed_one_is_in_the_code() -> None:
    found = set(words()) - set(get_args(ChangeKind))
    # The feed and the audit have one word in common.
    assert found | {"sessions.revoked"} == set(EVENT_KINDS)


def test_no_event_is_made_of_a_kind_put_together() -> None:
    """So that the test above sees them all."""
    made = list(first_arguments("Event", "note"))
    assert len(made) > 15
    assert [ast.dump(one) for one in made if isinstance(one, (ast.JoinedStr, ast.BinOp))] == []


def test_an_event_is_told_whole_and_cannot_be_changed() -> None:
    detail: dict[str, str | int] = {"replaced": "s0"}
    client = Client("203.0.113.9", "a browser", "r1")
    event = Event("login.succeeded", client, "ok", "u1", "u1", "s1", detail)
    told: Any = AuthEvent.of(event, 1_700_000_000.5)
    assert told == AuthEvent(
        kind="login.succeeded",
        outcome="ok",
        at=datetime(2023, 11, 14, 22, 13, 20, 500_000, UTC),
        actor="u1",
        subject="u1",
        session="s1",
        ip="203.0.113.9",
        user_agent="a browser",
        request_id="r1",
        detail={"replaced": "s0"},
    )
    with pytest.raises(FrozenInstanceError):
        told.kind = "x"
    with pytest.raises(TypeError):
        told.detail["replaced"] = "x"


@pytest.mark.parametrize("kind", ["*", "login.failed", "session.reuse_detected"])
def test_a_kind_that_there_is(kind: str) -> None:
    assert known_kind(kind) == kind


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("session.reused_detected", "Did you mean 'session.reuse_detected'?"),
        ("login.fail", "Did you mean 'login.failed'?"),
        ("", "events.md"),
        ("zzz", "events.md"),
        (None, "events.md"),
        (print, "there is no event"),
    ],
)
def test_a_kind_that_there_is_not(kind: Any, said: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(said)):
        known_kind(kind)
