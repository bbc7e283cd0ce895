"""NUL and lone surrogates, which one database takes, another refuses and a third cuts at.

CWE-158, CWE-176; SQL text types cannot hold U+0000 on PostgreSQL.
"""

import json

import pytest

from authward.core.passwords import check_new_password
from authward.core.text import storable
from authward.core.users import BadEmail, canonical_email
from authward.errors import ValidationError

TEXTS = ["\0", "a\0b", "\ud800", "a\udfffb", "\udc00\ud800", "🐎\ud83d"]


@pytest.mark.parametrize("text", TEXTS, ids=ascii)
def test_json_can_say_it_so_we_must_refuse_it(text: str):
    received = json.loads(json.dumps(text))
    assert received == text
    assert not storable(received)
    with pytest.raises(ValidationError):
        check_new_password("password" + received, 8)
    for address in (f"{received}@example.com", f"ada@{received}.com"):
        with pytest.raises(BadEmail):
            canonical_email(address)


def test_a_whole_pair_is_a_character():
    assert storable(json.loads('"\\ud83d\\udc0e"'))
    check_new_password("pass🐎word", 8)
