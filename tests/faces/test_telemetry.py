"""FastAPI keeps raw bodies for telemetry processors. Those of our routes it never sees."""

from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.telemetry import get_telemetry_data
from fastapi.testclient import TestClient
from opentelemetry.trace import INVALID_SPAN_CONTEXT, Span, Tracer, TracerProvider

from authward import Authward

CANARY = "hunter2-canary"


class Seen(Span):
    """A span that looks, as a processor could, at what FastAPI holds when it ends."""

    def __init__(self, log: list[Any]) -> None:
        self.log = log

    def end(self, end_time: int | None = None) -> None:
        self.log.append(vars(get_telemetry_data()) if get_telemetry_data() else None)

    def get_span_context(self) -> Any:
        return INVALID_SPAN_CONTEXT

    def is_recording(self) -> bool:
        return True

    def _note(self, *given: Any, **also: Any) -> None:
        self.log.append((given, also))

    set_attributes = set_attribute = add_event = update_name = _note
    set_status = record_exception = _note


class Watching(TracerProvider, Tracer):
    def __init__(self) -> None:
        self.log: list[Any] = []

    def get_tracer(self, *given: Any, **also: Any) -> Tracer:
        return self

    def start_span(self, *given: Any, **also: Any) -> Span:
        self.log.append((given, also))
        return Seen(self.log)

    @contextmanager
    def start_as_current_span(self, *given: Any, **also: Any) -> Any:  # type: ignore[override]
        span = self.start_span(*given, **also)
        yield span
        span.end()


def test_canary(make_auth: Callable[..., Authward]) -> None:
    watching = Watching()
    app = FastAPI(telemetry={"tracer_provider": watching})
    make_auth().install(app)

    @app.post("/things")
    async def things(body: dict[str, str]) -> None: ...

    with TestClient(app) as client:
        # The canary sings: this is what FastAPI does with its own routes.
        client.post("/things", json={"password": CANARY})
        assert CANARY in repr(watching.log)
        watching.log.clear()
        body = {"email": "ada@example.com", "password": CANARY, "name": "Ada"}
        assert client.post("/api/auth/register", json=body).status_code == 201
        assert (
            client.post("/api/auth/login", json={"email": [CANARY], "password": CANARY}).status_code
            == 422
        )
        assert client.post("/api/auth/login", content=CANARY).status_code == 415
        assert watching.log
        assert CANARY not in repr(watching.log)
