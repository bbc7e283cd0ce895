"""Every code block of these pages is run by a test, or has a reason here why it is not."""

from pathlib import Path

import pytest

from tests.pages import examples

TESTS = {
    "docs/audit.md": "test_audit_page.py",
    "docs/deny-by-default.md": "test_deny_page.py",
    "docs/events.md": "test_events_page.py",
    "docs/keys.md": "test_keys_page.py",
    "docs/operations.md": "test_operations_page.py",
}
NOT_RUN: dict[str, dict[str, str]] = {}
"""Page → block → why."""


@pytest.mark.parametrize("page", TESTS)
def test_every_block_is_run(page: str) -> None:
    source = (Path(__file__).parent / TESTS[page]).read_text(encoding="utf-8")
    blocks, reasons = [*examples(page)], NOT_RUN.get(page, {})
    assert reasons.keys() <= {*blocks}, "a reason for a block that there is not"
    run = [block for block in blocks if f'PAGE["{block}"]' in source]
    assert [block for block in blocks if block not in reasons] == run
