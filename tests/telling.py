"""Whatever a process commits in any test is of a kind that is listed, with no other detail."""

from collections.abc import Iterator, Sequence

import pytest

from authward.core.audit import Event
from authward.core.events import EVENT_KINDS
from authward.ports import Change
from authward.process import Process


@pytest.fixture(scope="session", autouse=True)
def every_event_is_as_listed() -> Iterator[None]:
    committed = Process.committed

    def checked(self: Process, events: Sequence[Event], changes: Sequence[Change]) -> None:
        for event in events:
            unlisted = set(event.detail) - set(EVENT_KINDS[event.kind])
            assert not unlisted, f"{event.kind} has {unlisted}: name it in core/events.py"
        committed(self, events, changes)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Process, "committed", checked)
        yield
