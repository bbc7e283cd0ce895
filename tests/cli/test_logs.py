"""Logs: one line an entry, nothing forged, no query, no secret."""

import io
import json
import logging
from typing import Any, Literal

import pytest

from authward.core.audit import Client, Event
from authward.core.events import EVENT_KINDS
from authward.core.text import printable
from authward.logs import configure_logs
from authward.middleware.request_id import CURRENT
from authward.process import audit_line
from authward.settings import Settings
from authward.testing import TurnableClock

from .conftest import SECRET

HOSTILE = "x\r\n12:00:00 [info] forged\x1b[31m\x7f\x85\u2028"

pytestmark = pytest.mark.usefixtures("folder", "logs_as_before")


def configured(form: Literal["console", "json"] | None = None, **settings: Any) -> io.StringIO:
    stream = io.StringIO()
    configure_logs(Settings(log_format=form, **settings), stream)
    return stream


def production() -> dict[str, Any]:
    return {"env": "production", "secret": SECRET}


def test_lines_for_the_eye() -> None:
    stream = configured("console")
    logging.getLogger("authward").info("hello %s", HOSTILE)
    logging.getLogger("authward.audit").info(
        '{"time":"t","kind":"user.disabled","outcome":"ok","subject":"u1","userAgent":"a\\u001b"}'
    )
    hello, audit = stream.getvalue().splitlines()
    assert hello[8:] == (
        " [info     ] hello x\\x0d\\x0a12:00:00 [info] forged\\x1b[31m\\x7f\\x85\\x2028 [authward]"
    )
    assert audit[8:] == (
        " [info     ] user.disabled [authward.audit] outcome=ok subject=u1 userAgent=a\\x1b"
    )


def test_lines_for_machines() -> None:
    stream = configured("json")
    logging.getLogger("authward").warning("hello %s", HOSTILE)
    logging.getLogger("authward.audit").info(
        '{"time":"t","kind":"login.failed","outcome":"refused","reason":"x","level":"none"}'
    )
    logging.getLogger("authward.audit").error("audit rows not written")
    hello, audit, plain = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert list(hello) == ["time", "level", "logger", "message"]
    assert hello["time"].endswith("Z")
    assert hello["level"] == "warning"
    assert hello["logger"] == "authward"
    assert hello["message"].startswith("hello x\\x0d\\x0a")
    # What an event carries never takes the place of the entry's own fields.
    assert (audit["message"], audit["level"], audit["reason"]) == ("login.failed", "info", "x")
    assert plain["message"] == "audit rows not written"


@pytest.mark.parametrize("form", ["console", "json"])
def test_a_traceback_forges_nothing(form: Literal["console", "json"]) -> None:
    stream = configured(form)
    password = "correct horse"  # a local variable, which no log may show
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        logging.getLogger("authward").exception("broken")
    text = stream.getvalue()
    assert "ValueError" in text
    assert password not in text.replace('password = "correct horse"', "")
    assert not set(text) & {"\x1b", "\r", "\x7f", "\x85", "\u2028"}
    if form == "json":
        (entry,) = [json.loads(line) for line in text.splitlines()]
        assert "\x1b" not in entry["exception"]
    else:
        first, *rest = text.splitlines()
        assert "broken" in first
        assert all(line.startswith("    ") for line in rest)


def test_json_in_production_unless_said_otherwise() -> None:
    stream = configured(**production())
    logging.getLogger("authward").info("hello")
    assert stream.getvalue().startswith("{")
    stream = configured("console", **production())
    logging.getLogger("authward").info("hello")
    assert not stream.getvalue().startswith("{")


def test_colours_only_where_someone_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    configure_logs(Settings(), terminal)
    logging.getLogger("authward").info("hello")
    assert "\x1b[" in terminal.getvalue()


def test_logs_go_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(Settings())
    logging.getLogger("authward").info("hello")
    out, err = capsys.readouterr()
    assert out == ""
    assert "hello" in err


def test_an_access_line_has_no_query() -> None:
    stream = configured("console")
    log = logging.getLogger("uvicorn.access")
    log.info('%s - "%s %s HTTP/%s" %d', "127.0.0.1:5", "GET", "/a?token=canary", "1.1", 200)
    log.info("something else")
    first, second = stream.getvalue().splitlines()
    assert "GET /a 200 127.0.0.1:5 [uvicorn.access]" in first
    assert "canary" not in first
    assert "something else" in second


def test_uvicorn_tells_what_matters() -> None:
    stream = configured("console")
    log = logging.getLogger("uvicorn.error")
    log.info("Waiting for application startup.")
    log.info("Child process [7] died")
    log.warning("Invalid HTTP request received.")
    died, invalid = stream.getvalue().splitlines()
    assert "Child process [7] died" in died
    assert "Invalid HTTP request received." in invalid


def test_others_only_warn() -> None:
    stream = configured("console")
    logging.getLogger("sqlalchemy.engine").info("SELECT secret")
    logging.getLogger("asyncio").warning("slow")
    (line,) = stream.getvalue().splitlines()
    assert "slow" in line


def test_a_line_says_for_which_request_it_was_written() -> None:
    stream = configured("json")
    current = CURRENT.set("r1")
    logging.getLogger("anything").warning("within")
    # An audit event knows its own: it may be written by another request's commit.
    logging.getLogger("authward.audit").info(
        '{"time":"t","kind":"login.failed","outcome":"refused","requestId":"r0"}'
    )
    logging.getLogger("authward.audit").info('{"time":"t","kind":"user.created","outcome":"ok"}')
    CURRENT.reset(current)
    logging.getLogger("authward").warning("without")
    entries = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [entry.get("requestId") for entry in entries] == ["r1", "r0", None, None]
    stream = configured("console")
    current = CURRENT.set("r1")
    logging.getLogger("anything").warning("within")
    CURRENT.reset(current)
    assert "requestId=r1" in stream.getvalue()


@pytest.mark.parametrize("form", ["console", "json"])
@pytest.mark.parametrize("kind", EVENT_KINDS)
def test_every_auth_event_is_one_line(form: Literal["console", "json"], kind: str) -> None:
    """Whatever a client sent along: time in UTC, kind, outcome, request id, and nothing forged."""
    stream = configured(form)
    client = Client.of(HOSTILE, HOSTILE, HOSTILE)
    detail: dict[str, str | int] = {name: printable(HOSTILE) for name in EVENT_KINDS[kind]}
    event = Event(kind, client, "refused", HOSTILE, HOSTILE, HOSTILE, detail)
    logging.getLogger("authward.audit").info(audit_line(event, TurnableClock()))
    text = stream.getvalue()
    assert text.count("\n") == 1
    assert len(text.splitlines()) == 1
    assert not set(text) & {"\x1b", "\r", "\x7f", "\x85", "\u2028"}
    assert kind in text
    if form == "json":
        entry = json.loads(text)
        assert entry["time"].endswith("Z")
        assert (entry["message"], entry["outcome"]) == (kind, "refused")
        assert entry["requestId"].startswith("x\\x0d")
