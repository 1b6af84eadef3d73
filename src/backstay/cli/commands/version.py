"""``backstay version``."""

import platform

from backstay import __version__
from backstay.cli.help import command
from backstay.cli.session import Given


def version(*, session: Given) -> int:
    """Print the version of Backstay, of Python, and of the system.

    Examples:
      backstay version
      backstay version --json

    Exit status: 0.
    """
    found = {"backstay": __version__, "python": platform.python_version(), "system": platform.platform()}
    if session.output.as_json:
        session.output.document(found)
    else:
        session.output.data(f"backstay {__version__} (Python {found['python']}, {found['system']})")
    return 0


app = command(version, usage="version [OPTIONS]")
