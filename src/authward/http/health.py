"""Liveness and readiness."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from authward.errors import Unavailable
from authward.http.endpoint import Answer, Call
from authward.http.fields import Model

DRAINING = "authward.draining"
"""What a server that takes leave sets in the state it gives to each request (ASGI's lifespan
state).
"""


class HealthData(Model):
    status: Literal["ok"]


class ReadyData(Model):
    status: Literal["ready"]
    checks: dict[str, str] = Field(
        default={}, examples=[{"database": "ok", "feed": "ok", "keys": "ok"}]
    )


async def healthz(call: Call) -> Answer:
    return Answer({"status": "ok"}, "Alive")


async def readyz(call: Call) -> Answer:
    """Ready while all we need is there. Strangers learn no more than that in production."""
    state = call.scope.get("state") or {}
    found = await call.services.readiness.check(draining=DRAINING in state)
    detailed = call.site.detailed_health
    if found.failing:
        text = f"Not ready: {found}" if detailed else None
        raise Unavailable(f"not ready: {found}", text=text, retry_after=1)
    data: dict[str, object] = {"status": "ready"}
    if detailed:
        data["checks"] = dict(found.checks)
    return Answer(data, "Ready")
