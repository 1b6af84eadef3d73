"""``backstay export``: a backup in the form that another program reads."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from backstay.app import App
from backstay.cli import values
from backstay.cli.commands.restore_options import Identity
from backstay.cli.folders import folder_opener
from backstay.cli.help import command, group_of
from backstay.cli.session import Given, Session
from backstay.core.errors import StoreMissing, UsageError
from backstay.core.model import TierKind
from backstay.core.units import counted, format_size
from backstay.jobs import export as job
from backstay.jobs.transfer import source_of
from backstay.store.base import Store


def velero(
    backup: Annotated[str, Parameter(help="objects/daily for the newest complete one, or ...@20260211-154344.")],
    /,
    *,
    to: Annotated[
        Path | None, Parameter(metavar="FOLDER", help="Into this folder, which becomes Velero's: copy it to a bucket.")
    ] = None,
    to_store: Annotated[
        str | None, Parameter(metavar="STORE", help="Into this store of the configuration, under objects.prefix.")
    ] = None,
    identity: Identity = None,
    session: Given,
) -> int:
    """Write what Velero reads of a backup of Kubernetes objects, in plain: any Velero whose location is
    there lists it within a minute and restores it. A backup that is not encrypted needs none of this:
    it lies in the store as Velero's own. An encrypted one is kept in a folder beside, since Velero
    cannot decrypt; the view holds every Secret of the cluster for whoever can read it, so remove it
    when it has served.

    Examples:
      backstay export velero objects/daily --to ./velero
      backstay export velero objects/daily@20260211-020000 --to-store rescue

    Exit status: 0; 1 it is there already, or no such backup; 2 usage or configuration; 10 store
    unreachable; 12 cannot decrypt; 13 damaged in the store.
    """
    if (to is None) == (to_store is None):
        raise UsageError("say where: --to FOLDER or --to-store STORE")
    with session.app(identity=values.given_secret("--identity", identity)) as app:
        found = app.context.catalogs.find(backup)
        if found.target.tier is not TierKind.OBJECTS:
            raise UsageError(f"{found.id} is not a backup of Kubernetes objects", hint="Velero has no use for others.")
        source = source_of(app.context, found, app.context.catalogs.holding(found).store)
        with _place(session, app, to, to_store) as (store, prefix), session.progress(found.id) as progress:
            parts, last = app.objects_tier.velero_view(source)
            files, stored = job.export(store, prefix, parts, last, progress)
            where = f"{store.describe()}{prefix}/" if prefix else store.describe()
    if session.output.as_json:
        session.output.document({"backup": found.id, "to": where, "files": files, "size_bytes": stored})
    else:
        session.output.result(
            f"done: {counted(files, 'file')}, {format_size(stored)} in {where}{last[0].rpartition('/')[0]}"
        )
    return 0


@contextmanager
def _place(session: Session, app: App, folder: Path | None, name: str | None) -> Iterator[tuple[Store, str]]:
    if folder is None:
        assert name is not None, "one of the two is given"  # noqa: S101 - a mistake in this program, not in its input
        if name not in app.stores:
            raise UsageError(f"there is no store {name}", hint=f"Stores: {', '.join(app.stores)}.")
        objects = app.loaded.config.objects
        yield app.stores[name], objects.prefix if objects else ""
        return
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StoreMissing(
            f"the folder {folder} cannot be made: {error.strerror}", hint="Nothing was written."
        ) from error
    with closing(folder_opener(session)(folder.resolve())) as store:
        yield store, ""


app = group_of(
    "export",
    "Write a backup in the form that another program reads: `velero`.",
    command(velero, usage="export velero BACKUP (--to FOLDER | --to-store STORE) [OPTIONS]"),
)
