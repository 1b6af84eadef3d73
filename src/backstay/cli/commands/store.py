"""``backstay store init`` and ``backstay store check``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from backstay.app import App, s3_options
from backstay.catalog.catalog import Catalog
from backstay.cli.failures import Tally
from backstay.cli.help import command, group_of
from backstay.cli.session import Given, Session
from backstay.core.errors import BackstayError, StoreError

if TYPE_CHECKING:
    from backstay.config.models.stores import Store as StoreConfig

Name = Annotated[str | None, Parameter(help="One store of the configuration; all without it.")]


def init(name: Name = None, /, *, session: Given) -> int:
    """Set up a store: make the bucket or the folder if it is not there, and mark it as this cluster's.
    One that holds another cluster's backups is refused. Safe to repeat.

    Examples:
      backstay store init
      backstay store init main

    Exit status: 0 set up; 2 it is another cluster's; 10 unreachable, or no right to do so.
    """
    with session.app() as app:
        catalogs = _catalogs(app, name)
        tally = Tally(session.output, len(catalogs))
        done = []
        for catalog in catalogs:
            try:
                done.append(_set_up(session, app, catalog))
            except BackstayError as error:
                tally.failed(error)
    if session.output.as_json:
        session.output.document({"stores": done})
    for one in done:
        made = "made" if one["made"] else "was there"
        session.output.result(f"store {one['store']}: {one['url']} {made}, for the backups of cluster {one['cluster']}")
    return tally.exit_code


def _set_up(session: Session, app: App, catalog: Catalog) -> dict[str, object]:
    made = _make(app.loaded.config.stores[catalog.name], session)
    catalog.ensure_format()
    return {"store": catalog.name, "url": catalog.store.describe(), "cluster": catalog.cluster, "made": made}


def _make(config: "StoreConfig", session: Session) -> bool:
    """Make the bucket or the folder; ``False`` when it was there."""
    if config.bucket:
        from backstay.store.s3 import S3Store

        store = S3Store(s3_options(config, session.env, session.warn_once))
        try:
            return store.bucket.create()
        finally:
            store.close()
    folder = Path(config.path)
    there = folder.is_dir()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"the folder {folder} cannot be made: {error.strerror}",
            hint="Make it yourself, for the user backups run as.",
        ) from error
    return not there


def _catalogs(app: App, name: str | None) -> list[Catalog]:
    return [app.context.catalogs.named(name)] if name else list(app.context.catalogs)


app = group_of(
    "store",
    "Work on stores: set one up with `init`, find out what it can do with `check`.",
    command(init, usage="store init [NAME] [OPTIONS]"),
)
