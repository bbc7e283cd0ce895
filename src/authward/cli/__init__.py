"""The command line.

Every command takes `--json`, and exits 0 when done, 1 when what it checks does not hold, 2 on wrong
usage or settings. Nothing heavy is imported before a command runs.
"""

from __future__ import annotations

import click

from authward import __version__

# Under other names: as attributes of this package these are the modules.
from authward.cli.init import init as _init
from authward.cli.migrate import migrate as _migrate
from authward.cli.roles import roles as _roles
from authward.cli.routes import routes as _routes
from authward.cli.serve import serve as _serve
from authward.cli.sessions import sessions as _sessions
from authward.cli.users import users as _users
from authward.cli.why import why as _why


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="authward")
def main() -> None:
    """Authentication for Python web apps.

    Settings come from AUTHWARD_* variables and authward.toml in this folder.
    """


for _command in (_serve, _init, _migrate, _routes, _sessions, _users, _roles, _why):
    main.add_command(_command)
