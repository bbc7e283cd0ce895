"""The command line.

Every command takes `--json`, and exits 0 when done, 1 when what it checks does not hold, 2 on wrong
usage or settings. Nothing heavy is imported before a command runs.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import click

from authward import __version__

# Under other names: as attributes of this package these are the modules.
from authward.cli.audit import audit as _audit
from authward.cli.common import NOT_SO, fail
from authward.cli.init import init as _init
from authward.cli.keys import keys as _keys
from authward.cli.migrate import migrate as _migrate
from authward.cli.roles import roles as _roles
from authward.cli.routes import routes as _routes
from authward.cli.serve import serve as _serve
from authward.cli.sessions import sessions as _sessions
from authward.cli.users import users as _users
from authward.cli.why import why as _why


class _Answering(click.Group):
    """With `--json`, what click itself refuses is an object on stdout too."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """What `click.Command.main` does; but with `--json` among `args` its messages are JSON."""
        given = sys.argv[1:] if args is None else args
        as_json = standalone_mode and "--json" in given
        try:
            done = super().main(
                args,
                prog_name,
                complete_var,
                standalone_mode=standalone_mode and not as_json,
                windows_expand_args=windows_expand_args,
                **extra,
            )
        except click.Abort:
            if not as_json:
                raise
            fail("Aborted", NOT_SO, error="aborted", as_json=True)
        except click.ClickException as error:
            if not as_json:
                raise
            fail(error.format_message(), error.exit_code, error="wrong_usage", as_json=True)
        if as_json:
            raise SystemExit(done or 0)
        return done


@click.group(cls=_Answering, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="authward")
def main() -> None:
    """Authentication for Python web apps.

    Settings come from AUTHWARD_* variables and authward.toml in this folder.
    """


for _command in (_serve, _init, _migrate, _routes, _sessions, _users, _roles, _keys, _audit, _why):
    main.add_command(_command)
