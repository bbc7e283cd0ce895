"""An Authward of its own for each test, on a temporary SQLite file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from authward import Authward
from authward.testing import TurnableClock


@pytest.fixture
def clock() -> TurnableClock:
    return TurnableClock()


@pytest.fixture
def make_auth(tmp_path: Path, clock: TurnableClock) -> Callable[..., Authward]:
    """Makes an Authward; keywords are settings."""

    def make(**settings: Any) -> Authward:
        settings.setdefault("database_url", f"sqlite:///{tmp_path}/test.db")
        return Authward(clock=clock, **settings)

    return make


@pytest.fixture
def auth(make_auth: Callable[..., Authward]) -> Authward:
    return make_auth()
