/**
 * What the package `jose` signs and reads. JSON in, JSON out: a list of jobs, a list of tokens or
 * claims; what it refuses to do comes back as { error }.
 */
import { createPrivateKey, createPublicKey, createSecretKey } from "node:crypto";
import { text } from "node:stream/consumers";

const { CompactSign, SignJWT, UnsecuredJWT, jwtVerify } = await import(process.argv[2]);

function signingKey({ secret, pem }) {
  return secret === undefined
    ? createPrivateKey(pem)
    : createSecretKey(Buffer.from(secret, "base64"));
}

async function sign({ header, claims, raw, key }) {
  if (header.alg === "none") return new UnsecuredJWT(claims).encode();
  const crit = Object.fromEntries((header.crit ?? []).map((name) => [name, true]));
  const made =
    raw === undefined ? new SignJWT(claims) : new CompactSign(Buffer.from(raw, "base64"));
  return made.setProtectedHeader(header).sign(signingKey(key), { crit });
}

async function read({ token, key, options }) {
  const secret = signingKey(key);
  const known = secret.type === "secret" ? secret : createPublicKey(secret);
  return (await jwtVerify(token, known, options)).payload;
}

const jobs = JSON.parse(await text(process.stdin));
const done = await Promise.all(
  jobs.map((job) =>
    (job.token === undefined ? sign(job) : read(job)).catch((error) => ({ error: error.message })),
  ),
);
console.log(JSON.stringify(done));
