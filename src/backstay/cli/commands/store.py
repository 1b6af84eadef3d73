"""``backstay store init`` and ``backstay store check``."""

from typing import Annotated

from cyclopts import Parameter

from backstay.app import App, make_store
from backstay.catalog.catalog import Catalog
from backstay.cli.failures import Tally
from backstay.cli.help import command, group_of
from backstay.cli.output import Output, Style
from backstay.cli.session import Given, Session
from backstay.cli.table import Cell, Column, table
from backstay.core.errors import BackstayError, StoreError, Unavailable
from backstay.core.units import listed
from backstay.store.check import Ability, ProbeResult, probe

COLUMNS = (Column("CHECK"), Column("RESULT"), Column("SEEN"))
ABILITIES = {Ability.OK: Style.GOOD, Ability.DEGRADED: Style.WARN, Ability.FAILED: Style.BAD}
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


def check(name: Name = None, /, *, session: Given) -> int:
    """Find out what a store can really do, by doing it: whole writes, create-if-absent, ranges, lists,
    clock, lock. Where one cannot do something, it says what Backstay does without. Writes about 40 MB
    below a throw-away prefix and removes it again; backups are not touched.

    Examples:
      backstay store check
      backstay store check main --json

    Exit status: 0 it can be used, with less or not; 1 it cannot be used as it is; 10 unreachable.
    """
    with session.app() as app:
        catalogs = _catalogs(app, name)
        tally = Tally(session.output, len(catalogs))
        found = []
        for catalog in catalogs:
            try:
                results = _probe(session, catalog)
                found.append(_fields(catalog, results))
                _show(session.output, catalog, results)
                _fail(catalog, results)
            except BackstayError as error:
                tally.failed(error)
    if session.output.as_json:
        session.output.document({"stores": found})
    return tally.exit_code


def _probe(session: Session, catalog: Catalog) -> list[ProbeResult]:
    results: list[ProbeResult] = []
    with session.progress(f"store {catalog.name}") as progress:
        progress.phase("checking")
        for result in probe(catalog.store, now=session.now):
            results.append(result)
            progress.note(f"{result.name}: {result.ability.value}")
    return results


def _show(output: Output, catalog: Catalog, results: list[ProbeResult]) -> None:
    if output.as_json:
        return
    rows = [(one.name, Cell(one.ability.value, ABILITIES[one.ability]), one.seen) for one in results]
    lines = [output.paint(f"store {catalog.name}: {catalog.store.describe()}", Style.STRONG)]
    lines.append(table(COLUMNS, rows, output.paint, output.width))
    lines += [f"without {one.name}: {one.without}" for one in results if one.ability is Ability.DEGRADED]
    output.data("\n".join(lines))


def _fields(catalog: Catalog, results: list[ProbeResult]) -> dict[str, object]:
    return {
        "store": catalog.name,
        "url": catalog.store.describe(),
        "ok": all(one.ability is not Ability.FAILED for one in results),
        "probes": [
            {"name": one.name, "ability": one.ability.value, "seen": one.seen, "without": one.without or None}
            for one in results
        ],
    }


def _fail(catalog: Catalog, results: list[ProbeResult]) -> None:
    """Raise ``StoreError`` where a probe failed; ``Unavailable`` where not even reading and writing work."""
    failed = [one for one in results if one.ability is Ability.FAILED]
    if failed:
        kind = Unavailable if failed[0] is results[0] else StoreError
        names = listed([one.name for one in failed])
        raise kind(
            f"store {catalog.name} cannot be used as it is ({names}): {failed[0].seen}",
            hint=failed[0].without or "No backup was touched.",
        )


def _set_up(session: Session, app: App, catalog: Catalog) -> dict[str, object]:
    made = make_store(app.loaded.config.stores[catalog.name], session.env, session.warn_once)
    catalog.ensure_format()
    return {"store": catalog.name, "url": catalog.store.describe(), "cluster": catalog.cluster, "made": made}


def _catalogs(app: App, name: str | None) -> list[Catalog]:
    return [app.context.catalogs.named(name)] if name else list(app.context.catalogs)


app = group_of(
    "store",
    "Work on stores: set one up with `init`, find out what it can do with `check`.",
    command(init, usage="store init [NAME] [OPTIONS]"),
    command(check, usage="store check [NAME] [OPTIONS]"),
)
