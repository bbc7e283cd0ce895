"""Logs of the server on stderr: for the eye in development, JSON lines in production.

One entry, one line, with the id of the request it was written for; the lines of a traceback follow
it, indented, where people read. Whatever a client sent is neutralised, so that nobody forges an
entry or drives a terminal (CVE-2020-7694).
A library must not configure logging: only the server calls this.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterable, MutableMapping
from typing import Any, TextIO

import structlog
from structlog.dev import ConsoleRenderer
from structlog.stdlib import ProcessorFormatter

from authward.core.text import printable
from authward.middleware.request_id import CURRENT
from authward.settings import Settings

_INDENT = "    "
_NOTABLE = ("Child process", "New child process", "Received SIG")

_Entry = MutableMapping[str, Any]


def configure_logs(settings: Settings, stream: TextIO | None = None) -> None:
    """Send every log to `stream` (stderr) in the form that `log_format` names."""
    stream = sys.stderr if stream is None else stream
    handler = logging.StreamHandler(stream)
    wanted = settings.log_format or ("json" if settings.production else "console")
    handler.setFormatter(
        json_lines() if wanted == "json" else console_lines(colors=stream.isatty())
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    for name in ("authward", "uvicorn"):
        logging.getLogger(name).setLevel(logging.INFO)
    _only(logging.getLogger("uvicorn.error"), _notable)
    _only(logging.getLogger("uvicorn.access"), _access_line)


def json_lines() -> logging.Formatter:
    """One JSON object a line: time (UTC), level, logger, message, and an audit event's fields."""
    return _formatter(
        [
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            structlog.processors.EventRenamer("message"),
            _in_order,
            structlog.processors.JSONRenderer(),
        ]
    )


def console_lines(*, colors: bool) -> logging.Formatter:
    """Local time, level, message, and an audit event's fields as key=value."""
    return _formatter(
        [
            structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False),
            _indent_traceback,
            # Never a traceback that shows locals: they hold passwords.
            ConsoleRenderer(
                colors=colors, pad_event_to=0, exception_formatter=structlog.dev.plain_traceback
            ),
        ]
    )


def _formatter(last: Iterable[Any]) -> logging.Formatter:
    return ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.format_exc_info,
            _audit_fields,
            _request_id,
            _neutralise,
        ],
        processors=[ProcessorFormatter.remove_processors_meta, *last],
    )


def _audit_fields(logger: object, method: str, entry: _Entry) -> _Entry:
    """An audit event comes as one line of JSON; its fields become the entry's."""
    if entry["logger"] != "authward.audit" or not entry["event"].startswith("{"):
        return entry
    fields = json.loads(entry["event"])
    del fields["time"]
    entry["event"] = fields.pop("kind")
    return {**fields, **entry}


def _request_id(logger: object, method: str, entry: _Entry) -> _Entry:
    """An audit event knows its own: it may be written long after its request."""
    current = CURRENT.get()
    if current and entry["logger"] != "authward.audit":
        entry["requestId"] = current
    return entry


def _neutralise(logger: object, method: str, entry: _Entry) -> _Entry:
    return {
        key: _printable_lines(value) if key == "exception" else _printable(value)
        for key, value in entry.items()
    }


def _printable(value: Any) -> Any:
    return printable(value, len(value)) if isinstance(value, str) else value


def _printable_lines(text: str) -> str:
    return "\n".join(_printable(line) for line in text.split("\n"))


def _indent_traceback(logger: object, method: str, entry: _Entry) -> _Entry:
    if "exception" in entry:
        entry["exception"] = _INDENT + entry["exception"].replace("\n", f"\n{_INDENT}")
    return entry


def _in_order(logger: object, method: str, entry: _Entry) -> _Entry:
    first = {key: entry.pop(key) for key in ("time", "level", "logger", "message")}
    return {**first, **entry}


def _only(logger: logging.Logger, rule: Any) -> None:
    logger.filters = [rule]


def _notable(record: logging.LogRecord) -> bool:
    """Leave out uvicorn's account of its own start and end; keep warnings and the workers' fate."""
    return record.levelno >= logging.WARNING or str(record.msg).startswith(_NOTABLE)


def _access_line(record: logging.LogRecord) -> bool:
    """A request without its query, which may hold what no log should."""
    if isinstance(record.args, tuple) and len(record.args) == 5:
        client, method, path, _, status = record.args
        record.msg = "%s %s %s %s"
        record.args = (method, str(path).partition("?")[0], status, client)
    return True
