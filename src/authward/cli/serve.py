"""`authward serve`."""

from __future__ import annotations

import ipaddress
import shlex
from typing import TYPE_CHECKING

import click

from authward import __version__
from authward.cli.common import (
    NOT_SO,
    WRONG_USAGE,
    database_option,
    explain,
    fail,
    json_option,
    load_settings,
    own_command,
    require_no_lost_secret,
    say_json,
    shown_database,
)
from authward.errors import ConfigurationError, Refusal

if TYPE_CHECKING:
    from authward.app import Authward
    from authward.settings import Settings


@click.command()
@click.option("--host", help="The address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="0 takes a free port.  [default: 8000]")
@click.option("--workers", type=click.IntRange(1, 256), help="Server processes.  [default: 1]")
@database_option
@json_option
def serve(
    host: str | None,
    port: int | None,
    workers: int | None,
    database_url: str | None,
    as_json: bool,
) -> None:
    """Serve the API."""
    settings = load_settings(
        host=host, port=port, workers=workers, database_url=database_url, as_json=as_json
    )
    _check_host(settings, as_json=as_json)
    require_no_lost_secret(settings, as_json=as_json)
    from authward import server

    try:
        listener = server.listen(settings.host, settings.port)
    except OSError as error:
        fail(_unavailable(settings, error), NOT_SO, error="address_unavailable", as_json=as_json)
    command = own_command()

    async def announce(auth: Authward, port: int) -> None:
        admins = await auth.services.users.page(limit=1, cursor=None, search=None, role="admin")
        first = not admins.users
        if as_json:
            say_json(_facts(settings, port) | {"needsAdmin": first})
        else:
            click.echo(_text(settings, port, command, needs_admin=first))

    try:
        orderly = server.run(settings, listener, announce)
    except ConfigurationError as error:
        fail(str(error), WRONG_USAGE, error="configuration_error", as_json=as_json)
    except Refusal as refusal:
        fail(explain(refusal), NOT_SO, error=refusal.code, as_json=as_json)
    finally:
        listener.close()
    if not orderly:
        raise SystemExit(NOT_SO)


def _check_host(settings: Settings, *, as_json: bool) -> None:
    """In development no other machine may reach us: a forgotten ENV never serves the world."""
    if settings.production or _loopback(settings.host):
        return
    fail(
        f"host: {settings.host} can be reached from other machines, and ENV is development. "
        "Listen on 127.0.0.1, or set AUTHWARD_ENV=production "
        "with AUTHWARD_SECRET_FILE and AUTHWARD_PUBLIC_URL",
        WRONG_USAGE,
        error="configuration_error",
        as_json=as_json,
    )


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _unavailable(settings: Settings, error: OSError) -> str:
    import errno

    where = f"{settings.host}:{settings.port}"
    if error.errno == errno.EADDRINUSE:
        return (
            f"{where} is taken by another program. "
            f"Stop that one, or choose another port: --port {settings.port + 1}"
        )
    if error.errno == errno.EACCES:
        return f"{where} needs more rights than this user has. Choose a port above 1023"
    return f"{where} cannot be listened on: {error.strerror or error}"


def _facts(settings: Settings, port: int) -> dict[str, object]:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    listening = f"http://{host}:{port}"
    url = settings.public_url or listening
    return {
        "url": url,
        "listening": listening,
        "docs": f"{url}/docs" if settings.serve_docs else None,
        "database": shown_database(settings),
        "secretFile": None if settings.secret_path is None else str(settings.secret_path),
        "env": settings.env,
        "workers": settings.workers,
    }


def _text(settings: Settings, port: int, command: str, *, needs_admin: bool) -> str:
    facts = _facts(settings, port)
    rows = [
        ("API", facts["url"]),
        ("Listening", facts["listening"] if facts["listening"] != facts["url"] else None),
        ("Docs", facts["docs"]),
        ("Database", facts["database"]),
        ("Secret", facts["secretFile"]),
    ]
    workers = f", {settings.workers} workers" if settings.workers > 1 else ""
    lines = [f"Authward {__version__} ({settings.env}{workers})"]
    lines += [f"  {name:<10}{value}" for name, value in rows if value is not None]
    if needs_admin:
        lines += ["", "There is no admin yet. Make one, in this folder, in another terminal:"]
        lines += [f"  {_create_admin(settings, command)}"]
    return "\n".join([*lines, "", "Ctrl+C stops the server."])


def _create_admin(settings: Settings, command: str) -> str:
    words = [command, "users create --email you@example.com --name You --role admin"]
    default = type(settings).model_fields["database_url"].default
    if settings.sqlite_path is not None and settings.database_url != default:
        words.append(f"--database-url {shlex.quote(settings.database_url)}")
    return " ".join(words)
