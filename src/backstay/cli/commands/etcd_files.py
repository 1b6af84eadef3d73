"""``backstay etcd files``."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from backstay.cli import values
from backstay.cli.commands.restore_options import Identity
from backstay.cli.session import Given
from backstay.cli.table import Column, table
from backstay.core.units import counted, format_size
from backstay.jobs import restore as job
from backstay.jobs.transfer import source_of

COLUMNS = (Column("FILE"), Column("SIZE", right=True))


def files(
    *,
    from_: Annotated[
        str | None, Parameter(name="--from", metavar="BACKUP", help="This backup in place of the newest.")
    ] = None,
    to: Annotated[
        Path | None, Parameter(metavar="FOLDER", help="Lay them into this new folder, in place of listing them.")
    ] = None,
    identity: Identity = None,
    session: Given,
) -> int:
    """List what an encrypted backup has beside the snapshot: the server token, configuration, certificates
    and manifests of the server it was taken on; or lay it into a folder, to take from there what a new
    machine needs. Nothing is put into the places it came from.

    Examples:
      backstay etcd files
      backstay etcd files --to /root/server-files

    Exit status: 0; 1 when there is no such backup; 2 it has no such files; 12 cannot decrypt; 13 damaged.
    """
    from backstay.tiers.etcd import serverread

    output = session.output
    with session.app(identity=values.given_secret("--identity", identity)) as app:
        backup = app.context.catalogs.find(from_ or str(app.control_plane.target))
        source = source_of(app.context, backup, job.place_of(app.context, backup).artifacts)
        if to is not None:
            count = serverread.extract(source, to)
            output.result(f"{counted(count, 'file')} of {backup.id} in {to}; they hold the keys of the cluster")
            return 0
        found = list(serverread.names(source))
    if output.as_json:
        output.document([{"name": name, "size_bytes": size} for name, size in found])
    else:
        output.data(table(COLUMNS, [(name, format_size(size)) for name, size in found], output.paint, output.width))
    return 0
