"""Metrics for a monitor."""

from __future__ import annotations

from authward.http.endpoint import Answer, Call

TEXT = b"text/plain; version=0.0.4; charset=utf-8"


async def metrics(call: Call) -> Answer:
    """Prometheus' text, no envelope around it."""
    return Answer(call.services.metrics.text(), "", content_type=TEXT)
