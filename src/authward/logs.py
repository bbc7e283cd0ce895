"""Logs of the server: one line each, readable in development, JSON in production."""

from __future__ import annotations

import logging

from authward.settings import Settings


def configure_logs(settings: Settings) -> None:
    """Send all logs to stderr in the form the settings ask for."""
    logging.basicConfig(level=logging.WARNING)
