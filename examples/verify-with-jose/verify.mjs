// Verify Authward's access tokens in a service of your own, with jose.
//
//     npm ci
//     node verify.mjs https://api.example.com TOKEN
//
// The server must sign with EdDSA, ES256 or RS256 (AUTHWARD_ALGORITHM); HS256 keys are published nowhere.

import { argv, env, exit } from "node:process";
import { createRemoteJWKSet, jwtVerify } from "jose";

/** A function that gives the claims of a token of this server, and throws for any other. */
export function verifier(url, { issuer = "authward", audience = "authward" } = {}) {
  // Fetched when it is needed, kept for five minutes (a key in it may be killed meanwhile), and fetched anew for a kid
  // that is not in it: at most twice a minute.
  const keys = createRemoteJWKSet(new URL("/.well-known/jwks.json", url), { cacheMaxAge: 300_000 });
  const options = {
    issuer,
    audience,
    typ: "at+jwt", // no other kind of token is an access token
    algorithms: ["EdDSA", "ES256", "RS256"], // never what the token says alone
    requiredClaims: ["exp", "iat", "sub", "sid"],
  };
  return async (token) => (await jwtVerify(token, keys, options)).payload;
}

if (import.meta.filename === argv[1]) {
  const [, , url, ...tokens] = argv;
  if (tokens.length === 0) {
    console.error("usage: node verify.mjs https://api.example.com TOKEN…");
    exit(2);
  }
  const verify = verifier(url, { issuer: env.ISSUER, audience: env.AUDIENCE });
  let refused = 0;
  for (const token of tokens) {
    try {
      const { sub, role } = await verify(token);
      console.log(JSON.stringify({ sub, role }));
    } catch (error) {
      refused = 1;
      console.log(JSON.stringify({ refused: error.code ?? error.name }));
    }
  }
  exit(refused);
}
