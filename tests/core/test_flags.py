"""Options that are on or off."""

import pytest

from authward.core.flags import flag
from authward.errors import ConfigurationError


@pytest.mark.parametrize("given", [True, False])
def test_on_and_off(given: bool):
    assert flag("secure", given) is given


@pytest.mark.parametrize(
    ("given", "meant"),
    [("no", False), (" Off ", False), ("", False), (0, False), (None, False), ("yes", True)],
)
def test_what_only_counts_as_one_of_them_is_refused_with_its_cure(given: object, meant: bool):
    with pytest.raises(ConfigurationError) as caught:
        flag("secure", given)
    text = f"secure: {given!r} is neither True nor False. Did you mean {meant}?"
    assert str(caught.value) == text
