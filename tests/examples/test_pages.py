"""Every code block of these pages is run by a test, or has a reason here why it is not."""

from pathlib import Path

import pytest

from tests.pages import examples

TESTS = {
    "README.md": "../cli/test_readme.py",
    "docs/audit.md": "test_audit_page.py",
    "docs/deny-by-default.md": "test_deny_page.py",
    "docs/events.md": "test_events_page.py",
    "docs/keys.md": "test_keys_page.py",
    "docs/operations.md": "test_operations_page.py",
    "docs/python.md": "test_python_page.py",
    "docs/roles.md": "test_roles_page.py",
}
NOT_RUN: dict[str, dict[str, str]] = {
    "README.md": {
        "Authward sh": "sets up a checkout; it is how these tests are run",
        "In your FastAPI app sh": "installs from a package index, as `make wheel` does; its last "
        "line, which serves, is run",
    },
    "docs/python.md": {
        "WebSockets js": "half a line for a browser: tests/examples/test_examples.py opens such a "
        "socket, tests/browser in a browser",
    },
}
"""Page → block → why."""


@pytest.mark.parametrize("page", TESTS)
def test_every_block_is_run(page: str) -> None:
    source = (Path(__file__).parent / TESTS[page]).read_text(encoding="utf-8")
    blocks, reasons = [*examples(page)], NOT_RUN.get(page, {})
    assert reasons.keys() <= {*blocks}, "a reason for a block that there is not"
    wanted = [block for block in blocks if block not in reasons]
    assert [block for block in wanted if f'PAGE["{block}"]' not in source] == []
