"""Ten megabytes of password, hashed before anyone looked at its length.

CVE-2013-1443 and CVE-2014-9016 (long passwords in Django and Drupal).
"""

import time

import bcrypt
import pytest

from authward.core.passwords import HashParameters, check_new_password, verify_password
from authward.errors import ValidationError

HUGE = "x" * 10_000_000


def test_it_is_refused_by_its_length_alone():
    began = time.process_time()
    with pytest.raises(ValidationError) as caught:
        check_new_password(HUGE, 8)
    assert time.process_time() - began < 0.05
    assert [detail.code for detail in caught.value.details] == ["too_long"]
    assert len(str(caught.value.details)) < 500


def test_bcrypt_is_not_even_asked(monkeypatch):
    def never(*_: object):
        raise AssertionError("hashed")

    hashed = bcrypt.hashpw(b"password", bcrypt.gensalt(4)).decode()
    monkeypatch.setattr(bcrypt, "checkpw", never)
    assert not verify_password(hashed, HUGE, HashParameters()).ok
    with pytest.raises(AssertionError, match="hashed"):
        verify_password(hashed, "password", HashParameters())
