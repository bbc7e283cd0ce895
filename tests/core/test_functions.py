"""Options that are functions."""

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest

from authward.core.functions import is_async, plain_function
from authward.errors import ConfigurationError


async def later(one: object = None) -> bool:
    return False


async def parts(one: object = None) -> AsyncIterator[bool]:
    yield False


class Later:
    async def __call__(self, one: object) -> bool:
        return False

    async def method(self, one: object) -> bool:
        return False


class Now:
    def __call__(self, one: object) -> bool:
        return False


@pytest.mark.parametrize(
    "function",
    [later, parts, Later(), Later().method, partial(later, 1), partial(partial(Later()), 1)],
)
def test_what_has_to_be_awaited(function: Any):
    assert is_async(function)
    with pytest.raises(ConfigurationError, match=r"skip: is not awaited\. Write def, not async"):
        plain_function("skip", function, "scope")


@pytest.mark.parametrize("function", [lambda one: one, Now(), Now, partial(Now(), 1), str, len])
def test_what_answers_at_once(function: Any):
    assert not is_async(function)
    assert plain_function("skip", function, "scope") is function


def test_none_is_none():
    assert plain_function("skip", None, "scope") is None


@pytest.mark.parametrize("given", ["/x", True, 5, ["/x"]])
def test_what_is_no_function(given: object):
    with pytest.raises(ConfigurationError, match=r"skip: .* is no function.* skip=lambda scope: …"):
        plain_function("skip", given, "scope")
