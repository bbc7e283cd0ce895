"""Every code block of every page is run by a test, or has a reason here why it is not."""

import ast
import re
from pathlib import Path

import pytest

from tests.pages import ROOT, examples

PAGES = [str(one.relative_to(ROOT)) for one in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"))]
TESTS = {
    "CONTRIBUTING.md": "test_checkout_pages.py",
    "README.md": "../cli/test_readme.py",
    "docs/api.md": "test_api_page.py",
    "docs/architecture.md": "test_checkout_pages.py",
    "docs/audit.md": "test_audit_page.py",
    "docs/bodies.md": "../middleware/test_body.py",
    "docs/browser.md": "test_browser_page.py ../browser/conftest.py",
    "docs/commands.md": "../cli/test_commands_page.py",
    "docs/cors.md": "../middleware/test_cors.py",
    "docs/csrf.md": "../middleware/test_csrf.py",
    "docs/deny-by-default.md": "test_deny_page.py",
    "docs/errors.md": "test_errors_page.py",
    "docs/events.md": "test_events_page.py",
    "docs/headers.md": "test_headers_page.py",
    "docs/keys.md": "test_keys_page.py",
    "docs/moving-from-express.md": "../cli/test_moving_page.py",
    "docs/operations.md": "test_operations_page.py",
    "docs/performance.md": "test_checkout_pages.py",
    "docs/python.md": "test_python_page.py",
    "docs/rate-limits.md": "test_rate_limits_page.py",
    "docs/requests.md": "../middleware/test_bearer.py",
    "docs/roles.md": "test_roles_page.py",
}
NOT_RUN: dict[str, dict[str, str]] = {
    "README.md": {
        "Authward sh": "sets up a checkout; it is how these tests are run",
        "In your FastAPI app sh": "installs from a package index, as `make wheel` does; its last "
        "line, which serves, is run",
    },
    "docs/moving-from-express.md": {
        "1. Export the accounts sh": "wants a MongoDB and its tool; tests/cli/test_import.py "
        "imports what that writes, ids as `$oid` and all",
    },
    "docs/python.md": {
        "WebSockets js": "half a line for a browser: tests/examples/test_examples.py opens such a "
        "socket, tests/browser in a browser",
    },
}
"""Page → block → why."""


def test_every_page_with_blocks_has_its_test() -> None:
    assert {page for page in PAGES if examples(page)} == {*TESTS}


@pytest.mark.parametrize("page", PAGES)
def test_no_block_is_overlooked(page: str) -> None:
    """Such as one within a list, or one that is never closed."""
    text = (ROOT / page).read_text(encoding="utf-8")
    assert len(re.findall("```|~~~", text)) == 2 * len(examples(page))


@pytest.mark.parametrize("page", TESTS)
def test_every_block_is_run(page: str) -> None:
    blocks, reasons = [*examples(page)], NOT_RUN.get(page, {})
    assert reasons.keys() <= {*blocks}, "a reason for a block that there is not"
    tests = [Path(__file__).parent / name for name in TESTS[page].split()]
    used = {block for test in tests for block in blocks_used(test, page)}
    assert [block for block in blocks if block not in reasons and block not in used] == []


def blocks_used(test: Path, page: str) -> set[str]:
    """The names in each `PAGE["…"]` of the code, where `PAGE = examples(page)`; a comment or a
    docstring runs nothing.
    """
    nodes = [*ast.walk(ast.parse(test.read_text(encoding="utf-8")))]
    pages = {
        ast.unparse(target)
        for node in nodes
        if isinstance(node, ast.Assign) and ast.unparse(node.value) == f"examples({page!r})"
        for target in node.targets
    }
    return {
        node.slice.value
        for node in nodes
        if isinstance(node, ast.Subscript)
        and ast.unparse(node.value) in pages
        and isinstance(node.slice, ast.Constant)
        and isinstance(node.slice.value, str)
    }
