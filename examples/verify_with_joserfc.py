"""Verify Authward's access tokens in a service of your own, with joserfc.

    pip install joserfc
    python verify_with_joserfc.py https://api.example.com TOKEN

The server must sign with EdDSA, ES256 or RS256 (AUTHWARD_ALGORITHM): HS256 keys are published
nowhere. The names of issuer and audience come from ISSUER and AUDIENCE.
"""

import json
import os
import sys
import time
from argparse import ArgumentParser
from typing import Any
from urllib.request import urlopen

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

ALGORITHMS = ["EdDSA", "ES256", "RS256"]  # never what the token says alone
KEEP_S = 300
PAUSE_S = 30  # between two fetches, whatever kids strangers send


class Verifier:
    """Gives the claims of the access tokens of one server. It asks that server now and then for its
    public keys, and for nothing else.
    """

    def __init__(self, url: str, issuer: str = "authward", audience: str = "authward") -> None:
        self._url = f"{url}/.well-known/jwks.json"
        self._keys = KeySet([])
        self._fetched = float("-inf")
        self._claims = jwt.JWTClaimsRegistry(
            iss={"essential": True, "value": issuer},
            aud={"essential": True, "value": audience},
            exp={"essential": True},
            iat={"essential": True},
            sub={"essential": True},
        )

    def verify(self, token: str) -> dict[str, Any]:
        """The claims. Raises JoseError or ValueError for anything but a token that holds."""
        if len(token) > 8192:
            raise ValueError("too long")
        if time.monotonic() - self._fetched > KEEP_S:
            self._fetch()
        try:
            found = jwt.decode(token, self._keys, algorithms=ALGORITHMS)
        except ValueError:
            # Perhaps of a key that is newer than what we have.
            if time.monotonic() - self._fetched < PAUSE_S:
                raise
            self._fetch()
            found = jwt.decode(token, self._keys, algorithms=ALGORITHMS)
        if found.header.get("typ") != "at+jwt":
            raise ValueError("not an access token")
        self._claims.validate(found.claims)  # decode alone looks at no `exp`
        return found.claims

    def _fetch(self) -> None:
        with urlopen(self._url, timeout=10) as answer:  # noqa: S310  (the operator names it)
            self._keys = KeySet.import_key_set(json.load(answer))
        self._fetched = time.monotonic()


def main() -> int:
    """One line for each token: who it is, or that it is refused."""
    parser = ArgumentParser(description="Verify access tokens by a server's public keys.")
    parser.add_argument("url", help="of the server, like https://api.example.com")
    parser.add_argument("token", nargs="+", help="an access token")
    asked = parser.parse_args()
    names = {"issuer": os.environ.get("ISSUER"), "audience": os.environ.get("AUDIENCE")}
    verifier = Verifier(asked.url, **{key: name for key, name in names.items() if name})
    refused = 0
    for token in asked.token:
        try:
            claims = verifier.verify(token)
            print(json.dumps({"sub": claims["sub"], "role": claims["role"]}))
        except (JoseError, ValueError) as error:
            refused = 1
            print(json.dumps({"refused": type(error).__name__}))
        except OSError as error:
            parser.error(f"{asked.url} gives no keys: {error}")
    return refused


if __name__ == "__main__":
    sys.exit(main())
