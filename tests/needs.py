"""What the machine may lack: skipped by name with the command that brings it, never silently.

With AUTHWARD_TEST_NO_SKIP=1 a missing thing is a failure, and so is any other skip.
"""

import os
from collections import defaultdict
from typing import NoReturn, TypeVar, overload

import pytest

Found = TypeVar("Found")

MARK = " is missing; it comes with: "


def nothing_may_skip() -> bool:
    return os.environ.get("AUTHWARD_TEST_NO_SKIP", "") not in ("", "0")


@overload
def require(name: str, command: str) -> NoReturn: ...
@overload
def require(name: str, command: str, *, found: Found | None) -> Found: ...
def require(name: str, command: str, *, found: Found | None = None) -> Found:
    """Return `found`, or skip the test because `name` is missing; `command` is the cure.

    >>> chromium = require("Chromium", "apt-get install chromium", found=which("chromium"))
    """
    if found is not None:
        return found
    if nothing_may_skip():
        pytest.fail(f"{name}{MARK}{command}", pytrace=False)
    pytest.skip(f"{name}{MARK}{command}")


def skips(reporter: pytest.TerminalReporter) -> dict[str, list[str]]:
    """Reason → the tests it kept from running."""
    reasons: dict[str, list[str]] = defaultdict(list)
    for report in reporter.stats.get("skipped", []):
        why = report.longrepr
        reason = why[2] if isinstance(why, tuple) else str(why)
        reasons[reason.removeprefix("Skipped: ")].append(report.nodeid)
    return reasons


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reasons = skips(terminalreporter)
    if not reasons:
        return
    terminalreporter.section("NOT TESTED ON THIS MACHINE", sep="!", yellow=True, bold=True)
    for reason, tests in sorted(reasons.items()):
        name, mark, command = reason.partition(MARK)
        lost = f"{len(tests)} test{'s' if len(tests) > 1 else ''} skipped"
        terminalreporter.line(f"{name}: {lost}", yellow=True, bold=True)
        if mark:
            terminalreporter.line(f"    bring it with: {command}", yellow=True)
        else:
            for test in tests:
                terminalreporter.line(f"    {test}", yellow=True)
    if nothing_may_skip():
        terminalreporter.line("AUTHWARD_TEST_NO_SKIP is set: a skip is a failure", red=True)


def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if nothing_may_skip() and reporter is not None and skips(reporter):
        session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED
