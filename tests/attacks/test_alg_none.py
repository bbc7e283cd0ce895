"""An unsigned token says that it needs no signature.

ASVS 9.1.2, CVE-2022-23540 (jsonwebtoken), RFC 8725 section 3.1.
"""

import pytest

from tests.attacks.targets import Target
from tests.minting import Kind, b64, compact, each_kind

NONE: list[object] = [
    *("none", "None", "NONE", "nOnE", "none ", "\0none", ""),
    *(None, 0, False, [], ["none"], {}),
]


@each_kind
@pytest.mark.parametrize("alg", NONE, ids=repr)
def test_no_case_of_none_is_an_algorithm(kind: Kind, alg):
    header = compact({**kind.header, "alg": alg})
    kind.refuses(kind.forge(header=header))
    for signature in ("", "AA", kind.token.rpartition(".")[2]):
        kind.refuses(f"{b64(header)}.{b64(kind.payload)}.{signature}")


@each_kind
def test_no_signature_is_none(kind: Kind):
    head, _, _ = kind.token.rpartition(".")
    for unsigned in (f"{head}.", head, f"{head}.."):
        kind.refuses(unsigned)


@each_kind
def test_a_header_without_alg_is_refused(kind: Kind):
    kind.refuses(kind.forge(header={"typ": kind.typ, "kid": kind.key.kid}))
    kind.refuses(kind.forge(header=b"{}"))


async def test_no_running_server_takes_one(target: Target):
    head, _, own = target.token.rpartition(".")
    tokens = {"no signature": f"{head}.", "no third part": head}
    for alg in NONE:
        header = {**target.header, "alg": alg}
        tokens[f"{alg!r}, signed"] = target.forge(header=header)
        for signature in ("", "AA", own):
            unsigned = f"{b64(compact(header))}.{b64(target.payload)}.{signature}"
            tokens[f"{alg!r}, {signature!r}"] = unsigned
    await target.refuses(tokens)
