"""Tests of one `xdist_group` run in one worker process, and share what is costly to start.

pytest-xdist 3.8 writes the group into an attribute that pytest 9.2 does not read any more, so that
groups count for nothing. This takes it over into the one that is read.
"""

import pytest


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not getattr(config.option, "loadgroup", False):
        return
    for item in items:
        meant = vars(item).get("_nodeid", item.nodeid)
        if meant != item.nodeid:
            item._id = type(item._id).parse(meant)
