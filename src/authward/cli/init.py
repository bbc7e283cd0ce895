"""`authward init`."""

from __future__ import annotations

from pathlib import Path

import click

from authward.cli.common import NOT_SO, fail, json_option, own_command, say_json

CONFIG = Path("authward.toml")
SECRET = Path("authward.secret")
# Where `serve` kept a secret of its own before there was an authward.toml.
MADE_BEFORE = Path("authward.db.secret")

TEMPLATE = """\
# Settings of Authward. What is commented out shows its default.
# Each can also come from the environment, in capitals: AUTHWARD_PUBLIC_URL. That one wins.
# Durations are like "30s", "15m", "7d".

# --- where it runs -----------------------------------------------------------------------

# "development" answers this machine alone. "production" wants a secret, https and real hosts.
env = "development"
# host = "127.0.0.1"
# port = 8000
# workers = 1
# How long to listen on after SIGTERM, so that a load balancer can notice.
# drain = "0s"

# The address people use, and the origins of pages that may call with cookies.
# public_url = "https://api.example.com"
# origins = ["https://app.example.com"]
# Further Host names to answer to, beside that of public_url.
# hosts = []

# --- what it keeps -----------------------------------------------------------------------

# "sqlite:///authward.db", or "postgresql://user@host/name".
# database_url = "sqlite:///authward.db"

# A Redis that counts requests for all processes together.
# redis_url = "redis://127.0.0.1:6379/0"

# Encrypts the keys in the database. Keep a copy in a safe place: without it every session ends.
secret_file = "{secret}"
# The secret before, for the one start after it was changed.
# secret_previous = "what it was"

# --- tokens and sessions -----------------------------------------------------------------

# access_ttl = "15m"
# refresh_ttl = "7d"
# session_ttl = "30d"
# A refresh token may come twice within this time: two tabs, or an answer that was lost.
# refresh_grace = "10s"
# What signs access tokens: "HS256", or "EdDSA", "ES256", "RS256", which other services can verify
# without a secret.
# algorithm = "HS256"
# How often new keys take over by themselves, like "30d"; "off" leaves it to `authward keys rotate`.
# key_rotation = "off"
# How long the audit log keeps its rows, like "400d"; "off" keeps them for good.
# audit_retention = "off"
# issuer = "authward"
# audience = "authward"
# Whether access tokens carry the e-mail address.
# token_email = true
# "strict" asks for the CSRF token even where an allowed Origin proves the request.
# csrf = "standard"

# --- protections -------------------------------------------------------------------------

# At most so many requests of one client in any such time; "off" is none. The second is for the
# routes that take a password.
# rate_limit = "100/15m"
# auth_rate_limit = "5/15m"
# rate_limit_clients = 100_000
# rate_limit_headers = "draft-6"
# Proxies whose header says who the client is: addresses and networks.
# trusted_proxies = []
# proxy_header = "X-Forwarded-For"
# How many bits of an IPv6 address make a client.
# ipv6_prefix = 56
# body_limit = 1_048_576
# Protections that only log what they would refuse: "cors", "csrf", "rate_limit".
# report_only = []

# --- passwords ---------------------------------------------------------------------------

# password_min_length = 8
# How many passwords are hashed at once, and how many more may wait.
# hashing_threads = 2
# hashing_queue = 64

# --- running it --------------------------------------------------------------------------

# "console" or "json". Left out: "json" in production.
# log_format = "console"
# Whether /docs and /openapi.json answer. Left out: in development only.
# docs = true
# debug = false
# How often a process reads what others revoked, and how stale that view may grow.
# feed_interval = "250ms"
# feed_max_lag = "60s"

# --- weaker than you should want -----------------------------------------------------------

# dangerously_long_access_tokens = false
# dangerously_plain_http = false
"""


@click.command()
@json_option
def init(as_json: bool) -> None:
    """Write a commented authward.toml and a secret file into this folder.

    Nothing is overwritten.
    """
    from authward.errors import ConfigurationError
    from authward.services.secrets import make_secret_file

    for path in (CONFIG, SECRET):
        if path.exists():
            fail(
                f"{path} is there already. Move it away first",
                NOT_SO,
                error="file_exists",
                as_json=as_json,
            )
    secret = MADE_BEFORE if MADE_BEFORE.exists() else SECRET
    try:
        make_secret_file(secret)
        with open(CONFIG, "x", encoding="utf-8") as file:
            file.write(TEMPLATE.format(secret=secret))
    except (ConfigurationError, OSError) as error:
        fail(str(error), NOT_SO, error="not_written", as_json=as_json)
    if as_json:
        say_json({"config": str(CONFIG.absolute()), "secretFile": str(secret.absolute())})
        return
    kept = " (kept: your database was made with it)" if secret is MADE_BEFORE else ""
    click.echo(f"Wrote {CONFIG}; the secret is in {secret}{kept}.")
    click.echo(f"Read through {CONFIG}, keep the secret out of version control, and start:")
    click.echo(f"  {own_command()} serve")
