"""An Authward of its own for each test, on a temporary SQLite file."""

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from authward import Authward
from authward.testing import TurnableClock
from tests.faces.serving import PRODUCTION


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a database that is ready, to be copied: migrations take their time."""
    folder = tmp_path_factory.mktemp("template")

    async def prepare() -> None:
        auth = Authward(database_url=f"sqlite:///{folder}/test.db")
        await auth.startup()
        await auth.shutdown()

    asyncio.run(prepare())
    return folder


@pytest.fixture
def clock() -> TurnableClock:
    return TurnableClock()


@pytest.fixture
def make_auth(tmp_path: Path, clock: TurnableClock, template: Path) -> Callable[..., Authward]:
    """Makes an Authward; keywords are settings."""
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)

    def make(**settings: Any) -> Authward:
        settings.setdefault("database_url", f"sqlite:///{tmp_path}/test.db")
        return Authward(clock=clock, **settings)

    return make


@pytest.fixture
def in_production(make_auth: Callable[..., Authward], tmp_path: Path) -> Callable[..., Authward]:
    """Makes an Authward with the settings of production; keywords are settings."""

    def make(**settings: Any) -> Authward:
        # The secret that the database was made with.
        secret = tmp_path / "test.db.secret"
        return make_auth(**{"secret_file": secret, **PRODUCTION, **settings})

    return make


@pytest.fixture
def auth(make_auth: Callable[..., Authward]) -> Authward:
    return make_auth()
