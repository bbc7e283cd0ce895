"""Two keys of one kid, so that the wrong one verifies: RFC 7517 section 4.5."""

import pytest
from sqlalchemy.exc import IntegrityError

from authward.core.keys import check_ring
from authward.errors import ConfigurationError
from tests.minting import access_ring, key, refresh_ring
from tests.planting import plant

OTHER = bytes(range(100, 132))


@pytest.mark.parametrize("state", ["verifying", "pending"])
def test_a_kid_that_is_there_twice_is_refused_at_load(state):
    with pytest.raises(ConfigurationError, match="there twice"):
        access_ring(key(), key(state=state, material=OTHER))
    with pytest.raises(ConfigurationError, match="there twice"):
        access_ring(key(state=state, material=OTHER), key())


def test_the_csrf_ring_is_held_to_it_too():
    with pytest.raises(ConfigurationError, match="there twice"):
        check_ring([key(ring="csrf"), key(ring="csrf", state="verifying", material=OTHER)])


def test_the_same_kid_in_two_rings_is_two_keys():
    both = [key(), key(ring="refresh", material=OTHER)]
    assert access_ring(*both).signing.key.material != refresh_ring(*both).signing.key.material


@pytest.mark.parametrize("ring", ["access", "refresh"])
async def test_no_database_holds_one_twice(database: str, ring):
    """Of one ring or of two: not even who writes into it can give a server both."""
    with pytest.raises(IntegrityError):
        await plant(database, key(), key(ring=ring, state="verifying", material=OTHER))
