"""Liveness and readiness."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from authward.errors import Unavailable
from authward.http.endpoint import Answer, Call
from authward.http.fields import Model


class HealthData(Model):
    status: Literal["ok"]


class ReadyData(Model):
    status: Literal["ready"]
    checks: dict[str, str] = Field(default={}, examples=[{"database": "ok", "feed": "ok"}])


async def healthz(call: Call) -> Answer:
    return Answer({"status": "ok"}, "Alive")


async def readyz(call: Call) -> Answer:
    """Ready while the database answers and the change feed is read."""
    if not call.services.feed.healthy:
        raise Unavailable("change feed is behind", retry_after=1)
    await call.services.readiness.check()
    data: dict[str, object] = {"status": "ready"}
    if call.site.detailed_health:
        data["checks"] = {"database": "ok", "feed": "ok"}
    return Answer(data, "Ready")
