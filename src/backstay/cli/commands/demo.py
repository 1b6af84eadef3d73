"""``backstay demo``."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from backstay.cli.help import command
from backstay.cli.session import Given
from backstay.core.errors import ToolMissing, UsageError


def demo(
    *,
    folder: Annotated[
        Path, Parameter(metavar="FOLDER", help="Everything is in here: ./.demo unless given; new, empty, or its own.")
    ] = Path(".demo"),
    keep: Annotated[bool, Parameter(help="Leave the servers running at the end, with commands to try.")] = False,
    stop: Annotated[bool, Parameter(help="End what --keep left running, and remove the folder.")] = False,
    cluster: Annotated[
        bool,
        Parameter(
            help="A real Kubernetes instead, with pods that are backed up, lost and restored: as root on Linux, from "
            "a checkout of the repository. The first time Kubernetes is compiled, in about ten minutes."
        ),
    ] = False,
    session: Given,  # noqa: ARG001 - every command has one
) -> int:
    """Watch it work: a real PostgreSQL and a real S3 server on this machine, four databases backed up,
    one dropped, one damaged, both restored, and every table compared. It touches nothing outside its
    folder and listens on 127.0.0.1 alone.

    Examples:
      backstay demo
      backstay demo --keep
      backstay demo --stop
      backstay demo --cluster

    Exit status: 0 everything came back; 13 something did not; 1 failed.
    """
    if cluster:
        from backstay.demo.cluster import run_cluster

        if keep or stop:
            raise UsageError("--cluster goes without --keep and --stop: it ends with its story")
        return run_cluster(folder)
    try:
        from backstay.demo.run import run
    except ModuleNotFoundError as error:
        raise ToolMissing(
            f"the demo needs {error.name}", hint="Install it with its servers: pip install 'backstay[demo]'."
        ) from error
    return run(folder, keep=keep, stop=stop)


app = command(demo, usage="demo [OPTIONS]")
