"""``backstay list``."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from backstay.app import App
from backstay.catalog.catalogs import UNREACHABLE
from backstay.catalog.proofs import standing
from backstay.cli import values
from backstay.cli.elsewhere import own_snapshot_fields, own_snapshots_table
from backstay.cli.help import command
from backstay.cli.jsonview import backup_fields, keys_of, level_of, objects_of, rows_and_tables
from backstay.cli.output import Style
from backstay.cli.session import Given, Session
from backstay.cli.table import Cell, Column, Row, table
from backstay.cli.words import STATES
from backstay.core.errors import BackstayError, CatalogError, Incomplete, UsageError
from backstay.core.model import Backup, Finding, Level, Proof, Target, TierKind
from backstay.core.units import counted, format_age, format_count, format_size
from backstay.jobs.refuted import refuted

if TYPE_CHECKING:
    from backstay.tiers.etcd.elsewhere import OwnSnapshot

COLUMNS = (
    Column("ID"),
    Column("AGE", right=True),
    Column("STATE"),
    Column("SIZE", right=True),
    Column("ROWS", right=True, optional=1),
    Column("TABLES", right=True, optional=2),
    Column("LEVEL"),
    Column("PROVEN", right=True, optional=3),
    Column("STORE", optional=4),
)
LEVELS = {level.word: level for level in Level}
LEVEL_STYLES = {Level.WRITTEN: Style.WARN, Level.RESTORED: Style.GOOD, Level.READABLE: Style.GOOD}


@dataclass(frozen=True)
class Filters:
    """Which backups to list."""

    tier: Annotated[
        TierKind | None, Parameter(metavar="etcd|postgres|volumes|objects", help="Only those of one tier.")
    ] = None
    since: Annotated[
        str | None, Parameter(metavar="TIME", help="Begun since: 36h or 7d ago, 2026-11-23, or a full time; in UTC.")
    ] = None
    until: Annotated[str | None, Parameter(metavar="TIME", help="Begun until.")] = None
    level: Annotated[
        Literal["written", "stored", "readable", "restored"] | None,
        Parameter(metavar="written|stored|readable|restored", help="Proven so far or further."),
    ] = None
    foreign: Annotated[
        bool, Parameter(negative="--no-foreign", help="With the dumps that other tools left; so unless --no-foreign.")
    ] = True


def list_(
    target: Annotated[
        str | None, Parameter(help="One target (postgres/cardboard or cardboard); all without it.")
    ] = None,
    /,
    *,
    filters: Annotated[Filters, Parameter(name="*")] = Filters(),
    session: Given,
) -> int:
    """List the backups in every store, newest first. LEVEL is how far a backup is proven: written,
    stored (bytes and sha256 equal), readable (decrypted, parsed, counted), restored (by a drill or in
    earnest); NOT before it where a check has found the backup bad. PROVEN is when. Dumps that other
    tools left under the same names are marked foreign: nothing is known of what they should hold.

    Examples:
      backstay list
      backstay list postgres/cardboard --since 7d
      backstay list --level readable --json

    Exit status: 0; 3 when a store or a record could not be read; 10 when no store could be.
    """
    found = _Found(session)
    with session.app() as app:
        chosen = _target(app, target) if target else None
        found.read(app, filters, chosen)
        own = _own_snapshots(app, filters, chosen, session)
    if session.output.as_json:
        listed = [backup_fields(backup, found.proof(backup), found.against(backup)) for backup in found.backups]
        session.output.document([*listed, *map(own_snapshot_fields, own)])
    elif found.backups:
        rows = [found.row(backup) for backup in found.backups]
        session.output.data(table(COLUMNS, rows, session.output.paint, session.output.width))
    else:
        session.output.say("no backups" + (" match" if target or filters != Filters() else " yet"))
    if own and not session.output.as_json:
        session.output.data(own_snapshots_table(own, session))
    return found.exit_code


def _own_snapshots(app: App, filters: Filters, target: Target | None, session: Session) -> "list[OwnSnapshot]":
    """What k3s took by itself, where this machine can see it and it was not excluded."""
    wanted = filters.foreign and filters.level is None and filters.since is None and filters.until is None
    if app.etcd is None or not wanted or filters.tier not in {None, TierKind.ETCD}:
        return []
    if target is not None and target.tier is not TierKind.ETCD:
        return []
    found, troubles = app.etcd.own_snapshots()
    for trouble in troubles:
        session.output.warn(trouble)
    return found


@dataclass
class _Found:
    """What the stores hold, and what could not be read of it."""

    session: Session
    backups: list[Backup] = field(default_factory=list)
    problems: list[BackstayError] = field(default_factory=list)
    proofs: dict[tuple[str, str], Proof] = field(default_factory=dict)
    refuted: dict[tuple[str, str], Proof] = field(default_factory=dict)
    stores: int = 0

    def read(self, app: App, filters: Filters, target: Target | None) -> None:
        """Fill in, newest first."""
        now = self.session.now()
        catalogs = app.context.catalogs
        self.stores = len(list(catalogs))
        several = self.stores > 1  # the only one there is ends the command with its own error
        unreachable = (lambda _: None) if several else None
        for store, proofs in catalogs.proofs(problem=self._damaged, unreachable=unreachable):
            self.proofs |= {(store, backup_id): proof for backup_id, proof in standing(proofs).items()}
            self.refuted |= {(store, backup_id): proof for backup_id, proof in refuted(proofs).items()}
        found = catalogs.backups(
            target,
            tier=filters.tier,
            since=values.moment("--since", filters.since, now) if filters.since else None,
            until=values.moment("--until", filters.until, now, end=True) if filters.until else None,
            foreign=filters.foreign,
            problem=self._damaged,
            unreachable=self._unreachable if several else None,
        )
        least = LEVELS[filters.level] if filters.level else Level.WRITTEN
        wanted = [backup for backup in found if level_of(self.proof(backup)) >= least]
        self.backups = sorted(wanted, key=lambda backup: (backup.started_at, backup.id), reverse=True)

    def proof(self, backup: Backup) -> Proof | None:
        """The proof that stands for a backup."""
        return self.proofs.get((backup.store, backup.id))

    def against(self, backup: Backup) -> Proof | None:
        """The check that has found a backup bad."""
        return self.refuted.get((backup.store, backup.id))

    def row(self, backup: Backup) -> Row:
        """One line of the table."""
        rows, tables = rows_and_tables(backup.contents)
        proof, now = self.proof(backup), self.session.now()
        level, against = level_of(proof), self.against(backup)
        return (
            backup.id,
            format_age(backup.started_at, now),
            Cell(backup.state.value, STATES[backup.state]),
            format_size(backup.size_bytes),
            _held(backup.contents, rows),
            format_count(tables) if tables is not None else "-",
            Cell(f"NOT {against.level.word}", Style.BAD) if against else Cell(level.word, LEVEL_STYLES.get(level)),
            format_age(proof.at, now) if proof else "-",
            backup.store,
        )

    @property
    def exit_code(self) -> int:
        """What could not be read makes a list incomplete."""
        unreachable = [error for error in self.problems if isinstance(error, UNREACHABLE)]
        if unreachable and len(unreachable) == self.stores:
            return unreachable[0].exit_code
        return Incomplete.exit_code if self.problems else 0

    def _damaged(self, error: CatalogError) -> None:
        self._tell(error)

    def _unreachable(self, finding: Finding) -> None:
        kind = next(kind for kind in UNREACHABLE if kind.code == finding.code)
        self._tell(kind(finding.message, hint="What the other stores hold is listed."))

    def _tell(self, error: BackstayError) -> None:
        self.problems.append(error)
        self.session.output.error(error)


def _held(contents: Mapping[str, Any], rows: int | None) -> str:
    for count, word in ((keys_of(contents), "key"), (objects_of(contents), "object")):
        if count is not None:
            return counted(count, word)
    return format_count(rows) if rows is not None else "-"


def _target(app: App, name: str) -> Target:
    """A configured target, or one that only backups are left of."""
    try:
        found = app.targets([name])
    except UsageError:
        return app.context.catalogs.find(name).target
    if len(found) != 1:
        raise UsageError(f"{name} is a tier", hint=f"Use --tier {name}.")
    return found[0]


app = command(list_, name="list", usage="list [TARGET] [OPTIONS]")
