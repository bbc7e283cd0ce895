"""Report-only mode: what would have been refused is logged and counted, and goes on."""

from __future__ import annotations

import logging
from collections import Counter

from starlette.types import Scope

from authward.core.text import printable
from authward.errors import Refusal

log = logging.getLogger("authward.reports")


class Reports:
    """Counts by protection (`cors`, `csrf`, `rate_limit`) of what it would have refused."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def note(self, protection: str, refusal: Refusal, scope: Scope) -> None:
        """Log and count one request that goes on although `protection` refuses it."""
        self.counts[protection] += 1
        log.warning(
            "report only: %s would refuse %s %s with %s: %s",
            protection,
            printable(scope.get("method", "WEBSOCKET"), 32),
            printable(scope["path"], 512),
            refusal.code,
            printable(refusal.reason),
        )
